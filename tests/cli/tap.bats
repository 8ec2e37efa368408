# GET /tap and porthole tap.
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

start_admin() { # [ADMIN-MEMBERS [LISTENER-MEMBERS]]
    configure "${2-}" "\"workers\": ${WORKERS:-1}, \"admin\": [ { \"bind\": \"unix:$dir/admin.sock\" ${1-} } ],"
    start_porthole run
    run_pid=$pid
    eventually test -S "$dir/admin.sock"
}

# porthole tap, listening: its output is in $dir/NAME.out, its process id in $tap.
start_tap() { # NAME OPTION...
    local name=$1 before
    shift
    before=$(n_taps)
    background "$name" "$porthole" tap "unix:$dir/admin.sock" "$@"
    tap=$pid
    eventually eval '[ "$(n_taps)" -gt "$before" ]'
}

# Exchanges at an admin listener that are under way; at the first one this question is among them.
n_taps() { # [SOCKET]
    curl --silent --unix-socket "$dir/admin.sock" http://admin/metrics |
        sed -n "s|^porthole_requests_in_flight{listener=\"unix:$dir/${1-admin.sock}\"} ||p"
}

# In the background: asks for PATH when somebody listens.
ask_once_listened() { # PATH
    (eventually eval '[ "$(n_taps)" -ge 2 ]' && ask "$1" >/dev/null) 3>&- &
}

lines_of() { # NAME
    wc --lines <"$dir/$1.out"
}

@test "tap: a row for each exchange, with what peers sent escaped" {
    start_target
    start_admin
    start_tap table
    ask / --request $'\xe2\x80\xae' >/dev/null
    printf 'GET /\x9b[31m\xe2\x80\xae HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n' | socat - "UNIX:$sock" >/dev/null
    ask /status/404 >/dev/null
    eventually eval '[ "$(lines_of table)" -ge 4 ]'
    cat "$dir/table.out"
    [[ $(head -1 "$dir/table.out") == TIME*PEER*METHOD*PATH*STATUS*TOOK*IN*OUT*ROUTE*TARGET*OUTCOME ]]
    grep "uid=$(id -u),gid=$(id -g) *GET .*/status/404 .* 404 .* forwarded$" "$dir/table.out"
    lacks -P '[\x00-\x09\x0b-\x1f]' "$dir/table.out"
    lacks -P '\xe2\x80\xae' "$dir/table.out"
    kill -INT "$tap"
    await_end "$tap"
    [ "$status" -eq 0 ]
}

@test "tap: JSON lines and status have nothing that a terminal obeys, whoever answers" {
    printf 'HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n%s\n' $'{"event":"exchange","request":"/\xc2\x9b31m\xe2\x80\xae"}' >"$dir/answer"
    background rogue socat "UNIX-LISTEN:$dir/rogue.sock,fork" "SYSTEM:read line; cat $dir/answer"
    eventually test -S "$dir/rogue.sock"
    "$porthole" tap "unix:$dir/rogue.sock" --json --count 1 >"$dir/shown"
    "$porthole" status "unix:$dir/rogue.sock" --json >>"$dir/shown" || true
    cat "$dir/shown"
    [ "$(jq -s 'map(.request) | unique | length' "$dir/shown")" = 1 ]
    lacks -P '[^\x0a\x20-\x7e]' "$dir/shown"
}

@test "tap: JSON lines are what the filters let through" {
    start_target
    start_admin
    start_tap four --json --status 4xx
    start_tap slow --json --min-duration 200ms
    start_tap posts --json --method POST --path-prefix /one --peer "uid=$(id -u)"
    start_tap nobody --json --peer uid=4242424
    ask /one >/dev/null
    ask /one/post --data x >/dev/null
    ask /two/post --data x >/dev/null
    ask /status/404 >/dev/null
    ask /status/503 >/dev/null
    ask /slow/300 >/dev/null
    eventually eval '[ "$(lines_of four)" -eq 1 ] && [ "$(lines_of posts)" -eq 1 ]'
    eventually grep -q '"/slow/300"' "$dir/slow.out"
    jq -e '.event == "exchange" and .status == 404 and .request == "/status/404" and .http == "1.1"' "$dir/four.out"
    # Others are slow where the machine is busy.
    jq -es 'all(.total_us >= 200000) and any(.total_us >= 300000 and .request == "/slow/300")' "$dir/slow.out"
    jq -e '.method == "POST" and .request == "/one/post" and .bytes_in == 1 and (has("request_headers") | not)' "$dir/posts.out"
    [ "$(lines_of nobody)" -eq 0 ]
}

@test "tap: an archive of 200 exchanges is HAR 1.2, with their bodies" {
    start_target
    start_admin
    start_tap archive --har "$dir/all.har" --count 200
    /usr/bin/python3 "$BATS_TEST_DIRNAME/har.py" send "$sock" 200
    await_end "$tap"
    [ "$status" -eq 0 ]
    [ "$(/usr/bin/python3 "$BATS_TEST_DIRNAME/har.py" check "$dir/all.har" 200)" = good ]
    [ "$(stat --format %a "$dir/all.har")" = 600 ]
}

@test "tap: an archive is whole at any moment" {
    start_target
    start_admin
    start_tap archive --har "$dir/all.har"
    jq -e '.log.entries == []' "$dir/all.har"
    ask /one >/dev/null
    eventually eval 'jq -e ".log.entries | length == 1" "$dir/all.har"'
    kill -9 "$tap"
    jq -e '.log.entries[0].request.url == "http://localhost/one"' "$dir/all.har"
}

@test "tap: a signal ends it while its reader takes nothing" {
    start_target
    start_admin
    mkfifo "$dir/stuck.out"
    exec 9<>"$dir/stuck.out"
    start_tap stuck --json
    curl --silent --output /dev/null --unix-socket "$sock" 'http://app/[1-500]'
    eventually grep --extended-regexp --quiet '^[0-9]+ 0x1 ' "/proc/$tap/syscall" # it writes to standard output
    kill -TERM "$tap"
    await_end "$tap"
    exec 9>&-
    [ "$status" -eq 0 ]
    [ ! -s "$dir/stuck.err" ]
}

@test "tap: no secret is shown, unless the configuration allows it to who asks" {
    start_target
    echo planted-file >"$dir/secret"
    cat >"$dir/porthole.json" <<JSON
{ "admin": [ { "bind": "unix:$dir/admin.sock", "redact": [ "X-Mine" ] }, { "bind": "unix:$dir/open.sock", "unredacted": true } ],
  "listeners": [ { "bind": "unix:$sock", "routes": [
    { "match": { "headers": { "X-Key": "\${file:$dir/secret}" } }, "target": "unix:$dir/target.sock",
      "request_headers": { "set": { "Authorization": "Bearer \${file:$dir/secret}" } },
      "response_headers": { "set": { "X-Told": "\${file:$dir/secret}" } } },
    { "deny": { "status": 403 } } ] } ] }
JSON
    start_porthole run
    start_tap shown --json --har "$dir/all.har" --bodies 1000
    for name in Authorization Proxy-Authorization Cookie X-Api-Key X-Mine X_mine cookie; do
        ask / --header "X-Key: planted-file" --header "$name: planted-$name" --include >"$dir/answer"
        grep 'X-Told: planted-file' "$dir/answer"
    done
    eventually eval '[ "$(lines_of shown)" -eq 7 ]'
    lacks planted "$dir/shown.out"
    lacks planted "$dir/all.har"
    jq -e '.request_headers | map(select(.[1] == "[redacted]")) | length == 2' "$dir/shown.out"
    jq -e '.response_headers | map(select(.[0] == "X-Told")) == [["X-Told", "[redacted]"]]' "$dir/shown.out"
    run "$porthole" tap "unix:$dir/admin.sock" --no-redact
    [ "$status" -eq 1 ]
    [[ $output == *"status is 403"*unredacted* ]]
    background open "$porthole" tap "unix:$dir/open.sock" --no-redact --json --bodies 10
    eventually eval '[ "$(n_taps open.sock)" -eq 1 ]'
    ask / --header "X-Key: planted-file" >/dev/null
    eventually eval '[ "$(lines_of open)" -eq 1 ]'
    jq -e '.request_headers | contains([["X-Key", "planted-file"]])' "$dir/open.out"
}

@test "tap: a reader that stops loses records, which are counted, and holds nobody up" {
    start_target
    start_admin '' '"limits": { "header": "64KiB" },'
    start_tap stopped --json --bodies 1
    kill -STOP "$tap"
    # 400 records with heads of 30 KB are more than rings, buffers and sockets hold.
    /usr/bin/python3 - "$sock" <<'PYTHON'
import socket, sys
s = socket.socket(socket.AF_UNIX)
s.settimeout(20)
s.connect(sys.argv[1])
for i in range(400):
    s.sendall(b"GET /%d HTTP/1.1\r\nHost: h\r\nX-Large: %s\r\n\r\n" % (i, b"x" * 30000))
    data = b""
    while not data.endswith(b"/%d\n" % i):
        data += s.recv(65536)
PYTHON
    kill -CONT "$tap"
    eventually grep --quiet '"event":"lost"' "$dir/stopped.out"
    ask /after >/dev/null
    eventually grep --quiet '"request":"/after"' "$dir/stopped.out"
    [ "$(jq -s 'map(select(.event == "exchange")) | length' "$dir/stopped.out")" -ge 1 ]
    [ "$(jq -s 'map(if .event == "lost" then .lost else 1 end) | add' "$dir/stopped.out")" -eq 401 ]
}

@test "tap: what is asked wrongly is said" {
    start_target
    start_admin
    run "$porthole" tap "unix:$dir/admin.sock" --status 4yy
    [ "$status" -eq 1 ]
    [[ $output == *"status is one like 404, or a class like 4xx"* ]]
    run "$porthole" tap "unix:$dir/admin.sock" --bodies 70000
    [ "$status" -eq 2 ]
    run "$porthole" tap "unix:$dir/nothing.sock"
    [ "$status" -eq 1 ]
    /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/stale.sock"
    run "$porthole" tap "unix:$dir/stale.sock"
    [ "$status" -eq 1 ]
    [[ $output == *'Connection refused: nobody listens there any more'* ]]
    run "$porthole" tap "unix:$sock"
    [ "$status" -eq 1 ]
    run "$porthole" tap one two
    [ "$status" -eq 2 ]
}

@test "tap: it ends with its porthole, and does not hold up a stop" {
    start_target
    start_admin
    run_pid=$pid
    start_tap table
    begun=$(ms_now)
    kill -TERM "$run_pid"
    await_end "$run_pid"
    [ "$status" -eq 0 ]
    [ $(($(ms_now) - begun)) -lt 5000 ]
    await_end "$tap"
    [ "$status" -eq 0 ]
    cat "$dir/table.err"
    [ "$(cat "$dir/table.err")" = "porthole tap: unix:$dir/admin.sock: the porthole has ended" ]
}

@test "tap: it listens to the porthole that takes over" {
    start_target
    start_admin
    start_tap followed --json
    start_tap table
    ask /before >/dev/null
    background second "$porthole" run -c "$dir/porthole.json" --takeover
    second=$pid
    await_end "$run_pid"
    [ "$status" -eq 0 ]
    eventually grep --quiet 'another porthole has taken over, and is listened to' "$dir/followed.err"
    eventually grep --quiet 'another porthole has taken over, and is listened to' "$dir/table.err"
    ask /after >/dev/null
    eventually eval '[ "$(lines_of followed)" -eq 2 ]'
    jq -es 'map(.request) == ["/before", "/after"]' "$dir/followed.out"
    eventually eval '[ "$(lines_of table)" -eq 3 ]'
    kill -TERM "$second"
    await_end "$tap"
    [ "$status" -eq 0 ]
    [ "$(wc --lines <"$dir/table.err")" -eq 2 ]
    grep --quiet 'the porthole has ended$' "$dir/table.err"
}

@test "tap: a terminal of 60 columns has rows of 60 columns, in colours" {
    start_target
    start_admin
    ask_once_listened /a/path/that/is/much/longer/than/any/terminal/of/sixty/columns
    run script --quiet --return --command "stty cols 60 rows 30; TERM=xterm '$porthole' tap unix:$dir/admin.sock --count 1" /dev/null
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *$'\033[32m'* ]]
    [ "$(tr -d '\r' <<<"$output" | sed 's/\x1b\[[0-9]*m//g' | wc --max-line-length)" -le 60 ]
}

@test "tap: a terminal that obeys no sequences gets none, one of 20 columns rows of 20, one of 60 whole seconds" {
    start_target
    start_admin
    shown() { # COLUMNS COMMAND...
        local columns=$1
        shift
        ask_once_listened /a/path
        script --quiet --return --command "stty cols $columns rows 30; $* '$porthole' tap unix:$dir/admin.sock --count 1" /dev/null | tr -d '\r'
    }
    shown 60 env -u TERM >"$dir/plain"
    grep -P '^TIME +METHOD' "$dir/plain"
    grep -P '^\d\d:\d\d:\d\d GET +/a/path' "$dir/plain"
    lacks $'\033' "$dir/plain"
    shown 60 TERM=dumb >"$dir/plain"
    lacks $'\033' "$dir/plain"
    shown 60 TERM=vt100 NO_COLOR=1 >"$dir/plain"
    lacks $'\033' "$dir/plain"
    shown 60 TERM=vt100 NO_COLOR= >"$dir/coloured"
    grep $'\033' "$dir/coloured"
    shown 20 TERM=dumb >"$dir/tiny"
    cat "$dir/tiny"
    grep -P '^GET +/a/path +200$' "$dir/tiny"
    [ "$(wc --max-line-length <"$dir/tiny")" -le 20 ]
}

@test "tap: who does not listen shows no table, and says why" {
    start_target
    start_admin
    [ -z "$("$porthole" tap "unix:$dir/nothing.sock" 2>"$dir/why")" ]
    grep 'No such file' "$dir/why"
    run "$porthole" tap "unix:@porthole-nobody-$$"
    [[ $output == *"nobody has this name in our network namespace" ]]
    start_tap table
    eventually eval '[ "$(lines_of table)" -eq 1 ]'
    kill -9 "$run_pid"
    await_end "$tap"
    [ "$status" -eq 1 ]
    grep 'has gone' "$dir/table.err"
}

@test "tap: an archive that finds no room is whole, with what found some" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, for a file system of its own"
    mkdir "$dir/small"
    mount -t tmpfs -o size=16k none "$dir/small" || skip "may not mount"
    start_target
    start_admin
    start_tap full --har "$dir/small/all.har"
    for ((i = 0; i < 60; i++)); do
        ask "/$i" >/dev/null
        kill -0 "$tap" 2>/dev/null || break
    done
    await_end "$tap"
    [ "$status" -eq 1 ]
    grep 'the archive cannot be written: No space left' "$dir/full.err"
    jq '.log.entries | length' "$dir/small/all.har" >"$dir/count"
    umount "$dir/small"
    cat "$dir/count"
    [ "$(cat "$dir/count")" -ge 3 ]
}
