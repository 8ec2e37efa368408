#!/bin/bash
# Unpacks the image, so that other suites can run its program, with Debian 13's libraries, on this machine:
#
#   tests/pods/extract-binary.sh && tests/run-suites.sh http@image
#
# Result: build/pods/rootfs, the image's files, and build/pods/image-porthole, which runs /porthole among them under
# the C library of the image. The image must have been built (tests/pods/test_image.sh does).
# shellcheck disable=SC1091,SC2154,SC2317 # common.sh sets top and work, and calls the functions
. "$(dirname "$0")/common.sh"

unpack() {
    local mount
    mount=$(pod image mount porthole) || return
    rm -rf "$work/rootfs"
    cp -a "$mount" "$work/rootfs"
    pod image unmount porthole >/dev/null
}

write_program() {
    local root=$work/rootfs loader library
    loader=$(find "$root" -name 'ld-linux*') library=$(dirname "$(find "$root" -name libc.so.6)")
    cat >"$work/image-porthole" <<END
#!/bin/sh
exec '$loader' --argv0 porthole --library-path '$library' '$root/porthole' "\$@"
END
    chmod 0755 "$work/image-porthole"
    # As a build of its own, for tests/run-suites.sh http@image.
    mkdir -p "$top/build/image"
    ln -sf "$work/image-porthole" "$top/build/image/porthole"
    "$work/image-porthole" version
}

podman_configure
unpack && write_program
