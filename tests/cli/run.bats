# porthole run: starting and stopping. Nobody loses a request, and nothing is left.

load helper

@test "run: serves, and SIGTERM or SIGINT ends it with 0 and without the socket" {
    start_target
    configure
    for signal in TERM INT; do
        start_porthole run
        [ "$(ask /hello)" = 'GET /hello' ]
        kill "-$signal" "$pid"
        await_end "$pid"
        [ "$status" -eq 0 ]
        [ ! -e "$sock" ]
    done
    [ "$(ls -A "$dir" | grep -c porthole-)" -eq 0 ]
}

@test "run: is ready when the socket is there" {
    start_target
    configure
    for i in 1 2 3 4 5; do
        start_porthole run
        [ "$(ask /now)" = 'GET /now' ]
        kill "$pid"
        await_end "$pid"
    done
}

@test "run: a broken configuration is reported, status 78, and nothing is touched" {
    configure '"mode": "0999",'
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 78 ]
    [[ $output == *porthole.json:*mode* ]]
    [ ! -e "$sock" ]
    run timeout 10 "$porthole" run -c "$dir/none.json"
    [ "$status" -eq 78 ]
}

@test "run: one listener that cannot be published means none is" {
    echo keep >"$dir/file"
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [
    { "bind": "unix:$sock", "routes": [ { "respond": { "status": 204 } } ] },
    { "bind": "unix:$dir/file", "routes": [ { "respond": { "status": 204 } } ] } ] }
JSON
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"$dir/file is a regular file, not a socket"* ]]
    [ ! -e "$sock" ]
    [ "$(cat "$dir/file")" = keep ]
}

@test "run: a stop lets a slow exchange finish and takes nobody new" {
    start_target
    configure
    start_porthole run
    proxy=$pid
    background slow curl --silent --show-error --unix-socket "$sock" http://localhost/held/go
    client=$pid
    await_request /held/go
    kill "$proxy"
    eventually test ! -e "$sock"
    kill -0 "$proxy"
    touch "$dir/go"
    await_end "$client"
    [ "$status" -eq 0 ]
    [ "$(cat "$dir/slow.out")" = 'GET /held/go' ]
    await_end "$proxy"
    [ "$status" -eq 0 ]
}

@test "run: a stop does not wait for idle connections" {
    start_target
    configure
    start_porthole run
    proxy=${pids[1]}
    start_idle_client
    [ "$(ask /ready)" = 'GET /ready' ]
    before=$(ms_now)
    kill "$proxy"
    await_end "$proxy"
    [ "$status" -eq 0 ]
    [ $(($(ms_now) - before)) -lt 15000 ] # drain is 30 s
}

@test "run: a stop cuts what lasts longer than drain, and still ends with 0" {
    start_target
    configure '' '"drain": "300ms",'
    start_porthole run
    proxy=$pid
    background slow curl --silent --unix-socket "$sock" http://localhost/slow/8000
    client=$pid
    await_request /slow/8000
    before=$(ms_now)
    kill "$proxy"
    await_end "$proxy"
    [ "$status" -eq 0 ]
    took=$(($(ms_now) - before))
    [ "$took" -ge 200 ]
    [ "$took" -lt 7000 ]
    await_end "$client"
    [ "$status" -ne 0 ]
}

@test "run: who was connected but not accepted yet at a stop is answered or refused, never left hanging" {
    start_target
    configure
    start_porthole run
    proxy=$pid
    kill -STOP "$proxy"
    for i in 1 2 3; do
        background "queued$i" curl --silent --max-time 20 --unix-socket "$sock" http://localhost/queued
    done
    sleep 0.3
    kill -TERM "$proxy"
    kill -CONT "$proxy"
    await_end "$proxy"
    [ "$status" -eq 0 ]
    for client in "${pids[@]:2}"; do
        await_end "$client"
        [ "$status" -ne 124 ]
        [ "$status" -ne 28 ] # curl's own time-out
    done
}

@test "run: a descriptor limit and a closed standard input are no obstacle" {
    start_target
    configure
    background run bash -c 'ulimit -n 64; exec "$0" run -c "$1" <&-' "$porthole" "$dir/porthole.json"
    await_socket "$sock"
    [ "$(ask /few)" = 'GET /few' ]
}

@test "run: a libmicrohttpd older than is needed is refused, with both versions, before anything is published" {
    local old=${PORTHOLE_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/cli/old_library least
    least=$(sed -n 's/^LIBMICROHTTPD := //p' "$BATS_TEST_DIRNAME/../../Makefile")
    configure
    for version in 0.9.75 1.0.1 1.0.9; do
        export LIBRARY_VERSION=$version
        run timeout 10 "$old" run -c "$dir/porthole.json"
        [ "$status" -eq 1 ]
        [[ $output == *"libmicrohttpd $version is too old, $least or later is needed"* ]]
        [ ! -e "$sock" ]
        run timeout 10 env XDG_RUNTIME_DIR="$dir" "$old" demo --once
        [ "$status" -eq 1 ]
        [[ $output == *"libmicrohttpd $version is too old, $least or later is needed"* ]]
        run timeout 10 "$old" version
        [ "$status" -eq 0 ]
        [ "${lines[1]}" = "libmicrohttpd $version (too old to serve: $least or later is needed)" ]
    done
    for version in "$least" 1.0.11 1.1.0 2.0.0; do
        LIBRARY_VERSION=$version timeout 20 env XDG_RUNTIME_DIR="$dir" "$old" demo --once
    done
}

@test "run: clients that do nothing take no descriptors from those who ask, and fill no log" {
    start_target
    configure '' '"workers": 2,'
    background run prlimit --nofile=128 "$porthole" run -c "$dir/porthole.json"
    await_socket "$sock"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/idle.py" "$sock" 200 >"$dir/answers"
    cat "$dir/answers" "$dir/run.err"
    [ "$(cat "$dir/answers")" = $'old HTTP/1.1 200 OK\nnew HTTP/1.1 200 OK' ]
    patient_probe "unix:$sock"
    [ "$(grep -c 'no descriptors are left for clients' "$dir/run.err")" -ge 1 ]
    [ "$(grep -c 'descriptors' "$dir/run.err")" -le 6 ]
    lacks -q 'cannot accept' "$dir/run.err"
    lacks -q internal "$dir/run.err"
}

@test "run: signals that mean nothing leave it serving, SIGQUIT stops it like SIGTERM" {
    start_target
    configure
    start_porthole run
    for signal in USR2 HUP ALRM VTALRM PROF IO; do
        kill "-$signal" "$pid"
    done
    [ "$(ask /still)" = 'GET /still' ]
    eventually grep -q 'means nothing here' "$dir/run.err"
    kill -QUIT "$pid"
    await_end "$pid"
    [ "$status" -eq 0 ]
    [ ! -e "$sock" ]
}

@test "run: the same wish to stop told twice does not cut, a second wish does" {
    start_target
    configure
    start_porthole run
    proxy=$pid
    background slow curl --silent --show-error --unix-socket "$sock" http://localhost/slow/2500
    client=$pid
    await_request /slow/2500
    kill -STOP "$proxy" # so that it hears both at once
    kill -TERM "$proxy"
    kill -INT "$proxy"
    kill -CONT "$proxy"
    await_end "$client"
    [ "$status" -eq 0 ]
    [ "$(cat "$dir/slow.out")" = 'GET /slow/2500' ]
    await_end "$proxy"
    [ "$status" -eq 0 ]
    lacks 'stopping at once' "$dir/run.err"

    start_porthole again
    proxy=$pid
    background cut curl --silent --unix-socket "$sock" http://localhost/slow/60000
    client=$pid
    await_request /slow/60000
    kill -TERM "$proxy"
    eventually grep -q 'stopping: ' "$dir/again.err"
    sleep 1.5 # a second wish is one that comes a second later
    kill -TERM "$proxy"
    await_end "$proxy"
    [ "$status" -eq 0 ]
    grep -q 'stopping at once why="Terminated"' "$dir/again.err"
    await_end "$client"
    [ "$status" -ne 0 ]
}

@test "run: the first process of a container buries orphans" {
    start_target
    configure
    background run unshare --pid --fork --kill-child "$porthole" run -c "$dir/porthole.json"
    await_socket "$sock"
    init=$(pgrep -P "$pid")
    # A child of a shell that has ended already: it becomes the first process's.
    mkfifo "$dir/orphans"
    nsenter --target "$init" --pid sh -c 'cat "$0" &' "$dir/orphans"
    [ -n "$(cat "/proc/$init/task/$init/children")" ]
    : >"$dir/orphans"
    for ((i = 0; i < 500; i++)); do
        [ -n "$(cat "/proc/$init/task/$init/children")" ] || break
        sleep 0.02
    done
    [ -z "$(cat "/proc/$init/task/$init/children")" ]
    [ "$(ask /alive)" = 'GET /alive' ]
    kill "$init"
    await_end "$pid"
    [ ! -e "$sock" ]
}

@test "run: the first lines say who serves what, the last ones what a stop waits for and how it ended" {
    start_target
    configure '"mode": "0606", "peers": { "allow": [ { "uid": 0 }, { "gid": 4321 } ] },' '"workers": 1, "drain": "700ms",'
    start_porthole run
    proxy=$pid
    head -n 2 "$dir/run.err" | grep -q 'starting porthole="[0-9.]*" libmicrohttpd="[0-9.]*" libcurl="[0-9.]*" tls=".*" jansson="[0-9.]*" pcre2="[0-9. -]*"'
    sum=$(sha256sum "$dir/porthole.json" | cut -d ' ' -f 1)
    head -n 3 "$dir/run.err" | grep -q "configuration file=\"$dir/porthole.json\" sha256=\"$sum\" listeners=1 targets=1 workers="
    eventually grep -q "listening listener=\"unix:$sock\" address=\"unix:$sock\" mode=\"0606\" uid=0 gid=0 peers=\"uid 0 or gid 4321\" connections=1024\$" "$dir/run.err"
    start_idle_client
    background slow curl --silent --unix-socket "$sock" http://localhost/slow/60000
    await_request /slow/60000
    kill "$proxy"
    await_end "$proxy"
    [ "$status" -eq 0 ]
    grep -q 'stopping: what is under way may finish why="Terminated" drain_ms=700' "$dir/run.err"
    grep -q "a stop waits for clients listener=\"unix:$sock\" exchanges=1 tunnels=0 idle=1" "$dir/run.err"
    tail -n 1 "$dir/run.err" | grep -q 'stopped after_ms=[0-9]* cut=1'
}

@test "run: in JSON, what happens to porthole is a short message with fields" {
    start_target
    configure '"peers": { "allow": [ { "uid": 4321, "gid": 1 } ] },' '"workers": 1, "log": { "format": "json" },'
    background run "$porthole" run -c "$dir/porthole.json"
    eventually grep -q '"listening"' "$dir/run.err"
    fails ask /refused
    eventually grep -q 'is not allowed' "$dir/run.err"
    rm "$sock"
    eventually grep -q 'published again' "$dir/run.err"
    kill "$pid"
    await_end "$pid"
    cat "$dir/run.err"
    sum=$(sha256sum "$dir/porthole.json" | cut -d ' ' -f 1)
    jq -es --arg sock "$sock" --arg sum "$sum" 'map({ (.message): . }) | add
        | .starting.libmicrohttpd and (.configuration | .sha256 == $sum and .targets == 1)
        and (.listening | .address == "unix:" + $sock and .mode == "0660" and .peers == "uid 4321 and gid 1")
        and (."a peer is not allowed" | .listener == "unix:" + $sock and .refused == 1 and (.peer | test("uid=")))
        and ."a socket was removed and is published again".listener == "unix:" + $sock
        and ."stopping: what is under way may finish".why == "Terminated" and .stopped.cut == 0' "$dir/run.err"
}

@test "run: the address behind a name is told, and that it is the only one" {
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "tcp:localhost:$(free_port)", "routes": [ { "respond": { "status": 204 } } ] },
    { "bind": "unix:$sock", "routes": [ { "respond": { "status": 204 } } ] } ] }
JSON
    start_porthole run
    eventually grep -Eq 'listening .* address="tcp:localhost:[0-9]+" at=("127.0.0.1:[0-9]+" family="IPv4 only"|"\[::1\]:[0-9]+" family="IPv6 only")' "$dir/run.err"
}

@test "run: SIGUSR1 opens a log file again that was renamed, and loses no line" {
    start_target
    configure '' "\"workers\": 2, \"log\": { \"access\": { \"to\": \"$dir/access.log\" } },"
    start_porthole run
    ask /before
    eventually grep -q /before "$dir/access.log"
    mv "$dir/access.log" "$dir/access.log.1"
    ask /between
    eventually grep -q /between "$dir/access.log.1"
    kill -USR1 "$pid"
    eventually grep -q 'log files are opened again' "$dir/run.err"
    for i in 1 2 3 4; do
        ask "/after$i"
    done
    eventually grep -q /after4 "$dir/access.log"
    [ "$(grep -c /after "$dir/access.log")" -eq 4 ]
    lacks -q /after "$dir/access.log.1"
    # What cannot be opened stays as it was.
    rm "$dir/access.log"
    mkdir "$dir/access.log"
    kill -USR1 "$pid"
    eventually grep -q "a log file cannot be opened again error=.*$dir/access.log" "$dir/run.err"
    [ "$(ask /still)" = 'GET /still' ]
}
