#!/usr/bin/env bats
# The configuration loader as a user meets it: `porthole check`. Expected messages lie beside the broken files; to
# write those of a new one, look at what `check` says and, when it is right, put it there.

setup() {
    porthole=$(realpath "${PORTHOLE:-build/porthole}")
    here=$BATS_TEST_DIRNAME/config
    examples=$BATS_TEST_DIRNAME/../../config/examples
    export PORTHOLE_TEST_NOT_UTF8=$'\xff' PORTHOLE_TEST_SET=set PORTHOLE_TEST_EMPTY=
    export PORTHOLE_TEST_CONTROL=$'/run/t\r' PORTHOLE_TEST_NUMBER=64 PORTHOLE_TEST_FALSE=false
    unset PORTHOLE_TEST_UNSET
    export CA_FILE=/dev/null CERT_FILE=/dev/null KEY_FILE=/dev/null TOKEN_FILE=/etc/hostname PAGE_FILE=/etc/hostname
    cd "$BATS_TEST_TMPDIR"
}

# Runs as somebody whom file permissions stop.
as_nobody() {
    if [ "$(id -u)" -eq 0 ]; then
        setpriv --reuid=65534 --regid=65534 --clear-groups "$@"
    else
        "$@"
    fi
}

@test "every broken file gets exactly its expected messages and exit status 78" {
    failed=0 n=0
    cd "$here/bad"
    for file in *.json; do
        n=$((n + 1)) status=0
        "$porthole" check -c "$file" >"$BATS_TEST_TMPDIR/out" 2>"$BATS_TEST_TMPDIR/err" || status=$?
        sed -i 's/as uid [0-9]*/as uid UID/' "$BATS_TEST_TMPDIR/err"
        if [ "$status" -ne 78 ] || [ -s "$BATS_TEST_TMPDIR/out" ] ||
            ! diff -u "${file%.json}.expected" "$BATS_TEST_TMPDIR/err"; then
            echo "$file: status $status"
            failed=$((failed + 1))
        fi
    done
    [ "$n" -ge 50 ]
    [ "$failed" -eq 0 ]
}

@test "every expected message belongs to a broken file" {
    for expected in "$here"/bad/*.expected; do
        [ -s "$expected" ]
        [ -f "${expected%.expected}.json" ]
    done
}

@test "every good file and every example is accepted" {
    for file in "$here"/good/*.json "$examples"/*.json; do
        run "$porthole" check -c "$file"
        echo "$output"
        [ "$status" -eq 0 ]
        [[ $output == *"$file: ok" ]]
    done
}

@test "what --print writes is accepted and prints the same again" {
    for file in "$here"/good/*.json "$examples"/*.json; do
        "$porthole" check -c "$file" --print >once.json
        "$porthole" check -c once.json --print >twice.json
        diff -u once.json twice.json
    done
}

@test "--print shows defaults filled in, and variables expanded where they are no secrets" {
    "$porthole" check -c "$here/good/variables.json" --print >printed.json
    jq -e '.workers == 1 and .drain == "30s" and .log.access == false' printed.json
    jq -e '.listeners[0] | .name == "a" and .bind == "unix:/run/set/b.sock" and .mode == "0600"' printed.json
    jq -e '.listeners[0] | .limits.body == "unlimited" and .timeouts.idle == "1m" and .backlog == 1024' printed.json
    # What may be a secret stands there as it is written.
    [ "$(jq .listeners[0].routes[0].respond.body printed.json)" = "$(jq .listeners[0].routes[0].respond.body "$here/good/variables.json")" ]
}

@test "--print shows what is in effect for addresses that routes spell, once for each, and it stays in effect" {
    "$porthole" check -c "$here/good/target-named-by-its-address.json" --print >printed.json
    jq -e '.targets | keys == ["tcp:[::1]:9", "unix:/run/b.sock", "unix:/run/c~/o.sock"]' printed.json
    jq -e '.targets["unix:/run/b.sock"] | .connections == {"max": 3, "idle": 3, "queue": 1024, "idle_timeout": "1m", "max_age": "1h"} and .timeouts.idle == "7s"' printed.json
    jq -e '.targets["unix:/run/c~/o.sock"].timeouts == {"connect": "2s", "response": "1m", "idle": "5m", "tunnel": "1h"}' printed.json
    jq -e '.listeners[0] | .observe == "unix:/run/c~/o.sock" and ([.routes[].target] | unique == ["unix:/run/b.sock"])' printed.json
    jq '.targets["tcp:[::1]:9"].timeouts.tunnel = "3s"' printed.json >changed.json
    "$porthole" check -c changed.json --print | diff changed.json -
}

@test "--print shows streams without what is of HTTP, and upgrades as they are understood" {
    "$porthole" check -c "$here/good/streams.json" --print >printed.json
    jq -e '.listeners[0] | .stream == {"target": "db"} and .limits == {"connections": 5, "connections_per_uid": 5}' printed.json
    jq -e '.listeners[0:5] | all(has("routes") or has("timeouts") | not)' printed.json
    jq -e '.listeners[1] | .stream.target == "unix:@db" and .limits == {"connections": 1024}' printed.json
    jq -e '.listeners[5] | (has("stream") | not) and .limits.connections_per_uid == 1000000' printed.json
    jq -e '.targets.db | .endpoints[0].address == "tcp:db.example.org:65535" and .timeouts.tunnel == "1h"' printed.json
    "$porthole" check -c "$here/good/upgrade.json" --print >printed.json
    jq -e '.listeners[0].routes | .[0].upgrade == [] and (.[2] | has("upgrade") | not)' printed.json
    jq -e '.listeners[0].routes[1].upgrade == ["websocket", "tcp", "x-set", "h2c", "!#$%&'"'"'*+-.^_`|~"]' printed.json
}

@test "variables stand for numbers and booleans, and defaults may have defaults" {
    "$porthole" check -c "$here/good/variables-as-values.json" --print >printed.json
    jq -e '.workers == 64 and .log.access == false' printed.json
    jq -e '.listeners[0] | .bind == "unix:/run/c.sock" and .backlog == 64 and .limits.connections == 7' printed.json
    jq -e '.listeners[0].peers.allow == [{"uid": 64}]' printed.json
    jq -e '.listeners[0].routes | .[0].respond.status == 204' printed.json
    jq -e '.listeners[0].routes[1].match.headers | .["x-there"].present == true and .["x-not"].present == false' printed.json
    jq -e '.listeners[0].routes[1].match.query.not.present == false' printed.json
    [ "$(jq .listeners[0].routes[1].respond.body printed.json)" = "$(jq .listeners[0].routes[1].respond.body "$here/good/variables-as-values.json")" ]
    jq -e '.targets.t | .endpoints[0].address == "https://set" and .connections.max == 64 and .tls.verify == false' printed.json
}

@test "a missing file is named" {
    run "$porthole" check -c missing.json
    [ "$status" -eq 78 ]
    [ "$output" = "missing.json: cannot open: No such file or directory" ]
}

@test "a directory is not a file" {
    mkdir directory.json
    run "$porthole" check -c directory.json
    [ "$status" -eq 78 ]
    [ "$output" = "directory.json: is a directory; expected a regular file of at most 16 MiB" ]
}

@test "an unreadable file is refused with the uid and gid that could not read it" {
    chmod 711 . "$BATS_RUN_TMPDIR" "$BATS_FILE_TMPDIR" 2>/dev/null || true
    cp "$here/good/log-off.json" secret.json
    chmod 000 secret.json
    # The directories above may be closed to nobody as well, so the file is passed as an open directory's entry.
    exec 9<.
    run as_nobody "$porthole" check -c /proc/self/fd/9/secret.json
    exec 9<&-
    echo "$output"
    [ "$status" -eq 78 ]
    [[ "$output" == "/proc/self/fd/9/secret.json: cannot open: Permission denied (as uid "*", gid "*")" ]]
}

@test "a megabyte of garbage is refused with one message" {
    yes '\x00{[' | head -c 1048576 >garbage.json
    run "$porthole" check -c garbage.json
    [ "$status" -eq 78 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ "$output" == "garbage.json:1:1: not valid JSON: "* ]]
}

@test "random bytes are refused without a crash" {
    for seed in 1 2 3 4 5; do
        openssl enc -aes-128-ctr -K "0000000000000000000000000000000$seed" -iv 00000000000000000000000000000000 \
            </dev/zero 2>/dev/null | head -c 65536 >random.json
        run "$porthole" check -c random.json
        [ "$status" -eq 78 ]
        [ "${#lines[@]}" -eq 1 ]
    done
}

@test "a file of more than 16 MiB is refused without being read" {
    truncate -s 16777217 large.json
    run "$porthole" check -c large.json
    [ "$status" -eq 78 ]
    [ "$output" = "large.json: is too large; expected a regular file of at most 16 MiB" ]
    truncate -s 1T large.json
    run timeout 20 "$porthole" check -c large.json
    [ "$status" -eq 78 ]
}

@test "what is not a file is refused at once" {
    mkfifo pipe.json
    run timeout 20 "$porthole" check -c pipe.json
    [ "$status" -eq 78 ]
    [ "$output" = "pipe.json: is a pipe; expected a regular file of at most 16 MiB" ]
    run timeout 20 "$porthole" check -c /dev/zero
    [ "$status" -eq 78 ]
    [ "$output" = "/dev/zero: is a device; expected a regular file of at most 16 MiB" ]
    run timeout 20 "$porthole" check -c /dev/stdin < <(cat "$examples/smallest.json")
    [ "$status" -eq 78 ]
}

@test "a file of a hundred thousand problems is refused quickly" {
    { echo '{'; seq -f '"key-%.0f": 1,' 100000; echo '"listeners": [] }'; } >many.json
    run timeout 120 "$porthole" check -c many.json
    [ "$status" -eq 78 ]
    [ "${#lines[@]}" -eq 101 ]
}

# As many sockets and targets as somebody may have, in three kinds: all different, all loops, all unknown.
many() { # LISTENER_TARGET ENDPOINT [TARGET_NAME]
    echo '{ "listeners": ['
    seq 20000 | sed "s|.*|{ \"bind\": \"unix:/run/a&/s\", \"routes\": [ { \"target\": \"$1\" } ] },|"
    echo '{ "bind": "unix:@last", "peers": { "allow": [ { "uid": 0 } ] }, "routes": [ { "respond": { "status": 404 } } ] } ],'
    echo '"targets": {'
    seq 20000 | sed "s|.*|\"t&\": { \"endpoints\": [\"$2\"] },|"
    echo '"last": { "endpoints": ["http://h"] } } }'
}

@test "forty thousand listeners and targets are read within seconds" {
    many 't&' 'unix:/run/./t&/s' >many.json
    timeout 120 "$porthole" check -c many.json
    many 't&' 'unix:/run//a&/s' >loops.json
    run timeout 120 "$porthole" check -c loops.json
    [ "$status" -eq 78 ]
    [ "${#lines[@]}" -eq 101 ]
    many 'u&' 'tcp:127.0.0.1:80' >unknown.json
    run timeout 120 "$porthole" check -c unknown.json
    [ "$status" -eq 78 ]
    [ "${#lines[@]}" -eq 101 ]
}

@test "a listener on a name of the loopback device may stand beside one on an address of it" {
    echo '{ "listeners": [ { "bind": "tcp:localhost:80", "routes": [ { "target": "unix:/t" } ] },
        { "bind": "tcp:127.0.0.1:80", "routes": [ { "target": "http://[::1]:81" } ] } ] }' >beside.json
    "$porthole" check -c beside.json
}

@test "one socket in two spellings is one, for listeners and for targets" {
    mkdir real
    ln -s real link
    ln -s ../real real/up
    here=$PWD
    for spelling in link/s real//s real/./s real/../real/s link/up/s real/missing/../s; do
        echo "{ \"listeners\": [ { \"bind\": \"unix:$here/real/s\", \"routes\": [ { \"target\": \"unix:$here/$spelling\" } ] } ] }" >loop.json
        run "$porthole" check -c loop.json
        [ "$status" -eq 78 ]
        [[ "$output" == *"/listeners/0/routes/0/target: "*" is a listener of this file: requests would go in circles" ]]
        echo "{ \"listeners\": [ { \"bind\": \"unix:$here/real/s\", \"routes\": [ { \"target\": \"unix:/t\" } ] },
            { \"bind\": \"unix:$here/$spelling\", \"routes\": [ { \"target\": \"unix:/t\" } ] } ] }" >twice.json
        run "$porthole" check -c twice.json
        [ "$status" -eq 78 ]
        [[ "$output" == *"/listeners/1/bind: "*" is the socket of the listener at "* ]]
    done
}

@test "a link that leads to nothing yet is the socket that will be there" {
    here=$PWD
    mkdir real
    ln -s real/s relative
    ln -s "$here/real/s" absolute
    ln -s new/sub directory
    while read -r bind target; do
        echo "{ \"listeners\": [ { \"bind\": \"unix:$here/$bind\", \"routes\": [ { \"target\": \"unix:$here/$target\" } ] } ] }" >loop.json
        run "$porthole" check -c loop.json
        echo "$bind $target: $output"
        [ "$status" -eq 78 ]
        [[ "$output" == *"/listeners/0/routes/0/target: "*" is a listener of this file: requests would go in circles" ]]
    done <<'END'
real/s relative
real/s absolute
new/sub/s directory/s
directory/s new/sub/s
END
}

@test "a listener on the loopback device is a target by every name and address of that" {
    while read -r bind target; do
        if [[ $target == tcp:* ]]; then
            action="\"stream\": { \"target\": \"$target:80\" }"
        else
            action="\"routes\": [ { \"target\": \"$target:80\" } ]"
        fi
        echo "{ \"listeners\": [ { \"bind\": \"tcp:$bind:80\", $action } ] }" >loop.json
        run "$porthole" check -c loop.json
        echo "$bind $target: $output"
        [ "$status" -eq 78 ]
        [[ "$output" == *" is a listener of this file: requests would go in circles" ]]
    done <<'END'
localhost http://127.0.0.1
localhost http://0.0.0.0
localhost http://[::ffff:127.0.0.1]
localhost http://[::1]
localhost tcp:127.0.0.1
127.0.0.1 http://app.localhost
127.0.0.1 http://localhost.
[::1] http://ip6-localhost
[::1] http://ip6-loopback
END
}

@test "ten thousand routes are accepted" {
    {
        echo '{ "listeners": [ { "bind": "unix:/run/a.sock", "routes": ['
        seq 10000 | sed 's|.*|{ "match": { "path": "/&" }, "target": "unix:/run/&.sock" },|'
        echo '{ "respond": { "status": 404 } } ] } ] }'
    } >routes.json
    timeout 120 "$porthole" check -c routes.json
}

@test "a file can come as a descriptor" {
    run bash -c "'$porthole' check -c /dev/stdin <'$examples/smallest.json'"
    [ "$status" -eq 0 ]
    [ "$output" = "/dev/stdin: ok" ]
}

@test "schema.json has the keys of the tables, and accepts and refuses the same files" {
    "$BATS_TEST_DIRNAME/../../build/tests/cli/config_keys" | /usr/bin/python3 "$here/schema.py" "$BATS_TEST_DIRNAME/../../config" "$here"
}
