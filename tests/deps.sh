#!/bin/bash
# Installs by apt what a purpose needs and this machine does not have, and says so. libmicrohttpd is the exception: where
# the distribution has an older one than porthole needs, the current one is built from Debian's source package.
# usage: tests/deps.sh [build] [test] [bench]
# Environment, from the Makefile: LIBMICROHTTPD    the least version
#                                 LIBRARIES        where libraries are built
#                                 PKG_CONFIG_PATH  finds those, and libraries of one's own
set -eu

cd "$(dirname "$0")/.."
missing=()
library_is_missing=

need() { # PACKAGE COMMAND...: the package, unless the command succeeds; a|b is the first that this release has
    local package=$1
    shift
    "$@" >/dev/null 2>&1 || missing+=("$package")
}

program() { command -v "$1"; }
program_at() { PATH=$PATH:/usr/sbin:/sbin command -v "$1"; }
library() { pkg-config --exists "$1"; }
header() { test -e "/usr/include/$1"; }
fuzzer_runtime() {
    echo 'int LLVMFuzzerTestOneInput(void) { return 0; }' |
        clang -fsanitize=fuzzer,address -x c -o /dev/null -
}

# A libmicrohttpd that is new enough. If it is one that we have built, then in today's way.
library_is_here() {
    pkg-config --atleast-version="$LIBMICROHTTPD" libmicrohttpd 2>/dev/null || return
    [ ! -e "$LIBRARIES/libmicrohttpd" ] || docker/build-library.sh libmicrohttpd
}

need_build() {
    need gcc program gcc
    need make program make
    need libc6-dev header stdio.h
    need 'pkgconf|pkg-config' program pkg-config
    library_is_here || library_is_missing=yes
    need libcurl4-openssl-dev library libcurl
    need libjansson-dev library jansson
    need libpcre2-dev library libpcre2-8
    need libseccomp-dev library libseccomp
}

need_test() {
    local name

    for name in bats caddy clang clang-format clang-tidy cppcheck curl debootstrap g++ haproxy jq openssl podman \
        runc shellcheck socat valgrind; do
        need "$name" program_at "$name"
    done
    need varnish program varnishtest
    need 'nginx-light|nginx' program_at nginx
    need nghttp2-client program h2load
    need netcat-openbsd program nc
    need prometheus program promtool
    need iproute2 program_at ss
    need procps program ps
    need uidmap program newuidmap
    need catatonit test -x /usr/bin/catatonit -o -x /usr/libexec/podman/catatonit
    need netavark test -x /usr/lib/podman/netavark
    need aardvark-dns test -x /usr/lib/podman/aardvark-dns
    need 'docker-cli|docker.io' program docker
    need docker-compose program docker-compose
    need golang-go program go
    need busybox-static test -x /bin/busybox -o -x /usr/bin/busybox
    need nodejs program node
    need npm program npm
    need chromium program chromium
    need libcmocka-dev library cmocka
    need libcpp-httplib-dev header httplib.h
    need python3 test -x /usr/bin/python3
    need python3-jsonschema /usr/bin/python3 -c 'import jsonschema'
    need python3-yaml /usr/bin/python3 -c 'import yaml'
    need util-linux program setpriv
    need mount program mount
    need 'libclang-rt-dev|libclang-rt-19-dev|libclang-rt-14-dev' fuzzer_runtime
}

need_bench() {
    need 'nginx-light|nginx' program_at nginx
    need haproxy program_at haproxy
    need caddy program caddy
    need nghttp2-client program h2load
    need gnuplot-nox program gnuplot
    need debootstrap program_at debootstrap
    need python3 test -x /usr/bin/python3
    need curl program curl
}

as_root() {
    if [ "$(id -u)" = 0 ]; then
        "$@"
    else
        sudo "$@"
    fi
}

# The servers that tests compare with must not start as services of this machine.
without_services() {
    local policy=/usr/sbin/policy-rc.d
    if [ -e $policy ]; then
        "$@"
        return
    fi
    printf '#!/bin/sh\nexit 101\n' | as_root tee $policy >/dev/null
    as_root chmod 0755 $policy
    # shellcheck disable=SC2064 # the name is known now
    trap "rm -f $policy || sudo rm -f $policy" EXIT
    "$@"
}

first_known() { # PACKAGE...
    local package
    for package in "$@"; do
        if apt-cache show "$package" >/dev/null 2>&1; then
            echo "$package"
            return
        fi
    done
    echo "$1"
}

install() { # PACKAGE...
    without_services as_root env DEBIAN_FRONTEND=noninteractive apt-get -o DPkg::Lock::Timeout=300 install -y -q \
        --no-install-recommends "$@"
}

install_missing() {
    local package packages=() alternatives
    echo "deps: not found here, to be installed by apt: ${missing[*]}"
    as_root apt-get -o DPkg::Lock::Timeout=300 update -q
    for package in "${missing[@]}"; do
        IFS='|' read -r -a alternatives <<<"$package"
        packages+=("$(first_known "${alternatives[@]}")")
    done
    install "${packages[@]}"
}

provide_library() {
    local candidate
    candidate=$(apt-cache policy libmicrohttpd-dev | sed -n 's/^ *Candidate: //p')
    if dpkg --compare-versions "$candidate" ge "$LIBMICROHTTPD" 2>/dev/null; then
        echo "deps: libmicrohttpd-dev $candidate, to be installed by apt"
        install libmicrohttpd-dev
        return
    fi
    echo "deps: libmicrohttpd here is ${candidate:-unknown}, $LIBMICROHTTPD or later is needed: it is built from Debian's" \
        "source package, in $LIBRARIES"
    missing=()
    need dpkg-dev program dpkg-source
    need xz-utils program xz
    [ ${#missing[@]} -eq 0 ] || install_missing
    docker/build-library.sh libmicrohttpd
}

for purpose in "$@"; do
    case $purpose in
    build | test | bench) "need_$purpose" ;;
    *)
        echo "usage: tests/deps.sh [build] [test] [bench]" >&2
        exit 2
        ;;
    esac
done
if [ ${#missing[@]} -eq 0 ] && [ -z "$library_is_missing" ]; then
    echo "deps ($*): everything is here"
elif ! command -v apt-get >/dev/null; then
    echo "deps: please install ${library_is_missing:+libmicrohttpd $LIBMICROHTTPD or later, and }the equivalents of these" \
        "Debian packages: ${missing[*]:-none}" >&2
    exit 1
else
    mapfile -t missing < <(printf '%s\n' "${missing[@]}" | sort -u)
    [ -z "${missing[*]}" ] || install_missing
    [ -z "$library_is_missing" ] || provide_library
fi
