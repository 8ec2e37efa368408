#!/bin/sh
# Makes a root of Debian testing with the newest nginx, HAProxy and Caddy for `make bench`, which runs them from there by the root's
# own loader and libraries, in no other way than the others. It needs root, debootstrap and a mirror, about 500 MB and some minutes,
# and lies outside of this tree. What is there already stays.
# usage: tests/bench/newest.sh
# Environment: BENCH_NEWEST   where (default: /var/lib/porthole-bench/testing)
#              BENCH_RELEASE  which release (default: forky)
#              BENCH_MIRROR   from where (default: where debootstrap gets it)
set -eu

root=${BENCH_NEWEST:-/var/lib/porthole-bench/testing}
release=${BENCH_RELEASE:-forky}
if [ -x "$root/usr/sbin/nginx" ] && [ -x "$root/usr/sbin/haproxy" ] && [ -x "$root/usr/bin/caddy" ]; then
    exit 0
fi
if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
    echo "NOT HERE: the newest nginx, HAProxy and Caddy; making $root needs root and debootstrap" >&2
    exit 1
fi
# An older debootstrap does not know a newer release, which is made as sid is.
scripts=$(mktemp -d)
trap 'rm -rf "$scripts"' EXIT
cp -r /usr/share/debootstrap/. "$scripts"
[ -e "$scripts/scripts/$release" ] || ln -s sid "$scripts/scripts/$release"
mkdir -p "$(dirname "$root")"
DEBOOTSTRAP_DIR=$scripts debootstrap --variant=minbase --include=nginx-light,haproxy,caddy \
    --keyring=/usr/share/keyrings/debian-archive-keyring.gpg "$release" "$root" \
    ${BENCH_MIRROR:+"$BENCH_MIRROR"} >"$root.log" 2>&1 || {
    tail -n 5 "$root.log" >&2
    echo "NOT HERE: the newest nginx, HAProxy and Caddy; see $root.log" >&2
    exit 1
}
