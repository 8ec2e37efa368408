# Secrets, one in every place that can hold one: traffic goes by, and nothing that porthole shows to anybody has them.
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

# A mark for each place. Variables and files are secrets wherever they stand; literals where a field is set or compared that is a key by its name.
plant() {
    local name
    for name in FIELD ANSWER LOCATION KEY PATTERN QUERY BODY DENIAL RULE PREFIX TO FITS HEALTH; do
        export "PLANTED_$name=planted-env-$name"
    done
    for name in field answer key query; do
        printf 'planted-file-%s' "$name" >"$dir/$name"
    done
    openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=h.test -keyout "$dir/key.pem" -out "$dir/cert.pem" 2>"$dir/openssl.err"
    cat >"$dir/porthole.json" <<JSON
{ "log": { "level": "debug", "access": { "format": "${1:-json}", "to": "$dir/access.log" } },
  "admin": [ { "bind": "unix:$dir/admin.sock", "redact": [ "X-Mine" ] } ],
  "targets": {
    "t": { "endpoints": [ "unix:$dir/target.sock" ], "health": { "path": "/health?key=\${PLANTED_HEALTH}", "interval": "1h" } },
    "tls": { "endpoints": [ "https://127.0.0.1:$(free_port)" ], "tls": { "cert": "$dir/cert.pem", "key": "$dir/key.pem" } } },
  "listeners": [ { "name": "app", "bind": "unix:$sock", "routes": [
    { "name": "body", "match": { "path": "/body" }, "respond": { "status": 200, "body": "\${PLANTED_BODY}" } },
    { "name": "told", "match": { "path": "/told" }, "deny": { "status": 403, "body": "\${PLANTED_DENIAL}" } },
    { "name": "away", "match": { "path": "/away" }, "redirect": { "location": "/at/\${PLANTED_LOCATION}" } },
    { "name": "key", "match": { "path": "/key", "headers": { "X-Key": "\${file:$dir/key}", "X-Env": "\${PLANTED_KEY}",
      "X-Passwd": "planted-word", "X-Fits": { "regex": "\${PLANTED_PATTERN}-[0-9]" } } }, "respond": { "status": 200, "body": "in\n" } },
    { "name": "query", "match": { "path": "/most/query", "query": { "key": "\${file:$dir/query}", "env": "\${PLANTED_QUERY}" } },
      "target": "t" },
    { "name": "rules", "match": { "path": "/rules" }, "target": "t", "body": { "json": [
      { "at": "/key", "in": [ "\${PLANTED_RULE}", "\${PLANTED_RULE}-two" ] } ] } },
    { "name": "prefix", "match": { "path_prefix": "/prefix" }, "rewrite": { "add_prefix": "/\${PLANTED_PREFIX}" }, "target": "tls" },
    { "name": "to", "match": { "path": "/to" }, "rewrite": { "regex": "/to", "to": "/\${PLANTED_TO}" }, "target": "tls" },
    { "name": "all", "target": "t",
      "request_headers": { "set": { "X-One": "\${PLANTED_FIELD}", "X-Two": "Bearer \${file:$dir/field}" }, "add": { "X-Session": "planted-set" } },
      "response_headers": { "set": { "X-Four": "\${PLANTED_ANSWER}", "X-Five": "a \${file:$dir/answer}" },
        "add": { "X-Six": "b \${PLANTED_ANSWER} \${request.id}" } } } ] } ] }
JSON
}

# What is shown by a listener: all pages, and what each page for people asks for is among them.
look() { # NAME
    local page
    for page in config status clients readyz healthz metrics ""; do
        curl --silent --show-error --unix-socket "$dir/admin.sock" "http://localhost/$page" >"$dir/shown.$1.page.$page"
    done
    curl --silent --unix-socket "$dir/admin.sock" --header 'Accept: application/openmetrics-text' http://localhost/metrics >"$dir/shown.$1.open"
    "$porthole" status "unix:$dir/admin.sock" >"$dir/shown.$1.status"
    "$porthole" status "unix:$dir/admin.sock" --json >"$dir/shown.$1.status.json"
}

# Every route is gone through, with its key and without.
send() { # [PATH]
    [ "$(ask /body)" = planted-env-BODY ]
    [ "$(ask /told)" = planted-env-DENIAL ]
    ask /away --include | grep --quiet '^Location: /at/planted-env-LOCATION'
    [ "$(ask /key --header 'X-Key: planted-file-key' --header 'X-Env: planted-env-KEY' --header 'X-Passwd: planted-word' \
        --header 'X-Fits: planted-env-PATTERN-7')" = in ]
    ask /key --header 'x-key: planted-file-key' --header 'x_env: planted-env-KEY' >>"$dir/shown.problems"
    ask '/most/query?key=planted-file-query&env=planted-env-QUERY&plain=seen' --output /dev/null --fail
    ask '/most/query?key=planted-file-query&%65nv=planted-env-QUERY&KEY=planted-file-query' --output /dev/null
    ask /rules --data '{"key":"other"}' --header 'Content-Type: application/json' >>"$dir/shown.problems"
    ask /prefix/a >>"$dir/shown.problems"
    ask /to >>"$dir/shown.problems"
    ask "${1:-/fields}" --header 'Authorization: planted-authorization' --header 'COOKIE: planted-cookie' --header 'x-mine: planted-mine' \
        --header 'Proxy-authorization: planted-proxy' --include >"$dir/came"
    came_with '^X-Four: planted-env-ANSWER'
    came_with '^X-Five: a planted-file-answer'
}

# (Not into a file that a variable stands for: it would be empty meanwhile.)
came_with() { # PATTERN
    grep --quiet "$1" "$dir/came" || { cat "$dir/came"; tail -3 "$dir/access.log"; return 1; }
}

# (A target that echoes what it was sent tells it to the client, and so to taps that show bodies: it is asked for what
# does not, while an archive is made.)
listen() { # NAME OPTION...
    local name=$1
    shift
    background "shown.tap.$name" "$porthole" tap "unix:$dir/admin.sock" "$@"
    taps+=("$pid")
}

await_taps() { # N
    eventually eval "[ \"\$(curl --silent --unix-socket '$dir/admin.sock' http://localhost/metrics |
        sed -n 's|^porthole_requests_in_flight{listener=\"unix:$dir/admin.sock\"} ||p')\" = $(($1 + 1)) ]"
}

go() {
    local taps=()
    listen table
    listen json --json
    listen har --har "$dir/shown.har"
    listen raw --json --bodies 0
    curl --silent --no-buffer --unix-socket "$dir/admin.sock" 'http://localhost/tap?headers=1' >"$dir/shown.heads" 3>&- &
    pids+=($!)
    await_taps 5
    send /most/fields
    ask /most/last --output /dev/null
    eventually grep --quiet /last "$dir/shown.tap.table.out"
    eventually grep --quiet '/last"' "$dir/shown.tap.json.out"
    eventually grep --quiet '/last"' "$dir/shown.har"
    eventually grep --quiet '/last"' "$dir/shown.heads"
    kill "${taps[@]}"
}

nothing_is_shown() {
    ls "$dir"/shown.*
    cp "$dir/access.log" "$dir/shown.access"
    cp "$dir/run.err" "$dir/shown.errors"
    lacks planted- "$dir"/shown.*
    lacks --fixed-strings "$(sed -n 2p "$dir/key.pem")" "$dir"/shown.*
}

@test "planted: no secret is in a page, a tap, an archive, a log or a problem" {
    start_target
    plant json
    start_porthole run
    look before
    ask /fields | grep --quiet '^x-one=planted-env-FIELD'
    ask /held/on --get --data 'key=planted-file-query' --output /dev/null 3>&- &
    pids+=($!)
    await_request '/held/on?key=planted-file-query'
    look during
    grep --quiet /held/on "$dir/shown.during.page.clients"
    go
    look after
    nothing_is_shown
    jq -es 'map(select(.request | startswith("/most/query"))) | length == 2 and (.[0].request | endswith("&plain=seen"))' "$dir/access.log"
    jq -es 'map(select(.request == "/most/fields"))[0].response_headers | map(select(.[1] == "[redacted]")) | length == 3' "$dir/shown.heads"
}

@test "planted: nor in plain logs, nor when a reload fails" {
    start_target
    plant plain
    start_porthole run
    send
    sed --in-place --file - "$dir/porthole.json" <<'SED'
s|"path_prefix": "/prefix"|"path_regex": "(${PLANTED_PREFIX}"|
s|"path": "/told"|"path": "/../${PLANTED_FIELD}"|
s|"https://127|"https://u:planted-password@127|
s|"location": "/at|"location": "at|
s|"X-One"|"Host": "a b ${PLANTED_FIELD}", "X-One"|
s|"regex": "${PLANTED_PATTERN}|"regex": "(${PLANTED_PATTERN}|
s|"to": "/${PLANTED_TO}|"to": "/${PLANTED_TO}$7|
s|"/health|"health|
SED
    kill -HUP "$pid"
    eventually eval "curl --silent --unix-socket '$dir/admin.sock' http://localhost/status | jq -e '.config.reload.state == \"failed\"'"
    curl --silent --unix-socket "$dir/admin.sock" http://localhost/status | jq -e '.config.reload.errors | length == 8'
    look failed
    fails "$porthole" check -c "$dir/porthole.json" 2>"$dir/shown.check"
    nothing_is_shown
}

@test "planted: bodies that taps see are those of clients and targets, not those that a variable holds" {
    start_target
    plant
    start_porthole run
    listen bodies --json --bodies 1000
    listen har --har "$dir/shown.har" --bodies 1000
    await_taps 2
    ask /body --output /dev/null
    ask /told --output /dev/null
    ask /key --header 'X-Key: planted-file-key' --header 'X-Env: planted-env-KEY' --header 'X-Passwd: planted-word' \
        --header 'X-Fits: planted-env-PATTERN-7' --output /dev/null
    eventually eval "[ \"\$(wc --lines <'$dir/shown.tap.bodies.out')\" = 3 ]"
    eventually jq -e '.log.entries | length == 3' "$dir/shown.har"
    nothing_is_shown
    jq -es 'map(.response_body) == [{"bytes": 16, "text": "", "cut": true}, {"bytes": 18, "text": "", "cut": true}, {"bytes": 3, "text": "in\n"}]' \
        "$dir/shown.tap.bodies.out"
}

@test "planted: check prints and explains without what variables and files hold" {
    start_target
    plant
    start_porthole run
    touch "$dir/access.log"
    "$porthole" check -c "$dir/porthole.json" --print >"$dir/printed"
    # What the file itself says is no secret for whoever has it.
    sed 's/planted-word//; s/planted-set//' "$dir/printed" >"$dir/shown.printed"
    grep --fixed-strings '"X-One": "${PLANTED_FIELD}"' "$dir/printed"
    grep --fixed-strings '"body": "${PLANTED_BODY}"' "$dir/printed"
    for path in /body /told /away /rules /prefix/a /to /fields; do
        "$porthole" check -c "$dir/porthole.json" --explain "GET $path" || true
    done >"$dir/explained" 2>&1
    sed 's/planted-set//' "$dir/explained" >"$dir/shown.explained"
    # It is read again as what it was.
    cp "$dir/printed" "$dir/again.json"
    "$porthole" check -c "$dir/again.json" --print | cmp - "$dir/printed"
    nothing_is_shown
}
