#!/bin/bash
# Builds porthole as one file: every library inside it, only glibc outside.
#
#   docker/build-static.sh [OUTPUT]        default: build/static/porthole
#   docker/build-static.sh --libraries     only what lies under porthole (a layer of its own in the image)
#
# Debian's libcurl brings thirty shared libraries that porthole never calls; loading them is most of its start
# and of its memory. So libcurl is built here with what porthole needs, like libmicrohttpd (build-library.sh, whose
# environment variables are heard here, too). jansson and OpenSSL are Debian's archives. glibc stays dynamic, because
# getaddrinfo and the user database work only so.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/build/static
libraries=${LIBRARIES:-$root/build/libraries}

say() { echo "build-static: $*" >&2; }
die() { say "$*"; exit 1; }

# The archive that linker argument $1 stands for; only its name when there is none.
archive() { gcc -print-file-name="lib${1#-l}.a"; }

need_tools() {
    local missing=() pair
    for pair in libssl:libssl-dev jansson:libjansson-dev; do
        pkg-config --exists "${pair%%:*}" 2>/dev/null || missing+=("${pair#*:}")
    done
    # Debian 13's libcrypto compresses certificates.
    for pair in -lz:zlib1g-dev -lzstd:libzstd-dev; do
        [[ " $(pkg-config --static --libs libcrypto 2>/dev/null) " != *" ${pair%%:*} "* ]] ||
            [ -e "$(archive "${pair%%:*}")" ] || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || die "first: apt-get install ${missing[*]}"
}

build_libraries() {
    local build failed=
    "$root/docker/build-library.sh" --newest libmicrohttpd &
    build=$!
    "$root/docker/build-library.sh" --newest curl || failed=yes
    wait "$build" || failed=yes
    [ -z "$failed" ]
}

# Linker arguments: everything that pkg-config names as archive, but what belongs to glibc.
link_arguments() {
    local argument
    for argument in $(pkg-config --static --libs libcurl libmicrohttpd jansson libssl libcrypto); do
        case $argument in
        -pthread | -lpthread | -ldl | -lrt | -lm | -lc) ;;
        -l*) printf '%s ' "-l:lib${argument#-l}.a" ;;
        *) printf '%s ' "$argument" ;;
        esac
    done
}

# Nothing but glibc may be left outside.
check_needed() {
    local needed
    needed=$(readelf -d "$1" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
        grep -vE '^(libc|libm|libresolv|ld-linux.*)\.so') || return 0
    die "$1 still needs: $needed"
}

build_porthole() {
    local output=$1 archives objects=build/static/objects
    PKG_CONFIG_PATH=$(realpath "$libraries/curl")/lib/pkgconfig:$(realpath "$libraries/libmicrohttpd")/lib/pkgconfig
    export PKG_CONFIG_PATH
    archives=$(link_arguments)
    # When make runs this, its goals and variables are not for this make.
    # pack-relative-relocs: OpenSSL's tables have 18,000 relocations, which would be a tenth of the file.
    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -j"$(nproc)" -C "$root" --no-print-directory \
        BUILD="$objects" ALL_LIBS="$archives" \
        CFLAGS='-ffunction-sections -fdata-sections' LDFLAGS='-Wl,--gc-sections,-z,pack-relative-relocs' \
        "$objects/porthole"
    check_needed "$root/$objects/porthole"
    mkdir -p "$(dirname "$output")"
    strip -o "$output.new" "$root/$objects/porthole"
    mv "$output.new" "$output"
    say "$output: $(stat -c %s "$output") bytes"
}

need_tools
build_libraries
[ "${1-}" = --libraries ] || build_porthole "${1-$work/porthole}"
