#!/bin/bash
# k8s/pod.yaml, run by podman: containers of different users meet at a socket.
# shellcheck disable=SC1091,SC2154,SC2317 # common.sh sets top and work, and calls the functions
. "$(dirname "$0")/common.sh"

file=$top/k8s/pod.yaml
sockets=$work/pod-sockets

# The value of a Python expression over the manifest: "pod" is the Pod's spec, "data" the ConfigMap's data.
value_of() {
    /usr/bin/python3 - "$file" "$1" <<'END'
import sys, yaml
documents = {d["kind"]: d for d in yaml.safe_load_all(open(sys.argv[1], encoding="utf-8"))}
pod, data = documents["Pod"]["spec"], documents["ConfigMap"]["data"]
every = pod["initContainers"] + pod["containers"]
notes = documents["Pod"]["metadata"]["annotations"]
ports = {p["name"]: p["containerPort"] for p in pod["initContainers"][0]["ports"]}
print(eval(sys.argv[2]))
END
}

holds() { equal True "$(value_of "$1")"; }

# Pod Security Standards, level "restricted".
is_restricted() {
    holds 'pod["securityContext"]["runAsNonRoot"]' &&
        holds 'pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}' &&
        holds 'all(c["securityContext"]["allowPrivilegeEscalation"] is False for c in every)' &&
        holds 'all(c["securityContext"]["capabilities"] == {"drop": ["ALL"]} for c in every)' &&
        holds 'all(c["securityContext"]["runAsUser"] > 0 for c in every)' &&
        holds 'all(set(v) & {"configMap", "emptyDir"} for v in pod["volumes"])' &&
        holds 'not any(pod.get(k) for k in ("hostNetwork", "hostPID", "hostIPC"))'
}

is_sidecar() {
    holds '[c["restartPolicy"] for c in pod["initContainers"]] == ["Always"]' &&
        holds '"startupProbe" in pod["initContainers"][0]'
}

bounds_are_set() {
    holds 'all(c["securityContext"]["readOnlyRootFilesystem"] for c in every)' &&
        holds 'all("memory" in c["resources"]["limits"] for c in every)'
}

configuration_is_valid() {
    value_of 'data["porthole.json"]' >"$work/pod-porthole.json"
    "$work/image-porthole" check -c "$work/pod-porthole.json"
}

play() {
    rm -rf "$sockets"
    /usr/bin/python3 "$top/tests/pods/for_podman.py" "$file" "$sockets" >"$work/pod.yaml" &&
        pod kube play --network none "$work/pod.yaml"
}

container() { echo "porthole-example-$1"; }
in_container() { local name=$1; shift; pod exec "$(container "$name")" "$@"; }

# A page of the port, asked by another container of the pod: they share its network, which has no way in here.
ask_port() { # PATH-AND-PORT ARGUMENT-OF-CURL...
    local path=${1#*:} port=${1%%:*}
    shift
    in_container application curl --silent --show-error --max-time 10 "$@" "http://127.0.0.1:$port$path"
}

# The probe of the manifest, as the kubelet has it: any status from 200 to 399 will do.
probe() { # startupProbe|readinessProbe|livenessProbe
    local get='pod["initContainers"][0]["'$1'"]["httpGet"]'
    ask_port "$(value_of 'str(ports['"$get"'["port"]]) + ":" + '"$get"'["path"]')" --fail
}

annotations_lead_to_metrics() {
    contains "$(ask_port "$(value_of 'notes["prometheus.io/port"] + ":" + notes["prometheus.io/path"]')" --fail)" \
        'porthole_requests_total{listener="web"'
}

port_has_nothing_else() {
    local page
    for page in / /status /config /clients /tap; do
        equal 404 "$(ask_port "$(value_of 'ports["probes"]'):$page" --output /dev/null --write-out '%{http_code}')" || return 1
    done
}

status_is_told() {
    contains "$(in_container porthole /porthole status unix:/run/porthole/admin.sock)" web
}

# The application calls through SOCKET.
call() { # SOCKET ARGUMENT-OF-CURL...
    local socket=$1
    shift
    in_container application curl --silent --show-error --max-time 10 --unix-socket "/run/porthole/$socket" "$@"
}

file_is() { equal "$2" "$(stat -c '%F %u:%g %a' "$sockets/$1")"; }

process_line() { # CONTAINER KEY
    sed -n "s/^$2:[[:space:]]*//p" "/proc/$(pod inspect --format '{{.State.Pid}}' "$(container "$1")")/status" |
        tr '\t' ' ' | sed 's/ *$//'
}

users_differ() {
    equal '65532 65532 65532 65532' "$(process_line porthole Uid)" &&
        equal '10002 10002 10002 10002' "$(process_line application Uid)" &&
        contains " $(process_line application Groups) " ' 20000 '
}

is_confined() { # CONTAINER
    equal 0000000000000000 "$(process_line "$1" CapEff)" && equal 1 "$(process_line "$1" NoNewPrivs)" &&
        equal 2 "$(process_line "$1" Seccomp)" && contains ",$(awk '$5 == "/" { print $6 }' \
        "/proc/$(pod inspect --format '{{.State.Pid}}' "$(container "$1")")/mountinfo")," ',ro,'
}

all_are_confined() { is_confined porthole && is_confined web && is_confined application; }

application_cannot() {
    local message
    message=$(in_container application "$@" 2>&1) && { echo "but it could: $message"; return 1; }
    contains "$message" 'Read-only file system'
}

# Who is in no group of the pod, in the directory itself so that only the socket's mode decides.
stranger_is_refused() {
    local -a request=(curl --silent --max-time 5 --output /dev/null --unix-socket web.sock http://web/)
    cd "$sockets" && setpriv --reuid 10003 --regid 10003 --groups 20000 "${request[@]}" &&
        equal 7 "$(setpriv --reuid 10003 --regid 10003 --clear-groups "${request[@]}"; echo $?)"
}

admin_is_private() {
    equal 7 "$(call admin.sock http://admin/healthz >&2; echo $?)"
}

access_log_names_the_caller() {
    contains "$(pod logs "$(container porthole)" 2>&1)" 10002
}

survives_a_broken_target() {
    pod stop --time 2 "$(container web)" && probe livenessProbe &&
        equal 503 "$(call web.sock --output /dev/null --write-out '%{http_code}' http://web/)"
}

stops_and_cleans_up() {
    pod stop --time 10 "$(container porthole)" &&
        equal 0 "$(pod inspect --format '{{.State.ExitCode}}' "$(container porthole)")" &&
        equal '' "$(ls -A "$sockets")"
}

check 'the manifest is YAML and has a pod and a configuration' value_of pod
check 'porthole is a native sidecar with a startup probe' is_sidecar
check 'the pod fits the restricted Pod Security Standard' is_restricted
check 'every container has a read-only root and a memory limit' bounds_are_set
provide porthole application
check 'the image can be unpacked, to be run on this machine' "$top/tests/pods/extract-binary.sh"
check 'the configuration in it is valid' configuration_is_valid

check 'the pod runs' play
check 'the startup probe passes' within 30 probe startupProbe
check 'the readiness probe passes' probe readinessProbe
check 'the liveness probe passes' probe livenessProbe
check 'the containers are different users with one group in common' users_differ
check 'the socket belongs to porthole and fsGroup, mode 0660' file_is web.sock 'socket 65532:20000 660'
check 'the admin socket is for porthole alone' file_is admin.sock 'socket 65532:20000 600'
check 'the application gets a page through the socket' \
    equal "$(value_of 'data["index.html"].strip()')" "$(within 10 call web.sock --fail http://web/index.html)"
check 'the application does not get into the admin socket' admin_is_private
check 'status is told to who may exec into the container' status_is_told
check 'the annotations for Prometheus lead to metrics' annotations_lead_to_metrics
check 'the port of probes has no other page' port_has_nothing_else
check 'the application can not remove the socket' application_cannot rm /run/porthole/web.sock
check 'who is not in the group is refused' stranger_is_refused
check 'every process is confined, on a read-only root' all_are_confined
check 'the access log tells who called' access_log_names_the_caller
check 'without its target, porthole answers 503 and stays alive' survives_a_broken_target
check 'porthole stops with status 0 and takes its sockets away' stops_and_cleans_up
finish
