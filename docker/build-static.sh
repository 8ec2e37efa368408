#!/bin/bash
# Builds porthole as one file: every library inside it, only glibc outside.
#
#   docker/build-static.sh [OUTPUT]        default: build/static/porthole
#   docker/build-static.sh --libraries     only what lies under porthole (a layer of its own in the image)
#
# Debian's libcurl brings thirty shared libraries that porthole never calls; loading them is most of its start
# and of its memory. So libcurl is built here with what porthole needs, like libmicrohttpd (build-library.sh, whose
# environment variables are heard here, too). A libmicrohttpd of one's own, new enough and with an archive, is taken
# where PKG_CONFIG_PATH finds it. jansson, PCRE2 and OpenSSL are Debian's archives. glibc stays dynamic, because
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
    for pair in libssl:libssl-dev jansson:libjansson-dev libpcre2-8:libpcre2-dev libseccomp:libseccomp-dev; do
        pkg-config --exists "${pair%%:*}" 2>/dev/null || missing+=("${pair#*:}")
    done
    # Debian 13's libcrypto compresses certificates.
    for pair in -lz:zlib1g-dev -lzstd:libzstd-dev; do
        [[ " $(pkg-config --static --libs libcrypto 2>/dev/null) " != *" ${pair%%:*} "* ]] ||
            [ -e "$(archive "${pair%%:*}")" ] || missing+=("${pair#*:}")
    done
    [ ${#missing[@]} -eq 0 ] || die "first: apt-get install ${missing[*]}"
}

# The directory with the .pc file of a libmicrohttpd of one's own, if there is one. Not the system's, whose archive wants
# GnuTLS, nor the one that was built here, which make names as well.
find_own_library() {
    local least folder
    least=$(sed -n 's/^LIBMICROHTTPD := //p' "$root/Makefile" 2>/dev/null) || return 0
    pkg-config --atleast-version="$least" libmicrohttpd || return 0
    folder=$(realpath "$(pkg-config --variable=pcfiledir libmicrohttpd)")
    # shellcheck disable=SC2086 # one word for each directory
    realpath -m -- ${PKG_CONFIG_PATH//:/ } | grep -qxF "$folder" || return 0
    [ "${folder%/*/*/*}" != "$(realpath -m "$libraries")" ] || return 0
    if [ ! -e "$(pkg-config --variable=libdir libmicrohttpd)/libmicrohttpd.a" ]; then
        say "the libmicrohttpd of $folder has no archive, so one is built"
        return
    fi
    say "taking the libmicrohttpd $(pkg-config --modversion libmicrohttpd) of $folder"
    echo "$folder"
}

build_libraries() {
    local build='' failed=
    if [ -z "$own" ]; then
        "$root/docker/build-library.sh" --newest libmicrohttpd &
        build=$!
    fi
    "$root/docker/build-library.sh" --newest curl || failed=yes
    [ -z "$build" ] || wait "$build" || failed=yes
    [ -z "$failed" ]
}

# Linker arguments: everything that pkg-config names as archive, but what belongs to glibc.
link_arguments() {
    local argument
    for argument in $(pkg-config --static --libs libcurl libmicrohttpd jansson libpcre2-8 libssl libcrypto); do
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
    PKG_CONFIG_PATH=$(realpath "$libraries/curl")/lib/pkgconfig:${own:-$(realpath "$libraries/libmicrohttpd")/lib/pkgconfig}
    export PKG_CONFIG_PATH
    archives=$(link_arguments)
    # When make runs this, its goals and variables are not for this make.
    # pack-relative-relocs: OpenSSL's tables have 18,000 relocations, which would be a tenth of the file.
    # wrap: who has no target of https does without its setup (proxy/reach/tls_setup.h).
    env -u MAKEFLAGS -u MAKELEVEL -u MFLAGS make -j"$(nproc)" -C "$root" --no-print-directory \
        BUILD="$objects" ALL_LIBS="$archives" \
        CFLAGS='-ffunction-sections -fdata-sections' LDFLAGS='-Wl,--gc-sections,-z,pack-relative-relocs,--wrap=OPENSSL_init_ssl,-u,OPENSSL_init_ssl' \
        "$objects/porthole"
    check_needed "$root/$objects/porthole"
    mkdir -p "$(dirname "$output")"
    strip -o "$output.new" "$root/$objects/porthole"
    mv "$output.new" "$output"
    say "$output: $(stat -c %s "$output") bytes"
}

need_tools
own=$([ -z "${PKG_CONFIG_PATH-}" ] || find_own_library)
build_libraries
[ "${1-}" = --libraries ] || build_porthole "${1-$work/porthole}"
