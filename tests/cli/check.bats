# porthole check: its exit status and its outputs. What it finds is tested in config.bats.

load helper

@test "check: a good file is said to be, status 0" {
    configure
    run "$porthole" check -c "$dir/porthole.json"
    [ "$status" -eq 0 ]
    [ "$output" = "$dir/porthole.json: ok" ]
}

@test "check: a broken file is reported on standard error with its place, status 78" {
    echo '{ "listeners": [ { "bind": "unix:/run/x.sock", "modee": "0660", "routes": [] } ] }' >"$dir/broken.json"
    run "$porthole" check -c "$dir/broken.json"
    [ "$status" -eq 78 ]
    [[ $output == "$dir/broken.json:1:"*modee* ]]
    [ "${#lines[@]}" -ge 2 ]
    [ -z "$("$porthole" check -c "$dir/broken.json" 2>/dev/null)" ]
}

@test "check: a file that cannot be read is a configuration error that names it" {
    run "$porthole" check -c "$dir/none.json"
    [ "$status" -eq 78 ]
    [[ $output == *"$dir/none.json"*"No such file"* ]]
    run "$porthole" check -c "$dir"
    [ "$status" -eq 78 ]
}

@test "check: what --print prints is complete and has the same meaning" {
    configure '"mode": "0600",'
    "$porthole" check -c "$dir/porthole.json" --print >"$dir/printed.json"
    [ "$(jq -r '.listeners[0].mode' "$dir/printed.json")" = 0600 ]
    [ "$(jq -r '.listeners[0].backlog' "$dir/printed.json")" = 1024 ]
    "$porthole" check -c "$dir/printed.json" --print | cmp - "$dir/printed.json"
}

@test "check: --print of a broken file prints nothing" {
    echo '{' >"$dir/broken.json"
    run "$porthole" check --print -c "$dir/broken.json"
    [ "$status" -eq 78 ]
    [ -z "$("$porthole" check --print -c "$dir/broken.json" 2>/dev/null)" ]
}

# ---- --explain ----

rules() { # [LISTENER-MEMBERS]
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [
  { "name": "bytes", "bind": "unix:$dir/bytes.sock", "stream": { "target": "unix:$dir/target.sock" } },
  { "name": "app", "bind": "unix:$sock", ${1-} "routes": [
    { "name": "read", "match": { "methods": ["GET"], "path_regex": "/v[0-9]+/.*" }, "target": "unix:$dir/target.sock",
      "timeouts": { "response": "1d" }, "limits": { "body": "1KiB" } },
    { "name": "keyed", "match": { "headers": { "X-Key": "secret" } }, "target": "unix:$dir/target.sock" },
    { "name": "us", "match": { "path": "/us", "peers": { "allow": [ { "gid": 3000 } ] } }, "respond": { "status": 204 } },
    { "name": "no", "match": { "path_prefix": "/no" }, "deny": { "status": 451 } } ] } ] }
JSON
}

explain() { # REQUEST [OPTION...]
    local request=$1
    shift
    run "$porthole" check "$dir/porthole.json" --explain "$request" "$@"
}

@test "check --explain: the route that is taken, what did not hold in those above, and what is sent" {
    rules
    explain 'GET /x?a=1' --header 'X-Key: secret' --header 'X-Real-IP: 192.0.2.7' --uid 1000 --gid 1001
    [ "$status" -eq 0 ]
    [ "${lines[0]}" = 'listener app, asked by uid 1000, gid 1001' ]
    [ "${lines[1]}" = 'route 1, read: no, by match.path_regex' ]
    [ "${lines[2]}" = 'route 2, keyed: taken' ]
    [[ $output == *"forwarded to unix:$dir/target.sock"* ]]
    [[ $output == *'    GET /x?a=1 HTTP/1.1'* ]]
    [[ $output == *'    X-Key: secret'* ]]
    [[ $output == *'    Forwarded: for=_uid-1000.gid-1001;host=localhost;proto=http'* ]]
    [[ $output != *192.0.2.7* ]]
    explain 'GET /v1/x'
    [[ $output == *'limits: body 1KiB, timeouts.response 1d'* ]]
}

@test "check --explain: what is refused, with outcome and status 1" {
    rules
    explain 'POST /no/x'
    [ "$status" -eq 1 ]
    [[ $output == *'route 1, read: no, by match.methods'*'route 4, no: taken'*'refused: denied, status 451'* ]]
    explain 'POST /x'
    [ "$status" -eq 1 ]
    [[ $output == *'route 4, no: no, by match.path_prefix'*'refused: no_route, status 404'* ]]
    explain 'GET /v1/../x'
    [[ $status -eq 1 && $output == *'refused: ambiguous_path, status 400'* ]]
    explain 'GET /x' --header 'X-Key: a' --header 'X-Key: b'
    [[ $status -eq 1 && $output == *'route 2, keyed: cannot be told: a field that a route looks at came twice'*'refused: undecided'* ]]
    explain 'GET /x' --header 'Host: a b'
    [[ $status -eq 1 && $output == *'refused: malformed, status 400: '* ]]
    explain 'CONNECT a:1'
    [[ $status -eq 1 && $output == *'refused: not_supported, status 501'* ]]
}

@test "check --explain: who asks counts, for the listener and for its routes" {
    rules '"peers": { "allow": [ { "uid": 1000 }, { "gid": 3000 } ], "deny": [ { "uid": 1001 } ] },'
    explain 'GET /us' --uid 1002
    [[ $status -eq 1 && $output == *'may not connect: it fits no rule of peers.allow'* ]]
    explain 'GET /us' --uid 1001 --gid 3000
    [[ $status -eq 1 && $output == *'may not connect: it fits a rule of peers.deny'* ]]
    explain 'GET /us' --uid 1000
    [[ $status -eq 1 && $output == *'route 3, us: no, by match.peers'* ]]
    explain 'GET /us' --uid 1000 --gid 5 --gid 3000
    [[ $status -eq 0 && $output == *'answered by the route, status 204'* ]]
}

@test "check --explain: a listener that only observes lets everything pass" {
    rules "\"observe\": \"unix:$dir/all.sock\","
    explain 'GET /no'
    [[ $status -eq 0 && $output == *"only observes"*"forwarded to unix:$dir/all.sock"* ]]
    explain 'GET /else'
    [[ $status -eq 0 && $output == *"only observes"*"forwarded to unix:$dir/all.sock"* ]]
}

@test "check --explain: what cannot be asked is wrong usage" {
    rules
    for request in GET /x 'GET ' 'GET /a b' ''; do
        explain "$request"
        [ "$status" -eq 2 ]
        [[ $output == *"is no request; write it as 'GET /path'"* ]]
    done
    explain 'GET /x' --header 'no colon'
    [[ $status -eq 2 && $output == *"is no field"* ]]
    explain 'GET /x' --listener other
    [[ $status -eq 2 && $output == *"there is no listener 'other' with routes"* ]]
    explain 'GET /x' --listener bytes
    [ "$status" -eq 2 ]
    explain 'GET /x' --uid nobody-has-this-name
    [[ $status -eq 2 && $output == *'not in /etc/passwd'* ]]
}

@test "check --explain: what it prints does not reach into the terminal" {
    rules
    explain 'GET /v1/x' --header $'X-A: \xc2\x9b31m'
    [ "$status" -eq 0 ]
    [[ $output != *$'\xc2\x9b'* ]]
}

@test "check: the file may be an argument, and has a default" {
    configure
    run "$porthole" check "$dir/porthole.json"
    [ "$status" -eq 0 ]
    [ ! -e /etc/porthole/porthole.json ] || skip "there is a configuration on this machine"
    for verb in check run; do
        run "$porthole" "$verb"
        [ "$status" -eq 78 ]
        [[ $output == */etc/porthole/porthole.json* ]]
    done
}
