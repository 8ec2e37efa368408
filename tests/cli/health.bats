#!/usr/bin/env bats
# How endpoints do: those that fail are left out for a time.

load helper

# One listener in front of the target "app", of which the argument is the members, in JSON.
configure_target() { # MEMBERS [TOP-MEMBERS [LISTENER-MEMBERS]]
    cat >"$dir/porthole.json" <<JSON
{ ${2-} "listeners": [ { "bind": "unix:$sock", ${3-"\"routes\": [ { \"target\": \"app\" } ]"} } ], "targets": { "app": { $1 } } }
JSON
}

# Members of a target with these endpoints.
endpoints() { # NAME...
    local name list=
    for name; do
        list+="${list:+, }\"unix:$dir/$name.sock\""
    done
    printf '"endpoints": [ %s ]' "$list"
}

# How an endpoint meets requests from now on, and those for /_ping.
be() { # NAME HOW [HOW-PING]
    echo "$2 ${3-}" >"$dir/$1.new"
    mv "$dir/$1.new" "$dir/$1.mode"
}

start_endpoint() { # NAME
    [ -e "$dir/$1.mode" ] || be "$1" 200
    rm -f "$dir/$1.sock"
    background "$1" /usr/bin/python3 "$BATS_TEST_DIRNAME/unwell.py" "$dir/$1.sock" "$dir/$1.mode"
    eventually test -S "$dir/$1.sock"
}

# Asks in a row, and puts down how often there was which status: "20 200", "3 502 17 200".
ask_often() { # N [CURL-OPTION...]
    local n=$1
    shift
    curl --silent --max-time 20 "$@" --unix-socket "$sock" --output /dev/null --write-out '%{http_code}\n' "http://localhost/x[1-$n]" |
        sort | uniq -c | awk '{ print $1, $2 }' | sort -k2 | paste -sd' '
}

n_asked() { # NAME
    grep -c '^/x' "$dir/$1.out" || true
}

n_lines() { # TEXT
    grep -c -- "$1" "$dir/run.err" || true
}

said() { # N TEXT
    [ "$(n_lines "$2")" -eq "$1" ]
}

@test "eject: an endpoint that nobody serves any more costs no request, and is asked no more for a time" {
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 3, \"for\": \"1s\" }"
    start_endpoint a
    local a=$pid
    start_endpoint b
    start_porthole run
    [ "$(ask_often 10)" = "10 200" ]
    kill -9 "$a"
    await_end "$a"
    [ "$(ask_often 20)" = "20 200" ]
    said 1 'an endpoint is ejected'
    grep 'an endpoint is ejected' "$dir/run.err" | grep -q 'target="app" endpoint="unix:.*/a.sock" why=".*" for_ms=1000'
    # Back within the time: one request tries it, and then it has its share.
    start_endpoint a
    eventually_back a
    said 1 'an endpoint is not ejected any more'
    said 1 'an endpoint is ejected'
    local before
    before=$(n_asked a)
    [ "$(ask_often 20)" = "20 200" ]
    [ "$(n_asked a)" -eq $((before + 10)) ]
}

# Asks until an endpoint gets something.
eventually_back() { # NAME
    eventually gets_something "$1"
}

gets_something() { # NAME
    local before
    before=$(n_asked "$1")
    ask_often 2 >/dev/null
    [ "$(n_asked "$1")" -gt "$before" ]
}

@test "eject: an endpoint that closes without an answer costs as many requests as failures says" {
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 3, \"for\": \"1m\" }"
    be a close
    start_endpoint a
    start_endpoint b
    start_porthole run
    run ask_often 30 --request POST --data x
    echo "$output"
    [ "$output" = "27 200 3 502" ]
    [ "$(ask_often 30 --request POST --data x)" = "30 200" ]
}

@test "eject: a silent endpoint costs as many requests as failures says" {
    configure_target "$(endpoints a b), \"timeouts\": { \"response\": \"200ms\" }, \"eject\": { \"failures\": 2, \"for\": \"1m\" }"
    be a silent
    start_endpoint a
    start_endpoint b
    start_porthole run
    [ "$(ask_often 10)" = "8 200 2 504" ]
    [ "$(ask_often 10)" = "10 200" ]
}

@test "eject: errors of a server count only when they are asked for" {
    be a 500
    start_endpoint a
    start_endpoint b
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 3 }"
    start_porthole run
    local running=$pid
    [ "$(ask_often 20)" = "10 200 10 500" ]
    kill -TERM "$running"
    await_end "$running"
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 3, \"server_errors\": true }"
    start_porthole run
    [ "$(ask_often 20)" = "17 200 3 500" ]
    [ "$(ask_often 20)" = "20 200" ]
}

@test "eject: the time grows while an endpoint goes on failing, with one request for each" {
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 2, \"for\": \"200ms\" }"
    be a close
    start_endpoint a
    start_endpoint b
    start_porthole run
    local end=$(($(ms_now) + 3000)) n
    while [ "$(ms_now)" -lt "$end" ]; do
        ask_often 4 --request POST --data x >/dev/null
    done
    # After 200 ms, 400 ms, 800 ms and 1,600 ms: 3 s are over at the fifth.
    n=$(n_asked a)
    echo "asked $n times"
    [ "$n" -ge 4 ]
    [ "$n" -le 6 ]
    grep -q 'an endpoint stays ejected.* for_ms=800' "$dir/run.err"
    be a 200
    eventually_back a
    said 1 'an endpoint is not ejected any more'
}

@test "eject: most is kept, by four workers, and one always stays" {
    configure_target "$(endpoints a b c d), \"eject\": { \"failures\": 2, \"for\": \"1m\", \"most\": 0.5 }" '"workers": 4,'
    for name in a b c; do
        be "$name" close
        start_endpoint "$name"
    done
    start_endpoint d
    start_porthole run
    local i
    for i in 1 2 3 4; do
        background "client$i" ask_often 40 --request POST --data x
    done
    eventually said 2 'an endpoint is ejected'
    for _ in 1 2 3; do
        ask_often 40 --request POST --data x >/dev/null
    done
    said 2 'an endpoint is ejected'
    # One of the bad ones is still asked, by turns with the good one.
    local asked
    asked=$(ask_often 20 --request POST --data x)
    echo "$asked"
    [ "$asked" = "10 200 10 502" ]
}

@test "eject: when nothing does well what is left out is tried, and false leaves nothing out" {
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 2, \"for\": \"1m\" }"
    start_endpoint a
    local a=$pid
    start_endpoint b
    local b=$pid
    start_porthole run
    kill -9 "$a"
    await_end "$a"
    [ "$(ask_often 10)" = "10 200" ]
    said 1 'an endpoint is ejected'
    kill -9 "$b"
    await_end "$b"
    [[ "$(ask_often 5)" =~ ^5\ 50[23]$ ]]
    start_endpoint a
    [ "$(ask_often 5)" = "5 200" ]
    said 1 'an endpoint is not ejected any more'
    kill -TERM "${pids[2]}"
    await_end "${pids[2]}"
    configure_target "$(endpoints a b), \"eject\": false"
    be a close
    start_endpoint b
    start_porthole run
    run ask_often 40 --request POST --data x
    echo "$output"
    [ "$output" = "20 200 20 502" ]
    said 0 'ejected'
}

@test "eject: streams count connections" {
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 2, \"for\": \"1s\" }" '' '"stream": { "target": "app" }'
    start_endpoint a
    local a=$pid
    start_endpoint b
    start_porthole run
    kill -9 "$a"
    await_end "$a"
    for _ in {1..8}; do
        [ "$(ask /x)" = well ]
    done
    said 1 'an endpoint is ejected'
    start_endpoint a
    sleep 1.1
    for _ in {1..4}; do
        [ "$(ask /x)" = well ]
    done
    said 1 'an endpoint is not ejected any more'
}
