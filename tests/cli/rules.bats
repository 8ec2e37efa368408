# What routes refuse, and what they would refuse: outcomes, answers and the error log.

load helper

# Routes in front of the target: `configure_routes ROUTES [LISTENER-MEMBERS]`, in JSON.
configure_routes() {
    cat >"$dir/porthole.json" <<JSON
{ "log": { "access": { "to": "$dir/access.log" } }, ${3-}
  "listeners": [ { "name": "app", "bind": "unix:$sock", ${2-} "routes": [ $1 ] } ],
  "targets": { "app": { "endpoints": [ "unix:$dir/target.sock" ] } } }
JSON
}

status_of() { # PATH [CURL-OPTION...]
    ask "$@" --output "$dir/body" --write-out '%{http_code}'
}

logged() { # PATTERN
    eventually grep -q -e "$1" "$dir/run.err"
}

@test "rules: a route that denies answers a problem, and says so in both logs" {
    configure_routes '{ "match": { "path": "/no" }, "name": "no", "deny": {} }, { "target": "app" }'
    start_target
    start_porthole run
    [ "$(status_of /no)" = 403 ]
    jq -e '.outcome == "denied" and .status == 403' "$dir/body"
    [ "$(status_of /yes)" = 200 ]
    logged ' warn .*outcome="denied" route="no"'
    eventually grep -q 'status=403 outcome="denied" route="no"' "$dir/access.log"
    lacks -q /no "$dir/target.out"
}

@test "rules: a refusal has the status and the words that it is given" {
    configure_routes '{ "match": { "path": "/a" }, "deny": { "status": 451, "body": "not here\n", "content_type": "text/x" } },
        { "match": { "path": "/b" }, "deny": { "status": 404 } }, { "deny": { "body": "" } }'
    start_porthole run
    [ "$(ask /a --write-out '%{http_code} %{content_type}')" = $'not here\n451 text/x' ]
    [ "$(status_of /b)" = 404 ]
    jq -e '.outcome == "denied" and .status == 404' "$dir/body"
    [ "$(status_of /c)" = 403 ]
    [ ! -s "$dir/body" ]
}

@test "rules: the connection lives on after a refusal, with a body and without" {
    configure_routes '{ "match": { "path": "/no" }, "deny": {} }, { "target": "app" }'
    start_target
    start_porthole run
    run curl --silent --verbose --unix-socket "$sock" --data body http://localhost/no http://localhost/no http://localhost/yes
    [ "$(grep -c 'HTTP/1.1 403' <<<"$output")" -eq 2 ]
    [ "$(grep -c 'HTTP/1.1 200' <<<"$output")" -eq 1 ]
    [ "$(grep -cE 'Re-using existing (http: )?connection' <<<"$output")" -eq 2 ]
}

@test "rules: a flood of refusals is told in a few lines, which say how many there were" {
    configure_routes '{ "name": "no", "deny": {} }'
    start_porthole run
    local began=$SECONDS
    curl --silent --unix-socket "$sock" --output /dev/null 'http://localhost/[1-300]'
    sleep 1.1
    [ "$(status_of /last)" = 403 ]
    logged 'request="/last"'
    told=$(grep -c 'outcome="denied"' "$dir/run.err")
    untold=$(sed -n 's/.* untold=\([0-9]*\).*/\1/p' "$dir/run.err" | awk '{ n += $1 } END { print n + 0 }')
    [ "$untold" -gt 0 ]
    [ "$told" -le "$((20 * (SECONDS - began + 3)))" ] # 20 in a second
    [ "$((told + untold))" -eq 301 ]
    eventually eval '[ "$(grep -c "outcome=\"denied\"" "$dir/access.log")" -eq 301 ]'
}

@test "rules: a listener that only observes forwards what its routes refuse, and tells it" {
    configure_routes '{ "name": "read", "match": { "methods": ["GET"], "path": "/read" }, "target": "app" },
        { "name": "no", "match": { "path": "/no" }, "deny": {} }' '"observe": "app",'
    start_target
    start_porthole run
    logged ' warn .*only observes.* listener="app" target="app"'
    [ "$(ask /no --data body)" = $'POST /no\nbody' ]
    [ "$(ask /read)" = "GET /read" ]
    [ "$(ask /else)" = "GET /else" ]
    [ "$(status_of /a//b --path-as-is)" = 400 ]
    logged ' warn .*request="/no" .*outcome="observed" route="no" target="app"'
    logged ' warn .*request="/else" .*outcome="observed" reason="no route matches" target="app"'
    lacks -q 'request="/read".*observed' "$dir/run.err"
    eventually grep -q 'request="/no" status=200 outcome="observed" route="no" target="app"' "$dir/access.log"
    grep -q 'request="/read" status=200 outcome="forwarded" route="read"' "$dir/access.log"
    eventually grep -q 'request="/else" status=200 outcome="observed"' "$dir/access.log"
    kill -TERM "$pid"
    logged 'outcome="observed" count=2'
}

@test "rules: a tunnel that the routes refuse is told before it ends, where the listener only observes" {
    configure_routes '{ "name": "no", "deny": {} }' '"observe": "app",'
    background target socat "UNIX-LISTEN:$dir/target.sock" 'SYSTEM:read a; printf "HTTP/1.1 101 x\r\nConnection\: upgrade\r\nUpgrade\: tcp\r\n\r\n"; sleep 20'
    eventually test -S "$dir/target.sock"
    start_porthole run
    background client curl --silent --max-time 20 --unix-socket "$sock" -H 'Connection: upgrade' -H 'Upgrade: tcp' http://localhost/exec
    logged ' warn .*request="/exec" .*outcome="observed" route="no"'
}

@test "rules: routes match by pattern, field, query and peer, and a request that cannot be told is refused" {
    configure_routes '{ "name": "pattern", "match": { "path_regex": "/v[0-9]+/info" }, "respond": { "status": 201 } },
        { "name": "field", "match": { "headers": { "X-Key": "secret" } }, "respond": { "status": 202 } },
        { "name": "query", "match": { "query": { "all": { "regex": "1|true" } } }, "respond": { "status": 203 } },
        { "name": "peer", "match": { "peers": { "allow": [ { "uid": '"$(id -u)"' } ] }, "path": "/us" }, "respond": { "status": 206 } },
        { "name": "others", "match": { "peers": { "deny": [ { "uid": '"$(id -u)"' } ] } }, "respond": { "status": 207 } }'
    start_porthole run
    [ "$(status_of /v12/info)" = 201 ]
    [ "$(status_of /v12/%69nfo?all=0)" = 201 ]
    [ "$(status_of /v12/info/)" = 404 ]
    [ "$(status_of /x -H 'X-Key: secret')" = 202 ]
    [ "$(status_of /x -H 'X-Key: secrets')" = 404 ]
    [ "$(status_of /x -H 'X-Key: secret' -H 'Connection: X-Key')" = 404 ]
    [ "$(status_of '/x?all=%31')" = 203 ]
    [ "$(status_of '/x?all=2')" = 404 ]
    [ "$(status_of /us)" = 206 ]
    [ "$(status_of /x -H 'X-Key: a' -H 'X-Key: secret')" = 400 ]
    jq -e '.outcome == "undecided"' "$dir/body"
    [ "$(status_of '/x?all=2&all=1')" = 400 ]
    logged 'outcome="undecided" reason="a parameter that a route looks at came twice" route="query"'
}

@test "rules: supplementary groups count on routes" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
    configure_routes '{ "match": { "peers": { "allow": [ { "gid": 4321 } ] } }, "respond": { "status": 200 } }, { "deny": {} }' \
        '"mode": "0666",'
    start_porthole run
    [ "$(setpriv --reuid 99 --regid 1 --groups 4321 curl --silent --unix-socket "$sock" --output /dev/null --write-out '%{http_code}' http://localhost/)" = 200 ]
    [ "$(setpriv --reuid 99 --regid 1 --groups 4320 curl --silent --unix-socket "$sock" --output /dev/null --write-out '%{http_code}' http://localhost/)" = 403 ]
    [ "$(setpriv --reuid 4321 --regid 1 --clear-groups curl --silent --unix-socket "$sock" --output /dev/null --write-out '%{http_code}' http://localhost/)" = 403 ]
}

@test "rules: a body that a rule refuses is told by its rule, never by its value, and the connection lives on" {
    configure_routes '{ "name": "create", "match": { "path": "/create" }, "target": "app",
        "body": { "json": [ { "at": "/Image", "in": ["a", "b"] }, { "at": "/Token", "absent": true } ] } }, { "target": "app" }'
    start_target
    start_porthole run
    ask_create() {
        ask /create --header 'Content-Type: application/json' "$@"
    }
    [ "$(ask_create --data '{"Image":"b"}')" = $'POST /create\n{"Image":"b"}' ]
    [ "$(ask_create --data '{"Image":"b"}' --header 'Expect: 100-continue')" = $'POST /create\n{"Image":"b"}' ]
    [ "$(ask_create --data '{"Image":"hidden"}' --output "$dir/body" --write-out '%{http_code}')" = 403 ]
    jq -e '.outcome == "denied" and .status == 403' "$dir/body"
    logged ' warn .*outcome="denied" reason="body.json\[0\]: /Image is none of the values that are allowed" route="create"'
    [ "$(ask_create --data '{"Image":"a","Token":"hidden"}' --output "$dir/body" --write-out '%{http_code}')" = 403 ]
    logged 'reason="body.json\[1\]: /Token is there"'
    [ "$(status_of /create)" = 403 ]
    logged 'reason="there is no body to be judged"'
    lacks -q hidden "$dir/run.err" "$dir/access.log" "$dir/body" "$dir/target.out"
    run curl --silent --verbose --unix-socket "$sock" --header 'Content-Type: application/json' --data '{"Image":"c"}' \
        http://localhost/create http://localhost/create http://localhost/else
    [ "$(grep -c 'HTTP/1.1 403' <<<"$output")" -eq 2 ]
    [ "$(grep -c 'HTTP/1.1 200' <<<"$output")" -eq 1 ]
    [ "$(grep -cE 'Re-using existing (http: )?connection' <<<"$output")" -eq 2 ]
}

@test "rules: what a rule on a body refuses has the status and the words of the route, told like any refusal" {
    configure_routes '{ "name": "create", "match": { "path": "/create" }, "target": "app", "response_headers": { "set": { "X-By": "porthole" } },
        "body": { "json": [ { "at": "/Image", "in": ["a"] } ],
            "deny": { "status": 422, "content_type": "application/json", "body": "{\"message\": \"not through this socket\"}\n" } } },
        { "match": { "path": "/status" }, "target": "app", "body": { "json": [ { "at": "/Image", "in": ["a"] } ], "deny": { "status": 418 } } }, { "target": "app" }'
    start_target
    start_porthole run
    refusal=$'{"message": "not through this socket"}\n422 application/json porthole'
    form='%{http_code} %{content_type} %header{x-by}'
    [ "$(ask /create --data '{"Image":"hidden"}' --header 'Content-Type: application/json' --write-out "$form")" = "$refusal" ]
    logged ' warn .*outcome="denied" reason="body.json\[0\]: /Image is none of the values that are allowed" route="create"'
    [ "$(ask /create --data x --header 'Content-Type: text/plain' --write-out "$form")" = "$refusal" ]
    [ "$(ask /create --write-out "$form")" = "$refusal" ]
    eventually grep -q 'status=422 outcome="denied" .*route="create"' "$dir/access.log"
    [ "$(ask /create --data '{"Image":"a"}' --header 'Content-Type: application/json')" = $'POST /create\n{"Image":"a"}' ]
    # a body that nobody waits for
    head -c 3000000 /dev/zero >"$dir/large"
    [ "$(ask /create --data-binary "@$dir/large" --header 'Content-Type: text/plain' --header 'Transfer-Encoding: chunked' --write-out "$form")" = "$refusal" ]
    [ "$(status_of /status --data '{}' --header 'Content-Type: application/json')" = 418 ]
    jq -e '.outcome == "denied" and .status == 418' "$dir/body"
    run curl --silent --verbose --unix-socket "$sock" --header 'Content-Type: application/json' --data '{"Image":"c"}' \
        http://localhost/create http://localhost/else
    [ "$(grep -cE 'Re-using existing (http: )?connection' <<<"$output")" -eq 1 ]
    "$porthole" check "$dir/porthole.json" --print | jq -e '.listeners[0].routes[0].body.deny.status == 422'
    echo '{}' >"$dir/request"
    run "$porthole" check "$dir/porthole.json" --explain 'POST /create' --body "$dir/request"
    [[ $status -eq 1 && $output == *'refused: denied, status 422: body.json[0]: /Image is missing' ]]
}

@test "rules: an answer to an upload that nobody wants arrives whole, however much waits before it and whatever its size" {
    filler() { # BYTES
        head -c "$1" /dev/zero | tr '\0' "${2-a}"
    }
    filler 921600 >"$dir/large"
    configure_routes "{ \"match\": { \"path\": \"/small\" }, \"respond\": { \"status\": 200, \"body\": \"$(filler 8000)\" } },
        { \"match\": { \"path\": \"/large\" }, \"respond\": { \"status\": 200, \"file\": \"$dir/large\" } },
        { \"deny\": { \"body\": \"$(filler 16000)\" } }"
    start_porthole run
    # A socket's buffer is full after some number of these, and then there is no room for a refusal at once.
    /usr/bin/python3 "$BATS_TEST_DIRNAME/pipeline.py" "$sock" /no {0..60} >"$dir/got"
    for n in {0..60}; do echo "$n and 16000"; done | diff - "$dir/got"
    /usr/bin/python3 "$BATS_TEST_DIRNAME/pipeline.py" "$sock" /large 0 24 >"$dir/got"
    printf '%s and 921600\n' 0 24 | diff - "$dir/got"
}

@test "rules: a body that is only observed goes on, and is told" {
    configure_routes '{ "name": "create", "match": { "path": "/create" }, "target": "app",
        "body": { "json": [ { "at": "/Image", "in": ["a"] } ] } }' '"observe": "app",'
    start_target
    start_porthole run
    [ "$(ask /create --header 'Content-Type: application/json' --data '{"Image":"b"}')" = $'POST /create\n{"Image":"b"}' ]
    logged ' warn .*outcome="observed" reason="body.json\[0\]: /Image is none of the values that are allowed" route="create"'
    [ "$(ask /create --header 'Content-Type: text/plain' --data x)" = $'POST /create\nx' ]
    logged 'outcome="observed" reason="the body is no JSON in UTF-8, says its Content-Type"'
}

@test "rules: the last of a thousand routes is found, and the order of routes counts" {
    routes=$(seq 1000 | sed 's|.*|{ "match": { "path_prefix": "/r&" }, "respond": { "status": 200, "body": "&" } },|')
    configure_routes "$routes"' { "match": { "path_prefix": "/r7/x" }, "respond": { "status": 200, "body": "never" } }, { "respond": { "status": 200, "body": "else" } }'
    start_porthole run
    [ "$(ask /r1000/a)" = 1000 ]
    [ "$(ask /r1000)" = 1000 ]
    [ "$(ask /r7/x)" = 7 ]
    [ "$(ask /r1001)" = else ]
    [ "$(ask /)" = else ]
}

@test "rules: a route has limits and time-outs of its own" {
    configure_routes '{ "match": { "path_prefix": "/slow" }, "target": "app", "timeouts": { "response": "100ms" } },
        { "match": { "path": "/small" }, "target": "app", "limits": { "body": "4B" } },
        { "match": { "path": "/large" }, "target": "app", "limits": { "body": "unlimited" } }, { "target": "app" }' '"limits": { "body": "8B" },'
    start_target
    start_porthole run
    [ "$(status_of /slow/1000)" = 504 ]
    [ "$(status_of /else)" = 200 ]
    [ "$(status_of /small --data 1234)" = 200 ]
    [ "$(status_of /small --data 12345)" = 413 ]
    [ "$(status_of /small -H 'Transfer-Encoding: chunked' --data 12345)" = 413 ]
    [ "$(status_of /else --data 12345678)" = 200 ]
    [ "$(status_of /else --data 123456789)" = 413 ]
    [ "$(status_of /large --data 123456789)" = 200 ]
}

@test "rules: a rate is counted over all workers, and what is beyond it is told when to come again" {
    configure_routes '{ "name": "some", "rate": { "requests": 5, "per": "1h" }, "target": "app" }'
    sed -i 's/"log"/"workers": 4, "log"/' "$dir/porthole.json"
    start_target
    start_porthole run
    for _ in $(seq 20); do
        ask /x --output /dev/null --write-out '%{http_code}\n'
    done >"$dir/codes"
    [ "$(grep -c 200 "$dir/codes")" -eq 5 ]
    [ "$(grep -c 429 "$dir/codes")" -eq 15 ]
    ask /x --include | grep -qxE $'Retry-After: (6[0-9][0-9]|7[0-2][0-9])\r'
    logged ' warn .*outcome="rate_limited" route="some"'
    [ "$(grep -c /x "$dir/target.out")" -eq 5 ]
}

@test "rules: a rate by uid is each user's own" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
    configure_routes '{ "rate": { "requests": 2, "per": "1h", "by": "uid" }, "respond": { "status": 200 } }' '"mode": "0666",'
    start_porthole run
    for uid in 1 2; do
        for expected in 200 200 429; do
            [ "$(setpriv --reuid $uid --regid 1 --clear-groups curl --silent --unix-socket "$sock" --output /dev/null --write-out '%{http_code}' http://localhost/)" = $expected ]
        done
    done
}

@test "rules: the body of an answer can be in a file, of any bytes, as it was when the configuration was read" {
    printf '<p>\0\r\n</p>' >"$dir/page"
    configure_routes "{ \"match\": { \"path\": \"/none\" }, \"respond\": { \"status\": 200, \"file\": \"/dev/null\" } },
        { \"respond\": { \"status\": 200, \"file\": \"$dir/page\", \"content_type\": \"text/html\" } }" '' '"watch": false,'
    run "$porthole" check -c "$dir/porthole.json"
    [ "$status" -eq 78 ]
    sed -i "s#/dev/null#$dir/empty#" "$dir/porthole.json"
    : >"$dir/empty"
    start_porthole run
    ask / --output "$dir/body"
    cmp "$dir/body" "$dir/page"
    echo changed >"$dir/page"
    ask / --output "$dir/body"
    [ "$(stat --format=%s "$dir/body")" -eq 10 ]
    [ "$(status_of /none)" = 200 ]
    [ ! -s "$dir/body" ]
    head -c 1048576 /dev/zero >"$dir/page"
    "$porthole" check -c "$dir/porthole.json"
    head -c 1048577 /dev/zero >"$dir/page"
    run "$porthole" check -c "$dir/porthole.json"
    [ "$status" -eq 78 ]
    grep -q 'has more than 1 MiB' <<<"$output"
}

@test "rules: an explanation has the rewritten path beside the other, and where a redirect leads" {
    configure_routes '{ "match": { "path": "/old" }, "redirect": { "location": "/new" } },
        { "target": "app", "rewrite": { "add_prefix": "/v1" } }'
    "$porthole" check -c "$dir/porthole.json" --explain 'GET /a?b' >"$dir/out"
    grep -qx 'rewritten: /v1/a?b instead of /a?b' "$dir/out"
    grep -qx '    GET /v1/a?b HTTP/1.1' "$dir/out"
    "$porthole" check -c "$dir/porthole.json" --explain 'GET /old' | grep -qx 'redirected by the route, status 308, to /new'
    run "$porthole" check -c "$dir/porthole.json" --explain 'GET /a/../b'
    [ "$status" -ne 0 ]
    grep -q 'refused: ambiguous_path, status 400' <<<"$output"
}

@test "rules: a condition may be what a file holds at the moment, and nobody passes while it holds nothing" {
    configure_routes '{ "name": "keyed", "match": { "headers": { "X-Key": "k-${file:'"$dir"'/key}" } }, "respond": { "status": 200 } },
        { "name": "asked", "match": { "query": { "key": "${file:'"$dir"'/key}" } }, "respond": { "status": 201 } }, { "deny": {} }'
    echo first >"$dir/key"
    start_porthole run
    [ "$(status_of /x -H 'X-Key: k-first')" = 200 ]
    [ "$(status_of /x -H 'X-Key: first')" = 403 ]
    [ "$(status_of /x -H 'X-Key: k-firs')" = 403 ]
    [ "$(status_of /x -H 'X-Key: k-firsT')" = 403 ]
    [ "$(status_of /x -H 'X-Key;')" = 403 ]
    [ "$(status_of '/x?key=first')" = 201 ]
    echo second >"$dir/new" && mv "$dir/new" "$dir/key"
    eventually key_is second
    [ "$(status_of /x -H 'X-Key: k-first')" = 403 ]
    [ "$(status_of '/x?key=first')" = 403 ]
    : >"$dir/key"
    eventually test_status 500 /x -H 'X-Key: k-'
    logged 'outcome="secret_unusable" reason=".*/key.* route="keyed"'
    [ "$(status_of '/x?key=')" = 500 ]
    [ "$(status_of /x)" = 403 ]
    sed 's/request="[^"]*"//' "$dir/run.err" | lacks -e first -e second # but what clients have sent
    run "$porthole" check "$dir/porthole.json" --print
    [[ $output == *'"x-key": "k-${file:'"$dir"'/key}"'* ]]
    echo third >"$dir/key"
    "$porthole" check "$dir/porthole.json" --explain 'GET /x' --header 'X-Key: k-third' >"$dir/explained"
    grep -q 'route 1, keyed: taken' "$dir/explained"
    run "$porthole" check "$dir/porthole.json" --explain 'GET /x' --header 'X-Key: k-other'
    [[ $status -eq 1 && $output == *'route 1, keyed: no, by match.headers'* && $output != *third* ]]
}

key_is() { # CONTENT
    test_status 200 /x -H "X-Key: k-$1"
}

test_status() { # STATUS PATH [CURL-OPTION...]
    local wanted=$1
    shift
    [ "$(status_of "$@")" = "$wanted" ]
}
