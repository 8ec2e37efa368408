# Files in values: what a token is while its file comes, changes and goes, and that nobody reads it in a log.

load helper

configure() {
    cat >"$dir/porthole.json" <<JSON
{ "log": { "level": "debug", "access": { "to": "$dir/access.log" } },
  "listeners": [ { "name": "app", "bind": "unix:$sock", "routes": [ { "name": "r", "target": "unix:$dir/target.sock",
    "request_headers": { "set": { "X-Token": "Bearer \${file:$dir/token}" } } } ] } ] }
JSON
}

status_of() { # PATH [CURL-OPTION...]
    ask "$@" --output "$dir/body" --write-out '%{http_code}'
}

is_sent() { # TOKEN
    [ "$(ask /fields | grep '^x-token=')" = "x-token=$1" ]
}

has_status() { # STATUS
    [ "$(status_of /fields)" = "$1" ]
}

@test "secret: a missing file is warned of and answered with 500, until it is there" {
    configure
    start_target
    run "$porthole" check -c "$dir/porthole.json"
    [ "$status" -eq 0 ]
    grep -q "warning: /listeners/0/routes/0/request_headers/set: requests are answered with 500 until this file can be used: $dir/token: No such file or directory" <<<"$output"
    sed 's#"target"#"match": { "headers": { "X-Key": "${file:/nonexistent/key}" } }, "target"#' "$dir/porthole.json" >"$dir/two.json"
    "$porthole" check -c "$dir/two.json" 2>&1 | grep -q "warning: /listeners/0/routes/0/match/headers: requests .*/nonexistent/key: No such file"
    start_porthole run
    grep -q " warn .*until this file can be used: $dir/token: No such file" "$dir/run.err"
    [ "$(status_of /fields)" = 500 ]
    jq -e '.outcome == "secret_unusable" and .status == 500' "$dir/body"
    grep -q "error .*outcome=\"secret_unusable\" reason=\"$dir/token: No such file or directory\" route=\"r\"" "$dir/run.err"
    lacks -q /fields "$dir/target.out"
    echo the-token >"$dir/token"
    eventually is_sent "Bearer the-token"
    run "$porthole" check -c "$dir/porthole.json"
    [ "$output" = "$dir/porthole.json: ok" ]
}

@test "secret: a file that is renamed over, or behind a link as Kubernetes has it, is the new one" {
    configure
    mkdir "$dir/one" "$dir/two"
    echo one >"$dir/one/token"
    echo two >"$dir/two/token"
    ln -s one "$dir/..data"
    ln -s ..data/token "$dir/token"
    start_target
    start_porthole run
    is_sent "Bearer one"
    ln -s two "$dir/..new"
    mv -T "$dir/..new" "$dir/..data"
    rm -r "$dir/one"
    eventually is_sent "Bearer two"
    printf three >"$dir/three"
    mv "$dir/three" "$dir/token"
    eventually is_sent "Bearer three"
}

@test "secret: nothing is forwarded of what is empty, of several lines, not a file, or gone" {
    configure
    echo good >"$dir/token"
    start_target
    start_porthole run
    is_sent "Bearer good"
    : >"$dir/token"
    eventually has_status 500
    printf 'a\r\nX-Evil: 1\n' >"$dir/token"
    sleep 1.1
    has_status 500
    echo good >"$dir/token"
    eventually is_sent "Bearer good"
    rm "$dir/token"
    mkfifo "$dir/token"
    eventually has_status 500
    rm "$dir/token"
    sleep 1.1
    has_status 500
    grep -q 'outcome="secret_unusable" reason="[^"]*/token is empty"' "$dir/run.err"
    grep -q 'outcome="secret_unusable" reason="[^"]*/token has a control character' "$dir/run.err"
    grep -q 'outcome="secret_unusable" reason="[^"]*/token is no regular file"' "$dir/run.err"
    lacks -qi evil "$dir/target.out"
}

@test "secret: a file that is larger than any head is refused, and one that is larger than this one" {
    configure
    sed -i 's/"bind"/"limits": { "header": "1KiB" }, "bind"/' "$dir/porthole.json"
    head -c 40000 /dev/zero | tr '\0' a >"$dir/token"
    start_target
    start_porthole run
    has_status 500
    jq -e '.outcome == "secret_unusable"' "$dir/body"
    head -c 70000 /dev/zero | tr '\0' a >"$dir/token"
    sleep 1.1
    has_status 500
    grep -q 'reason="[^"]*/token has more than 64 KiB"' "$dir/run.err"
    lacks -q /fields "$dir/target.out"
}

@test "secret: what a file holds is in no log, no printed configuration and no explanation" {
    configure
    echo the-token >"$dir/token"
    start_target
    start_porthole run
    is_sent "Bearer the-token"
    printf 'the-token\nand more' >"$dir/token"
    eventually has_status 500
    "$porthole" check -c "$dir/porthole.json" --print >"$dir/printed"
    grep -qF "Bearer \${file:$dir/token}" "$dir/printed"
    echo the-token >"$dir/token"
    "$porthole" check -c "$dir/porthole.json" --explain 'GET /' >"$dir/explained"
    grep -qF "Bearer (what the file holds)" "$dir/explained"
    lacks -q the-token "$dir/run.err" "$dir/run.out" "$dir/access.log" "$dir/printed" "$dir/explained" "$dir/body"
}

@test "secret: of what a file holds there is one copy in memory, however many requests have had it" {
    configure
    echo the-token-itself >"$dir/token"
    start_target
    start_porthole run
    /usr/bin/python3 "$BATS_TEST_DIRNAME/memory.py" "$pid" none || skip "the memory of other processes cannot be read here"
    ask '/x?[1-20]' --output /dev/null # whose answers do not repeat it
    ask '/slow/1000' --max-time 0.2 --output /dev/null || true
    # A request that is on its way has copies of its own.
    one_is_left() {
        [ "$(/usr/bin/python3 "$BATS_TEST_DIRNAME/memory.py" "$pid" the-token-itself)" -eq 1 ]
    }
    eventually one_is_left
}

@test "secret: TRACE, whose answer would give it back, is not forwarded with it" {
    configure
    echo the-token >"$dir/token"
    start_target
    TOKEN=planted start_porthole run
    [ "$(status_of /fields --request TRACE)" = 501 ]
    jq -e '.outcome == "not_supported"' "$dir/body"
    # Some servers do not care for the case of a method.
    [ "$(status_of /fields --request Trace)" = 501 ]
    jq -e '.outcome == "not_supported"' "$dir/body"
    lacks -q /fields "$dir/target.out"
    # Nor with what a variable holds, nor with a key that is written there.
    for value in '"X-Token": "${TOKEN}"' '"authorization": "Basic dTpw"'; do
        sed --in-place "s|\"set\": { .* } } } \]|\"set\": { $value } } } ]|" "$dir/porthole.json"
        grep -qF "$value" "$dir/porthole.json"
        : >"$dir/run.err"
        kill -HUP "$pid"
        eventually grep -q ' reloaded ' "$dir/run.err"
        [ "$(status_of /fields --request TRACE)" = 501 ] # so says the target, too
        jq -e '.outcome == "not_supported"' "$dir/body"
    done
    lacks -q /fields "$dir/target.out"
}
