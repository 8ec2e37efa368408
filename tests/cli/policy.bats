# What the policies of config/examples promise that a single request does not show. What each lets through and denies is told by
# tests/http (attempts.md, tools.md).

load helper

# A policy as `porthole policy` prints it, with its listener on $sock.
write_policy() { # NAME
    "$porthole" policy "$1" 2>/dev/null | jq --arg bind "unix:$sock" '.listeners[0].bind = $bind' >"$dir/porthole.json"
}

ask_for_long() { # FILE: until $dir/enough is there
    until [ -e "$dir/enough" ]; do
        ask / >>"$1" 2>&1 || echo failed >>"$1"
        echo >>"$1"
    done
}

@test "policy: blue-green follows the link, each request to one release, none lost, and the next is tried by a field" {
    write_policy blue-green
    start_answering blue
    start_answering green
    ln -s blue.sock "$dir/live.sock"
    ln -s green.sock "$dir/next.sock"
    export LIVE_SOCKET=$dir/live.sock NEXT_SOCKET=$dir/next.sock
    start_porthole run
    [ "$(ask /)" = blue ]
    [ "$(ask / -H 'X-Release: next')" = green ]
    [ "$(ask / -H 'X-Release: other')" = blue ]
    background asking ask_for_long "$dir/asked"
    eventually grep -q blue "$dir/asked"
    ln -s green.sock "$dir/live.new"
    mv -T "$dir/live.new" "$dir/live.sock"
    eventually grep -q green "$dir/asked"
    [ "$(ask /)" = green ]
    touch "$dir/enough"
    await_end "$pid"
    # blue, then green, and nothing else.
    [ "$(grep . "$dir/asked" | uniq)" = $'blue\ngreen' ]
}

@test "policy: failover goes to the second while the first is not well, and back, and no request is lost" {
    export FIRST_SOCKET=$dir/first.sock SECOND_SOCKET=$dir/second.sock
    write_policy failover
    jq '.targets.app.health.interval = "100ms"' "$dir/porthole.json" >"$dir/new.json"
    mv "$dir/new.json" "$dir/porthole.json"
    local name
    for name in first second; do
        echo 200 >"$dir/$name.mode"
        background $name /usr/bin/python3 "$BATS_TEST_DIRNAME/unwell.py" "$dir/$name.sock" "$dir/$name.mode"
        eventually test -S "$dir/$name.sock"
    done
    start_porthole run
    background asking ask_for_long "$dir/asked"
    eventually grep -q '^/ ' "$dir/first.out"
    kill -9 "${pids[0]}"
    await_end "${pids[0]}"
    eventually grep -q '^/ ' "$dir/second.out"
    eventually grep -q 'an endpoint is down' "$dir/run.err"
    rm "$dir/first.sock"
    background first /usr/bin/python3 "$BATS_TEST_DIRNAME/unwell.py" "$dir/first.sock" "$dir/first.mode"
    eventually grep -q 'an endpoint is up' "$dir/run.err"
    eventually grep -q '^/ ' "$dir/first.out"
    touch "$dir/enough"
    [ "$(grep . "$dir/asked" | sort | uniq)" = well ]
}

@test "policy: credential-token says the token, the one of the moment, and what cannot be said is not asked" {
    write_policy credential-token
    jq --arg target "unix:$dir/target.sock" '.targets.api.endpoints = [$target]' "$dir/porthole.json" >"$dir/new.json"
    mv "$dir/new.json" "$dir/porthole.json"
    export TOKEN_FILE=$dir/token API_HOST=api.test
    printf 'one\n' >"$dir/token"
    start_target
    start_porthole run
    ask /fields -H 'Authorization: Bearer mine' >"$dir/fields"
    [ "$(grep -E '^(authorization|host)=' "$dir/fields" | sort)" = $'authorization=Bearer one\nhost=api.test' ]
    printf 'two\n' >"$dir/token.new"
    mv "$dir/token.new" "$dir/token"
    is_told() { ask /fields | grep -qx 'authorization=Bearer two'; }
    eventually is_told
    rm "$dir/token"
    is_refused() { [ "$(ask /fields --output /dev/null --write-out '%{http_code}')" = 500 ]; }
    eventually is_refused
    lacks -qwE 'one|two' "$dir/run.err"
}

@test "policy: blue-green-weight gives each release its part, and one with weight 0 nothing" {
    write_policy blue-green-weight
    export BLUE_SOCKET=$dir/blue.sock GREEN_SOCKET=$dir/green.sock BLUE_WEIGHT=3 GREEN_WEIGHT=1
    start_answering blue
    start_answering green
    start_porthole run
    [ "$(ask '/[1-20]' | sort | uniq -c | sed 's/^ *//')" = $'15 blue\n5 green' ]
    kill "$pid"
    await_end "$pid"
    BLUE_WEIGHT=0 start_porthole run
    [ "$(ask '/[1-20]' | uniq)" = green ]
}

@test "policy: hold waits for the application, and for the next when it was killed" {
    write_policy hold
    export APP_SOCKET=$dir/target.sock
    start_porthole run
    background asking curl --silent --max-time 20 --unix-socket "$sock" http://localhost/early
    sleep 0.2
    start_target
    eventually grep -qx 'GET /early' "$dir/asking.out"
    background asking curl --silent --max-time 20 --unix-socket "$sock" http://localhost/held/release
    await_request /held/release
    kill -9 "${pids[2]}"
    await_end "${pids[2]}"
    rm "$dir/target.sock"
    start_target
    touch "$dir/release"
    eventually grep -qx 'GET /held/release' "$dir/asking.out"
}
