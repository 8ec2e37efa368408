# porthole probe: what is good, what is not, and how long it takes to say so.

load helper

fails_with() { # TEXT ARGUMENT...
    local text=$1
    shift
    run patient_probe "$@"
    echo "probe $*: $status: $output"
    [ "$status" -eq 1 ]
    [ "${#lines[@]}" -eq 1 ]
    [[ $output == "porthole probe: "*"$text"* ]]
}

@test "probe: a good status says nothing, with -v the status" {
    start_target
    for code in 200 204 302 399; do
        run patient_probe --path "/status/$code" "unix:$dir/target.sock"
        [ "$status" -eq 0 ]
        [ -z "$output" ]
        run patient_probe -v --path "/status/$code" "unix:$dir/target.sock"
        [ "$output" = "$code" ]
    done
}

@test "probe: another status is a failure that names it" {
    start_target
    for code in 400 404 500 503; do
        fails_with "status is $code" --path "/status/$code" "unix:$dir/target.sock"
    done
}

@test "probe: every kind of address is reached" {
    start_target
    background abstract socat "ABSTRACT-LISTEN:porthole-probe-$$,fork" "UNIX-CONNECT:$dir/target.sock"
    "$porthole" probe --wait 30s "unix:@porthole-probe-$$"
    background tcp socat -d -d TCP-LISTEN:0,bind=127.0.0.1,fork "UNIX-CONNECT:$dir/target.sock"
    eventually grep -q 'listening on' "$dir/tcp.err"
    port=$(sed -n 's/.*listening on .*127.0.0.1:\([0-9]*\).*/\1/p' "$dir/tcp.err")
    patient_probe "tcp:127.0.0.1:$port"
    patient_probe "http://127.0.0.1:$port"
    [ "$(patient_probe -v "http://127.0.0.1:$port/status/201")" = 201 ]
    [ "$(patient_probe -v "http://127.0.0.1:$port/status/404?x" --path /status/202)" = 202 ]
    http_proxy=http://127.0.0.1:1 ALL_PROXY=http://127.0.0.1:1 patient_probe "http://127.0.0.1:$port"
    fails_with '' "https://127.0.0.1:$port"
}

@test "probe: the path is asked for as it is written" {
    background printer socat -u "UNIX-LISTEN:$sock" "CREATE:$dir/request"
    eventually test -S "$sock"
    # A socket file is there before its server listens, and a server that is slow to start reads later.
    asked() {
        "$porthole" probe --timeout 1s --path '/a/../b//%2e?q=1' "unix:$sock"
        head -n 1 "$dir/request" | grep -qF 'GET /a/../b//%2e?q=1 HTTP/1.1'
    }
    eventually asked
}

@test "probe: an absent, a stale and a forbidden socket are told apart" {
    fails_with 'No such file' "unix:$sock"
    /usr/bin/python3 -c 'import socket, sys; socket.socket(socket.AF_UNIX).bind(sys.argv[1])' "$sock"
    fails_with 'Connection refused: nobody listens there any more, its server has ended' "unix:$sock"
    fails_with 'Connection refused' "unix:@porthole-nobody-$$"
}

@test "probe: a socket path longer than sockaddr_un is reached" {
    long=$dir/$(printf 'x%.0s' {1..150})
    mkdir "$long"
    start_target
    ln -s "$dir/target.sock" "$long/link.sock"
    patient_probe "unix:$long/link.sock"
    fails_with 'No such file' "unix:$long/none.sock"
}

@test "probe: --wait waits until the socket appears" {
    background probe "$porthole" probe --wait 30s "unix:$dir/target.sock"
    waiting=$pid
    sleep 0.3
    kill -0 "$waiting"
    start_target
    await_end "$waiting"
    [ "$status" -eq 0 ]
    [ ! -s "$dir/probe.err" ]
}

@test "probe: --wait gives up at its deadline, without one at once" {
    before=$(ms_now)
    fails_with 'No such file' "unix:$sock"
    between=$(ms_now)
    fails_with 'No such file' --wait 2s "unix:$sock"
    after=$(ms_now)
    [ $((between - before)) -lt 10000 ]
    [ $((after - between)) -ge 1900 ]
    [ $((after - between)) -lt 20000 ]
}

@test "probe: a server that does not answer in time is a failure" {
    start_target
    before=$(ms_now)
    fails_with 'imed out' --timeout 200ms --path /slow/20000 "unix:$dir/target.sock"
    [ $(($(ms_now) - before)) -lt 15000 ]
    patient_probe --path /slow/300 "unix:$dir/target.sock"
}

@test "probe: an endless body is not waited for" {
    start_target
    before=$(ms_now)
    patient_probe --path /endless "unix:$dir/target.sock"
    [ $(($(ms_now) - before)) -lt 20000 ]
}

@test "probe: what is no HTTP is a failure" {
    start_target
    fails_with 'HTTP/0.9' --path /rubbish "unix:$dir/target.sock"
}

@test "probe: wrong addresses, paths and durations are usage errors" {
    for arguments in foo unix: unix:@ tcp:8080 ftp://x/ '--path x unix:/x' '--wait 3 unix:/x' '--wait 25h unix:/x' \
        '--wait -1s unix:/x' '--timeout 0s unix:/x' '--wait 99999999999999999999s unix:/x'; do
        # shellcheck disable=SC2086
        run "$porthole" probe $arguments
        echo "$arguments: $status: $output"
        [ "$status" -eq 2 ]
        [ "${#lines[@]}" -eq 1 ]
    done
}

as_nobody() { # COMMAND...
    setpriv --reuid 4001 --regid 4002 --clear-groups "$@"
}

@test "probe: of a path that may not be opened it names the part that refuses, and what would help" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
    mkdir -m 0755 "$dir/way" && mkdir -m 0750 "$dir/way/closed"
    background target socat "UNIX-LISTEN:$dir/way/closed/x.sock,fork" /dev/null
    eventually test -S "$dir/way/closed/x.sock"
    run as_nobody "$porthole" probe "unix:$dir/way/closed/x.sock"
    [ "$status" -eq 1 ]
    [[ $output == *"Permission denied: $dir/way/closed is root:root 0750, you are 4001:4002; join its group: --group-add 0,"* ]]
    chmod 0700 "$dir/way/closed"
    run as_nobody "$porthole" probe "unix:$dir/way/closed/x.sock"
    [[ $output == *"$dir/way/closed is root:root 0700, you are 4001:4002; its group needs x"* ]]
    chmod 0755 "$dir/way/closed"
    chmod 0660 "$dir/way/closed/x.sock"
    run as_nobody "$porthole" probe "unix:$dir/way/closed/x.sock"
    [[ $output == *"$dir/way/closed/x.sock is root:root 0660, you are 4001:4002; join its group"* ]]
    chmod 0600 "$dir/way/closed/x.sock"
    run as_nobody "$porthole" probe "unix:$dir/way/closed/x.sock"
    [[ $output == *"$dir/way/closed/x.sock is root:root 0600, you are 4001:4002; its group needs w"* ]]
}

@test "probe: of a path that is not there it names the first part that is missing" {
    run "$porthole" probe "unix:$dir/none/below/x.sock"
    [ "$status" -eq 1 ]
    [[ $output == *"No such file or directory: $dir/none does not exist" ]]
    run "$porthole" probe "unix:$dir/x.sock"
    [[ $output == *": $dir/x.sock does not exist" ]]
}
