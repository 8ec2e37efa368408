#!/bin/bash
# Builds a library from Debian's source package, patches included: one static archive of position-independent code,
# with what porthole needs of the library and nothing else.
#
#   docker/build-library.sh [--newest] curl|libmicrohttpd
#
# It lands in $LIBRARIES/NAME (default: build/libraries), a link to a directory that is named after version and recipe
# and that may be moved about. One that is there and was built by today's recipe is left as it is, without a look at the
# network; with --newest Debian is asked, once a day, whether there is a newer one.
#
# curl is this release's own. libmicrohttpd is that of $SUITE (default: forky), because older releases have an older one
# than porthole needs. The machine is not changed: package lists go to $LIBRARIES/apt, and everything is checked with
# the keys that this machine's package sources name.
#
# $CURL_VERSION and $LIBMICROHTTPD_VERSION choose one version of the source package.
set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
libraries=$(mkdir -p "${LIBRARIES:-$root/build/libraries}" && cd "${LIBRARIES:-$root/build/libraries}" && pwd)

# When make runs this, its goals and variables are not for the makes in here.
unset MAKEFLAGS MAKELEVEL MFLAGS

say() { echo "build-library: $*" >&2; }
die() { say "$*"; exit 1; }

# ---- package sources ----

# What stands for a suite of this machine among the sources; "" for what does not belong there.
# shellcheck disable=SC2016 # awk's own $
wanted_suite='
    function wanted(s) {
        if (suite != codename) return s == codename ? suite : ""
        return s == codename || s == codename "-updates" || s == codename "-security" ? s : ""
    }
'

# The machine's own package sources for this release, its updates and security fixes, as sources of source packages:
# only those, so that no other repository's idea of "curl" is taken. Another suite stands where the release itself does.
write_sources() { # SUITE
    local suite=$1 codename
    # shellcheck source=/dev/null
    codename=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    [ -n "$codename" ] || die "/etc/os-release has no VERSION_CODENAME: is this Debian?"
    rm -rf "$apt/parts"
    mkdir -p "$apt/parts" "$apt/lists/partial" "$apt/cache/archives/partial"
    find /etc/apt \( -path /etc/apt/sources.list -o -path '/etc/apt/sources.list.d/*.list' \) -exec cat {} + |
        awk -v codename="$codename" -v suite="$suite" "$wanted_suite"'
            $1 == "deb" && !/cdrom:/ {
                i = 2
                if ($i ~ /^\[/) while ($(i++) !~ /\]$/ && i < NF) continue
                if (($(i + 1) = wanted($(i + 1))) == "") next
                $1 = "deb-src"
                print
            }' >"$apt/parts/lines.list"
    find /etc/apt -path '/etc/apt/sources.list.d/*.sources' -exec awk 1 {} \; -exec echo \; |
        awk -v codename="$codename" -v suite="$suite" "$wanted_suite"'
            function stanza_end() {
                if (suites != "" && types ~ / deb( |$)/ && !disabled)
                    printf "Types: deb-src\nSuites:%s\n%s\n", suites, rest
                suites = types = rest = disabled = field = ""
            }
            /^[ \t]*$/ { stanza_end(); next }
            /^#/ { next }
            /^[^ \t]/ { field = tolower($1); if (field ~ /^(types|enabled|suites):$/) $1 = "" }
            field == "types:" { types = types " " $0; next }
            field == "enabled:" { disabled = tolower($1) ~ /^(no|false|without|off|disable)$/; next }
            field == "suites:" {
                for (i = 1; i <= NF; i++)
                    if ((s = wanted($i)) != "" && !index(suites " ", " " s " ")) suites = suites " " s
                next
            }
            { rest = rest $0 "\n" }
            END { stanza_end() }' >"$apt/parts/stanzas.sources"
    cat "$apt"/parts/* | grep -q deb-src || die "/etc/apt names no package source for $codename"
}

# apt-get or apt-cache ($1), with lists and cache of our own.
private_apt() {
    local command=$1
    shift
    "$command" -q -o "Dir::State::lists=$apt/lists" -o "Dir::Cache=$apt/cache" \
        -o Dir::Etc::sourcelist=/dev/null -o "Dir::Etc::sourceparts=$apt/parts" -o APT::Sandbox::User=root \
        -o Acquire::GzipIndexes=true -o Acquire::Languages=none "$@"
}



# Reads the package lists of a suite into $apt, once a day.
update_lists() { # SUITE
    exec 8>"$apt.lock"
    flock 8
    if [ -z "$(find "$apt/updated" -mtime -1 2>/dev/null)" ]; then
        say "asking this machine's package sources for the sources of $1"
        write_sources "$1"
        # A repository of somebody else's has no such suite, which does not matter as long as Debian's has.
        if private_apt apt-get update -o APT::Update::Error-Mode=any >"$apt/log" 2>&1; then
            touch "$apt/updated"
        elif [ "$name" = curl ]; then
            explain_lists "$1"
        fi
        [ -n "$(versions_of "$name")" ] || explain_lists "$1"
    fi
    exec 8>&-
}

explain_lists() { # SUITE
    grep -E '^(E|W|Err):?' "$apt/log" >&2 || tail -n 20 "$apt/log" >&2
    if grep -qE 'NO_PUBKEY|Missing key' "$apt/log"; then
        die "$1 is signed with a key that this machine does not have yet: apt-get install debian-archive-keyring." \
            "$way_out"
    fi
    die "this machine's package sources offer no source of $name in $1. $way_out"
}

# The versions of source package $1, newest first.
versions_of() {
    private_apt apt-cache showsrc --only-source "$1" 2>/dev/null | sed -n 's/^Version: //p' | sort -Vru
}

# ---- building ----

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

# Each of our daemons belongs to one thread, and so do its responses: without threads the library does without the locks
# that it takes otherwise in every run, MHD_USE_NO_THREAD_SAFETY or not (33 for a request of a lone client).
configure_libmicrohttpd() {
    without_threads
    without_clearing
    ./configure --prefix="$1" --disable-shared --enable-static --disable-dependency-tracking \
        --enable-epoll --enable-httpupgrade --disable-https --with-threads=none \
        --disable-{doc,examples,tools,curl,nls,bauth,dauth,postprocessor,cookie,sendfile}
}

# 1.0.10 has a function among those for threads that is called without them, too, so that nothing links. It moves to the
# end of its file; a newer one that has it elsewhere bears that as well.
without_threads() {
    # shellcheck disable=SC2016 # perl's own $
    perl -0pi -e '
        if (s/static uint64_t\n(connection_get_wait) \((struct MHD_Connection) \*c\)\n\{.*?\n\}\n//s) {
            my ($function, $type, $text) = ($1, $2, $&);
            s/(#include "platform.h"\n)/$1$type;\nstatic uint64_t $function ($type *c);\n/;
            $_ .= "\n/* Moved here by the build of porthole, 2026-11-27. */\n$text";
        }' src/microhttpd/daemon.c
}

# The library clears all of a connection's memory after each request, and half of it once more on the way to the answer:
# a sixth of what a small request costs, and all of that memory resident, of which a request and its answer use a KiB or
# two. What they have used lies at both ends, without gaps: so it is cleared from there on, until all is clear. A library
# that reads otherwise stays as it is.
without_clearing() {
    local file=src/microhttpd/memorypool.c
    # shellcheck disable=SC2016 # perl's own $
    CLEAR_USED=$(clear_used) perl -0pi -e '
        my $reset = qr/    memset \(&pool->memory\[copy_bytes\],\n            0,\n            to_zero\);\n/;
        my $shrunk = qr/      memset \(\(uint8_t \*\) old \+ new_size, 0, old_size - new_size\);\n/;
        my $freed = qr/      memset \(block, 0, block_size\);\n/;
        my $place = qr/(?=\n\/\*\*\n \* Handle for a memory pool\.)/;
        if (/$reset/ && /$shrunk/ && /$freed/ && /$place/) {
            s/$reset/    pool_clear_used (&pool->memory[copy_bytes], to_zero);\n/;
            s/$shrunk//;
            s/$freed//;
            s/$place/\n$ENV{CLEAR_USED}\n/;
        }' "$file"
    grep -q pool_clear_used "$file" || echo 'this one clears all of its memory after each request' >&2
}

clear_used() {
    cat <<'END'
/* Put here by the build of porthole, 2026-11-28. Clears a block in pieces, from each end until one is clear already. */
static void
pool_clear_used (uint8_t *block, size_t size)
{
  static const uint8_t clear[1024];

  while (size > sizeof(clear) && 0 != memcmp (block, clear, sizeof(clear)))
  {
    memset (block, 0, sizeof(clear));
    block += sizeof(clear);
    size -= sizeof(clear);
  }
  while (size > sizeof(clear) && 0 != memcmp (block + size - sizeof(clear), clear, sizeof(clear)))
  {
    size -= sizeof(clear);
    memset (block + size, 0, sizeof(clear));
  }
  if (size <= sizeof(clear))
    memset (block, 0, size);
}
END
}

# What the LGPL wants to be told.
tell_change() {
    printf '\n%s %s %s\n' "Porthole's docker/build-library.sh has moved a function in src/microhttpd/daemon.c, so that" \
        'the library builds without threads, and has it clear no more of src/microhttpd/memorypool.c'"'s blocks than" \
        'has been used.'
}

# The distribution's hardened flags of kind $1 (CFLAGS, ...), plus sections that the linker can drop.
hardened() {
    DEB_BUILD_MAINT_OPTIONS=hardening=+all DEB_CFLAGS_MAINT_STRIP=-g \
        DEB_CFLAGS_MAINT_APPEND='-fPIE -ffunction-sections -fdata-sections' dpkg-buildflags --get "$1"
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
    # shellcheck disable=SC2016 # pkg-config's own $
    sed -i 's|^prefix=.*|prefix=${pcfiledir}/../..|; s|^\(exec_prefix\|libdir\|includedir\)='"$2"'|\1=${prefix}|' \
        "$2"/lib/pkgconfig/*.pc
    install -m 0644 debian/copyright "$2/copyright"
    # Debian's file names the LGPL and leaves it to every machine to have it.
    [ "$1" = curl ] || { cat COPYING; tell_change; } >>"$2/copyright"
}

# Part of the name of what was built: another way of building is another library.
recipe=$(declare -f hardened make_library configure_curl configure_libmicrohttpd without_threads without_clearing \
    clear_used tell_change | sha256sum | cut -c1-12)

need_tools() {
    local missing=() pair
    for pair in gcc:gcc make:make pkg-config:pkg-config dpkg-source:dpkg-dev xz:xz-utils flock:util-linux; do
        command -v "${pair%%:*}" >/dev/null || missing+=("${pair#*:}")
    done
    [ "$name" != curl ] || pkg-config --exists libssl 2>/dev/null || missing+=(libssl-dev)
    [ ${#missing[@]} -eq 0 ] || die "first: apt-get install ${missing[*]}"
}

# Puts the files of version $1 of the source package, checked by apt, into $source.
fetch_source() {
    local variable=${name^^}_VERSION others
    rm -rf "$source"
    mkdir -p "$source"
    (cd "$source" && private_apt apt-get source --download-only --only-source "$name=$1") >"$log" 2>&1 && return
    grep '^E:' "$log" >&2 || true
    others=$(versions_of "$name" | grep -vxF "$1" | paste -sd ' ')
    die "the package source lists $name $1 and does not serve it. A mirror in the middle of an update will in a while." \
        "${others:+Otherwise $variable chooses another version: $others. }$way_out"
}

build_library() { # VERSION PLACE
    say "building $name $1"
    rm -rf "$2"
    (
        cd "$source"
        private_apt apt-get source --no-download --only-source "$name=$1"
        cd ./*/
        make_library "$name" "$2"
    ) >>"$log" 2>&1 &
    wait $! || { tail -n 30 "$log" >&2; die "$name does not build; the whole story is in $log"; }
    rm -rf "$source"
    touch "$2/done"
}

provide_library() {
    local variable=${name^^}_VERSION version place
    update_lists "$suite"
    version=${!variable-}
    [ -n "$version" ] || version=$(versions_of "$name" | head -n 1)
    place=$libraries/$name-$version-$recipe
    if [ ! -e "$place/done" ]; then
        fetch_source "$version"
        build_library "$version" "$place"
    fi
    ln -sfn "${place##*/}" "$libraries/$name"
}

newest=
if [ "${1-}" = --newest ]; then
    newest=yes
    shift
fi
name=${1-}
case $name in
curl)
    # shellcheck source=/dev/null
    suite=$(. /etc/os-release && echo "${VERSION_CODENAME-}")
    ;;
libmicrohttpd) suite=${SUITE:-forky} ;;
*)
    echo "usage: docker/build-library.sh [--newest] curl|libmicrohttpd" >&2
    exit 2
    ;;
esac
way_out="A $name of your own is found through PKG_CONFIG_PATH instead."
apt=$libraries/apt/$suite
source=$libraries/source/$name
log=$libraries/$name.log

is_here() { [[ $(readlink "$libraries/$name") == *-"$recipe" && -e $libraries/$name/done ]]; }
[ -n "$newest" ] || ! is_here || exit 0
need_tools
mkdir -p "$apt"
# Two who want the same library do not build it twice.
exec 9>"$libraries/$name.lock"
flock 9
[ -n "$newest" ] || ! is_here || exit 0
provide_library
