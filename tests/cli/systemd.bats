# What a service manager gives porthole, and what it is told: sockets that are opened already, and sd_notify(3).
# shellcheck shell=bash disable=SC2154,SC2317 # $pid, $status and $output come from helper.bash and bats; tests run by name
load helper

activate() { # ARGUMENT...
    background manager /usr/bin/python3 "$BATS_TEST_DIRNAME/activate.py" "$@"
    manager=$pid
}

configure_fd() { # BIND [LISTENER-MEMBERS [TOP-MEMBERS]]
    cat >"$dir/porthole.json" <<JSON
{ ${3-} "listeners": [ { "bind": "$1", ${2-} "routes": [ { "respond": { "status": 200, "body": "served" } } ] } ] }
JSON
}

run_porthole() {
    echo "$porthole" run -c "$dir/porthole.json"
}

heard() {
    grep -Eq "$1" "$dir/manager.out"
}

# The program that the manager runs now.
program() {
    sed -n 's/^started //p' "$dir/manager.out" | tail -n 1
}

# shellcheck disable=SC2046 # words
refused_with() { # REGEX SOCKET...
    local reason=$1
    shift
    activate "$@" -- $(run_porthole)
    await_end "$manager"
    cat "$dir/manager.err"
    [ "$status" -eq 1 ]
    grep -Eq "cannot start error=\".*$reason" "$dir/manager.err"
}

# shellcheck disable=SC2046
@test "systemd: it is told when everything is served, and when it stops" {
    configure_fd "unix:$sock" '' '"workers": 2,'
    activate -- $(run_porthole)
    eventually heard '^READY=1 MAINPID='
    [ "$(ask /)" = served ]
    heard "^READY=1 MAINPID=$(program) STATUS=serving$"
    lacks WATCHDOG "$dir/manager.out"
    kill "$manager"
    await_end "$manager"
    cat "$dir/manager.out"
    [ "$status" -eq 0 ]
    heard '^STOPPING=1 STATUS=stopping'
}

# shellcheck disable=SC2046
@test "systemd: shutdown.delay is a part of the stop" {
    configure_fd "unix:$sock" '' '"shutdown": { "delay": "300ms" },'
    activate -- $(run_porthole)
    eventually heard '^READY=1'
    kill "$manager"
    await_end "$manager"
    [ "$status" -eq 0 ]
    heard '^STOPPING=1 STATUS=serving on'
}

# shellcheck disable=SC2046
@test "systemd: a watchdog gets signs of life, and none of a process that is stopped" {
    configure_fd "unix:$sock" '' '"workers": 3,'
    activate -w 200000 -- $(run_porthole)
    eventually eval "[ \$(grep -c WATCHDOG=1 '$dir/manager.out') -ge 4 ]"
    kill -STOP "$(program)"
    is_silent() {
        n=$(grep -c WATCHDOG=1 "$dir/manager.out")
        sleep 0.7
        [ "$(grep -c WATCHDOG=1 "$dir/manager.out")" -eq "$n" ]
    }
    eventually is_silent
    kill -CONT "$(program)"
    eventually eval "[ \$(grep -c WATCHDOG=1 '$dir/manager.out') -gt $n ]"
    kill "$manager"
    await_end "$manager"
    [ "$status" -eq 0 ]
}

@test "systemd: a manager that does not listen is no obstacle" {
    configure_fd "unix:$sock"
    NOTIFY_SOCKET=$dir/nobody background run "$porthole" run -c "$dir/porthole.json"
    await_socket "$sock"
    [ "$(ask /)" = served ]
    kill "$pid"
    await_end "$pid"
    [ "$status" -eq 0 ]
    grep -q 'the service manager cannot be told anything' "$dir/run.err"
}

# shellcheck disable=SC2046
@test "systemd: a socket that was opened already is served by its name, and is left as it was" {
    configure_fd fd:web '"peers": { "allow": [ { "uid": 0 } ] },'
    activate "web=unix:$sock" -- $(run_porthole)
    eventually heard '^READY=1'
    chmod 0604 "$sock"
    before=$(inode "$sock")
    [ "$(ask /)" = served ]
    grep -q "listening listener=\"fd:web\" address=\"fd:web\" at=\"unix:$sock\"" "$dir/manager.err"
    kill "$manager"
    await_end "$manager"
    [ "$status" -eq 0 ]
    [ "$(inode "$sock")" = "$before" ]
    [ "$(stat -c %a "$sock")" = 604 ]
}

# shellcheck disable=SC2046
@test "systemd: a reload whose targets lead back to a socket that was passed is refused" {
    configure_fd fd:web '"peers": { "allow": [ { "uid": 0 } ] },'
    activate "web=unix:$sock" -- $(run_porthole)
    eventually heard '^READY=1'
    sed "s#\"respond\": {[^}]*}#\"target\": \"unix:$sock\"#" "$dir/porthole.json" >"$dir/next.json"
    grep -q '"target"' "$dir/next.json"
    mv "$dir/next.json" "$dir/porthole.json"
    eventually grep -q 'reload refused.*is a socket that was passed: requests would go in circles' "$dir/manager.err"
    [ "$(ask /)" = served ]
}

# shellcheck disable=SC2046
@test "systemd: a restart with the same sockets refuses nobody, and who comes between is served by the next" {
    local port=$(free_port) name=porthole-fd-$$-$RANDOM
    local answers='"routes": [ { "respond": { "status": 200, "body": "served" } } ]'
    cat >"$dir/porthole.json" <<JSON
{ "workers": 2, "listeners": [ { "bind": "fd:a b", $answers }, { "bind": "fd:5", $answers },
    { "bind": "fd:abstract", "peers": { "allow": [ { "uid": $(id -u) } ] }, $answers } ] }
JSON
    activate -n 4 "a b=unix:$sock" "abstract=abstract:$name" "=tcp:127.0.0.1:$port" -- $(run_porthole)
    eventually heard '^READY=1'
    for kind in "unix $sock" "abstract $name" "tcp 127.0.0.1:$port"; do
        background "${kind%% *}" /usr/bin/python3 "$BATS_TEST_DIRNAME/stop.py" "${kind%% *}" "${kind#* }" 3 6 once
    done
    for n in 1 2 3; do
        sleep 0.8
        kill -TERM "$(program)"
        eventually eval "[ \$(grep -c READY=1 '$dir/manager.out') -gt $n ]"
    done
    for client in "${pids[@]:1}"; do
        await_end "$client"
        [ "$status" -eq 0 ]
    done
    cat "$dir"/{unix,abstract,tcp}.out "$dir/manager.err"
    for kind in unix abstract tcp; do
        grep -Eq '^served=[1-9][0-9]* refused=0 let_go=0 lost=0 hanging=0' "$dir/$kind.out"
    done
    kill "$manager"
    await_end "$manager"
    [ "$status" -eq 0 ]
}

# shellcheck disable=SC2046
@test "systemd: sockets that no listener has are closed, and told of" {
    configure_fd fd:web
    activate "web=unix:$sock" "other=unix:$dir/other.sock" -- $(run_porthole)
    eventually heard '^READY=1'
    grep -q 'a socket was passed that no listener has, and is closed name="other" descriptor=4' "$dir/manager.err"
    [ "$(ask /)" = served ]
    [ "$(readlink /proc/"$(program)"/fd/4 2>/dev/null)" != "$(readlink /proc/"$manager"/fd/201)" ]
    kill "$manager"
    await_end "$manager"
    [ "$status" -eq 0 ]
}

@test "systemd: what is not there, or is no socket that listens, is told" {
    configure_fd fd:web
    fails "$porthole" run -c "$dir/porthole.json" 2>"$dir/alone.err"
    grep -q 'fd:web: no socket was passed; start it by a socket unit' "$dir/alone.err"
    refused_with 'fd:web: no such socket was passed; there are fd:3 .*admin.*, fd:4 .*unknown' "admin=unix:$dir/1" "=unix:$dir/2"
    refused_with 'fd:web: several sockets have this name; write fd:3 .*, fd:5' "web=unix:$dir/3" "a=unix:$dir/4" "web=unix:$dir/5"
    refused_with 'fd:web is one connection, and not a socket that listens: Accept=no' web=connected:
    refused_with 'fd:web is a socket that does not listen' "web=bound:$dir/6"
    refused_with 'fd:web is no stream socket of Unix or TCP' "web=dgram:$dir/7"
    refused_with 'fd:web is not a socket' web=file:/dev/null
}

@test "systemd: what the configuration says of others is said of these sockets when they are known" {
    local port=$(free_port)
    configure_fd fd:web '"peers": { "allow": [ { "uid": 0 } ] },'
    refused_with 'fd:web is a TCP socket, and a TCP peer has no uid' "web=tcp:127.0.0.1:$port"
    # Who has no port in the configuration has one all the same: no page of requests comes to it by default.
    configure_fd "unix:$sock" '' '"admin": [ { "bind": "fd:web" } ],'
    refused_with 'fd:web is a TCP socket, where everybody comes in.*pages' "web=tcp:127.0.0.1:$port"
    configure_fd "unix:$sock" '' '"admin": [ { "bind": "fd:web", "pages": [ "healthz", "status" ] } ],'
    activate "web=tcp:127.0.0.1:$port" -- $(run_porthole)
    await_socket "$sock"
    [ "$(curl --silent "http://127.0.0.1:$port/healthz")" = ok ]
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/status")" = 200 ]
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' -H 'Host: rebound' "http://127.0.0.1:$port/status")" = 403 ]
    [ "$(curl --silent --output /dev/null --write-out '%{http_code}' "http://127.0.0.1:$port/config")" = 404 ]
    kill "$manager"
    await_end "$manager"
    configure_fd fd:web
    refused_with 'fd:web is an abstract socket, which has no permissions' "web=abstract:porthole-fd-$$"
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "fd:web", "routes": [ { "target": "unix:$sock" } ] } ] }
JSON
    refused_with 'would go in circles' "web=unix:$sock"
    sed -i "s|unix:$sock|http://127.0.0.1:$port|" "$dir/porthole.json"
    refused_with 'would go in circles' "web=tcp:127.0.0.1:$port"
}

@test "systemd: check needs no sockets, and what is for another process is left alone" {
    configure_fd fd:web
    "$porthole" check -c "$dir/porthole.json"
    configure_fd "unix:$sock"
    LISTEN_PID=1 LISTEN_FDS=1 background run "$porthole" run -c "$dir/porthole.json" 3</dev/null
    await_socket "$sock"
    lacks 'was passed' "$dir/run.err"
}
