# Admin listeners: pages that porthole answers itself.
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

start_admin() { # [TOP-MEMBERS]
    port=$(free_port)
    configure '' "\"admin\": [ { \"bind\": \"unix:$dir/admin.sock\" }, { \"bind\": \"tcp:127.0.0.1:$port\" } ], ${1-}"
    start_porthole run
}

page() { # PATH [CURL-OPTION...]
    local path=$1
    shift
    curl --silent --max-time 10 --unix-socket "$dir/admin.sock" --write-out '%{stderr}%{http_code}' "$@" "http://admin$path" 2>"$dir/code"
}

code_is() { # CODE
    [ "$(cat "$dir/code")" = "$1" ] || { cat "$dir/code"; return 1; }
}

@test "admin: healthz, readyz and config are told, and what is not there is 404 or 405" {
    start_target
    start_admin
    [ "$(stat -c %a "$dir/admin.sock")" = 600 ]
    [ "$(page /healthz)" = ok ]
    code_is 200
    page /readyz | jq -e '.ready and .reasons == []'
    code_is 200
    page /config | jq -e --arg sock "unix:$sock" --arg file "$dir/porthole.json" --arg sha256 "$(sha256sum <"$dir/porthole.json" | cut -c1-64)" \
        '.config.listeners[0].bind == $sock and .config.admin[0].mode == "0600" and .file == $file and .sha256 == $sha256
            and ((.loaded | sub("[.][0-9]+Z"; "Z") | fromdate) - now | . < 5 and . > -60)'
    # Errors are problems, as they are elsewhere.
    page /nothing --include >"$dir/answer"
    code_is 404
    grep -i '^content-type: application/problem+json' "$dir/answer"
    tail -1 "$dir/answer" | jq -e '.status == 404 and .type == "about:blank" and .title == "Not Found" and .outcome == "responded" and .detail and .request_id'
    page /reload --include >"$dir/answer"
    code_is 405
    grep -i '^allow: POST' "$dir/answer"
    tail -1 "$dir/answer" | jq -e '.status == 405'
    page '/tap?status="<' | jq -e '.status == 400 and (.detail | length > 0)'
    code_is 400
    page /healthz --head | grep -qi '^content-length: 3'
    # Behind a port that somebody forwards, a site's name may lead here.
    page /config -H 'Host: rebound.example:9180' | jq -e '.status == 403 and (.detail | contains("\"bind\""))'
    code_is 403
    page /healthz -H 'Host: rebound.example:9180'
    code_is 200
    # What clients of Unix sockets make of a path is no site's.
    page /config -H 'Host: %2Frun%2Fporthole%2Fadmin.sock'
    code_is 200
    page /config -H 'Host: /run/porthole/admin.sock'
    code_is 200
    # A page of another site cannot read a tap; nor does it take one of the places for taps.
    page /tap -H 'Sec-Fetch-Site: cross-site'
    code_is 403
    [ "$(ask /still)" = 'GET /still' ]
}

@test "admin: over TCP there is what tells nothing of requests, and no page of another name's" {
    start_target
    start_admin
    [ "$(curl --silent "http://127.0.0.1:$port/healthz")" = ok ]
    [ "$(curl --silent -H 'Host: pod.example' "http://127.0.0.1:$port/readyz" | jq .ready)" = true ]
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/config")" = 404 ]
    sed -i 's|"tcp:[^"]*"|&, "pages": ["config", "quit"]|' "$dir/porthole.json"
    kill -HUP "$pid"
    eventually curl --silent --fail --output /dev/null "http://localhost:$port/config"
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' -H 'Host: rebound.example' "http://127.0.0.1:$port/config")" = 403 ]
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' -X POST -H 'Origin: http://evil.example' "http://127.0.0.1:$port/quit")" = 403 ]
    [ "$(ask /still)" = 'GET /still' ]
}

@test "admin: readyz says what is missing, and a reload, another log level and a stop can be asked for" {
    start_target
    start_admin
    sed -i "s|\"bind\": \"unix:$sock\"|\"name\": \"renamed\", &|" "$dir/porthole.json"
    page /reload -X POST
    code_is 202
    eventually grep -q 'reloaded' "$dir/run.err"
    page '/log-level?debug' -X POST
    code_is 202
    page '/log-level?loud' -X POST
    code_is 400
    # A client that waits with its body has its answer, too.
    page '/log-level?debug' --data x -H 'Expect: 100-continue'
    code_is 202
    page /quit -X POST -H 'Sec-Fetch-Site: cross-site'
    code_is 403
    page /quit -X POST
    code_is 202
    await_end "$pid"
    [ "$status" -eq 0 ]
    [ ! -e "$dir/admin.sock" ]
}

@test "admin: readyz names targets without a usable endpoint, and is 503 when no target has one" {
    start_target
    cat >"$dir/porthole.json" <<JSON
{ "admin": [ { "bind": "unix:$dir/admin.sock" } ],
  "listeners": [ { "bind": "unix:$sock", "routes": [ { "target": "app" } ] } ],
  "targets": { "app": { "endpoints": [ "unix:$dir/target.sock" ], "health": { "interval": "100ms", "rise": 1, "fall": 1 } },
               "gone": { "endpoints": [ "unix:$dir/gone.sock" ], "health": { "interval": "100ms", "rise": 1, "fall": 1 } } } }
JSON
    start_porthole run
    eventually eval 'page /readyz | jq -e ".ready and .reasons == [\"target gone has no usable endpoint\"] and .reload == \"none\""'
    code_is 200
    page /metrics | grep -x 'porthole_ready 1'
    mv "$dir/target.sock" "$dir/away.sock"
    eventually eval 'page /readyz | jq -e "(.ready | not) and (.reasons | length) == 2"'
    code_is 503
    page /metrics | grep -x 'porthole_ready 0'
    [ "$(page /healthz)" = ok ]
    mv "$dir/away.sock" "$dir/target.sock"
    eventually eval 'page /readyz | jq -e .ready'
    # What ran before is served on, all of it.
    echo '{ "listeners": 1 }' >"$dir/porthole.json"
    page /reload -X POST
    eventually eval 'page /readyz | jq -e ".ready and .reload == \"failed\" and (.reasons[1] | contains(\"reload failed\"))"'
    code_is 200
}

n_threads() {
    find "/proc/$running/task" -mindepth 1 -maxdepth 1 | wc -l
}

# Asks for a reload, and waits until there are as many lines of reloads.
reloaded_times() { # N
    kill -HUP "$running"
    eventually eval '[ "$(grep -c " reloaded " "$dir/run.err")" -eq '"$1"' ]'
}

@test "admin: the first of them comes by a reload under load, and the last goes by one" {
    local admin="\"watch\": false, \"workers\": 2, \"admin\": [ { \"bind\": \"unix:$dir/admin.sock\" } ]," before
    start_target
    configure '' '"watch": false, "workers": 2,'
    start_porthole run
    running=$pid
    before=$(n_threads)
    background load /usr/bin/python3 "$BATS_TEST_DIRNAME/load.py" "$sock"
    load=$pid
    configure '' "$admin"
    reloaded_times 1
    [ "$(page /healthz)" = ok ]
    [ "$(n_threads)" -eq $((before + 1)) ]
    page /readyz | jq -e '.ready'
    page /status | jq -e '.listeners | length == 2'
    page /clients | jq -e '.clients | length >= 1'
    page /metrics | grep -F 'porthole_worker_cpu_seconds_total{worker="admin"}'
    "$porthole" tap "unix:$dir/admin.sock" --json --count 20 | jq -e 'select(.request != "/load")' && return 1
    # It is there for the next one, too.
    for round in 1 2; do
        configure '' '"watch": false, "workers": 2,'
        reloaded_times $((2 * round))
        [ ! -e "$dir/admin.sock" ]
        [ "$(n_threads)" -eq $((before + 1)) ]
        configure '' "$admin"
        reloaded_times $((2 * round + 1))
        [ "$(page /healthz)" = ok ]
    done
    kill -TERM "$load"
    await_end "$load"
    cat "$dir/load.out"
    grep -qx 'failed 0' "$dir/load.out"
    kill -TERM "$running"
    await_end "$running"
    [ "$status" -eq 0 ]
}

@test "admin: a reload that is refused leaves no admin listener, and a later one makes it" {
    start_target
    configure '' '"watch": false,'
    start_porthole run
    running=$pid
    # Something else is at its path.
    echo mine >"$dir/admin.sock"
    configure '' "\"watch\": false, \"admin\": [ { \"bind\": \"unix:$dir/admin.sock\" } ],"
    kill -HUP "$running"
    eventually grep -q 'reload refused' "$dir/run.err"
    [ "$(ask /still)" = 'GET /still' ]
    [ "$(cat "$dir/admin.sock")" = mine ]
    rm "$dir/admin.sock"
    reloaded_times 1
    [ "$(page /healthz)" = ok ]
    page /quit -X POST
    await_end "$running"
    [ "$status" -eq 0 ]
}

@test "admin: after POST /drain a supervisor's signal is the same wish, and cuts nobody" {
    start_target
    start_admin
    local proxy=$pid
    background held curl --silent --unix-socket "$sock" http://localhost/held/done
    local held=$pid
    await_request /held/done
    page /drain -X POST
    code_is 202
    eventually grep -q 'stopping: what is under way may finish why="POST /drain"' "$dir/run.err"
    kill -TERM "$proxy"
    sleep 0.5
    touch "$dir/done"
    await_end "$held"
    [ "$(cat "$dir/held.out")" = 'GET /held/done' ]
    await_end "$proxy"
    [ "$status" -eq 0 ]
    grep -q 'how="drained"' "$dir/run.err"
}

@test "admin: a reload cannot make another kind of a listener" {
    start_target
    start_admin
    configure '' "\"admin\": [ { \"bind\": \"unix:$sock\" } ],"
    sed -i "s|\"listeners\": .*\"unix:$sock\"|\"listeners\": [ { \"bind\": \"unix:$dir/admin.sock\"|" "$dir/porthole.json"
    kill -HUP "$pid"
    eventually grep -q 'was the other kind of listener' "$dir/run.err"
    [ "$(ask /still)" = 'GET /still' ]
}

@test "admin: of what fields are set to and conditions want, config shows what is neither secret by its origin nor a key" {
    start_target
    echo planted-in-a-file >"$dir/token"
    cat >"$dir/porthole.json" <<JSON
{ "admin": [ { "bind": "unix:$dir/admin.sock" } ],
  "listeners": [ { "bind": "unix:$sock", "routes": [ {
    "match": { "headers": { "X-Key": "planted-here", "X-Pin": { "regex": "planted-\${PLANTED}" }, "X-Version": "2", "X-Kind": { "regex": "a|b" }, "X-Token": { "present": true } },
               "query": { "key": "planted-\${PLANTED}", "access_token": "planted", "format": "json" } },
    "request_headers": { "set": { "Authorization": "Bearer \${file:$dir/token}", "X-Other": "planted-\${PLANTED}", "X-Mine": "bearer planted",
        "X-Forwarded-Id": "\${request.id}", "X-Site": "north" }, "add": { "X-Session": "planted" } },
    "response_headers": { "set": { "Set-Cookie": "a=planted", "X-Frame-Options": "DENY" } },
    "target": "unix:$dir/target.sock" } ] } ] }
JSON
    PLANTED=planted-in-the-environment start_porthole run
    page /config >"$dir/config"
    code_is 200
    lacks planted "$dir/config"
    jq -e '.config.listeners[0].routes[0] | .request_headers.set.Authorization == "[redacted]" and .request_headers.set["X-Site"] == "north"
        and .request_headers.set["X-Forwarded-Id"] == "${request.id}" and .response_headers.set["X-Frame-Options"] == "DENY"
        and .match.headers["x-version"] == "2" and .match.headers["x-kind"].regex == "a|b" and .match.headers["x-token"].present and .match.query.format == "json"' "$dir/config"
}

@test "admin: pages answer while every worker that serves is held up" {
    local running page
    start_target
    start_admin '"workers": 2,'
    running=$pid
    background hold /usr/bin/python3 "$BATS_TEST_DIRNAME/hold_threads.py" "$running"
    eventually eval 'grep -q held "$dir/hold.out" || is_over "$pid"'
    ! is_over "$pid" || skip "threads may not be stopped here: $(cat "$dir/hold.err")"
    fails curl --silent --max-time 0.3 --unix-socket "$sock" http://app/held-up
    for page in /healthz /readyz /metrics /status /config /; do
        page "$page" --output /dev/null
        code_is 200
    done
    page '/log-level?info' -X POST
    code_is 202
    # Who is with them only they know: what is there after a second is told.
    page /clients >"$dir/clients"
    jq -e '.silent == 2 and (.clients | length == 1 and .[0].request == "/clients")' "$dir/clients"
    kill "$pid"
    await_end "$pid"
    [ "$(ask /on)" = 'GET /on' ]
    eventually eval 'page /clients | jq -e ".silent == 0"'
    kill "$running"
    await_end "$running"
    [ "$status" -eq 0 ]
}

@test "admin: clients are told with what they do" {
    start_target
    start_admin '"workers": 2,'
    background held curl --silent --unix-socket "$sock" http://app/held/go
    await_request /held/go
    start_idle_client
    # A worker that is silent for a second is left out.
    all_clients() {
        page /clients >"$dir/clients"
        code_is 200 && jq -e '.silent == 0' "$dir/clients"
    }
    eventually all_clients
    cat "$dir/clients"
    jq -e --arg me "$(id -u)" '.omitted == 0
        and ([.clients[] | select(.state == "exchange" and .request == "/held/go" and .method == "GET"
            and ((.since | sub("[.][0-9]+Z"; "Z") | fromdate) - now | . < 5 and . > -60) and .uid == ($me | tonumber) and .target and .age_us > 0)] | length == 1)
        and ([.clients[] | select(.state == "idle" and .request == null)] | length == 1)' "$dir/clients"
    touch "$dir/go"
}

@test "admin: nothing that a terminal obeys is in a page, whatever peers send" {
    start_target
    start_admin
    printf 'GET /held/\xc2\x9b31m\xe2\x80\xae HTTP/1.1\r\nHost: h\r\n\r\n' >"$dir/request"
    background held socat "SYSTEM:cat $dir/request; sleep 30" "UNIX:$sock"
    is_there() {
        page /clients >"$dir/clients" && jq -e '.clients | map(.request // "" | startswith("/held/")) | any' "$dir/clients" >"$dir/jq"
    }
    eventually is_there
    lacks -P '[^\x0a\x20-\x7e]' "$dir/clients"
}
