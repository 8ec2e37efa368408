# Bodies on every way that there is, from a Unix socket or TCP to a Unix socket or TCP: they are spliced, sent in large
# blocks, or copied by the library.

load helper

bodies() { # VERB [ADDRESS...]
    BODIES_TARGETS="unix:$dir/target.sock tcp:127.0.0.1:$target_port" \
        /usr/bin/python3 "$BATS_TEST_DIRNAME/bodies.py" "$1" "${ways[@]}"
}

# Four listeners in front of the two targets; the arguments are as configure's.
configure_ways() { # [LISTENER-MEMBERS [TOP-MEMBERS]]
    target_port=$(free_port)
    ports=("$(free_port)" "$(free_port)")
    ways=("unix:$dir/app.sock" "unix:$dir/to_tcp.sock" "tcp:127.0.0.1:${ports[0]}" "tcp:127.0.0.1:${ports[1]}")
    local targets=("unix:$dir/target.sock" "http://127.0.0.1:$target_port") listeners= i
    for i in 0 1 2 3; do
        listeners+="{ \"bind\": \"${ways[i]}\", ${1-} \"routes\": [ { \"target\": \"${targets[i % 2]}\" } ] },"
    done
    echo "{ ${2-} \"listeners\": [ ${listeners%,} ] }" >"$dir/porthole.json"
}

# A body of each kind on each way is half there.
begin_bodies() {
    mkfifo "$dir/go"
    exec 8<>"$dir/go"
    bodies during <"$dir/go" >"$dir/bodies.out" 2>"$dir/bodies.err" 3>&- 8>&- &
    bodies_pid=$!
    pids+=("$bodies_pid")
    eventually grep -qx begun "$dir/bodies.out"
}

end_bodies() {
    echo >&8
    eventually is_over "$bodies_pid"
    cat "$dir/bodies.out" "$dir/bodies.err"
    grep -qx whole "$dir/bodies.out"
}

@test "bodies of every size arrive unchanged, on all ways" {
    configure_ways
    start_porthole porthole
    bodies whole
}

@test "a body that is cut is whole to nobody, wherever it is cut" {
    configure_ways
    start_porthole porthole
    bodies cut
}

@test "bodies under way outlast a reload" {
    configure_ways
    start_porthole porthole
    begin_bodies
    sed -i 's/"listeners"/"drain": "20s", "listeners"/' "$dir/porthole.json"
    kill -HUP "$pid"
    eventually grep -q ' reloaded ' "$dir/porthole.err"
    end_bodies
}

@test "bodies under way outlast a stop" {
    configure_ways "" '"drain": "30s",'
    start_porthole porthole
    begin_bodies
    kill -TERM "$pid"
    eventually grep -q stopping "$dir/porthole.err"
    end_bodies
    await_end "$pid"
    [ "$status" -eq 0 ]
}

@test "bodies under way outlast a takeover" {
    configure_ways "" '"drain": "30s",'
    start_porthole porthole
    old=$pid
    begin_bodies
    start_porthole new --takeover
    eventually grep -q 'stopping\|taken over' "$dir/porthole.err"
    end_bodies
    await_end "$old"
    [ "$status" -eq 0 ]
}

@test "a tap that wants bodies has the beginning of each, and they arrive unchanged" {
    configure_ways "" "\"admin\": [ { \"bind\": \"unix:$dir/admin.sock\" } ],"
    start_porthole porthole
    eventually test -S "$dir/admin.sock"
    background tap "$porthole" tap "unix:$dir/admin.sock" --json --bodies 1000
    eventually eval 'curl --silent --unix-socket "$dir/admin.sock" http://admin/metrics |
        grep -q "^porthole_requests_in_flight{listener=\"unix:$dir/admin.sock\"} 2"'
    bodies large
    eventually eval '[ "$(wc --lines <"$dir/tap.out")" -ge 20 ]'
    # Of 1000 bytes in base64: 1336 characters.
    jq -es 'def whole: .bytes == 300000 and (.base64 | length) == 1336;
        length == 20 and (map(select(.request_body | whole)) | length) == 8 and
        (map(select(.response_body | whole)) | length) == 12' "$dir/tap.out" >/dev/null || {
        jq -c '[ .request_body, .response_body ]' "$dir/tap.out" | cut -c1-200
        false
    }
}

@test "rules on bodies and rates hold for bodies that would be spliced" {
    printf '{ "listeners": [ { "bind": "unix:%s", "routes": [
        { "match": { "path": "/once" }, "rate": { "requests": 1, "per": "1h" }, "target": "unix:%s/target.sock" },
        { "target": "unix:%s/target.sock", "body": { "json": [ { "at": "/Image", "in": [ "a" ] } ] } } ] } ] }' \
        "$sock" "$dir" "$dir" >"$dir/porthole.json"
    start_target
    start_porthole porthole
    for image in a b; do
        printf '{"Image":"%s","Padding":"%s"}' "$image" "$(head -c 200000 /dev/zero | tr '\0' x)" >"$dir/$image"
    done
    post() { # PATH FILE [CURL-OPTION...]
        ask "$1" --header 'Content-Type: application/json' --data-binary "@$dir/$2" "${@:3}"
    }
    post /create a >"$dir/answer"
    { echo 'POST /create'; cat "$dir/a"; } | cmp - "$dir/answer"
    [ "$(post /create b --output /dev/null --write-out '%{http_code}')" = 403 ]
    [ "$(post /create b --header 'Transfer-Encoding: chunked' --output /dev/null --write-out '%{http_code}')" = 403 ]
    [ "$(post /once b --output /dev/null --write-out '%{http_code}')" = 200 ]
    [ "$(post /once b --output /dev/null --write-out '%{http_code}')" = 429 ]
    [ "$(grep -c /create "$dir/target.out")" -eq 1 ]
}
