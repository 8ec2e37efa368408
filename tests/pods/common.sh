# shellcheck shell=bash disable=SC2317 # check calls the functions
# What the tests of image and pods share: TAP, a podman of their own, and the images. To be sourced.
#
# Everything lies in build/pods: configuration, storage and state of podman, so that neither the machine's nor the
# user's containers are seen or touched. Images stay there from run to run; nothing that runs or is mounted does.
set -uo pipefail

top=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
work=$top/build/pods
export CONTAINERS_CONF=$work/containers.conf
export PODMAN_IGNORE_CGROUPSV1_WARNING=yes # podman 5 would say it amid what a container says
n_tests=0
n_failed=0

# --- TAP -----------------------------------------------------------------------------------------------------

# check NAME COMMAND...: one test. What the command prints explains a failure.
check() {
    local name=$1 output
    shift
    n_tests=$((n_tests + 1))
    if output=$("$@" 2>&1); then
        echo "ok $n_tests - $name"
    else
        n_failed=$((n_failed + 1))
        echo "not ok $n_tests - $name"
        printf '%s\n' "$output" | tail -n 40 | sed 's/^/# /'
    fi
}

finish() {
    echo "1..$n_tests"
    [ "$n_failed" -eq 0 ]
    exit
}

# For what every test after it needs.
bail_out() {
    check "$1" false
    finish
}

equal() { # EXPECTED ACTUAL
    [ "$1" = "$2" ] || { printf 'expected: %s\nactual:   %s\n' "$1" "$2"; return 1; }
}

contains() { # TEXT PART
    [[ $1 == *"$2"* ]] || { printf 'expected in it: %s\nactual: %s\n' "$2" "$1"; return 1; }
}

# Repeats a command for up to SECONDS.
within() { # SECONDS COMMAND...
    local end=$((SECONDS + $1)) output
    shift
    until output=$("$@" 2>&1); do
        [ "$SECONDS" -lt "$end" ] || { printf '%s\n' "$output"; return 1; }
        sleep 0.2
    done
    printf '%s\n' "$output"
}

# --- podman --------------------------------------------------------------------------------------------------

pod() {
    podman --root "$work/storage" --runroot "$work/run" --tmpdir "$work/tmp" --storage-driver overlay "$@"
}

# Fit for containers inside containers: cgroup version 1, no systemd, no right to raise a limit.
podman_configure() {
    mkdir -p "$work"
    cat >"$CONTAINERS_CONF" <<'END'
[containers]
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"]
log_driver = "k8s-file"
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
events_logger = "file"
END
}

podman_clean() {
    local mount
    pod pod rm --all --force --time 2 >/dev/null 2>&1
    pod rm --all --force --time 2 --volumes >/dev/null 2>&1
    pod volume prune --force >/dev/null 2>&1
    # podman binds its storage to itself for as long as the machine runs; a build that was ended leaves more.
    for mount in $(awk -v under="$work/" 'index($2, under) == 1 { print $2 }' /proc/self/mounts | tac); do
        umount "$mount"
    done
}

# --- Images --------------------------------------------------------------------------------------------------

readonly RELEASE=trixie

base_image() { sed -n 's/^ARG BASE=//p' "$top/docker/Dockerfile"; }

# This machine's package sources, of another release.
release_sources() {
    local codename suites
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    suites="(^|\n)Suites:[^\n]*$codename"
    find /etc/apt -path '/etc/apt/sources.list.d/*.sources' -exec cat {} + |
        awk -v RS= -v ORS='\n\n' -v suites="$suites" '$0 ~ suites' | sed "s/$codename/$RELEASE/g"
    find /etc/apt \( -path /etc/apt/sources.list -o -path '/etc/apt/sources.list.d/*.list' \) -exec cat {} + |
        sed -nE "s/^deb[[:space:]]+(\[[^]]*\][[:space:]]+)?([^[:space:]]+)[[:space:]]+$codename([^[:space:]]*)(.*)/\
Types: deb\nURIs: \2\nSuites: $RELEASE\3\nComponents:\4\n/p"
}

# The Dockerfile's base, made by debootstrap instead of fetched from an image registry. Where this machine's package
# sources may be older than they say, as a mirror that is a snapshot is, they may there, too.
make_base() {
    local mirror root=$work/base
    ! pod image exists "$(base_image)" || return 0
    mirror=$(release_sources | awk '$1 == "URIs:" { print $2; exit }')
    [ -n "$mirror" ] || { echo "/etc/apt names no mirror to make the base image from"; return 1; }
    rm -rf "$root"
    debootstrap --variant=minbase "$RELEASE" "$root" "$mirror" || return
    rm -f "$root"/var/cache/apt/archives/*.deb "$root/etc/apt/sources.list"
    release_sources >"$root/etc/apt/sources.list.d/debian.sources"
    apt-config dump | grep -E '^Acquire::Check-(Valid-Until|Date) ' >"$root/etc/apt/apt.conf.d/99dates"
    tar -C "$root" -c . | pod import --change CMD=/bin/bash \
        --change ENV=PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin - "$(base_image)" || return
    rm -rf "$root"
}

build() { # ARGUMENT...
    pod build --network host --pull-never --format docker "$@"
}

# A mirror may list a version of curl that it does not serve yet. That is an error, which names the others; a test of the
# image is no release of it, and takes the next.
make_porthole_image() {
    local log=$work/image.log other
    build "$@" -t porthole -f "$top/docker/Dockerfile" "$top" 2>&1 | tee "$log" && return
    other=$(sed -n 's/.*does not serve it.*CURL_VERSION chooses another version: \([^ ]*[^. ]\).*/\1/p' "$log" | head -n 1)
    [ -n "$other" ] && [ $# -eq 0 ] && make_porthole_image --build-arg CURL_VERSION="$other"
}

# Stands for every other image in compose.yaml and pod.yaml, under their names.
make_application_image() {
    build -t curlimages/curl:8.14.1 -t busybox:1.37 - <<END
FROM $(base_image)
RUN apt-get update && apt-get install -y --no-install-recommends busybox curl && rm -rf /var/lib/apt/lists/*
ENTRYPOINT ["curl"]
END
}

# Makes what is missing; each step is a test, since podman may be unable to work here, and that must be seen.
provide() { # porthole|application...
    local step
    podman_configure
    trap podman_clean EXIT
    for step in base "$@"; do
        case $step in
        base) check "a Debian base image" make_base ;;
        porthole) check "docker/Dockerfile builds" make_porthole_image ;;
        application) check "an image for applications" make_application_image ;;
        esac
        [ "$n_failed" -eq 0 ] || bail_out "the rest needs that"
    done
}
