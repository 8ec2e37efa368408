# Takeovers of sockets without a path: the old process hands the very socket to the new one.

load helper

# The addresses of this test.
addresses() {
    tcp=127.0.0.1:$(free_port)
    name=$(basename "$dir")
}

bind() { # ADDRESS [MEMBERS]
    printf '{ "bind": "%s", "peers": { "allow": [ { "uid": %d } ] }, %s "routes": [ { "target": "unix:%s/target.sock" } ] }' \
        "$1" "$(id -u)" "${2-}" "$dir"
}

bind_tcp() { # [MEMBERS]
    printf '{ "bind": "tcp:%s", %s "routes": [ { "target": "unix:%s/target.sock" } ] }' "$tcp" "${1-}" "$dir"
}

# A configuration of these listeners, in $dir/NAME.json.
write() { # NAME LISTENER...
    local IFS=,
    local name=$1
    shift
    printf '{ "drain": "20s", "listeners": [ %s ] }\n' "$*" >"$dir/$name.json"
}

run_porthole() { # NAME CONFIGURATION [OPTION...]
    local name=$1 configuration=$2
    shift 2
    background "$name" "$porthole" run -c "$dir/$configuration.json" "$@"
}

serves() { # NAME: says that it has begun, and hands nothing over from somebody else any more
    grep -q 'allow so many clients' "$dir/$1.err"
}

took_over() { # NAME N: N listeners were handed over to it
    [ "$(grep -c 'a listener was handed over' "$dir/$1.err")" -eq "$2" ]
}

begin() { # CONFIGURATION
    start_target
    run_porthole old "$1"
    old=$pid
    eventually serves old
}

ask_tcp() {
    curl --silent --show-error --max-time 20 "http://$tcp$1"
}

ask_abstract() {
    curl --silent --show-error --max-time 20 --abstract-unix-socket "$name" "http://localhost$1"
}

start_load() { # ADDRESS...
    background load /usr/bin/python3 "$BATS_TEST_DIRNAME/takeover.py" load "$@"
    load=$pid
    eventually grep -q answered "$dir/load.err"
}

end_load() {
    kill "$load"
    await_end "$load"
    cat "$dir/load.out"
    [ "$status" -eq 0 ]
    grep -qx 'failed 0' "$dir/load.out"
    [ "$(sed -n 's/^answered //p' "$dir/load.out")" -gt 100 ]
}

@test "takeover: of TCP and abstract sockets, twenty in a row under load, no client fails" {
    addresses
    write both "$(bind_tcp)" "$(bind "unix:@$name")"
    begin both
    start_load "tcp:$tcp" "unix:@$name"
    for generation in {1..20}; do
        run_porthole "generation$generation" both --takeover
        new=$pid
        await_end "$old" # by itself: nothing is left for it to serve
        [ "$status" -eq 0 ]
        eventually took_over "generation$generation" 2
        old=$new
    done
    end_load
    [ "$(grep -h -e ' warn ' -e ' error ' "$dir"/generation*.err "$dir/old.err" | grep -vc 'probably not meant')" -eq 0 ]
}

@test "takeover: of paths, abstract and TCP sockets in one file" {
    addresses
    write all "$(bind "unix:$sock")" "$(bind_tcp)" "$(bind "unix:@$name")"
    begin all
    start_load "unix:$sock" "tcp:$tcp" "unix:@$name"
    for generation in 1 2 3 4 5; do
        run_porthole "generation$generation" all --takeover
        new=$pid
        await_end "$old"
        [ "$status" -eq 0 ]
        old=$new
    done
    end_load
}

@test "takeover: requests and tunnels of the old process are finished by it" {
    addresses
    write tcp "$(bind_tcp)"
    begin tcp
    background slow curl --silent --show-error "http://$tcp/held/go"
    slow=$pid
    await_request /held/go
    run_porthole new tcp --takeover
    new=$pid
    eventually took_over new 1
    eventually grep -q 'stopping: what is under way may finish' "$dir/old.err"
    [ "$(ask_tcp /new)" = 'GET /new' ]
    kill -0 "$old"
    touch "$dir/go"
    await_end "$slow"
    [ "$(cat "$dir/slow.out")" = 'GET /held/go' ]
    await_end "$old"
    [ "$status" -eq 0 ]
    kill -0 "$new"
}

@test "takeover: a stream's connection lives on in the old process" {
    addresses
    background echo socat "UNIX-LISTEN:$dir/echo.sock,fork" EXEC:cat
    eventually accepts_at "$dir/echo.sock"
    write stream "{ \"bind\": \"tcp:$tcp\", \"stream\": { \"target\": \"unix:$dir/echo.sock\" } }"
    begin stream
    coproc tunnel { exec socat - "TCP:$tcp"; }
    echo one >&"${tunnel[1]}"
    read -r -t 10 line <&"${tunnel[0]}"
    [ "$line" = one ]
    run_porthole new stream --takeover
    eventually took_over new 1
    echo two >&"${tunnel[1]}"
    read -r -t 10 line <&"${tunnel[0]}"
    [ "$line" = two ]
    kill -0 "$old"
    kill "$tunnel_PID"
    await_end "$old"
    [ "$status" -eq 0 ]
}

@test "takeover: one with fewer listeners leaves the others to the old process, one with more takes them" {
    addresses
    write both "$(bind_tcp)" "$(bind "unix:@$name")"
    write tcp "$(bind_tcp)"
    begin both
    run_porthole new tcp --takeover
    new=$pid
    eventually took_over new 1
    eventually grep -q 'another process has taken over a socket.*tcp:' "$dir/old.err"
    [ "$(ask_tcp /tcp)" = 'GET /tcp' ]
    [ "$(ask_abstract /abstract)" = 'GET /abstract' ]
    lacks -q stopping "$dir/old.err"
    kill -0 "$old"
    run_porthole newest both --takeover
    await_end "$old"
    [ "$status" -eq 0 ]
    await_end "$new"
    [ "$status" -eq 0 ]
    eventually took_over newest 2
    [ "$(ask_abstract /abstract)" = 'GET /abstract' ]
    [ "$(ask_tcp /tcp)" = 'GET /tcp' ]
}

@test "takeover: what a successor has left is served again by the one that is still there" {
    addresses
    write both "$(bind_tcp)" "$(bind "unix:@$name")"
    write tcp "$(bind_tcp)"
    begin both
    run_porthole new tcp --takeover
    eventually took_over new 1
    kill -9 "$pid"
    await_end "$pid"
    eventually grep -q 'it is ours again' "$dir/old.err"
    [ "$(ask_tcp /again)" = 'GET /again' ]
    run_porthole newest both --takeover # and is offered again
    await_end "$old"
    [ "$status" -eq 0 ]
    eventually took_over newest 2
}

@test "takeover: what a killed successor had is served again at once" {
    addresses
    write all "$(bind "unix:$sock")" "$(bind_tcp)" "$(bind "unix:@$name")"
    write some "$(bind "unix:$sock")" "$(bind_tcp)"
    begin all
    soon=0
    for round in 1 2 3 4 1 2 3 4; do
        run_porthole "new$round" some --takeover
        new=$pid
        eventually took_over "new$round" 1
        eventually grep -q 'another process has taken over a socket' "$dir/old.err"
        sleep "0.$((round * 2))" # anywhere between two looks of every other second
        from=$(ms_now)
        kill -9 "$new"
        eventually ask /again
        eventually ask_tcp /again
        # The next look would come after 1200 to 1800. Not each time: a machine may be busy.
        [ $(($(ms_now) - from)) -gt 900 ] || soon=$((soon + 1))
        [ "$soon" -lt 3 ] || break
    done
    [ "$soon" -eq 3 ]
    kill -0 "$old"
}

@test "takeover: a successor whose threads cannot be made takes nothing" {
    addresses
    write all "$(bind "unix:$sock")" "$(bind_tcp)" "$(bind "unix:@$name")"
    begin all
    before=$(inode "$sock")
    start_load "unix:$sock" "tcp:$tcp" "unix:@$name"
    # No address space is large enough for such a stack: as with a limit of processes, pthread_create(3) fails.
    for _ in 1 2 3; do
        run bash -c 'ulimit -s $((1 << 40)); exec "$0" run -c "$1" --takeover' "$porthole" "$dir/all.json"
        [ "$status" -eq 1 ]
        [[ $output == *'cannot start a worker thread'* ]]
    done
    end_load
    [ "$(inode "$sock")" = "$before" ]
    kill -0 "$old"
    [ "$(ls -A "$dir" | grep -c '^\.porthole')" -eq 0 ]
}

@test "takeover: a successor that fails changes nothing" {
    addresses
    write both "$(bind_tcp)" "$(bind "unix:@$name")"
    mkdir "$dir/place"
    write broken "$(bind_tcp)" "$(bind "unix:@$name")" "$(bind "unix:$dir/place")"
    begin both
    start_load "tcp:$tcp" "unix:@$name"
    for round in 1 2 3 4 5; do
        run timeout 20 "$porthole" run --takeover -c "$dir/broken.json"
        [ "$status" -eq 1 ]
        [[ $output == *"$dir/place is a directory"* ]]
    done
    eventually eval '[ "$(grep -c "which stays ours" "$dir/old.err")" -eq 10 ]'
    run_porthole new both --takeover # as it should be
    await_end "$old"
    [ "$status" -eq 0 ]
    end_load
}

# Until the old process has dealt with what had come to it: it answers two signals.
await_old() {
    local n
    for n in 1 2; do
        n=$(grep -c 'log files are opened again' "$dir/$old_name.err") || true
        kill -USR1 "$old" 2>/dev/null || return 0
        eventually dealt_with "$n"
    done
}

dealt_with() { # N
    is_over "$old" || [ "$(grep -c 'log files are opened again' "$dir/$old_name.err")" -gt "$1" ]
}

@test "takeover: a successor that is killed at any moment before it serves is not missed" {
    addresses
    write both "$(bind_tcp)" "$(bind "unix:@$name")"
    begin both
    start_load "tcp:$tcp" "unix:@$name"
    old_name=old
    for ms in 1 2 4 6 8 10 12 14 16 20 25 30; do
        run_porthole "victim$ms" both --takeover
        sleep "0.0$(printf %02d "$ms")"
        kill -STOP "$pid"
        await_old
        if is_over "$old" || grep -q 'taken over' "$dir/$old_name.err"; then # that late it has succeeded
            kill -CONT "$pid"
            await_end "$old"
            [ "$status" -eq 0 ]
            old=$pid
            old_name=victim$ms
            continue
        fi
        kill -9 "$pid"
        await_end "$pid"
    done
    kill "$load"
    await_end "$load"
    cat "$dir/load.out"
    # Whom a killed one had accepted already is lost with it; nobody else is: none is refused, none waits.
    [ "$(sed -n 's/^failed //p' "$dir/load.out")" -le 12 ]
    lacks -q -e Refused -e Timeout "$dir/load.out"
}

@test "takeover: two successors at once, both come to serve, one after the other" {
    addresses
    write both "$(bind "unix:@$name")" "$(bind_tcp)"
    write other "$(bind_tcp)" "$(bind "unix:@$name")"
    begin both
    start_load "tcp:$tcp" "unix:@$name"
    for round in 1 2 3; do
        run_porthole "one$round" both --takeover
        one=$pid
        run_porthole "two$round" other --takeover
        two=$pid
        await_end "$old"
        [ "$status" -eq 0 ]
        one_is_left() {
            if is_over "$one"; then ! is_over "$two"; else is_over "$two"; fi
        }
        eventually one_is_left
        sleep 0.2
        one_is_left
        if is_over "$one"; then old=$two; else old=$one; fi
    done
    end_load
}

@test "takeover: while the old one drains, its address is free" {
    addresses
    write tcp "$(bind_tcp)"
    begin tcp
    background slow curl --silent --show-error "http://$tcp/held/go"
    slow=$pid
    await_request /held/go
    kill "$old"
    run_porthole new tcp --takeover
    eventually serves new
    [ "$(ask_tcp /new)" = 'GET /new' ]
    lacks -q 'handed over' "$dir/new.err"
    kill -0 "$old"
    touch "$dir/go"
    await_end "$slow"
    [ "$status" -eq 0 ]
    await_end "$old"
    [ "$status" -eq 0 ]
}

@test "takeover: one that is stopped does not answer, and the error says what to do" {
    addresses
    write both "$(bind_tcp)" "$(bind "unix:@$name")"
    begin both
    kill -STOP "$old"
    run timeout 20 "$porthole" run --takeover -c "$dir/both.json"
    kill -CONT "$old"
    [ "$status" -eq 1 ]
    [[ $output == *"process $old, which serves it, does not answer, for it is stopped; let it go on (kill -CONT $old) or end it"* ]]
    [ "$(ask_tcp /still)" = 'GET /still' ]
    run_porthole new both --takeover
    await_end "$old"
    [ "$status" -eq 0 ]
}

@test "takeover: one that is stopped when its successor serves leaves when it goes on" {
    addresses
    write tcp "$(bind_tcp)"
    begin tcp
    background late /usr/bin/python3 "$BATS_TEST_DIRNAME/takeover.py" late "tcp:$tcp" "$old"
    late=$pid
    done_or_over() { is_over "$late" || grep -qx 'done' "$dir/late.out"; }
    eventually done_or_over
    cat "$dir/late.err" "$dir/old.err"
    grep -qx 'done' "$dir/late.out"
    await_end "$old"
    [ "$status" -eq 0 ]
    grep -q 'another process has taken over a socket' "$dir/old.err"
}

@test "takeover: whoever is no porthole, or of another user, is not taken over" {
    addresses
    write tcp "$(bind_tcp)"
    background other socat "TCP-LISTEN:${tcp#*:},bind=127.0.0.1,reuseaddr,fork" EXEC:cat
    eventually socat -u OPEN:/dev/null "TCP:$tcp"
    run timeout 20 "$porthole" run --takeover -c "$dir/tcp.json"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot take over tcp:$tcp: another process serves it and does not offer it"* ]]
    kill "$pid"
    await_end "$pid"
    [ "$(id -u)" -eq 0 ] || return 0
    chmod 0777 "$dir"
    cp "$porthole" "$dir/porthole"
    background old setpriv --reuid 1234 --regid 1234 --clear-groups "$dir/porthole" run -c "$dir/tcp.json"
    old=$pid
    eventually serves old
    run timeout 20 "$porthole" run --takeover -c "$dir/tcp.json"
    [ "$status" -eq 1 ]
    [[ $output == *"process $old of uid 1234 has the private socket for that; stop it"* ]]
    kill -0 "$old"
}

@test "takeover: whoever has the name of the private socket hinders takeovers, and nothing else" {
    addresses
    write tcp "$(bind_tcp)"
    background squatter /usr/bin/python3 "$BATS_TEST_DIRNAME/takeover.py" squat "tcp:$tcp"
    squatter=$pid
    eventually grep -q there "$dir/squatter.out"
    begin tcp
    [ "$(ask_tcp /served)" = 'GET /served' ]
    [ "$(grep -c 'cannot be taken over for now.*another process has its name' "$dir/old.err")" -eq 1 ]
    run timeout 20 "$porthole" run --takeover -c "$dir/tcp.json"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot take over tcp:$tcp: process $squatter, which has the private socket for that"*"stop it first"* ]] ||
        [[ $output == *"process $squatter of uid"*"has the private socket for that"* ]]
    kill "$squatter"
    await_end "$squatter"
    eventually grep -q 'can be taken over again' "$dir/old.err"
    run_porthole new tcp --takeover
    await_end "$old"
    [ "$status" -eq 0 ]
}

@test "takeover: a thousand who connect, say nothing or rubbish, cost nothing, and a takeover goes through" {
    addresses
    write tcp "$(bind_tcp)"
    begin tcp
    background crowd /usr/bin/python3 "$BATS_TEST_DIRNAME/takeover.py" crowd "tcp:$tcp"
    crowd=$pid
    eventually grep -q there "$dir/crowd.out"
    [ "$(ask_tcp /served)" = 'GET /served' ]
    [ "$(find "/proc/$old/fd" | wc -l)" -lt 40 ]
    kill "$crowd"
    await_end "$crowd"
    run_porthole new tcp --takeover
    await_end "$old"
    [ "$status" -eq 0 ]
    [ "$(grep ' warn ' "$dir/old.err" | grep -vc 'probably not meant')" -le 2 ]
}

@test "takeover: without descriptors enough it fails as a whole" {
    addresses
    write both "$(bind_tcp)" "$(bind "unix:@$name")"
    begin both
    try_with() { # N: a successor that may have N descriptors; whether it has come to serve
        # LeakSanitizer waits forever for a descriptor.
        background "try$1" env ASAN_OPTIONS="${ASAN_OPTIONS-}:detect_leaks=0" prlimit --nofile="$1:$1" "$porthole" run --takeover -c "$dir/both.json"
        try=$pid
        eventually decided
        if is_over "$old"; then return 0; fi
        await_end "$try"
        statuses+=" $status"
        return 1
    }
    decided() { is_over "$try" || is_over "$old"; }
    enough=4
    statuses=
    until try_with "$enough"; do enough=$((enough + 1)); done
    old=$try
    run_porthole new both --takeover # one that has enough to serve, too
    await_end "$old"
    old=$pid
    eventually took_over new 2
    start_load "tcp:$tcp" "unix:@$name"
    before=$(find "/proc/$old/fd" -lname 'socket:*' | wc -l)
    for ((n = 4; n < enough; n++)); do
        fails try_with "$n"
    done
    lacks -q 'taken over' "$dir/new.err"
    end_load
    open_sockets() { find "/proc/$old/fd" -lname 'socket:*' | wc -l; }
    not_more() { [ "$(open_sockets)" -le "$before" ]; }
    eventually not_more
    [ "$enough" -gt 12 ]
    # Each said why. With less than six not even a library can be loaded.
    fails grep -qE ' (0|2|1[0-9][0-9])( |$)' <<<"${statuses// 127/}"
}

@test "takeover: the backlog is what the new configuration says" {
    addresses
    write small "$(bind_tcp '"backlog": 8,')"
    write large "$(bind_tcp '"backlog": 300,')"
    begin small
    [ "$(ss -Hltn "sport = :${tcp#*:}" | awk '{ print $3 }')" -eq 8 ]
    run_porthole new large --takeover
    await_end "$old"
    [ "$(ss -Hltn "sport = :${tcp#*:}" | awk '{ print $3 }')" -eq 300 ]
}
