#!/bin/bash
# Builds porthole as one file: every library inside it, only glibc outside.
#
#   docker/build-static.sh [OUTPUT]        default: build/static/porthole
#   docker/build-static.sh --libraries     only what lies under porthole (a layer of its own in the image)
#
# Debian's libcurl brings thirty shared libraries that porthole never calls; loading them is most of its start
# and of its memory. So libcurl and libmicrohttpd are built here from Debian's own source packages, patches
# included, with what porthole needs and nothing else. jansson and OpenSSL are Debian's archives. glibc stays
# dynamic, because getaddrinfo and the user database work only so.
#
# The machine is not changed: apt keeps its lists in build/static/apt. Libraries are built again when Debian
# publishes another version (asked once a day) or when they are configured in another way here.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
work=$root/build/static

# When make runs this, its goals and variables are not for the makes in here.
unset MAKEFLAGS MAKELEVEL MFLAGS

say() { echo "build-static: $*" >&2; }
die() { say "$*"; exit 1; }

# The archive that linker argument $1 stands for; only its name when there is none.
archive() { gcc -print-file-name="lib${1#-l}.a"; }

need_tools() {
    local missing=() pair
    for pair in gcc:gcc make:make pkg-config:pkg-config dpkg-source:dpkg-dev xz:xz-utils; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
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

# The machine's own package sources, as sources of source packages: only those of this release, so that no
# other repository's idea of "curl" is taken.
write_sources() {
    local codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    rm -rf "$work/apt/parts"
    mkdir -p "$work/apt/parts" "$work/apt/lists/partial" "$work/apt/cache/archives/partial"
    find /etc/apt \( -path /etc/apt/sources.list -o -path '/etc/apt/sources.list.d/*.list' \) -exec cat {} + |
        sed -nE "s/^deb([[:space:]]+(\[[^]]*\][[:space:]]+)?[^[:space:]]+[[:space:]]+$codename)/deb-src\1/p" \
            >"$work/apt/parts/lines.list"
    find /etc/apt -path '/etc/apt/sources.list.d/*.sources' -exec cat {} + |
        awk -v RS= -v ORS='\n\n' -v suites="(^|\n)Suites:[^\n]*$codename" '$0 ~ suites' |
        sed 's/^Types:.*/Types: deb-src/' >"$work/apt/parts/stanzas.sources"
    cat "$work"/apt/parts/* | grep -q deb-src || die "/etc/apt names no package source for $codename"
}

# apt-get or apt-cache ($1), with lists and cache of our own.
private_apt() {
    local command=$1
    shift
    "$command" -q -o "Dir::State::lists=$work/apt/lists" -o "Dir::Cache=$work/apt/cache" \
        -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$work/apt/parts" -o APT::Sandbox::User=root "$@"
}

update_lists() {
    [ -z "$(find "$work/apt/updated" -mtime -1 2>/dev/null)" ] || return 0
    write_sources
    private_apt apt-get update -o APT::Update::Error-Mode=any >"$work/apt/log" 2>&1 ||
        { cat "$work/apt/log" >&2; die "the package lists cannot be read"; }
    touch "$work/apt/updated"
}

# The versions of source package $1, newest first.
versions_of() {
    private_apt apt-cache showsrc --only-source "$1" | sed -n 's/^Version: //p' | sort -Vru
}

configure_curl() {
    ./configure --prefix="$1" --disable-shared --enable-static --disable-dependency-tracking \
        --with-openssl --with-ca-bundle=/etc/ssl/certs/ca-certificates.crt --without-ca-path \
        --enable-http --enable-unix-sockets --enable-ipv6 --enable-threaded-resolver \
        --disable-{ftp,file,ipfs,ldap,ldaps,rtsp,dict,telnet,tftp,pop3,imap,smb,smtp,gopher,mqtt,websockets} \
        --disable-{ntlm,ntlm-wb,tls-srp,crypto-auth,http-auth,sspi,aws} \
        --disable-{manual,docs,libcurl-option,openssl-auto-load-config} \
        --disable-{cookies,doh,mime,form-api,dateparse,netrc,progress-meter,dnsshuffle,get-easy-options} \
        --disable-{alt-svc,hsts,ares} \
        --without-{zlib,brotli,zstd,libpsl,libgsasl,libssh,libssh2,librtmp,libidn2,nghttp2,gssapi}
}

configure_libmicrohttpd() {
    ./configure --prefix="$1" --disable-shared --enable-static --disable-dependency-tracking \
        --enable-epoll --enable-httpupgrade --disable-https \
        --disable-{doc,examples,tools,curl,nls,bauth,dauth,postprocessor,cookie,sendfile}
}

# The distribution's hardened flags of kind $1 (CFLAGS, ...), plus sections that the linker can drop.
hardened() {
    DEB_BUILD_MAINT_OPTIONS=hardening=+all DEB_CFLAGS_MAINT_STRIP=-g \
        DEB_CFLAGS_MAINT_APPEND='-ffunction-sections -fdata-sections' dpkg-buildflags --get "$1"
}

# In an unpacked source package: makes and installs headers and archive of library $1 into $2.
make_library() {
    # Debian's patches may touch what autotools read; what autotools made of it before is still right.
    local -a quiet=(AUTOCONF=: AUTOMAKE=: ACLOCAL=: AUTOHEADER=:)
    local -a folders=(lib include)
    [ "$1" = curl ] || folders=(src/microhttpd src/include)
    CPPFLAGS=$(hardened CPPFLAGS) CFLAGS=$(hardened CFLAGS) LDFLAGS=$(hardened LDFLAGS) "configure_$1" "$2"
    make -j"$(nproc)" -C "${folders[0]}" "${quiet[@]}" install-libLTLIBRARIES
    make -C "${folders[1]}" "${quiet[@]}" install
    install -D -m 0644 -t "$2/lib/pkgconfig" ./*.pc
}

# Makes version $2 of library $1 in $3.
build_library() {
    local name=$1 version=$2 place=$3 source=$work/src/$1 log=$work/$1.log
    say "building $name $version"
    rm -rf "$work/lib/$name"-*
    (
        cd "$source"
        private_apt apt-get source --no-download --only-source "$name=$version"
        cd ./*/
        make_library "$name" "$place"
    ) >"$log" 2>&1 &
    wait $! || { tail -n 30 "$log" >&2; die "$name does not build; the whole story is in $log"; }
    rm -rf "$source"
    touch "$place/done"
}

# Part of the name of what was built: another way of building is another library.
recipe=$(declare -f hardened make_library configure_curl configure_libmicrohttpd | sha256sum | cut -c1-12)

# Puts the files of version $2 of source package $1, checked by apt, into $work/src/$1.
fetch_source() {
    rm -rf "$work/src/$1"
    mkdir -p "$work/src/$1"
    (cd "$work/src/$1" && private_apt apt-get source --download-only --only-source "$1=$2") >"$work/$1.log" 2>&1
}

builds=()

# Sees to it that $work/lib/$1 leads to the newest version of library $1, when what it adds to "builds" has ended.
# A mirror in mid-update lists a version that it does not serve yet; only ALLOW_OLDER=1 then takes the one before,
# which may lack a security fix.
provide_library() {
    local name=$1 version place
    for version in $(versions_of "$name"); do
        place=$work/lib/$name-$version-$recipe
        if [ -e "$place/done" ] || fetch_source "$name" "$version"; then
            if [ ! -e "$place/done" ]; then
                build_library "$name" "$version" "$place" &
                builds+=($!)
            fi
            ln -sfn "${place##*/}" "$work/lib/$name"
            return
        fi
        grep '^E:' "$work/$name.log" >&2 || true
        say "the source of $name $version cannot be fetched (ALLOW_OLDER=1 takes the version before)"
        [ -n "${ALLOW_OLDER-}" ] || exit 1
    done
    die "the package sources offer no source of $name"
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
    local output=$1 pkg_config=$work/lib/curl/lib/pkgconfig:$work/lib/libmicrohttpd/lib/pkgconfig
    local libraries objects=build/static/objects
    libraries=$(PKG_CONFIG_PATH=$pkg_config link_arguments)
    # pack-relative-relocs: OpenSSL's tables have 18,000 relocations, which would be a tenth of the file.
    PKG_CONFIG_PATH=$pkg_config make -j"$(nproc)" -C "$root" --no-print-directory \
        BUILD="$objects" ALL_LIBS="$libraries" \
        CFLAGS='-ffunction-sections -fdata-sections' LDFLAGS='-Wl,--gc-sections,-z,pack-relative-relocs' \
        "$objects/porthole"
    check_needed "$root/$objects/porthole"
    mkdir -p "$(dirname "$output")"
    strip -o "$output.new" "$root/$objects/porthole"
    mv "$output.new" "$output"
    say "$output: $(stat -c %s "$output") bytes"
}

need_tools
mkdir -p "$work/lib"
update_lists
provide_library curl
provide_library libmicrohttpd
failed=
for build in "${builds[@]}"; do
    wait "$build" || failed=yes
done
[ -z "$failed" ] || exit 1
[ "${1-}" = --libraries ] || build_porthole "${1-$work/porthole}"
