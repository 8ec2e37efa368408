# The examples of k8s/ and docker/, run here: probes, metrics and health checks lead where they say. (tests/pods runs them in
# containers.)
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

root=$BATS_TEST_DIRNAME/../..

need_yaml() {
    /usr/bin/python3 -c 'import yaml' 2>/dev/null || skip "python3 has no yaml"
}

# Of the pod: its container of porthole is "porthole", its configuration "data".
pod() { # PYTHON-EXPRESSION
    /usr/bin/python3 - "$root/k8s/pod.yaml" "$1" <<'PY'
import sys, yaml
documents = {d["kind"]: d for d in yaml.safe_load_all(open(sys.argv[1], encoding="utf-8"))}
metadata, data = documents["Pod"]["metadata"], documents["ConfigMap"]["data"]["porthole.json"]
porthole = documents["Pod"]["spec"]["initContainers"][0]
ports = {p["name"]: p["containerPort"] for p in porthole["ports"]}
get = lambda probe: porthole[probe]["httpGet"]
print(eval(sys.argv[2]))
PY
}

# The example with its sockets in $dir, and its port another one. The first listener of the file is on $sock.
start_example() { # FIRST-SOCKET
    port=$(free_port)
    sock=$dir/$1
    sed --in-place "s|/run/porthole|$dir|g; s|:9180\"|:$port\"|g" "$dir/porthole.json"
    start_porthole run
}

code() { # PATH
    curl --silent --max-time 10 --output "$dir/page" --write-out '%{http_code}' "http://127.0.0.1:$port$1"
}

@test "deploy: probes and annotations of the pod are those of its admin listener" {
    need_yaml
    pod data >"$dir/porthole.json"
    start_example web.sock
    for probe in startupProbe readinessProbe livenessProbe; do
        [ "$(pod "ports[get('$probe')['port']]")" = 9180 ]
        [ "$(code "$(pod "get('$probe')['path']")")" = 200 ]
    done
    [ "$(pod 'metadata["annotations"]["prometheus.io/port"]')" = 9180 ]
    [ "$(code "$(pod 'metadata["annotations"]["prometheus.io/path"]')")" = 200 ]
    grep --quiet '^porthole_ready 1$' "$dir/page"
    [ "$(code /status)" = 404 ]
    patient_probe --path /readyz "unix:$dir/admin.sock"
    "$porthole" status "unix:$dir/admin.sock" | grep --quiet web
    # Its socket has gone: nobody is sent there, and nothing is restarted.
    # As soon as it is gone it is made again, unless something else is there.
    until rm -f "$sock" && mkdir "$sock" 2>/dev/null; do :; done
    eventually eval '[ "$(code "$(pod "get(\"readinessProbe\")[\"path\"]")")" = 503 ]'
    [ "$(code "$(pod "get('livenessProbe')['path']")")" = 200 ]
}

@test "deploy: the monitor selects the pod, and asks the port that it has" {
    need_yaml
    /usr/bin/python3 - "$root/k8s/pod.yaml" "$root/k8s/podmonitor.yaml" <<'PY'
import sys, yaml
pod = [d for d in yaml.safe_load_all(open(sys.argv[1], encoding="utf-8")) if d["kind"] == "Pod"][0]
monitor = yaml.safe_load(open(sys.argv[2], encoding="utf-8"))
labels = monitor["spec"]["selector"]["matchLabels"]
assert labels and labels.items() <= pod["metadata"]["labels"].items()
ports = {port["name"] for port in pod["spec"]["initContainers"][0]["ports"]}
assert [(e["port"] in ports, e["path"]) for e in monitor["spec"]["podMetricsEndpoints"]] == [(True, "/metrics")]
PY
}

@test "deploy: the health check of the image is answered by the example of compose, as is status" {
    cp "$root/docker/porthole/porthole.json" "$dir/porthole.json"
    start_example upstream.sock
    run sed -n 's|^ *CMD \[\("/porthole".*health.sock"\)\]$|\1|p' "$root/docker/Dockerfile"
    [ "$output" = '"/porthole", "probe", "unix:/run/porthole/health.sock"' ]
    patient_probe "unix:$dir/health.sock"
    "$porthole" status "unix:$dir/admin.sock" --json | jq -e '.ready and (.listeners | map(.name) | contains(["upstream", "health"]))'
}

@test "deploy: the pod's limit of memory is no less than what its configuration can take" {
    need_yaml
    pod data >"$dir/porthole.json"
    most=$("$porthole" check --memory "$dir/porthole.json" | sed -n '1s/.*: at most \([0-9]*\)\.[0-9]* MiB$/\1/p')
    limit=$(pod "porthole['resources']['limits']['memory']")
    echo "at most $most MiB, limit $limit"
    [ -n "$most" ]
    [[ $limit == *Mi ]]
    [ "$most" -lt "${limit%Mi}" ]
}

@test "deploy: the example of compose asks its upstream under that one's name, whatever the application calls it" {
    cp "$root/docker/porthole/porthole.json" "$dir/porthole.json"
    start_target
    export UPSTREAM=unix:$dir/target.sock UPSTREAM_HOST=api.test
    start_example upstream.sock
    curl --silent --fail --max-time 10 --unix-socket "$sock" http://upstream/fields | grep --quiet --line-regexp host=api.test
}

@test "deploy: the examples give a stop longer than it may take" {
    need_yaml
    local most=30 # with the defaults
    for file in "$root/docker/porthole/porthole.json" <(pod data); do
        cp "$file" "$dir/porthole.json"
        "$porthole" check --print "$dir/porthole.json" | jq -e '.drain == "30s" and .shutdown.delay == "0ms"'
    done
    [ "$(pod 'documents["Pod"]["spec"]["terminationGracePeriodSeconds"]')" -gt "$most" ]
    [ "$(sed -n 's/^ *stop_grace_period: \([0-9]*\)s$/\1/p' "$root/docker/compose.yaml")" -gt "$most" ]
}
