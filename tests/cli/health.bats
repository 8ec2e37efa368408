#!/usr/bin/env bats
# How endpoints do: those that fail are left out for a time, and those whose checks fail.

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
    eventually accepts_at "$dir/$1.sock"
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
    configure_target "$(endpoints a b), \"timeouts\": { \"response\": \"6s\" }, \"eject\": { \"failures\": 2, \"for\": \"1m\" }"
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
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 3, \"for\": \"1m\", \"server_errors\": true }"
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
    local began ms end=$((SECONDS + 30))
    began=$(ms_now)
    until grep -q 'an endpoint stays ejected.* for_ms=1600' "$dir/run.err"; do
        [ "$SECONDS" -lt "$end" ]
        ask_often 4 --request POST --data x >/dev/null
    done
    [ "$(($(ms_now) - began))" -ge 1400 ] # 200 ms, 400 ms and 800 ms
    for ms in 400 800 1600; do
        said 1 "an endpoint stays ejected.* for_ms=$ms"
    done
    [ "$(n_asked a)" -eq "$((2 + $(n_lines 'an endpoint stays ejected')))" ]
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
    local client clients=()
    for client in 1 2 3 4; do
        background "client$client" ask_often 40 --request POST --data x
        clients+=("$pid")
    done
    eventually said 2 'an endpoint is ejected'
    for client in "${clients[@]}"; do
        await_end "$client"
    done
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

# One endpoint answers, closes, answers, each for 300 ms; meanwhile it is asked all the time, over two connections. Says how
# often there was which status, and the longest time of a request in ms.
ask_while_flapping() { # SECONDS [CURL-OPTION...]
    local end=$(($(ms_now) + $1 * 1000)) flapping n
    shift
    while [ "$(ms_now)" -lt "$end" ]; do
        be b close
        sleep 0.3
        be b 200
        sleep 0.3
    done &
    flapping=$!
    for n in 1 2; do
        while [ "$(ms_now)" -lt "$end" ]; do
            curl --silent --max-time 20 "$@" --unix-socket "$sock" --output /dev/null \
                --write-out '%{http_code} %{time_total}\n' "http://localhost/x[1-50]"
        done >"$dir/asked.$n" &
    done
    wait
    awk '{ n[$1]++; if ($2 > most) most = $2 } END { printf "%d %d %d %.0f\n", NR, n[200], n[502], most * 1000 }' \
        "$dir"/asked.[12]
}

@test "eject: an endpoint that flaps every 300 ms costs a few requests, and the others nothing" {
    local all well bad most_ms
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 2, \"for\": \"100ms\" }"
    start_endpoint a
    start_endpoint b
    start_porthole run
    read -r all well bad most_ms <<<"$(ask_while_flapping 4 --request POST --data x)"
    echo "$all answers, $well well, $bad cut off, the slowest in $most_ms ms"
    [ "$all" -ge 50 ]
    [ $((well + bad)) -eq "$all" ]
    # Of 7 times that it closes, each costs what failures says, twice as much as both connections may just have been given
    # it, and a few that try it again.
    [ "$bad" -ge 1 ] && [ "$bad" -le 56 ]
    [ "$most_ms" -lt 10000 ]
    # It has its share again when it stays well.
    eventually_back b
}

@test "eject: an endpoint that flaps costs nobody anything where requests may be sent again" {
    local all well bad most_ms
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 2, \"for\": \"100ms\" }, \"retries\": { \"on\": [ \"connect\", \"reused_connection\", \"502\" ], \"budget\": 1 }"
    start_endpoint a
    start_endpoint b
    start_porthole run
    read -r all well bad most_ms <<<"$(ask_while_flapping 4)"
    echo "$all answers, $well well, $bad cut off, the slowest in $most_ms ms"
    [ "$all" -ge 50 ]
    [ "$well" -eq "$all" ]
    [ "$most_ms" -lt 10000 ]
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
    configure_target "$(endpoints a b), \"eject\": { \"failures\": 2, \"for\": \"3s\" }" '' '"stream": { "target": "app" }'
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
    comes_back() {
        [ "$(ask /x)" = well ] || touch "$dir/unwell"
        said 1 'an endpoint is not ejected any more'
    }
    eventually comes_back
    [ ! -e "$dir/unwell" ]
}

# ---- checks ----

ups() { # N
    said "$1" 'an endpoint is up'
}

downs() { # N
    said "$1" 'an endpoint is down'
}

checks='"health": { "path": "/_ping", "interval": "100ms", "timeout": "2s", "rise": 2, "fall": 3 }'
health="$checks, \"eject\": false"

@test "health: an endpoint whose path answers 500 goes out and comes back, and is told of once" {
    configure_target "$(endpoints a b), $health"
    start_endpoint a
    start_endpoint b
    start_porthole run
    [ "$(ask_often 10)" = "10 200" ]
    be a 500 500
    eventually downs 1
    grep 'an endpoint is down' "$dir/run.err" | grep -q 'warn .*target="app" endpoint="unix:.*/a.sock" why="status 500" checks=3'
    [ "$(ask_often 20)" = "20 200" ]
    be a 200
    eventually ups 1
    local before
    before=$(n_asked a)
    [ "$(ask_often 20)" = "20 200" ]
    [ "$(n_asked a)" -eq $((before + 10)) ]
    downs 1
}

@test "health: a killed endpoint goes out, and one that was started again is found in interval times rise" {
    configure_target "$(endpoints a b), \"balance\": \"failover\", $health"
    start_endpoint a
    local a=$pid
    start_endpoint b
    start_porthole run
    kill -9 "$a"
    await_end "$a"
    eventually downs 1
    [ "$(ask_often 5)" = "5 200" ]
    start_endpoint a
    local began
    began=$(ms_now)
    eventually ups 1
    # 200 ms, give or take a tenth, and what a busy machine needs; by the default it would be 10 s.
    [ "$(($(ms_now) - began))" -lt 9000 ]
    [ "$(ask_often 5)" = "5 200" ]
    [ "$(n_asked a)" -eq 5 ]
}

@test "health: a frozen endpoint goes out after fall checks, and comes back" {
    configure_target "$(endpoints a b), $health"
    start_endpoint a
    local a=$pid
    start_endpoint b
    start_porthole run
    kill -STOP "$a"
    eventually downs 1
    grep -q 'an endpoint is down.*why="no answer in 2s"' "$dir/run.err"
    [ "$(ask_often 20)" = "20 200" ]
    kill -CONT "$a"
    eventually ups 1
    eventually_back a
}

@test "health: without a path a connection will do, of streams, too" {
    configure_target "$(endpoints a b), \"health\": { \"interval\": \"100ms\" }, \"eject\": false" '' '"stream": { "target": "app" }'
    be a 200 500
    start_endpoint a
    start_endpoint b
    start_porthole run
    sleep 1
    downs 0
    kill -9 "${pids[0]}"
    await_end "${pids[0]}"
    eventually downs 1
    grep -q 'an endpoint is down.*why="Connection refused"' "$dir/run.err"
    [ "$(ask /x)" = well ]
}

@test "health: TCP and https are checked like sockets, with the host that is said" {
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=good.test -addext subjectAltName=DNS:good.test \
        -keyout "$dir/key" -out "$dir/ca" 2>/dev/null
    cat "$dir/key" "$dir/ca" >"$dir/both"
    local tcp https
    tcp=$(free_port)
    https=$(free_port)
    be tcp 200
    be https 200
    background tcp /usr/bin/python3 "$BATS_TEST_DIRNAME/unwell.py" "$tcp" "$dir/tcp.mode"
    background https /usr/bin/python3 "$BATS_TEST_DIRNAME/unwell.py" "$https" "$dir/https.mode" "$dir/both"
    eventually accepts "$tcp"
    eventually accepts "$https"
    configure_target "\"endpoints\": [ \"http://localhost:$tcp\", \"https://127.0.0.1:$https\" ], \"health\": { \"path\": \"/_ping?full\", \"host\": \"said.test\", \"interval\": \"100ms\", \"timeout\": \"10s\" }, \"eject\": false,
        \"tls\": { \"ca\": \"$dir/ca\", \"server_name\": \"good.test\" }"
    start_porthole run
    eventually grep -qx '/_ping?full said.test' "$dir/tcp.out"
    eventually grep -qx '/_ping?full said.test' "$dir/https.out"
    be tcp 200 503
    be https 200 503
    eventually downs 2
    be tcp 200
    be https 200
    eventually ups 2
    [ "$(ask_often 10)" = "10 200" ]
    # A certificate for another name is as bad as no answer.
    kill -TERM "$pid"
    await_end "$pid"
    sed -i 's/"server_name": "good.test"/"server_name": "bad.test"/' "$dir/porthole.json"
    start_porthole run
    eventually downs 1
    grep -q "an endpoint is down.*endpoint=\"https://127.0.0.1:$https\"" "$dir/run.err"
    [ "$(ask_often 10)" = "10 200" ]
}

@test "health: when all are down each is tried as if none was" {
    configure_target "$(endpoints a b), $health" '"workers": 4,'
    be a 200 500
    be b 200 close
    start_endpoint a
    start_endpoint b
    start_porthole run
    eventually downs 2
    grep -q 'an endpoint is down.*why="closed without an answer"' "$dir/run.err"
    [ "$(ask_often 10)" = "10 200" ]
    [ "$(n_asked a)" -gt 0 ]
    [ "$(n_asked b)" -gt 0 ]
}

@test "health: checks end an ejection that they see the cause of" {
    # The checks themselves are not to find it down before a request does.
    configure_target "$(endpoints a b), ${checks/\"fall\": 3/\"fall\": 100}, \"eject\": { \"failures\": 1, \"for\": \"1h\" }"
    start_endpoint a
    local a=$pid
    start_endpoint b
    start_porthole run
    kill -9 "$a"
    await_end "$a"
    [ "$(ask_often 10)" = "10 200" ]
    said 1 'an endpoint is ejected'
    start_endpoint a
    eventually said 1 'an endpoint is not ejected any more.*why="checks went well"'
    eventually_back a
}

@test "health: a thousand endpoints are checked, and a few descriptors do" {
    local i list=
    for i in $(seq 16); do
        list+="${list:+, }\"t$i\": { \"endpoints\": [ $(seq -s, -f "\"unix:$dir/$i-%g.sock\"" 62), \"unix:$dir/a.sock\" ], $health }"
    done
    start_endpoint a
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "routes": [ { "target": "t1" } ] } ], "targets": { $list } }
JSON
    start_porthole run
    local most=0 n
    for _ in {1..20}; do
        n=$(find "/proc/$pid/fd" -type l 2>/dev/null | wc -l)
        [ "$n" -le "$most" ] || most=$n
        sleep 0.05
    done
    echo "$most descriptors"
    [ "$most" -le 120 ]
    eventually downs $((16 * 62))
    [ "$(ask_often 20)" = "20 200" ]
}
