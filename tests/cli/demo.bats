# porthole demo: a real exchange, and nothing left of it.

load helper

@test "demo: --once shows the exchange, ends with 0 and leaves nothing" {
    run env XDG_RUNTIME_DIR="$dir" timeout 20 "$porthole" demo --once
    echo "$output"
    [ "$status" -eq 0 ]
    [[ $output == *"GET http://localhost/hello through $dir/porthole-demo-"* ]]
    [[ $output == *"HTTP/1.1 200 OK"* ]]
    # the echo's answer: the request as the target saw it
    [[ $output == *"GET /hello HTTP/1.1"* ]]
    [[ $output == *[Vv]ia:* ]]
    [ -z "$(ls -A "$dir")" ]
}

demo_start() {
    background demo env XDG_RUNTIME_DIR="$dir" "$porthole" demo
    eventually grep -qs 'curl --unix-socket' "$dir/demo.out"
    sock=$(sed -n 's/.*curl --unix-socket \([^ ]*\) .*/\1/p' "$dir/demo.out")
}

@test "demo: the line it prints works, for every kind of body, until SIGINT or SIGTERM" {
    for signal in INT TERM; do
        demo_start
        [ "$(stat -c %a "${sock%/*}")" = 700 ]
        run curl --silent --unix-socket "$sock" http://localhost/hello
        [[ $output == "GET /hello HTTP/1.1"* ]]
        run curl --silent --unix-socket "$sock" -d 'some text' http://localhost/form
        [[ $output == "POST /form HTTP/1.1"*"some text" ]]
        run curl --silent --unix-socket "$sock" -H 'Transfer-Encoding: chunked' -d 'in chunks' http://localhost/
        [[ $output == *"in chunks" ]]
        head -c 300000 /dev/zero | tr '\0' x >"$dir/large"
        [ "$(curl --silent --unix-socket "$sock" --data-binary "@$dir/large" http://localhost/ | tr -dc x | wc -c)" -ge 65536 ]
        run curl --silent --head --unix-socket "$sock" http://localhost/
        [[ ${lines[0]} == "HTTP/1.1 200"* ]]
        rm "$dir/large"
        kill "-$signal" "$pid"
        await_end "$pid"
        [ "$status" -eq 0 ]
        [ "$(ls -A "$dir")" = $'demo.err\ndemo.out' ]
    done
}

@test "demo: its configuration is no file that is looked for" {
    cd "$dir"
    demo_start
    sleep 2
    echo '{}' >demo
    sleep 1
    [ ! -s "$dir/demo.err" ]
    kill "$pid"
    await_end "$pid"
    [ "$status" -eq 0 ]
}

@test "demo: a directory that JSON could misread gives way to /tmp" {
    mkdir "$dir/a\"b"
    run env XDG_RUNTIME_DIR="$dir/a\"b" timeout 20 "$porthole" demo --once
    [ "$status" -eq 0 ]
    [[ $output == *"through /tmp/porthole-demo-"* ]]
}

@test "demo: a request that could not be shown is a failure" {
    run bash -c '"$1" demo --once >/dev/full' - "$porthole"
    [ "$status" -eq 1 ]
    [[ $output == *'standard output: No space left'* ]]
}
