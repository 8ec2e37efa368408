# The logs: where lines go, whoever else writes there, and what they tell.

load helper

# A listener that answers by itself, whose access log goes to the given place.
configure_log() { # TO [FORMAT [TOP-MEMBERS]]
    cat >"$dir/porthole.json" <<JSON
{ ${3-} "log": { "format": "${2-plain}", "access": { "format": "json", "to": "$1" } },
  "listeners": [ { "name": "l", "bind": "unix:$sock", "routes": [
      { "name": "gone", "match": { "path": "/gone" }, "target": "absent" },
      { "name": "ok", "respond": { "status": 200, "body": "ok\n" } } ] } ],
  "targets": { "absent": { "endpoints": ["unix:$dir/absent.sock"] } } }
JSON
}

@test "logs: /dev/stdout works as stdout does, also where it is a socket" {
    for name in stdout /dev/stdout /dev/fd/1 /proc/self/fd/1; do
        configure_log "$name"
        background socket socat -u "EXEC:$porthole run -c $dir/porthole.json" "OPEN:$dir/access,creat,trunc"
        await_socket "$sock"
        [ "$(ask /ok)" = ok ]
        kill "$(pgrep -P "$pid")"
        await_end "$pid"
        echo "$name: $(cat "$dir/access" "$dir/socket.err")"
        jq -se 'map(select(.request == "/ok" and .outcome == "responded")) | length >= 1' "$dir/access"
        rm -f "$sock"
    done
}

@test "logs: with > file 2>&1 no line of a script overwrites one of porthole's, nor the other way round" {
    configure_log stdout
    # shellcheck disable=SC2016
    background script bash -c 'exec >"$4" 2>&1
        echo before
        "$1" run -c "$2" &
        "$1" probe --wait 10s "unix:$3" --path /ok
        for i in 1 2 3; do
            echo "script $i"
            curl --silent --unix-socket "$3" http://localhost/ok >/dev/null
            curl --silent --unix-socket "$3" http://localhost/gone >/dev/null
            sleep 0.1
        done
        kill $!
        wait $!
        echo after' - "$porthole" "$dir/porthole.json" "$sock" "$dir/together"
    await_end "$pid"
    [ "$status" -eq 0 ]
    cat "$dir/together"
    [ "$(head -n 1 "$dir/together")" = before ]
    [ "$(tail -n 1 "$dir/together")" = after ]
    [ "$(grep -c '^script [123]$' "$dir/together")" -eq 3 ]
    [ "$(grep '^{' "$dir/together" | jq -s 'map(select(.request == "/gone")) | length')" -eq 3 ]
    [ "$(grep '^{' "$dir/together" | jq -s 'map(select(.request == "/ok")) | length')" -ge 4 ]
    [ "$(grep -cv '^{.*}$\|^20.*Z [a-z]* \|^script [123]$\|^before$\|^after$' "$dir/together")" -eq 0 ]
}

@test "logs: four workers and the error log keep their lines whole in one file that was given" {
    configure_log stdout json '"workers": 4,'
    bash -c 'exec "$1" run -c "$2" >"$3" 2>&1' - "$porthole" "$dir/porthole.json" "$dir/all" 3>&- &
    pid=$!
    pids+=("$pid")
    await_socket "$sock"
    : >"$dir/urls"
    for ((i = 0; i < 1000; i++)); do
        printf 'url = "http://localhost/%s"\noutput = /dev/null\n' "$([ $((i % 4)) -eq 0 ] && echo gone || echo ok)" >>"$dir/urls"
    done
    for i in 1 2 3 4; do
        background "client$i" curl --silent --unix-socket "$sock" --config "$dir/urls"
        clients+=("$pid")
    done
    for i in "${clients[@]}"; do
        wait "$i"
    done
    kill "${pids[0]}"
    await_end "${pids[0]}"
    jq -es 'map(select(.request == "/ok")) | length >= 3000' "$dir/all"
    jq -es '[.[] | select(.request == "/gone") | has("level")] | [(map(select(.)) | length), (map(select(. | not)) | length)] == [1000, 1000]' "$dir/all"
}

@test "logs: with json a failure has the fields of the access log beside its message, with the access log on, too" {
    configure_log "$dir/access" json
    start_porthole run
    [ "$(ask /gone --output /dev/null --write-out '%{http_code}' --header 'X-Request-Id: a/b:"c"')" = 503 ]
    kill "$pid"
    await_end "$pid"
    cat "$dir/run.err"
    jq -es "[.[] | select(.request)] | length == 1 and (.[0] | .level == \"warn\" and .message and .id == \"a/b:\\\"c\\\"\" and .status == 503
        and .outcome == \"target_absent\" and .method == \"GET\" and .request == \"/gone\" and .listener == \"l\" and .route == \"gone\"
        and .target == \"absent\" and .endpoint == \"unix:$dir/absent.sock\" and .reason and (.peer | test(\"uid=\")))" "$dir/run.err"
    jq -es "[.[] | select(.request == \"/gone\")][0].endpoint == \"unix:$dir/absent.sock\"" "$dir/access"
    jq -es 'all(.[]; .time and .level and .message)' "$dir/run.err"
}

@test "logs: a place without any room harms nobody, and is left without a loop" {
    [ -w /dev/full ] || skip 'no /dev/full'
    configure_log /dev/full
    start_porthole run
    for ((i = 0; i < 300; i++)); do
        [ "$(ask /ok)" = ok ]
    done
    before=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
    sleep 1
    after=$(awk '{ print $14 + $15 }' "/proc/$pid/stat")
    echo "ticks: $before, $after"
    [ $((after - before)) -lt 20 ]
    kill "$pid"
    await_end "$pid"
    [ "$status" -eq 0 ]
}

@test "logs: a link, or somebody else's file where others may write, is no log, at a start and when it is opened again" {
    mkdir "$dir/volume"
    chmod 0777 "$dir/volume"
    echo canary >"$dir/canary"
    configure_log "$dir/volume/access"
    ln -s "$dir/canary" "$dir/volume/access"
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"cannot open the access log $dir/volume/access: it is a symbolic link"* ]]
    rm "$dir/volume/access"
    ln "$dir/canary" "$dir/volume/access"
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"others may write its directory"* ]]
    rm "$dir/volume/access"
    setpriv --reuid 1234 --regid 1234 --clear-groups touch "$dir/volume/access"
    run timeout 10 "$porthole" run -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"others may write its directory"* ]]
    [ ! -s "$dir/volume/access" ]
    rm "$dir/volume/access"
    start_porthole run
    mv "$dir/volume/access" "$dir/volume/access.1"
    ln -s "$dir/canary" "$dir/volume/access"
    kill -USR1 "$pid"
    eventually grep -q 'a log file cannot be opened again.*symbolic link' "$dir/run.err"
    [ "$(ask /ok)" = ok ]
    kill "$pid"
    await_end "$pid"
    [ "$status" -eq 0 ]
    grep -q '"/ok"' "$dir/volume/access.1"
    [ "$(cat "$dir/canary")" = canary ]
}
