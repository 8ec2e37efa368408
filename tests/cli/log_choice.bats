# What the access log tells and of whom, and readers that do not read.

load helper

configure_choice() { # MEMBERS-OF-ACCESS [TO]
    cat >"$dir/porthole.json" <<JSON
{ "log": { "format": "json", "access": { $1 "format": "json", "to": "${2-$dir/access}" } },
  "listeners": [ { "name": "l", "bind": "unix:$sock", "routes": [
      { "name": "gone", "match": { "path": "/gone" }, "target": "absent" },
      { "name": "ill", "match": { "path": "/ill" }, "respond": { "status": 500, "body": "ill\n" } },
      { "name": "ok", "respond": { "status": 200, "body": "ok\n" } } ] } ],
  "targets": { "absent": { "hold": "100ms", "endpoints": ["unix:$dir/absent.sock"] } } }
JSON
}

ask_all() { # PATH...
    local path
    for path in "$@"; do
        ask "$path" >/dev/null
    done
    kill "$pid"
    await_end "$pid"
    cat "$dir/access"
}

@test "log choice: a line has the fields that were asked for, in their order" {
    configure_choice '"fields": ["route", "status", "held_ms"],'
    start_porthole run
    ask_all /ok /gone
    jq -es 'map(select(.status)) | .[0] == {"time": .[0].time, "status": 200, "route": "ok"} and
        (.[1] | keys == ["held_ms", "route", "status", "time"] and .held_ms >= 90)' "$dir/access"
    jq -es 'any(.[]; .request == "/gone" and .id and .held_ms >= 90)' "$dir/run.err"
}

@test "log choice: with failures only, what failed or was answered with 500 has a line" {
    configure_choice '"only": "failures",'
    start_porthole run
    ask_all /ok /gone /ok /ill /ok
    jq -es 'map(select(.status).request) == ["/gone", "/ill"]' "$dir/access"
}

@test "log choice: of a sample the first and each nth has a line, and all failures" {
    configure_choice '"sample": 3,'
    start_porthole run
    ask_all /1 /2 /gone /3 /4 /5 /6 /7
    jq -es 'map(select(.status).request) == ["/1", "/gone", "/4", "/7"]' "$dir/access"
}

@test "log choice: a reload changes it, without a new file" {
    configure_choice '"only": "failures",'
    start_porthole run
    ask /before >/dev/null
    configure_choice ''
    kill -HUP "$pid"
    eventually grep -q '"message":"reloaded' "$dir/run.err"
    ask_all /after
    jq -es 'map(select(.status).request) == ["/after"]' "$dir/access"
}

@test "log choice: who reads neither log holds nobody up, and is told how many lines are missing" {
    configure_choice '' stdout
    mkfifo "$dir/both"
    exec 8<>"$dir/both"
    "$porthole" run -c "$dir/porthole.json" >"$dir/both" 2>&1 3>&- 8>&- &
    pid=$!
    pids+=("$pid")
    await_socket "$sock"
    for ((i = 0; i < 3000; i++)); do
        printf 'url = "http://localhost/%s"\noutput = /dev/null\n' "$([ $((i % 8)) -eq 0 ] && echo gone || echo ok)"
    done >"$dir/urls"
    sed -i 's|/gone|/ill|' "$dir/urls"
    timeout 120 curl --silent --show-error --unix-socket "$sock" --config "$dir/urls"
    [ "$(ask /ok)" = ok ]
    timeout 120 cat <&8 >"$dir/read" &
    reader=$!
    eventually eval 'ask /ok >/dev/null; grep -q dropped_lines "$dir/read"'
    kill "$pid"
    await_end "$pid"
    kill "$reader"
    grep dropped_lines "$dir/read"
    grep -v '^{.*}$' "$dir/read" && return 1
    grep '^{' "$dir/read" | jq -es '(map(.dropped_lines // 0) | add) as $lost | (map(select(.outcome)) | length) as $told | $lost > 0 and $lost + $told >= 3000'
}
