# Targets with several endpoints: who is next, and what becomes of requests when one is not there.

load helper

# One listener in front of the target "app", of which the arguments are the members, in JSON, with a comma behind each.
configure_target() { # MEMBERS [LISTENER-MEMBERS]
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", ${2-"\"routes\": [ { \"target\": \"app\" } ]"} } ], "targets": { "app": { $1 } } }
JSON
}

endpoint() { # NAME [WEIGHT]
    printf '{ "address": "unix:%s.sock", "weight": %s }' "$dir/$1" "${2-1}"
}

start_endpoint() { # NAME [STATUS]
    background "$1" /usr/bin/python3 "$BATS_TEST_DIRNAME/backend.py" "$dir/$1.sock" "${2-200}"
    eventually curl --silent --output /dev/null --unix-socket "$dir/$1.sock" http://localhost/ready
}

# How many requests each has had, with a space between.
shares_of() { # NAME...
    local name
    for name; do
        grep -c '^/x' "$dir/$name.out" || true
    done | paste -sd' '
}

# Asks in a row, and puts down what came.
ask_often() { # N
    curl --silent --max-time 20 --unix-socket "$sock" --output /dev/null --write-out '%{http_code}\n' "http://localhost/x[1-$1]" | sort | uniq -c
}

@test "targets: endpoints take turns, by weight, and one without weight gets nothing" {
    configure_target "\"endpoints\": [ $(endpoint a 2), $(endpoint b), $(endpoint c 0) ]"
    for name in a b c; do
        start_endpoint "$name"
    done
    start_porthole run
    [[ "$(ask_often 30)" =~ ^\ *30\ 200$ ]]
    [ "$(shares_of a b c)" = "20 10 0" ]
}

@test "targets: failover asks the first that can be connected to" {
    configure_target "\"balance\": \"failover\", \"eject\": false, \"endpoints\": [ $(endpoint a), $(endpoint b), $(endpoint c) ]"
    start_endpoint b
    start_endpoint c
    start_porthole run
    [[ "$(ask_often 10)" =~ ^\ *10\ 200$ ]]
    [ "$(shares_of b c)" = "10 0" ]
    start_endpoint a
    [[ "$(ask_often 10)" =~ ^\ *10\ 200$ ]]
    [ "$(shares_of a b c)" = "10 10 0" ]
}

@test "targets: least_connections and random leave a busy endpoint alone" {
    local balance
    for balance in least_connections random; do
        configure_target "\"balance\": \"$balance\", \"endpoints\": [ $(endpoint a), $(endpoint b) ]"
        start_endpoint a
        background porthole "$porthole" run -c "$dir/porthole.json"
        local running=$pid
        await_socket "$sock"
        background held curl --silent --unix-socket "$sock" http://localhost/held/release
        await_request_of a /held/release
        start_endpoint b
        [[ "$(ask_often 10)" =~ ^\ *10\ 200$ ]]
        [ "$(shares_of a b)" = "0 10" ]
        touch "$dir/release"
        eventually grep -q 'GET /held/release' "$dir/held.out"
        kill -TERM "$running"
        await_end "$running"
        end_background
        pids=()
        rm -f "$dir/release" "$dir"/[ab].sock
    done
}

await_request_of() { # NAME PATH
    eventually grep -qx "$2" "$dir/$1.out"
}

@test "targets: no request fails, a body neither, when one endpoint of two is not there" {
    configure_target "\"endpoints\": [ $(endpoint a), $(endpoint gone), $(endpoint b) ]"
    start_endpoint a
    start_endpoint b
    start_porthole run
    [[ "$(ask_often 20)" =~ ^\ *20\ 200$ ]]
    for i in 1 2 3; do
        [ "$(ask /y --data body)" = $'POST /y\nbody' ]
    done
}

@test "targets: when none is there, the answer says so, and the next request finds one that came" {
    configure_target "\"endpoints\": [ $(endpoint a), $(endpoint b) ]"
    start_porthole run
    [ "$(ask /x --output "$dir/body" --write-out '%{http_code}')" = 503 ]
    jq -e '.outcome == "target_absent"' "$dir/body"
    start_endpoint b
    [ "$(ask /x --output /dev/null --write-out '%{http_code}')" = 200 ]
}

@test "targets: streams find the endpoint that is there" {
    configure_target "\"endpoints\": [ $(endpoint gone), $(endpoint a) ]" '"stream": { "target": "app" }'
    start_endpoint a
    start_porthole run
    for i in 1 2 3 4; do
        [ "$(ask "/x$i")" = "GET /x$i" ]
    done
    [ "$(shares_of a)" = 4 ]
}

@test "targets: check explains and prints all endpoints" {
    configure_target "\"endpoints\": [ \"unix:$dir/a.sock\", $(endpoint b 3) ]"
    run "$porthole" check -c "$dir/porthole.json" --explain 'GET /'
    [[ "$output" == *"forwarded to app (unix:$dir/a.sock, unix:$dir/b.sock)"* ]]
    "$porthole" check -c "$dir/porthole.json" --print >"$dir/printed.json"
    jq -e --arg dir "unix:$dir/" '.targets.app | .balance == "round_robin" and
        .endpoints == [{address: ($dir + "a.sock"), weight: 1}, {address: ($dir + "b.sock"), weight: 3}]' "$dir/printed.json"
}

# So many at once, of which each takes so long; what the target saw at once, and how they ended.
ask_together() { # N MS
    seq "$1" | xargs -P "$1" -I@ curl --silent --max-time 20 --unix-socket "$sock" --output /dev/null \
        --write-out '%{http_code}\n' "http://localhost/slow/$2" | sort | uniq -c | sed 's/^ *//'
}

configure_workers() { # WORKERS CONNECTIONS [CONNECT-TIMEOUT]
    configure "" "\"workers\": $1, \"targets\": { \"app\": { \"endpoints\": [ \"unix:$dir/target.sock\" ], \"connections\": $2,
        \"timeouts\": { \"connect\": \"${3-20s}\" } } },"
    sed -i "s|\"target\": \"unix:$dir/target.sock\"|\"target\": \"app\"|" "$dir/porthole.json"
}

@test "targets: four workers let one through where connections.max is 1, and four work where it is 4" {
    local max
    for max in 1 4; do
        configure_workers 4 "{ \"max\": $max }"
        start_target
        local target=$pid
        start_porthole run
        local running=$pid
        # So long that four come together on a busy machine, too; one at a time they have twenty seconds.
        [ "$(ask_together 12 $((max == 1 ? 50 : 1500)))" = "12 200" ]
        [ "$(ask /most)" = "$max" ]
        kill -TERM "$running"
        await_end "$running"
        kill "$target"
        await_end "$target"
        rm -f "$dir/target.sock"
    done
}

@test "targets: a connection that is idle in one worker makes room for another's" {
    configure_workers 4 '{ "max": 1 }'
    background target /usr/bin/python3 "$BATS_TEST_DIRNAME/one_at_a_time.py" "$dir/target.sock"
    await_socket "$dir/target.sock"
    start_porthole run
    # Each client is another connection, which any worker may take; the target reads one connection until its end.
    for i in $(seq 40); do
        ask "/$i" --output /dev/null
    done
}

@test "targets: connections.queue is how many wait; the next is told at once" {
    configure_workers 4 '{ "max": 1, "queue": 2 }'
    start_target
    start_porthole run
    background held curl --silent --unix-socket "$sock" http://localhost/held/release
    await_request /held/release
    # Who comes last is not known.
    for i in 1 2 3; do
        background "waits$i" curl --silent --unix-socket "$sock" "http://localhost/waits$i" \
            --output "$dir/waits$i.body" --write-out '%{http_code}\n'
    done
    eventually grep -qx 503 "$dir/waits1.out" "$dir/waits2.out" "$dir/waits3.out"
    touch "$dir/release"
    for i in 1 2 3; do
        eventually test -s "$dir/waits$i.out"
    done
    [ "$(sort "$dir"/waits[123].out | tr '\n' ' ')" = "200 200 503 " ]
    jq -e '.outcome == "queue_full"' "$dir/waits$(grep -lx 503 "$dir"/waits[123].out | grep -o '[123].out' | cut -c1).body"
    [ "$(ask /after)" = "GET /after" ]
}

@test "targets: a request is sent again to another endpoint when the answer is 503, and both logs say how often" {
    configure_target "\"endpoints\": [ $(endpoint a), $(endpoint b) ], \"retries\": { \"on\": [ \"503\" ], \"budget\": 1 }"
    sed -i "s|^{|{ \"log\": { \"access\": { \"to\": \"$dir/access.log\" } },|" "$dir/porthole.json"
    start_endpoint a 503
    start_endpoint b
    start_porthole run
    [[ "$(ask_often 20)" =~ ^\ *20\ 200$ ]]
    [ "$(shares_of a b)" = "10 20" ]
    eventually grep -q 'status=200 outcome="forwarded" .*retries=1 ' "$dir/access.log"
    # What may do harm twice is not sent twice.
    [ "$(for i in 1 2; do ask /x --data body --output /dev/null --write-out '%{http_code} '; done)" != "200 200 " ]
    kill -TERM "$pid"
    await_end "$pid"
    grep -q 'tried again since the start count=10' "$dir/run.err"
}

@test "targets: a route says how often its requests are sent again" {
    configure_target "\"endpoints\": [ $(endpoint a), $(endpoint b) ], \"retries\": { \"on\": [ \"503\" ] }" '"routes": [
        { "match": { "path": "/x" }, "target": "app", "retries": { "attempts": 0 } }, { "target": "app" } ]'
    start_endpoint a 503
    start_endpoint b
    start_porthole run
    [ "$(for i in 1 2; do ask /x --output /dev/null --write-out '%{http_code}\n'; done | sort | paste -sd' ')" = "200 503" ]
    [ "$(for i in 1 2; do ask /y --output /dev/null --write-out '%{http_code} '; done)" = "200 200 " ]
}

@test "targets: what passes over an endpoint can be turned off" {
    configure_target "\"endpoints\": [ $(endpoint gone), $(endpoint a) ], \"retries\": { \"on\": [] }"
    start_endpoint a
    start_porthole run
    [ "$(for i in 1 2; do ask /x --output /dev/null --write-out '%{http_code} '; done)" = "503 200 " ]
}

@test "targets: a request that is sent again is edited and rewritten as the first time" {
    printf 'secret\n' >"$dir/token"
    configure_target "\"endpoints\": [ $(endpoint a), $(endpoint b) ], \"retries\": { \"on\": [ \"503\" ], \"budget\": 1 }" "\"routes\": [
        { \"target\": \"app\", \"rewrite\": { \"add_prefix\": \"/fields\" }, \"request_headers\": { \"set\": { \"X-Token\": \"\${file:$dir/token}\", \"X-Id\": \"\${request.id}\" } } } ]"
    start_endpoint a 503
    start_endpoint b
    start_porthole run
    for i in 1 2; do
        ask "/$i" -H 'X-Request-Id: mine' >"$dir/fields"
        [ "$(grep -E '^x-(token|id)=' "$dir/fields" | sort)" = $'x-id=mine\nx-token=secret' ]
    done
    [ "$(grep -cx '/fields/[12]' "$dir/b.out")" = 2 ]
}
