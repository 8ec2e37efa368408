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

body_rules() { # [LISTENER-MEMBERS]
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "name": "app", "bind": "unix:$sock", ${1-} "routes": [
    { "name": "create", "match": { "path": "/create" }, "target": "unix:$dir/target.sock", "body": { "max": "1KiB", "json": [
        { "at": "", "keys": ["Image", "HostConfig"] },
        { "at": "/HostConfig/Binds/*", "prefix": ["/srv"], "optional": true } ] } },
    { "name": "short", "target": "unix:$dir/target.sock", "limits": { "body": "4B" } } ] } ] }
JSON
}

@test "check --explain: a body is judged by the route's rules, and what is not given is said not to be" {
    body_rules
    echo '{"Image":"a","HostConfig":{"Binds":["/srv/x:/x"]}}' >"$dir/good"
    echo '{"Image":"a","HostConfig":{"Binds":["/srv/x:/x","/hidden:/x"]}}' >"$dir/bad"
    explain 'POST /create' --body "$dir/good"
    [ "$status" -eq 0 ]
    [[ $output == *'limits: body 1KiB'*'body: 2 rules, judged good'*"forwarded to unix:$dir/target.sock"*"    Content-Length: $(wc -c <"$dir/good")"* ]]
    explain 'POST /create' --body "$dir/bad"
    [ "$status" -eq 1 ]
    [[ $output == *'refused: denied, status 403: body.json[1]: /HostConfig/Binds/* is no path below those that are allowed' ]]
    [[ $output != *hidden* ]]
    explain 'POST /create'
    [ "$status" -eq 0 ]
    [[ $output == *'body: not given (--body FILE), so the 2 rules on it were not judged'*'forwarded to'* ]]
    explain 'POST /create' --header 'Content-Type: text/plain'
    [[ $status -eq 1 && $output == *'refused: denied, status 403: the body is no JSON in UTF-8, says its Content-Type' ]]
    explain 'POST /create' --body /dev/null
    [[ $status -eq 1 && $output == *'refused: denied, status 403: there is no body to be judged' ]]
    explain 'POST /create' --header 'Transfer-Encoding: chunked' --body /dev/stdin <"$dir/good"
    [[ $status -eq 0 && $output == *'body: 2 rules, judged good'* && $output != *Content-Length* ]]
    explain 'POST /else' --body "$dir/good"
    [[ $status -eq 1 && $output == *'refused: body_too_large, status 413'* ]]
}

@test "check --explain: a body that is refused would pass where the listener only observes" {
    body_rules "\"observe\": \"unix:$dir/all.sock\","
    echo '[]' >"$dir/bad"
    explain 'POST /create' --body "$dir/bad"
    [ "$status" -eq 0 ]
    [[ $output == *'only observes: body.json[0]: the document is of another type than the rule can judge'*"forwarded to unix:$dir/all.sock"* ]]
}

@test "check --explain: a body is refused for the same reason as by the program that serves" {
    body_rules
    start_target
    start_porthole run
    n=0
    while IFS= read -r body; do
        printf '%s' "$body" >"$dir/request"
        served=$(ask /create --header 'Content-Type: application/json' --data-binary "@$dir/request" --output /dev/null --write-out '%{http_code}')
        explain 'POST /create' --header 'Content-Type: application/json' --body "$dir/request"
        if [ "$served" = 200 ]; then
            [ "$status" -eq 0 ]
        else
            reason=$(sed 's/.*status [0-9]*: //' <<<"${lines[-1]}")
            eventually grep -qF "reason=\"${reason//\"/\\\"}\"" "$dir/run.err" || { echo "$body: $output"; false; }
            n=$((n + 1))
        fi
    done <<'BODIES'
{"Image":"a"}
{"Image":"a","Cmd":[]}
{"image":"a"}
{"Image":"a","Image":"b"}
{"HostConfig":{"Binds":["/srv/../etc:/x"]}}
{"HostConfig":{"Binds":[]}}
{"HostConfig":[]}
{"Image":1}x
{
BODIES
    [ "$n" -eq 7 ]
}

@test "check: two questions at once, and what describes a request that is not asked for, are wrong usage" {
    body_rules
    for options in "--print --live" "--live --memory" "--memory --explain GET" "--explain GET --print"; do
        # shellcheck disable=SC2086
        run "$porthole" check "$dir/porthole.json" $options
        [[ $status -eq 2 && $output == *"ask one"* ]]
    done
    for options in "--uid 5" "--gid 5" "--header A:b" "--body /dev/null" "--listener a" "--print --uid 5"; do
        # shellcheck disable=SC2086
        run "$porthole" check "$dir/porthole.json" $options
        [[ $status -eq 2 && $output == *"no --explain"* ]]
    done
    mapfile -t groups < <(seq --format '--gid=%.0f' 65)
    run "$porthole" check "$dir/porthole.json" --explain 'GET /' "${groups[@]}"
    [[ $status -eq 2 && $output == *"'65' is one too many; at most 64 are"* ]]
}

@test "check --explain: a body that cannot be had is wrong usage" {
    body_rules
    explain 'POST /create' --body "$dir/none"
    [[ $status -eq 2 && $output == *"cannot read $dir/none: No such file or directory"* ]]
    explain 'POST /create' --body "$dir"
    [[ $status -eq 2 && $output == *"cannot read $dir: Is a directory"* ]]
    echo '{}' >"$dir/request"
    explain 'POST /create' --body "$dir/request" --header 'Content-Length: 1'
    [[ $status -eq 2 && $output == *"$dir/request has 3 bytes, which is not its Content-Length"* ]]
    explain 'POST /create' --body /dev/zero
    [[ $status -eq 2 && $output == *'/dev/zero has more than 16 MiB'* ]]
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

# ---- warnings ----

warned() { # MESSAGE-PATTERN
    [ "$status" -eq 0 ]
    grep -qE "^$dir/porthole.json:[0-9]+:[0-9]+: warning: $1" <<<"$output" || { echo "no $1 in: $output"; false; }
}

@test "check: what is right but probably not meant is warned of, and an error with --strict" {
    configure '"mode": "0777",' '"targets": { "nobody": { "endpoints": [ "unix:/x" ] } },'
    run "$porthole" check "$dir/porthole.json"
    warned '/listeners/0/mode: everybody who can reach the directory may connect'
    warned '/targets/nobody: no listener uses this target'
    [[ $output == *": ok"* ]]
    run "$porthole" check --strict "$dir/porthole.json"
    [ "$status" -eq 78 ]
    [[ $output != *warning:* && $output == *'no listener uses this target'* ]]
    "$porthole" check --print "$dir/porthole.json" 2>/dev/null | jq -e .targets.nobody
    configure '' '"targets": { "unix:/x/~": { "endpoints": [ "unix:/x/~" ] } },'
    run "$porthole" check "$dir/porthole.json"
    warned '/targets/unix:~1x~1~0: no listener uses this target'
}

@test "check: routes that are never taken are warned of, with the route above" {
    taken=0
    while IFS='|' read -r above below verdict; do
        cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "routes": [
    { "name": "above", "match": { $above }, "respond": { "status": 200 } },
    { "name": "below", "match": { $below }, "respond": { "status": 200 } } ] } ] }
JSON
        run "$porthole" check "$dir/porthole.json"
        [ "$status" -eq 0 ]
        if [ "$verdict" = never ]; then
            warned '/listeners/0/routes/1: is never taken: route "above" above takes all that it could'
        else
            [[ $output != *never* ]] || { echo "$above, $below: $output"; false; }
        fi
        taken=$((taken + 1))
    done <<'ROWS'
"path": "/a"|"path": "/a"|never
"path": "/a"|"path": "/b"|taken
"path": "/a"|"path_prefix": "/a"|taken
"path_prefix": "/a"|"path": "/a/b"|never
"path_prefix": "/a"|"path_prefix": "/a/"|never
"path_prefix": "/a/"|"path_prefix": "/a"|taken
"path_prefix": "/a"|"path_prefix": "/ab"|taken
"path_prefix": "/"|"path_regex": "/x.*"|never
"path_regex": "/v[0-9]/x"|"path": "/v1/x"|never
"path_regex": "/v[0-9]/x"|"path_prefix": "/v1/x"|taken
"path_regex": "/x.*"|"path_regex": "/x.*"|never
"path_regex": "/.*"|"path_regex": "/x.*"|taken
"methods": ["GET", "POST"]|"methods": ["GET"], "path": "/a"|never
"methods": ["GET"]|"methods": ["GET", "POST"]|taken
"methods": ["GET"]|"path": "/a"|taken
"host": "*.b"|"host": "a.b", "path": "/a"|never
"host": "*.b"|"host": "*.a.b"|never
"host": "*.b"|"host": "b"|taken
"host": "a.b"|"host": "*.b"|taken
"headers": { "x-a": "1" }|"headers": { "X-A": "1", "X-B": "2" }|never
"headers": { "x-a": "1" }|"headers": { "x-a": "2" }|taken
"headers": { "x-a": "1" }|"path": "/a"|taken
"query": { "a": { "regex": "x" } }|"query": { "a": { "regex": "x" } }|never
"query": { "a": { "present": true } }|"query": { "a": "x" }|taken
"peers": { "allow": [ { "uid": 1 } ] }|"peers": { "allow": [ { "uid": 1 } ] }|never
"peers": { "allow": [ { "uid": 1 } ] }|"path": "/a"|taken
"peers": { "deny": [ { "uid": 1 } ] }|"path": "/a"|taken
ROWS
    [ "$taken" -eq 27 ]
}

@test "check: what looks like a glob or a template in a literal path is warned of" {
    for path in '/a/*' '/a/{id}' '/a^'; do
        cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "routes": [ { "match": { "path_prefix": "$path" }, "respond": { "status": 200 } } ] } ] }
JSON
        run "$porthole" check "$dir/porthole.json"
        [ "$status" -eq 0 ] || { [ "$status" -eq 78 ] && [[ $output == *'percent-encoded'* ]] && continue; }
        warned '/listeners/0/routes/0/match/path_prefix: "." stands for itself here; path_regex matches by pattern'
    done
}

@test "check: a path that is too long to dial, and a listener that only observes, are warned of" {
    long=$dir/$(printf 'a%.0s' {1..100}).sock
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$long", "observe": "unix:/a", "routes": [ { "deny": {} } ] } ] }
JSON
    run "$porthole" check "$dir/porthole.json"
    warned '/listeners/0/bind: the path has [0-9]+ bytes, and clients can dial 107'
    warned '/listeners/0/observe: this listener only observes: its routes refuse nothing'
}

@test "check: run says warnings in its log, and serves" {
    configure '' '"targets": { "nobody": { "endpoints": [ "unix:/x" ] } },'
    start_porthole run
    eventually grep -q ' warn the configuration has something that is probably not meant file=.*line=1 at="/targets/nobody" warning="no listener uses this target"' "$dir/run.err"
}

@test "check: a thousand routes above each other are reviewed in no time" {
    routes=$(seq 3000 | sed 's|.*|{ "match": { "path_prefix": "/r&", "methods": ["GET"] }, "respond": { "status": 200 } },|')
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "routes": [ $routes { "match": { "path": "/r7/x", "methods": ["GET"] }, "respond": { "status": 200 } } ] } ] }
JSON
    run prlimit --cpu=5 "$porthole" check "$dir/porthole.json"
    warned '/listeners/0/routes/3000: is never taken: route ".*#7" above takes all that it could'
}

# ---- --live ----

live() { # STATUS LINE-PATTERN...
    local wanted=$1 line
    shift
    run "$porthole" check --live "$dir/porthole.json"
    [ "$status" -eq "$wanted" ] || { echo "$status: $output"; false; }
    for line; do
        grep -qE -- "^$line$" <<<"$output" || { echo "not '$line' in: $output"; false; }
    done
}

@test "check --live: what a start would meet is told, and left as it is" {
    configure '"name": "app",'
    live 0 'listener app: free' "target unix:$dir/target.sock: $dir/target.sock does not exist"
    start_target
    live 0 'listener app: free' "target unix:$dir/target.sock: its socket is there"
    [ ! -e "$sock" ]
    touch "$sock"
    live 1 "listener app: $sock is a regular file, not a socket; remove it or choose another path"
    rm "$sock"
    start_porthole run
    before=$(inode "$sock")
    live 1 "listener app: another process serves $sock; stop it or use --takeover"
    kill -9 "$pid"
    await_end "$pid"
    live 0 'listener app: a socket that nobody serves lies there, and will be replaced'
    [ "$(inode "$sock")" = "$before" ]
}

@test "check --live: directories to be made, ports, names, logs and rights" {
    background busy socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork /dev/null
    eventually grep -q 'listening on' "$dir/busy.err"
    port=$(sed -n 's/.*listening on .*127.0.0.1:\([0-9]*\).*/\1/p' "$dir/busy.err")
    cat >"$dir/porthole.json" <<JSON
{ "log": { "access": { "to": "$dir/none/access.log" } },
  "listeners": [ { "name": "new", "bind": "unix:$dir/a/app.sock", "routes": [ { "target": "http://localhost:1" } ] },
    { "name": "deep", "bind": "unix:$dir/b/c/app.sock", "routes": [ { "target": "unix:/t" } ] },
    { "name": "abstract", "bind": "unix:@porthole-live-$$", "peers": { "allow": [ { "uid": 0 } ] }, "routes": [ { "target": "http://nowhere.invalid:1" } ] },
    { "name": "port", "bind": "tcp:127.0.0.1:$port", "routes": [ { "target": "unix:/t" } ] } ] }
JSON
    live 1 'listener new: free, and its directory will be made' 'listener abstract: free' \
        "listener deep: directory $dir/b does not exist \(only the last directory of a path is made\)" \
        "listener port: another process serves tcp:127.0.0.1:$port; stop it or use --takeover" \
        'target http://localhost:1: its host has an address' 'target http://nowhere.invalid:1: .+' \
        "access log $dir/none/access.log: No such file or directory"
    [ ! -e "$dir/a" ]
    mkdir "$dir/none"
    live 1 "access log $dir/none/access.log: can be written"
    [ ! -e "$dir/none/access.log" ]
    ln -s /nowhere "$dir/none/access.log"
    live 1 "access log $dir/none/access.log: it is a symbolic link, or behind one .*"
    [ "$(id -u)" -eq 0 ] || return 0
    configure '"name": "app",'
    run setpriv --reuid 4001 --regid 4002 --clear-groups "$porthole" check --live "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"listener app: cannot write to directory $dir: Permission denied (this process has uid 4001, gid 4002)"* ]]
}

@test "check --live: a port of IPv4 is free for IPv6, a name that is bound is not, and a socket that is passed is nobody's" {
    [ -e /proc/net/if_inet6 ] || skip "no IPv6 here"
    background busy socat -d -d TCP4-LISTEN:0,bind=0.0.0.0,fork /dev/null
    eventually grep -q 'listening on' "$dir/busy.err"
    port=$(sed -n 's/.*listening on .*0.0.0.0:\([0-9]*\).*/\1/p' "$dir/busy.err")
    # shellcheck disable=SC2016
    background bound /usr/bin/python3 -uc 'import socket, sys, time
s = socket.socket(socket.AF_UNIX)
s.bind("\0" + sys.argv[1])
print("bound")
time.sleep(60)' "porthole-bound-$$"
    eventually grep -q bound "$dir/bound.out"
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "name": "six", "bind": "tcp:[::]:$port", "routes": [ { "target": "unix:/t" } ] },
    { "name": "four", "bind": "tcp:127.0.0.1:$port", "routes": [ { "target": "unix:/t" } ] },
    { "name": "bound", "bind": "unix:@porthole-bound-$$", "peers": { "allow": [ { "uid": 0 } ] }, "routes": [ { "target": "unix:/t" } ] },
    { "name": "passed", "bind": "fd:web", "routes": [ { "target": "unix:/t" } ] } ] }
JSON
    live 1 'listener six: free' "listener four: another process serves tcp:127.0.0.1:$port; stop it or use --takeover" \
        "listener bound: another process serves unix:@porthole-bound-$$; stop it or use --takeover" \
        'listener passed: whoever starts it has to pass its socket'
}

@test "check --live: a leftover of our own whose mode keeps us out is replaced, and not one of another user" {
    [ "$(id -u)" -eq 0 ] || skip "needs root"
    as_user=(setpriv --reuid 4001 --regid 4002 --clear-groups)
    configure '"name": "app",'
    chmod 777 "$dir"
    "${as_user[@]}" /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$sock"
    for mode in 0000 0060 0066; do
        chmod "$mode" "$sock"
        run "${as_user[@]}" "$porthole" check --live "$dir/porthole.json"
        [ "$status" -eq 0 ]
        [[ $output == *'listener app: a socket that nobody serves lies there, and will be replaced'* ]]
        [ "$(stat -c %a "$sock")" = "$(printf %o "$((mode))")" ]
    done
    chown 4003 "$sock"
    chmod 0600 "$sock"
    run "${as_user[@]}" "$porthole" check --live "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"listener app: cannot tell whether another process serves $sock, "*': Permission denied; remove it if nobody does'* ]]
}

@test "check: a route that any web page on this machine could use is warned of" {
    for bind in tcp:127.0.0.1:8080 'tcp:[::1]:8080'; do
        cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "$bind", "routes": [ { "match": { "path": "/a" }, "target": "unix:/t" }, { "target": "unix:/t" } ] } ] }
JSON
        run "$porthole" check "$dir/porthole.json"
        warned '/listeners/0/routes/0: any web page in a browser on this machine could use this route \(DNS rebinding\)'
        [ "$(grep -c warning "$dir/porthole.json" <<<"$output")" -le 1 ]
        sed -i 's|"path": "/a"|"host": "localhost"|; s|, { "target": "unix:/t" }||' "$dir/porthole.json"
        run "$porthole" check "$dir/porthole.json"
        [ "$output" = "$dir/porthole.json: ok" ]
    done
}

@test "check: only a value that a page cannot know keeps it away, wherever the loopback device is written" {
    n=0
    while IFS='|' read -r bind match verdict; do
        cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "tcp:$bind:8080", "routes": [ { "match": { "path": "/a", $match }, "target": "unix:/t" } ] } ] }
JSON
        run "$porthole" check "$dir/porthole.json"
        if [ "$verdict" = open ]; then
            warned '/listeners/0/routes/0: any web page' || { echo "$bind, $match: $output"; false; }
        else
            [ "$output" = "$dir/porthole.json: ok" ] || { echo "$bind, $match: $output"; false; }
        fi
        n=$((n + 1))
    done <<'ROWS'
127.0.0.1|"methods": ["GET"]|open
127.8.9.10|"methods": ["GET"]|open
[::1]|"methods": ["GET"]|open
[0:0:0:0:0:0:0:1]|"methods": ["GET"]|open
localhost|"methods": ["GET"]|open
LocalHost|"methods": ["GET"]|open
localhost.|"methods": ["GET"]|open
ip6-localhost|"methods": ["GET"]|open
ip6-loopback|"methods": ["GET"]|open
app.localhost|"methods": ["GET"]|open
127.example.org|"methods": ["GET"]|kept
notlocalhost|"methods": ["GET"]|kept
192.0.2.1|"methods": ["GET"]|kept
127.0.0.1|"headers": { "X-Key": { "present": true } }|open
127.0.0.1|"headers": { "X-Forwarded-For": { "present": false } }|open
127.0.0.1|"query": { "key": { "present": true } }|open
127.0.0.1|"headers": { "X-Key": "secret" }|kept
127.0.0.1|"headers": { "X-A": { "present": true }, "Origin": { "regex": "http://localhost(:8080)?" } }|kept
127.0.0.1|"query": { "key": "secret" }|kept
127.0.0.1|"query": { "key": { "regex": "s.*" } }|kept
127.0.0.1|"host": "localhost"|kept
ROWS
    [ "$n" -eq 21 ]
}

@test "check: the bridge of the examples is not for a page that has 127.0.0.1 under a name of its own" {
    bridge=$BATS_TEST_DIRNAME/../../config/examples/bridge-tcp-to-unix.json
    for host in localhost localhost:8080 127.0.0.1:8080; do
        "$porthole" check "$bridge" --explain 'GET /' --header "Host: $host" | grep -q '^forwarded to'
    done
    for host in rebound.example.org:8080 127.0.0.1.example.org localhost.example.org ''; do
        run "$porthole" check "$bridge" --explain 'GET /' --header "Host: $host"
        [ "$status" -eq 1 ]
    done
}

@test "check: explained is what becomes of a trace, where the listener traces" {
    echo "{ \"listeners\": [ { \"bind\": \"unix:$sock\", \"trace\": true, \"routes\": [ { \"target\": \"unix:$dir/t.sock\" } ] } ] }" >"$dir/trace.json"
    run "$porthole" check "$dir/trace.json" --explain 'GET /a' --header 'tracestate: a=1' \
        --header 'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01'
    [ "$status" -eq 0 ]
    [[ $output == *'tracestate: a=1'*'traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-(ours)-01'* ]]
    run "$porthole" check "$dir/trace.json" --explain 'GET /a' --header 'tracestate: a=1' --header 'traceparent: bad'
    [ "$status" -eq 0 ]
    [[ $output == *'traceparent: (one of ours)'* && $output != *tracestate* ]]
}
