# Targets that are not there yet, that come and go, and whose socket is replaced under them.

load helper

# One listener in front of the target "app" at ADDRESS; its other members, in JSON, with a comma behind each.
configure_target() { # ADDRESS MEMBERS [LISTENER-MEMBERS]
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", ${3-"\"routes\": [ { \"target\": \"app\" } ]"} } ],
  "targets": { "app": { $2 "endpoints": [ "$1" ] } } }
JSON
}

hold() { # [HOLD [MORE]]
    configure_target "unix:$dir/target.sock" "\"hold\": \"${1-20s}\", ${2-}"
}

status_of() { # PATH [CURL-OPTION...]
    ask "$@" --output "$dir/body" --write-out '%{http_code}'
}

# A request that is under way when this returns: it has been accepted.
begin_asking() { # NAME PATH [CURL-OPTION...]
    local name=$1 path=$2
    shift 2
    background "$name" curl --silent --max-time 20 --trace-ascii "$dir/$name.trace" --unix-socket "$sock" "$@" "http://localhost$path"
    eventually grep -q 'Send header' "$dir/$name.trace"
}

@test "hold: requests wait until the target appears, one with a body too, and none is sent twice" {
    hold
    start_porthole run
    for i in 1 2 3; do
        begin_asking "asking$i" "/x$i"
    done
    begin_asking posting /y --data body
    start_target
    for i in 1 2 3; do
        eventually grep -qx "GET /x$i" "$dir/asking$i.out"
    done
    eventually grep -qx body "$dir/posting.out"
    [ "$(grep -cx '/y' "$dir/target.out")" = 1 ]
}

@test "hold: directories on the way may be missing, come, go and come again" {
    configure_target "unix:$dir/run/app/target.sock" '"hold": "20s",'
    start_porthole run
    begin_asking asking /x
    mkdir "$dir/run"
    mkdir "$dir/run/app"
    rm -r "$dir/run"
    mkdir -p "$dir/run/app"
    background target /usr/bin/python3 "$BATS_TEST_DIRNAME/backend.py" "$dir/run/app/target.sock"
    eventually grep -qx 'GET /x' "$dir/asking.out"
}

@test "hold: a socket that nobody listens at, and one that may not be opened, are waited for as well" {
    hold
    /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/target.sock"
    start_porthole run
    begin_asking asking /x
    rm "$dir/target.sock"
    start_target
    eventually grep -qx 'GET /x' "$dir/asking.out"
}

@test "hold: abstract sockets and ports are tried again and again" {
    local address
    for address in "unix:@porthole-hold-$$" "http://127.0.0.1:$(free_port)"; do
        configure_target "$address" '"hold": "20s",'
        start_porthole run
        local running=$pid
        begin_asking asking /x
        printf '{ "listeners": [ { "bind": "%s", %s "routes": [ { "respond": { "status": 200, "body": "here" } } ] } ] }' \
            "${address/http:\/\//tcp:}" "$([[ $address == *@* ]] && echo '"peers": { "allow": [ { "uid": 0 } ] },')" >"$dir/target.json"
        background target "$porthole" run -c "$dir/target.json"
        eventually grep -qx here "$dir/asking.out"
        kill "$pid" "$running"
        await_end "$pid"
        await_end "$running"
    done
}

@test "hold: a stream waits, too" {
    configure_target "unix:$dir/target.sock" '"hold": "20s",' '"stream": { "target": "app" }'
    start_porthole run
    begin_asking asking /x
    start_target
    eventually grep -qx 'GET /x' "$dir/asking.out"
}

@test "hold: when the time is over the answer is what it would have been, and says why" {
    hold 300ms
    start_porthole run
    local begun
    begun=$(ms_now)
    [ "$(status_of /x)" = 503 ]
    [ $(($(ms_now) - begun)) -ge 300 ]
    jq -e '.outcome == "target_absent"' "$dir/body"
    eventually grep -q 'outcome="target_absent" reason="No such file or directory"' "$dir/run.err"
}

@test "hold: no more wait than connections.queue says, and who leaves is forgotten at once" {
    hold 20s '"connections": { "queue": 1 },'
    start_porthole run
    begin_asking first /first
    is_refused() { [ "$(status_of /x --max-time 1)" = 503 ]; }
    eventually is_refused
    kill "$pid"
    begin_asking second /second --retry 10 --retry-delay 1 # it may come before the first is seen to have left
    start_target
    eventually grep -qx 'GET /second' "$dir/second.out"
    ! grep -q first "$dir/target.out"
}

@test "hold: a stop does not wait for targets that do not come" {
    sed "s/^{/{ \"drain\": \"300ms\",/" <(hold; cat "$dir/porthole.json") >"$dir/new.json"
    mv "$dir/new.json" "$dir/porthole.json"
    start_porthole run
    local running=$pid
    begin_asking asking /x
    kill -TERM "$running"
    await_end "$running"
    [ "$status" = 0 ]
}

@test "hold: a target that is restarted again and again loses no request" {
    hold 20s '"retries": { "attempts": 3, "on": ["connect", "reused_connection", "502"], "budget": 1 },'
    start_target
    start_porthole run
    background asking curl --silent --max-time 60 --unix-socket "$sock" --output /dev/null --write-out '%{http_code}\n' \
        'http://localhost/slow/2/[1-400]'
    local asking=$pid
    for i in 1 2 3 4 5 6; do
        sleep 0.15
        kill -9 "${pids[0]}"
        await_end "${pids[0]}"
        rm -f "$dir/target.sock"
        sleep 0.1
        start_target
        pids[0]=$pid
    done
    wait "$asking"
    cat "$dir/run.err"
    [ "$(sort "$dir/asking.out" | uniq -c | sed 's/^ *//')" = "400 200" ]
}

@test "hold: a socket that is replaced while its old server lives gets all that is new within a second" {
    configure_target "unix:$dir/target.sock" ''
    start_answering old
    start_answering new
    ln "$dir/old.sock" "$dir/target.sock"
    start_porthole run
    background asking curl --silent --max-time 30 --unix-socket "$sock" --rate 100/s 'http://localhost/[1-3000]'
    eventually grep -q old "$dir/asking.out"
    ln "$dir/new.sock" "$dir/next.sock"
    local before
    mv "$dir/next.sock" "$dir/target.sock"
    before=$(grep -c old "$dir/asking.out")
    eventually eval '[ "$(grep -c new "$dir/asking.out")" -ge 100 ]'
    kill "$pid"
    await_end "$pid"
    # Old ones, then new ones, and nothing else; of what a second brings, a hundred, are at most the old ones since.
    [ "$(uniq "$dir/asking.out")" = $'old\nnew' ]
    [ $(($(grep -c old "$dir/asking.out") - before)) -le 100 ]
    [ "$(ask /)" = new ]
}
