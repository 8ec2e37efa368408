# The socket of `porthole run`: modes, owners, who may connect, what is replaced and what is refused.

load helper

@test "publish: mode, owner and group are as configured, whatever the umask" {
    start_target
    for mask in 0000 0022 0777; do
        configure # the default mode
        umask "$mask"
        start_porthole run
        umask 0022
        [ "$(stat -c %a "$sock")" = 660 ]
        kill "$pid"
        await_end "$pid"
        configure '"mode": "0604", "owner": "1234", "group": "4321",'
        umask "$mask"
        start_porthole run
        umask 0022
        [ "$(stat -c '%a %u %g' "$sock")" = '604 1234 4321' ]
        kill "$pid"
        await_end "$pid"
    done
}

@test "publish: the last directory is made, a missing parent is named" {
    start_target
    sock=$dir/made/app.sock
    configure '"directory_mode": "0711",'
    start_porthole run
    [ "$(stat -c %a "$dir/made")" = 711 ]
    kill "$pid"
    await_end "$pid"
    sock=$dir/a/b/app.sock
    configure
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"directory $dir/a does not exist"* ]]
}

as_stranger() { # COMMAND...
    setpriv --reuid 1234 --regid 1234 --clear-groups "$@"
}

@test "publish: a link in place of the directory that porthole made is refused, once, and leads to no mode" {
    start_target
    mkdir "$dir/volume"
    mkdir -m 0700 "$dir/canary"
    chmod 0777 "$dir/volume"
    sock=$dir/volume/made/app.sock
    configure '"directory_mode": "0777",'
    start_porthole run
    as_stranger /usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
for i in range(100): # porthole may make another one in between
    os.rename("made", f"away{i}")
    try:
        os.symlink("../canary", "made")
        break
    except FileExistsError:
        pass' "$dir/volume"
    eventually grep -q 'symbolic link on the way' "$dir/run.err"
    sleep 5 # two more looks at the path
    [ "$(grep -c 'symbolic link on the way' "$dir/run.err")" -eq 1 ]
    [ "$(stat -c '%a %u' "$dir/canary")" = '700 0' ]
    [ -z "$(ls -A "$dir/canary")" ]
    as_stranger rm "$dir/volume/made"
    eventually test -S "$sock"
    [ "$(ask /again)" = 'GET /again' ]
    [ "$(stat -c %a "$dir/volume/made")" = 777 ]
}

@test "publish: a directory that is there is never changed, and refused when it has another mode" {
    start_target
    mkdir -m 0755 "$dir/there"
    sock=$dir/there/app.sock
    configure '"directory_mode": "0750",'
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"directory $dir/there was there before, with uid 0, gid 0, mode 0755"* ]]
    [ "$(stat -c %a "$dir/there")" = 755 ]
    configure '"directory_mode": "0755",'
    start_porthole run
}

@test "publish: the default ACL of a directory lets nobody in whom the mode keeps out" {
    start_target
    # setfacl -d -m u:1234:rwx
    /usr/bin/python3 -c 'import os, struct, sys
entries = (1, 7, -1), (2, 7, 1234), (4, 7, -1), (16, 7, -1), (32, 0, -1)
os.setxattr(sys.argv[1], "system.posix_acl_default", struct.pack("<I", 2) + b"".join(struct.pack("<HHi", *e) for e in entries))' "$dir"
    configure '"mode": "0660",'
    start_porthole run
    [ "$(stat -c %a "$sock")" = 660 ]
    status=0
    as_stranger curl --silent --unix-socket "$sock" http://localhost/ || status=$?
    [ "$status" -eq 7 ] # could not connect
}

@test "publish: 100,000 names like those that a crash leaves do not delay a start" {
    start_target
    configure
    before=$(ms_now)
    start_porthole first
    alone=$(($(ms_now) - before))
    kill "$pid"
    await_end "$pid"
    chmod 0777 "$dir"
    # of each kind some, and names of files for the rest: they are made quickest
    as_stranger /usr/bin/python3 -c 'import os, sys
os.chdir(sys.argv[1])
for i in range(100_000):
    name = ".porthole-" + "".join(chr(ord("a") + (i // 10 ** k) % 10) for k in range(8))
    if i % 10_000 == 0:
        file = name
        os.close(os.open(name, os.O_CREAT, 0o600))
    elif i % 100 == 1:
        os.mkdir(name)
    elif i % 100 == 2:
        os.symlink("/etc", name)
    else:
        os.link(file, name)' "$dir"
    # A pause of this machine is none of ours: once in five.
    for _ in 1 2 3 4 5; do
        before=$(ms_now)
        start_porthole second
        crowded=$(($(ms_now) - before))
        echo "$alone ms alone, $crowded ms among 100,000"
        [ "$crowded" -ge $((alone + 2000)) ] || return 0
        kill "$pid"
        await_end "$pid"
    done
    return 1
}

@test "publish: another uid is kept out by the mode and let in by it" {
    start_target
    configure '"mode": "0600",'
    start_porthole run
    status=0
    setpriv --reuid 1234 --regid 1234 --clear-groups curl --silent --unix-socket "$sock" http://localhost/ || status=$?
    [ "$status" -eq 7 ] # could not connect
    chmod 0666 "$sock"
    [ "$(setpriv --reuid 1234 --regid 1234 --clear-groups curl --silent --unix-socket "$sock" http://localhost/x)" = 'GET /x' ]
}

@test "publish: peers.allow lets in by uid and by gid, others are cut without an answer" {
    start_target
    configure '"mode": "0666", "peers": { "allow": [ { "uid": 1234 }, { "gid": 4321 } ] },'
    start_porthole run
    run ask /root
    [ "$status" -ne 0 ]
    [[ $output != *"GET"* ]]
    [ "$(setpriv --reuid 1234 --regid 1 --clear-groups curl --silent --unix-socket "$sock" http://localhost/uid)" = 'GET /uid' ]
    [ "$(setpriv --reuid 99 --regid 4321 --clear-groups curl --silent --unix-socket "$sock" http://localhost/gid)" = 'GET /gid' ]
    [ "$(setpriv --reuid 99 --regid 1 --groups 4321 curl --silent --unix-socket "$sock" http://localhost/sup)" = 'GET /sup' ]
    run setpriv --reuid 99 --regid 99 --groups 98 curl --silent --unix-socket "$sock" http://localhost/
    [ "$status" -ne 0 ]
}

@test "publish: peers.deny keeps out by uid and by gid, others come in as peers.allow says" {
    as() { setpriv --reuid "$1" --regid "$2" --groups "$3" curl --silent --unix-socket "$sock" http://localhost/it; }
    start_target
    configure '"mode": "0666", "peers": { "deny": [ { "uid": 1234 }, { "gid": 4321 } ] },'
    start_porthole run
    [ "$(as 99 1 1)" = 'GET /it' ]
    for who in '1234 1 1' '99 4321 1' '99 1 4321'; do
        # shellcheck disable=SC2086 # three words
        run as $who
        [ "$status" -ne 0 ]
    done
    grep -q 'denied="uid 1234 or gid 4321"' "$dir/run.err"
    grep -q 'a peer is not allowed' "$dir/run.err"
    kill "$pid"
    await_end "$pid"
    configure '"mode": "0666", "peers": { "allow": [ { "gid": 1 } ], "deny": [ { "uid": 1234 } ] },'
    start_porthole both
    [ "$(as 99 1 1)" = 'GET /it' ]
    run as 1234 1 1
    [ "$status" -ne 0 ]
    run as 99 2 2
    [ "$status" -ne 0 ]
}

@test "publish: a process without privilege serves in a directory of its own" {
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "mode": "0666", "routes": [ { "respond": { "status": 200, "body": "hi" } } ] } ] }
JSON
    chmod 0777 "$dir"
    cp "$porthole" "$dir/porthole" # where the tree is, others may not go
    background run setpriv --reuid 1234 --regid 1234 --clear-groups "$dir/porthole" run -c "$dir/porthole.json"
    await_socket "$sock"
    [ "$(stat -c '%a %u %g' "$sock")" = '666 1234 1234' ]
    [ "$(ask /)" = hi ]
}

@test "publish: a directory without permission is named with our uid and gid" {
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "routes": [ { "respond": { "status": 204 } } ] } ] }
JSON
    cp "$porthole" "$dir/porthole"
    run setpriv --reuid 1234 --regid 1235 --clear-groups timeout 10 "$dir/porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot write to directory $dir"*"uid 1234, gid 1235"* ]]
}

@test "publish: a living process is not replaced without --takeover" {
    start_target
    configure
    start_porthole first
    before=$(inode "$sock")
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"stop it or use --takeover"* ]]
    [ "$(inode "$sock")" = "$before" ]
    [ "$(ask /still)" = 'GET /still' ]
}

@test "publish: files, directories and links at the path are refused and stay" {
    configure
    for make in 'touch' 'mkdir' 'mkfifo' 'ln -s nowhere'; do
        $make "$sock"
        run timeout 10 "$porthole" run --takeover -c "$dir/porthole.json"
        [ "$status" -eq 1 ]
        [[ $output == *"$sock is a"*"not a socket"* ]]
        rm -r "$sock"
    done
}

@test "publish: after kill -9 the next one starts, and cleans up" {
    start_target
    configure
    start_porthole first
    kill -9 "$pid"
    await_end "$pid"
    [ -S "$sock" ]
    mkdir -m 0700 "$dir/.porthole-abcdefgh" # as when the crash came while publishing
    start_porthole second
    [ "$(ask /again)" = 'GET /again' ]
    [ ! -e "$dir/.porthole-abcdefgh" ]
}

@test "publish: a takeover under load loses no request, and the old one leaves the new one's socket" {
    start_target
    configure
    start_porthole generation0
    background load /usr/bin/python3 "$BATS_TEST_DIRNAME/load.py" "$sock"
    load=$pid
    eventually grep -q answering "$dir/load.err"
    old=${pids[1]}
    for generation in 1 2 3; do
        start_porthole "generation$generation" --takeover
        new=$pid
        await_end "$old" # by itself: nothing is left for it to serve
        [ "$status" -eq 0 ]
        [ -S "$sock" ]
        sleep 0.3
        old=$new
    done
    kill "$load"
    await_end "$load"
    cat "$dir/load.out"
    [ "$status" -eq 0 ]
    grep -qx 'failed 0' "$dir/load.out"
    [ "$(sed -n 's/^answered //p' "$dir/load.out")" -gt 100 ]
}

@test "publish: a takeover lets a slow exchange of the old one finish" {
    start_target
    configure
    start_porthole first
    first=$pid
    background slow curl --silent --show-error --unix-socket "$sock" http://localhost/held/go
    client=$pid
    await_request /held/go
    start_porthole second --takeover
    [ "$(ask /new)" = 'GET /new' ]
    kill -0 "$first"
    touch "$dir/go"
    await_end "$client"
    [ "$status" -eq 0 ]
    [ "$(cat "$dir/slow.out")" = 'GET /held/go' ]
    await_end "$first"
    [ "$status" -eq 0 ]
    [ "$(ask /new)" = 'GET /new' ]
}

@test "publish: a path longer than sockaddr_un is served or refused by check, never cut" {
    start_target
    long=$dir/$(printf 'x%.0s' {1..120})
    mkdir "$long"
    sock=$long/app.sock
    configure
    if "$porthole" check -c "$dir/porthole.json" 2>"$dir/check.err"; then
        start_porthole run
        patient_probe "unix:$sock"
    else
        grep -q "$sock" "$dir/check.err"
        run timeout 10 "$porthole" run -c "$dir/porthole.json"
        [ "$status" -eq 78 ]
    fi
    [ -z "$(find "$dir" -name 'x*.s*' -not -path "$long/*")" ]
}

@test "publish: an abstract socket is served" {
    start_target
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:@porthole-cli-$$", "peers": { "allow": [ { "uid": 0 } ] },
    "routes": [ { "target": "unix:$dir/target.sock" } ] } ] }
JSON
    background run "$porthole" run -c "$dir/porthole.json"
    "$porthole" probe --wait 30s "unix:@porthole-cli-$$"
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"another process serves unix:@porthole-cli-$$; stop it or use --takeover"* ]]
}
