# Stops: whoever has connected is served, whoever comes too late is refused, and nobody is left hanging.
# shellcheck shell=bash disable=SC2154,SC2317 # $pid, $status and $output come from helper.bash and bats; tests run by name
load helper

# A server of fixed answers (or of a stream to an echo) on every kind of listener.
configure_kinds() { # [TOP-MEMBERS [LISTENER-MEMBERS]]
    port=$(free_port)
    stream_port=$(free_port)
    echo_port=$(free_port)
    name=porthole-stop-$$-$RANDOM
    local answers="${2-} \"routes\": [ { \"respond\": { \"status\": 200, \"body\": \"served\" } } ]"
    local stream="\"stream\": { \"target\": \"tcp:127.0.0.1:$echo_port\" }"
    cat >"$dir/porthole.json" <<JSON
{ ${1-} "listeners": [
    { "bind": "unix:$sock", $answers },
    { "bind": "unix:@$name", "peers": { "allow": [ { "uid": $(id -u) } ] }, $answers },
    { "bind": "tcp:127.0.0.1:$port", $answers },
    { "bind": "unix:$dir/stream.sock", $stream },
    { "bind": "unix:@$name-stream", "peers": { "allow": [ { "uid": $(id -u) } ] }, $stream },
    { "bind": "tcp:127.0.0.1:$stream_port", $stream } ] }
JSON
}

# Clients that go on across the stop, of every kind; their counts are in NAME.out.
start_clients() { # WAY SECONDS
    clients=()
    start_client path unix "$sock" "$1" "$2"
    start_client abstract abstract "$name" "$1" "$2"
    start_client tcp tcp "127.0.0.1:$port" "$1" "$2"
    eventually all_begun
}


start_client() { # NAME KIND ADDRESS WAY SECONDS
    background "$1" /usr/bin/python3 "$BATS_TEST_DIRNAME/stop.py" "$2" "$3" 4 "$5" "$4"
    clients+=("$1")
    client_pids+=("$pid")
}

all_begun() {
    local name
    for name in "${clients[@]}"; do
        grep -q begun "$dir/$name.out" || return 1
    done
}

# Whatever happened to a connection, it was not lost, and nobody waited in vain.
nobody_was_lost() {
    local i name
    for i in "${!clients[@]}"; do
        name=${clients[i]}
        await_end "${client_pids[i]}"
        echo "$name: $(tail -n 1 "$dir/$name.out")"
        [ "$status" -eq 0 ]
        grep -Eq '^served=[1-9]' "$dir/$name.out"
        grep -Eq 'refused=[1-9][0-9]* .*lost=0 hanging=0' "$dir/$name.out"
    done
}

stop_of() { # WORKERS WAY [TOP-MEMBERS [LISTENER-MEMBERS]]
    clients=() client_pids=()
    configure_kinds "\"workers\": $1, ${3-}" "${4-}"
    start_porthole run
    local proxy=$pid
    start_clients "$2" 20
    sleep 0.5
    kill -TERM "$proxy"
    await_end "$proxy"
    cat "$dir/run.err"
    [ "$status" -eq 0 ]
    nobody_was_lost
}

@test "stop: whoever connects across it is served or refused, on every kind of listener" {
    stop_of 1 once
}

@test "stop: the same with four workers" {
    stop_of 4 once
}

@test "stop: kept connections are told, and let go between two requests only" {
    stop_of 2 keep
    for name in "${clients[@]}"; do
        grep -q 'closing=[1-9]' "$dir/$name.out"
    done
}

@test "stop: a request that crosses the end of a kept connection on a Unix socket is answered, or not taken" {
    clients=() client_pids=()
    configure_kinds '"workers": 2,'
    start_porthole run
    local proxy=$pid n
    for n in 1 2 3 4 5 6; do
        start_client "path$n" unix "$sock" pause 30
        start_client "abstract$n" abstract "$name" pause 30
    done
    eventually all_begun
    sleep 2
    kill -TERM "$proxy"
    await_end "$proxy"
    [ "$status" -eq 0 ]
    nobody_was_lost
}

@test "stop: the same where limits.connections is reached and others wait for a place" {
    stop_of 2 once '' '"limits": { "connections": 1 },'
}

@test "stop: streams are carried to their end" {
    clients=() client_pids=()
    configure_kinds '"workers": 2,'
    background echo socat "TCP-LISTEN:$echo_port,fork,reuseaddr,bind=127.0.0.1,backlog=128" PIPE
    eventually accepts "$echo_port"
    start_porthole run
    local proxy=$pid
    start_client stream_path unix "$dir/stream.sock" echo 20
    start_client stream_abstract abstract "$name-stream" echo 20
    start_client stream_tcp tcp "127.0.0.1:$stream_port" echo 20
    eventually all_begun
    sleep 0.5
    kill -TERM "$proxy"
    await_end "$proxy"
    cat "$dir/run.err"
    [ "$status" -eq 0 ]
    nobody_was_lost
}

@test "stop: at the deadline what is left is closed, and nobody is left hanging" {
    clients=() client_pids=()
    configure_kinds '"workers": 2, "drain": "0ms",'
    start_porthole run
    local proxy=$pid
    start_clients keep 20
    sleep 0.5
    kill -TERM "$proxy"
    await_end "$proxy"
    cat "$dir/run.err"
    [ "$status" -eq 0 ]
    for i in "${!clients[@]}"; do
        await_end "${client_pids[i]}"
        cat "$dir/${clients[i]}.out"
        grep -Eq '^served=[1-9].* hanging=0' "$dir/${clients[i]}.out"
    done
    grep -q 'how="deadline"' "$dir/run.err"
}

@test "stop: with shutdown.delay everything is served on, and each answer closes its connection" {
    clients=() client_pids=()
    configure_kinds '"workers": 2, "shutdown": { "delay": "12s" },'
    start_porthole run
    local proxy=$pid before
    start_clients keep 30
    start_idle_client # does not leave before its time
    before=$(ms_now)
    kill -TERM "$proxy"
    eventually grep -q 'about to stop: everything is served for a while still why="Terminated" delay_ms=12000' "$dir/run.err"
    sleep 0.3
    kill -USR1 "${client_pids[@]}"
    [ -S "$sock" ]
    ask / | grep -q served
    ask / --http1.1 -D - -o /dev/null | grep -qi '^connection: close'
    await_end "$proxy"
    cat "$dir/run.err"
    [ "$status" -eq 0 ]
    [ $(($(ms_now) - before)) -ge 12000 ]
    grep -q 'stopping: what is under way may finish why="the delay is over"' "$dir/run.err"
    nobody_was_lost
    for name in "${clients[@]}"; do
        grep -Eq 'closing=[1-9][0-9]* late=0' "$dir/$name.out"
    done
}

@test "stop: a second signal ends the delay, a third one what is under way" {
    start_target
    configure '' '"shutdown": { "delay": "1h" },'
    start_porthole run
    local proxy=$pid
    background slow curl --silent --unix-socket "$sock" http://localhost/slow/60000
    await_request /slow/60000
    # The same wish, told twice: it hears both at once.
    kill -STOP "$proxy"
    kill -TERM "$proxy"
    kill -INT "$proxy"
    kill -CONT "$proxy"
    eventually grep -q 'about to stop' "$dir/run.err"
    sleep 1.1
    [ -S "$sock" ]
    kill -TERM "$proxy"
    eventually grep -q 'stopping: what is under way' "$dir/run.err"
    eventually test ! -e "$sock"
    sleep 1.1
    kill -0 "$proxy"
    eventually grep -Eq 'still stopping for_ms=[1-9][0-9]{3,} left_ms=[1-9][0-9]*$' "$dir/run.err"
    kill -INT "$proxy"
    await_end "$proxy"
    cat "$dir/run.err"
    [ "$status" -eq 0 ]
    grep -q 'stopping at once why="Interrupt"' "$dir/run.err"
    tail -n 1 "$dir/run.err" | grep -q 'stopped after_ms=[0-9]* cut=1 how="hastened"'
}

@test "stop: the last line sums up what there was, plain and as JSON" {
    start_target
    configure '"name": "front",' '"workers": 3, "log": { "format": "json" },'
    background run "$porthole" run -c "$dir/porthole.json"
    local proxy=$pid
    await_socket "$sock"
    ask /one --data 12345 -o /dev/null
    ask /two --path-as-is --request-target 'no-target' -o /dev/null
    kill "$proxy"
    await_end "$proxy"
    cat "$dir/run.err"
    [ "$status" -eq 0 ]
    tail -n 1 "$dir/run.err" | jq -e '.message == "stopped" and .how == "drained" and .cut == 0 and .connections >= 2
        and .fine >= 1 and .by_clients == 1 and .by_rules == 0 and .by_targets == 0 and .by_self == 0
        and .received_bytes == 5 and .sent_bytes > 0 and .longest_wait_ms == 0 and .uptime_ms >= .after_ms'
}
