# GET /status, the page for people, and porthole status.
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

start_admin() {
    configure '' "\"admin\": [ { \"bind\": \"unix:$dir/admin.sock\" } ],"
    start_porthole run
}

status_page() {
    curl --silent --fail --max-time 10 --unix-socket "$dir/admin.sock" http://admin/status
}

# The page is in $dir/status. An exchange is counted a moment after its answer was sent.
page_with() { # JQ
    status_page >"$dir/status"
    jq -e "$1" "$dir/status"
}

@test "status: the page has listeners as found, what routes did, targets, and the last reload" {
    start_target
    start_admin
    [ "$(ask /one)" = 'GET /one' ]
    [ "$(ask /two)" = 'GET /two' ]
    eventually page_with '.listeners[0].requests == 2'
    jq -e '.ready and .state == "serving" and .reasons == [] and .workers == 1 and .config.reload.state == "none"' "$dir/status"
    jq -e --arg bind "unix:$sock" '.listeners[0] | .bind == $bind and .up and .kind == "http" and .mode == "0660" and .requests == 2' "$dir/status"
    jq -e '.listeners[1] | .kind == "admin" and .mode == "0600"' "$dir/status"
    jq -e '.routes[0] | .action == "target" and .requests == 2 and .errors == 0 and .p99_us > 0' "$dir/status"
    jq -e '.targets[0].endpoints | length == 1' "$dir/status"
    echo '{ "listeners": 1 }' >"$dir/porthole.json"
    kill -HUP "$pid"
    eventually eval 'status_page | jq -e ".ready and .config.reload.state == \"failed\" and (.config.reload.errors[0] | contains(\"listeners\"))"'
}

@test "status: endpoints have their state with why and since when, connections, requests and times" {
    start_target
    cat >"$dir/porthole.json" <<JSON
{ "admin": [ { "bind": "unix:$dir/admin.sock" } ],
  "listeners": [ { "bind": "unix:$sock", "routes": [ { "match": { "path": "/alone" }, "target": "alone" }, { "target": "app" } ] } ],
  "targets": { "app": { "endpoints": [ "unix:$dir/target.sock", "unix:$dir/gone.sock" ], "health": { "interval": "100ms", "fall": 1 } },
               "alone": { "endpoints": [ "unix:$dir/nobody.sock" ] } } }
JSON
    start_porthole run
    status_page | jq -e '.targets[] | select(.name == "alone") | .waiting == 0 and .endpoints[0].state == "unknown" and .endpoints[0].requests == 0'
    eventually eval 'status_page | jq -e ".targets[] | select(.name == \"app\") | .endpoints[1].state == \"down\""'
    [ "$(ask /one)" = 'GET /one' ]
    [ "$(ask /two)" = 'GET /two' ]
    curl --silent --unix-socket "$sock" http://app/alone
    eventually page_with '.listeners[0].requests == 3 and .targets[0].endpoints[0].idle == 1'
    jq .targets "$dir/status"
    jq -e '.targets[] | select(.name == "app") | .max > 0
        and (.endpoints[0] | .state == "good" and .reason == "" and .since == null and .open == 1 and .idle == 1 and .requests == 2 and .p50_us > 0)
        and (.endpoints[1] | .state == "down" and (.reason | contains("No such file")) and .open == 0 and .requests == 0 and .p50_us == null
            and ((.since | sub("[.][0-9]+Z"; "Z") | fromdate) - now | . < 5 and . > -60))' "$dir/status"
    jq -e '.targets[] | select(.name == "alone") | .endpoints[0] | .state == "down" and (.reason | contains("connect"))' "$dir/status"
    jq -e '.listeners[0].idle <= .listeners[0].connections' "$dir/status"
    run "$porthole" status "unix:$dir/admin.sock"
    echo "$output"
    [[ $output == *TARGET*HEALTH*ENDPOINT*OPEN*WHY* ]]
    grep "down .*$dir/gone.sock .*No such file" <<<"$output"
}

@test "status: what leads to one place is one, however targets spell it and wherever its link leads by now" {
    start_target
    ln -s target.sock "$dir/link.sock"
    cat >"$dir/porthole.json" <<JSON
{ "admin": [ { "bind": "unix:$dir/admin.sock" } ],
  "listeners": [ { "bind": "unix:$sock", "routes": [ { "match": { "path": "/link" }, "target": "linked" }, { "target": "app" } ] } ],
  "targets": { "app": { "endpoints": [ "unix:$dir/target.sock" ] }, "linked": { "endpoints": [ "unix:$dir/link.sock" ] } } }
JSON
    start_porthole run
    [ "$(ask /one)" = 'GET /one' ]
    [ "$(ask /link)" = 'GET /link' ]
    ln -sf elsewhere.sock "$dir/link.sock"
    status_page >"$dir/status"
    jq .targets "$dir/status"
    jq -e '[.targets[].endpoints[0] | .open, .idle, .requests] == [1, 1, 1, 1, 1, 1]' "$dir/status"
}

@test "status: lines that either log has lost are counted" {
    mkfifo "$dir/run.out"
    exec 9<>"$dir/run.out"
    configure '' "\"admin\": [ { \"bind\": \"unix:$dir/admin.sock\" } ], \"log\": { \"access\": { \"to\": \"stdout\" } },"
    start_porthole run
    status_page | jq -e '.logs.dropped == 0'
    curl --silent --output /dev/null --unix-socket "$sock" 'http://app/[1-2000]'
    status_page | jq -e '.logs.dropped > 100'
}

@test "status: the page for people comes with a policy that lets nothing else run" {
    start_target
    start_admin
    curl --silent --include --unix-socket "$dir/admin.sock" http://admin/ >"$dir/page"
    grep -i "^content-type: text/html; charset=utf-8" "$dir/page"
    grep -i "^content-security-policy: default-src 'none'; script-src 'sha256-" "$dir/page"
    script=$(sed -n '/^<script>$/,/^<\/script>$/p' "$dir/page" | sed '$d' | sed '1s/^<script>$//' | openssl dgst -sha256 -binary | base64)
    grep -iF "script-src 'sha256-$script'" "$dir/page"
}

@test "status: one screen, wide and narrow, as JSON and again and again" {
    start_target
    start_admin
    [ "$(ask /one)" = 'GET /one' ]
    run "$porthole" status "unix:$dir/admin.sock"
    echo "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "porthole "*"serving, ready"*"pid $pid "* ]]
    [[ $output == *LISTENER*REQUESTS*ADDRESS*ROUTE*REQUESTS* ]]
    "$porthole" status "unix:$dir/admin.sock" --json | jq -e '.ready'
    background watch "$porthole" status "unix:$dir/admin.sock" --watch 100ms
    eventually eval '[ "$(grep -c "^porthole " "$dir/watch.out")" -gt 2 ]'
    kill "$pid"
    grep 'REQ/S' "$dir/watch.out"
    # A terminal of 40 columns.
    run script --quiet --return --command "stty cols 40 rows 30; '$porthole' status unix:$dir/admin.sock" /dev/null
    echo "$output"
    [ "$status" -eq 0 ]
    [ "$(tr -d '\r' <<<"$output" | wc --max-line-length)" -le 40 ]
}

@test "status: one that is not there, or no porthole is told by the exit status" {
    start_target
    start_admin
    run "$porthole" status "unix:$dir/absent.sock"
    [ "$status" -eq 1 ]
    [[ $output == "porthole status: unix:$dir/absent.sock: "* ]]
    /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$dir/stale.sock"
    run "$porthole" status "unix:$dir/stale.sock"
    [ "$status" -eq 1 ]
    [[ $output == *'Connection refused: nobody listens there any more'* ]]
    run "$porthole" status "unix:$sock"
    [ "$status" -eq 1 ]
    [[ $output == *'no status'* || $output == *'admin listener'* ]]
    run "$porthole" status --watch 0s
    [ "$status" -eq 2 ]
}

@test "status: what is no status moves no cursor" {
    printf 'HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nConnection: close\r\n\r\n%s' \
        '{"ready":false,"version":"\u001b[2J","reasons":["a\u001b]0;x\u0007b\u202e"],"listeners":[{"name":"\u001b[31m"}],"routes":7,"targets":[[]]}' >"$dir/answer"
    socat "UNIX-LISTEN:$dir/false.sock,fork" "SYSTEM:sleep 0.2; cat '$dir/answer'" 3>&- &
    socat=$!
    eventually test -S "$dir/false.sock"
    run "$porthole" status "unix:$dir/false.sock"
    kill "$socat"
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output != *$'\033'* && $output != *$'\a'* && $output == *'\u001b]0;x'* ]]
}

@test "status: a terminal that obeys no sequences is not cleared, and who has no admin listener learns of it" {
    start_target
    start_admin
    script --quiet --command "TERM=dumb timeout 5 '$porthole' status unix:$dir/admin.sock --watch 300ms" /dev/null >"$dir/plain" || true
    [ "$(grep -c '^porthole' "$dir/plain")" -ge 2 ]
    lacks $'\033' "$dir/plain"
    [ -e /run/porthole/admin.sock ] && skip "there is an admin listener at the default address"
    run "$porthole" status
    [[ $output == *'an admin listener is where "admin" of the configuration says'* ]]
}
