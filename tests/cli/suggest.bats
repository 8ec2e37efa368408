# porthole suggest: from a log to routes.

load helper

seen() { # METHOD REQUEST [MEMBERS]
    printf '{"listener":"l","method":"%s","request":"%s","status":200,"outcome":"forwarded","target":"t","endpoint":"unix:/run/t.sock"%s}\n' "$1" "$2" "${3-}"
}

suggest() { # FILTER-OF-JQ
    "$porthole" suggest "$dir/log" >"$dir/suggested.json" 2>"$dir/told"
    cat "$dir/suggested.json" "$dir/told"
    "$porthole" check --strict "$dir/suggested.json"
    jq -e ".listeners[0].routes | $1" "$dir/suggested.json"
}

@test "suggest: a line may be as long as tap makes one" {
    seen GET /long ",\"request_body\":\"$(head -c 900000 /dev/zero | tr '\0' x)\"" >"$dir/log"
    suggest 'map(.match.path) == ["/long", null]'
}

@test "suggest: ids, names, numbers, UUIDs and versions are generalised, words are not" {
    {
        seen GET /v1.44/containers/json
        seen GET "/v1.44/containers/$(printf 'ab%.0s' {1..32})/json"
        seen GET /v1.41/containers/web-1/json
        seen GET /things/17/0191f2c4-9a3e-7c1d-8f00-5a5a5a5a5a5a/a.b
        seen GET /_ping
        seen HEAD /_ping
        seen GET /v1.44/_ping
    } >"$dir/log"
    suggest 'map(.match.path_regex // .match.path) == ["/v1\\.[0-9]+/containers/json",
        "/v1\\.[0-9]+/containers/[a-zA-Z0-9][a-zA-Z0-9_.-]*/json", "/things/[0-9]+/[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}/a\\.b",
        "(?:/v1\\.[0-9]+)?/_ping", "/_ping", null]'
    grep -q '^ *2  get-containers-id-json ' "$dir/told"
}

@test "suggest: the last route refuses, and what was not seen is refused" {
    seen GET /v1.44/containers/json >"$dir/log"
    suggest '.[-1].deny.status == 403 and length == 2'
    for line in 'GET /v1.45/containers/json: forwarded' 'POST /v1.44/containers/json: refused' 'GET /v2.0/containers/json: refused' \
        'GET /v1.44/containers/json/x: refused' 'GET /v1.44/containers/a/json: refused' 'GET /containers/json: refused'; do
        run "$porthole" check "$dir/suggested.json" --explain "${line%: *}"
        echo "$line: $output"
        if [ "${line##*: }" = refused ]; then
            [[ $output == *"not through this socket"* || $output == *denied* || $output == *rest* ]]
        else
            [[ $output != *'"rest" denies'* && $output == *get-containers-json* ]]
        fi
    done
}

@test "suggest: an upgrade passes where it was taken, by its name; flags that never changed are asked for" {
    {
        seen GET '/logs?follow=1&stdout=1&tail=all'
        seen GET '/logs?stdout=1&tail=10'
        seen POST /attach ',"upgrade":"tcp, X"' | sed 's/"status":200,"outcome":"forwarded"/"status":101,"outcome":"tunneled"/'
    } >"$dir/log"
    suggest '.[0].match.query == {"stdout": "1"} and .[0].upgrade == [] and .[1].upgrade == ["tcp", "x"]'
}

@test "suggest: what was refused, answered by porthole or cannot be let through is left out, and told" {
    {
        seen GET /good
        seen GET /bad | sed 's/forwarded/denied/'
        seen GET /own | sed 's/forwarded/responded/'
        seen GET /a//b
        echo nonsense
        echo '{"method":"GET","method":"GET","request":"/twice"}'
    } >"$dir/log"
    suggest 'length == 2 and .[0].match.path == "/good"'
    [ "$(grep -c 'left out' "$dir/told")" -eq 3 ]
    grep -q '^ *2  lines are no JSON' "$dir/told"
}

@test "suggest: one listener's, from standard input; nothing is a failure" {
    seen GET /one >"$dir/log"
    run "$porthole" suggest --listener other "$dir/log"
    [ "$status" -eq 1 ]
    run bash -c '"$1" suggest --listener l <"$2" 2>/dev/null | jq -e ".listeners[0].routes[0].match.path == \"/one\""' - "$porthole" "$dir/log"
    [ "$status" -eq 0 ]
    run "$porthole" suggest "$dir/absent"
    [ "$status" -eq 2 ]
    [[ $output == *"cannot open"* ]]
}
