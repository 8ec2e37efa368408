# What `make install` puts where, and what systemd says of it.
# shellcheck shell=bash disable=SC2154,SC2317 # $dir comes from helper.bash; tests run by name
load helper

setup_file() {
    root=$BATS_TEST_DIRNAME/../..
    export root
}

install_units() { # PREFIX
    make --silent -C "$root" install-units DESTDIR="$dir/root" PREFIX="$1" 2>&1
}

@test "install: units, tmpfiles and sysusers are where systemd looks for them, and name the program's place" {
    install_units /usr
    cd "$dir/root/usr/lib"
    [ "$(find . -type f | LC_ALL=C sort | tr '\n' ' ')" = './systemd/system/porthole.service ./systemd/system/porthole.socket ./sysusers.d/porthole.conf ./tmpfiles.d/porthole.conf ' ]
    [ "$(find . -type f ! -perm 644)" = '' ]
    grep -qx 'ExecStart=/usr/bin/porthole run -c /etc/porthole/porthole.json' systemd/system/porthole.service
    install_units /usr/local
    grep -qx 'ExecStart=/usr/local/bin/porthole run -c /etc/porthole/porthole.json' "$dir/root/usr/local/lib/systemd/system/porthole.service"
}

@test "install: the program, its manual page and its completion are installed with them" {
    make -n -C "$root" install DESTDIR=/somewhere PREFIX=/usr >"$dir/steps"
    for place in bin/porthole share/man/man1/porthole.1 share/bash-completion/completions/porthole; do
        grep -q "/somewhere/usr/$place\$" "$dir/steps"
    done
    grep -q 'porthole.socket' "$dir/steps"
}

@test "install: the user, the directory and the units agree" {
    grep -q '^u porthole ' "$root/cmd/porthole.sysusers"
    grep -q '^d /run/porthole 0755 porthole porthole ' "$root/cmd/porthole.tmpfiles"
    grep -qx 'User=porthole' "$root/cmd/porthole.service"
    grep -qx 'RuntimeDirectory=porthole' "$root/cmd/porthole.service"
    grep -qx 'FileDescriptorName=web' "$root/cmd/porthole.socket"
}

@test "install: systemd finds nothing wrong with the units, and little exposed" {
    command -v systemd-analyze >/dev/null || skip "no systemd-analyze here"
    install_units /usr
    cd "$dir/root/usr/lib/systemd/system"
    sed -i "s|^ExecStart=/usr/bin/porthole|ExecStart=$(realpath "$porthole")|" porthole.service
    SYSTEMD_UNIT_PATH=$PWD: systemd-analyze verify --man=no ./porthole.service ./porthole.socket >verify.out 2>&1
    cat verify.out
    [ ! -s verify.out ]
    exposure=$(systemd-analyze security --offline=yes ./porthole.service | sed -n 's/.*Overall exposure level for porthole.service: \([0-9.]*\).*/\1/p')
    echo "exposure $exposure"
    [ "${exposure%.*}" -lt 2 ]
}
