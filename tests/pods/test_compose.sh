#!/bin/bash
# docker/compose.yaml: what it promises, and its two services run by podman with the options that it gives.
# shellcheck disable=SC1091,SC2154,SC2317 # common.sh sets top and work, and calls the functions
. "$(dirname "$0")/common.sh"

compose=$top/docker/compose.yaml
pages=$work/pages
server=

# The value of a Python expression over the file: "services" and "volumes".
value_of() {
    /usr/bin/python3 - "$compose" "$1" <<'END'
import sys, yaml
document = yaml.safe_load(open(sys.argv[1], encoding="utf-8"))
services, volumes = document["services"], document["volumes"]
print(eval(sys.argv[2]))
END
}

holds() { equal True "$(value_of "$1")"; }

is_locked_down() {
    holds 'all(s["read_only"] and s["cap_drop"] == ["ALL"] for s in services.values())' &&
        holds 'all(s["security_opt"] == ["no-new-privileges:true"] for s in services.values())' &&
        holds 'not any("ports" in s or "privileged" in s for s in services.values())'
}

shares_a_directory() {
    holds '"sockets" in volumes' &&
        holds 'all(any(v.startswith("sockets:/run/porthole") for v in s["volumes"]) for s in services.values())'
}

application_has_only_the_socket() {
    holds 'services["app"]["network_mode"] == "none" and services["app"]["volumes"] == ["sockets:/run/porthole:ro"]'
}

start_target() {
    mkdir -p "$pages"
    echo 'from outside' >"$pages/index.html"
    /usr/bin/python3 -u -m http.server --bind 127.0.0.1 --directory "$pages" 0 >"$work/target.log" 2>&1 &
    server=$!
    within 10 grep 'port [0-9]' "$work/target.log" >/dev/null
}

# Runs a service with the options of the file, but those that match PATTERN.
run_service() { # SERVICE PATTERN ARGUMENT-OF-PODMAN-RUN...
    local service=$1 pattern=$2
    local -a options
    shift 2
    mapfile -t options < <(/usr/bin/python3 "$top/tests/pods/compose_options.py" "$compose" "$service" | grep -v -e "$pattern")
    [ ${#options[@]} -gt 0 ] && pod run --name "$service" "$@" "${options[@]}"
}

directory_is_the_images() {
    equal 65532:65532:750 "$(stat -c %u:%g:%a "$(pod volume inspect --format '{{.Mountpoint}}' sockets)")"
}

application_gets_the_page() {
    local answer
    answer=$(run_service app nothing --rm 2>&1)
    contains "$answer" 'HTTP/1.1 200' && contains "$answer" 'from outside'
}

other_group_is_refused() {
    local answer
    answer=$(run_service app --group-add --rm 2>&1)
    equal 7 "$?" && contains "$answer" 'curl: (7)'
}

stops_and_cleans_up() {
    local directory
    directory=$(pod volume inspect --format '{{.Mountpoint}}' sockets)
    pod stop --time 10 porthole && equal 0 "$(pod inspect --format '{{.State.ExitCode}}' porthole)" &&
        equal '' "$(ls -A "$directory")"
}

check 'compose.yaml has the two services' equal "['porthole', 'app']" "$(value_of 'list(services)')"
check 'both are locked down' is_locked_down
check 'they share the directory of the socket by a named volume' shares_a_directory
check 'the application has no network, only the socket' application_has_only_the_socket
provide porthole application

trap '[ -z "$server" ] || kill "$server"; podman_clean' EXIT
start_target
UPSTREAM=http://127.0.0.1:$(sed -n 's/.* port \([0-9]*\).*/\1/p' "$work/target.log")
export UPSTREAM
check 'porthole runs' run_service porthole nothing --detach --network host
check 'its health check passes' within 15 pod healthcheck run porthole
check "the volume took over the image's owner and mode" directory_is_the_images
check 'the application, another user without a network, gets a page through the socket' application_gets_the_page
check 'without the group it is refused' other_group_is_refused
check 'porthole stops with status 0 and takes its sockets away' stops_and_cleans_up
finish
