# What a porthole that somebody has got hold of can still do, and that all it is for works inside.

load helper

captive=${PORTHOLE_BUILD:-$BATS_TEST_DIRNAME/../../build}/tests/cli/captive

# A place that no configuration names, with what the captive build tries.
prepare_outside() {
    outside=$(mktemp -d /tmp/porthole-outside-XXXXXX)
    echo precious >"$outside/secret"
    chmod 0644 "$outside/secret"
    background abstract socat "ABSTRACT-LISTEN:captive-$$,fork" -
    background port socat -d -d "TCP-LISTEN:0,bind=127.0.0.1,fork" -
    eventually grep -q 'listening on' "$dir/port.err"
    port=$(sed -n 's/.*listening on .*:\([0-9]*\)$/\1/p' "$dir/port.err" | head -n 1)
    export CAPTIVE=$outside CAPTIVE_PORT=$port CAPTIVE_ABSTRACT=captive-$$
}

teardown() {
    end_background
    rm -rf "$dir" "${outside:-$dir}"
}

# Whether this kernel has a Landlock of at least this ABI, as the program itself says.
needs_landlock() { # ABI NAME
    local abi
    abi=$(sed -n 's/.*landlock_abi=\([0-9]*\).*/\1/p' "$dir/$2.err")
    [ "${abi:-0}" -ge "$1" ] || skip "Landlock here has ABI ${abi:-0}"
}

refused() { # NAME ERROR WHAT
    grep -q "^captive: $3: $2\$" "$dir/$1.err" || { grep "captive: $3" "$dir/$1.err"; return 1; }
}

# As start_porthole, and what is in force has been told.
start_sandboxed() { # NAME [OPTION...]
    start_porthole "$@"
    eventually grep -q 'info sandboxed' "$dir/$1.err"
}

# `check` knows nothing of a captive build, so that PORTHOLE stays what it is.
start_captive() { # NAME
    porthole=$captive start_porthole "$1"
    eventually grep -q '^captive: become another user' "$dir/$1.err"
}

@test "sandbox: a worker opens, makes and removes nothing that the configuration does not name" {
    start_target
    configure
    prepare_outside
    start_captive run
    needs_landlock 2 run
    refused run EACCES 'read a file outside'
    refused run EACCES 'write a file outside'
    refused run EACCES 'list a directory outside'
    refused run EACCES 'make a file outside'
    refused run EACCES 'make a directory outside'
    refused run EACCES 'remove a file outside'
    [ "$(ls "$outside")" = secret ]
    [ "$(ask /after)" = 'GET /after' ]
    kill "$pid"
    await_end "$pid"
    [ "$status" -eq 0 ]
}

@test "sandbox: a worker reaches no other port, abstract socket or process" {
    start_target
    configure
    prepare_outside
    start_captive run
    needs_landlock 6 run
    refused run EACCES 'connect to another port'
    refused run EACCES 'listen on another port'
    refused run EPERM 'connect to an abstract socket'
    refused run 'E[A-Z]*' 'send a signal'
    refused run 'E[A-Z]*' 'read another process'
    [ "$(ask /after)" = 'GET /after' ]
}

@test "sandbox: a worker executes nothing and has no power over users and mounts" {
    start_target
    configure
    prepare_outside
    start_captive run
    refused run EPERM 'execute a program'
    refused run EPERM 'mount something'
    if [ "$(id -u)" -eq 0 ]; then
        refused run 'E[A-Z]*' 'give a file away'
        refused run 'E[A-Z]*' 'become another user'
    fi
    [ "$(ask /after)" = 'GET /after' ]
}

@test "sandbox: a worker makes no process, traces none, generates no code and finds no other calls" {
    start_target
    configure
    prepare_outside
    start_captive run
    refused run EPERM 'execute a program'
    refused run ENOSYS 'open a packet socket'
    refused run EPERM 'make a ring'
    refused run ENOSYS 'call what is not there'
    # A sanitizer does these itself.
    [[ $captive == */[at]san/* ]] || {
        refused run EPERM 'make a process'
        refused run EPERM 'trace a process'
        refused run EPERM 'run generated code'
        refused run EPERM 'make memory run'
    }
    [ "$(ask /after)" = 'GET /after' ]
    for task in "/proc/$pid/task/"*; do
        grep -q '^Seccomp:.*2$' "$task/status"
    done
}

@test "sandbox: code is generated for patterns, and for nothing else" {
    start_target
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock",
    "routes": [ { "match": { "path_regex": "/a+" }, "target": "unix:$dir/target.sock" } ] } ] }
JSON
    prepare_outside
    start_captive run
    grep -q 'sandboxed .* seccomp="with JIT"' "$dir/run.err"
    refused run done 'run generated code'
    [[ $captive == */[at]san/* ]] || refused run EPERM 'make memory run'
    [ "$(ask /aaa)" = 'GET /aaa' ]
}

@test "sandbox: a part that is switched off is told, and the rest holds" {
    start_target
    configure '' '"sandbox": { "landlock": false },'
    start_sandboxed run
    grep -q 'warn the configuration switches off a part of the sandbox part="landlock"' "$dir/run.err"
    grep -q 'sandboxed no_new_privs="yes".* landlock="no" seccomp="yes"' "$dir/run.err"
    grep -q '^NoNewPrivs:.*1$' "/proc/$pid/status"
    kill "$pid"
    await_end "$pid"
    configure '' '"sandbox": { "seccomp": false },'
    start_sandboxed other
    grep -q 'warn the configuration switches off a part of the sandbox part="seccomp"' "$dir/other.err"
    grep -q 'sandboxed .* seccomp="no"' "$dir/other.err"
    grep -q '^Seccomp:.*0$' "/proc/$pid/status"
}

# Calls that a container's runtime may hide: the same filter, one call less.
@test "sandbox: what the runtime of a container hides is told once, and the rest holds" {
    start_target
    configure
    background run /usr/bin/python3 "$BATS_TEST_DIRNAME/hide_landlock.py" "$porthole" run -c "$dir/porthole.json"
    await_socket "$sock"
    eventually grep -q 'info sandboxed' "$dir/run.err"
    [ "$(grep -c 'a part of the sandbox is not in force part="landlock"' "$dir/run.err")" -eq 1 ]
    grep -q 'sandboxed no_new_privs="yes" .*landlock="no" seccomp="yes"' "$dir/run.err"
    [ "$(ask /hidden)" = 'GET /hidden' ]
}

@test "sandbox: root keeps no capability that the configuration does not need" {
    [ "$(id -u)" -eq 0 ] || skip 'for root'
    start_target
    configure
    start_sandboxed run
    grep -q 'sandboxed no_new_privs="yes" capabilities="none"' "$dir/run.err"
    for task in "/proc/$pid/task/"*; do
        [ "$(grep -c '^Cap[A-Z][a-z]*:[[:space:]]*0*$' "$task/status")" -eq 5 ] # inheritable, permitted, ... ambient
        grep -q '^NoNewPrivs:.*1$' "$task/status"
    done
}

@test "sandbox: root keeps what an owner needs, and the socket is published again with it" {
    [ "$(id -u)" -eq 0 ] || skip 'for root'
    start_target
    configure '"owner": "65534", "group": "65533",'
    start_sandboxed run
    grep -q 'capabilities="CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID"' "$dir/run.err"
    rm "$sock"
    eventually test -S "$sock"
    [ "$(stat -c %u:%g:%a "$sock")" = 65534:65533:660 ]
    [ "$(ask /again)" = 'GET /again' ]
}

@test "sandbox: root keeps what opens a target of another user, there or not yet" {
    [ "$(id -u)" -eq 0 ] || skip 'for root'
    configure
    start_sandboxed absent
    grep -q 'capabilities="CAP_DAC_OVERRIDE"' "$dir/absent.err"
    kill "$pid"
    await_end "$pid"
    start_target
    chown 65534 "$dir/target.sock"
    chmod 0600 "$dir/target.sock"
    start_sandboxed run
    grep -q 'capabilities="CAP_DAC_OVERRIDE"' "$dir/run.err"
    [ "$(ask /other)" = 'GET /other' ]
}

@test "sandbox: another user than root has nothing to give up, and is held all the same" {
    [ "$(id -u)" -eq 0 ] || skip 'for root, who can become another'
    chmod 0777 "$dir"
    setpriv --reuid 65534 --regid 65534 --clear-groups /usr/bin/python3 "$BATS_TEST_DIRNAME/backend.py" "$dir/target.sock" \
        >"$dir/target.out" 2>"$dir/target.err" 3>&- &
    pids+=("$!")
    await_socket "$dir/target.sock"
    configure
    background run setpriv --reuid 65534 --regid 65534 --clear-groups "$porthole" run -c "$dir/porthole.json"
    await_socket "$sock"
    eventually grep -q 'info sandboxed' "$dir/run.err"
    grep -q 'sandboxed no_new_privs="yes" capabilities="none"' "$dir/run.err"
    [ "$(ask /hello)" = 'GET /hello' ]
    grep -q '^CapBnd:' "/proc/$pid/status"
    lacks 'a part of the sandbox is not in force' "$dir/run.err"
}

@test "sandbox: a socket and its directory are made again" {
    start_target
    sock=$dir/made/app.sock
    configure '"directory_mode": "0755",'
    start_sandboxed run
    mv "$dir/made" "$dir/gone"
    eventually test -S "$sock"
    [ "$(ask /again)" = 'GET /again' ]
    [ "$(stat -c %a "$dir/made")" = 755 ]
}

@test "sandbox: a log that was moved away is opened again" {
    start_target
    mkdir "$dir/log"
    configure '' "\"log\": { \"access\": { \"to\": \"$dir/log/access\" } },"
    start_sandboxed run
    ask /one
    eventually grep -q /one "$dir/log/access"
    mv "$dir/log/access" "$dir/log/access.1"
    kill -USR1 "$pid"
    eventually test -e "$dir/log/access"
    ask /two
    eventually grep -q /two "$dir/log/access"
}

@test "sandbox: a secret may be turned as a ConfigMap turns, and a link like releases" {
    start_target
    mkdir -p "$dir/volume/..one" "$dir/app/releases/1"
    echo first >"$dir/volume/..one/token"
    echo alpha >"$dir/app/releases/1/token"
    ln -s ..one "$dir/volume/..data"
    ln -s ..data/token "$dir/volume/token"
    ln -s releases/1 "$dir/app/current"
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "routes": [ { "target": "unix:$dir/target.sock",
    "response_headers": { "set": { "X-Volume": "\${file:$dir/volume/token}", "X-App": "\${file:$dir/app/current/token}" } } } ] } ] }
JSON
    start_sandboxed run
    ask / -i | grep -q 'X-Volume: first'
    ask / -i | grep -q 'X-App: alpha'
    mkdir -p "$dir/volume/..two" "$dir/app/releases/2"
    echo second >"$dir/volume/..two/token"
    echo beta >"$dir/app/releases/2/token"
    ln -s ..two "$dir/volume/..new"
    mv -T "$dir/volume/..new" "$dir/volume/..data"
    rm -r "$dir/volume/..one"
    ln -s releases/2 "$dir/app/new"
    mv -T "$dir/app/new" "$dir/app/current"
    eventually has_field 'X-Volume: second'
    eventually has_field 'X-App: beta'
}

has_field() { # FIELD
    ask / -i | grep -q "$1"
}

@test "sandbox: takeover, hold and a port on the loopback work inside" {
    port=$(free_port)
    cat >"$dir/porthole.json" <<JSON
{ "targets": { "late": { "endpoints": ["unix:$dir/target.sock"], "hold": "20s" } },
  "listeners": [ { "bind": "unix:$sock", "routes": [ { "target": "late" } ] },
                 { "bind": "tcp:127.0.0.1:$port", "routes": [ { "target": "late" } ] } ] }
JSON
    start_sandboxed one
    old=$pid
    ask /later >"$dir/held.answer" &
    asker=$!
    sleep 0.3
    start_target
    wait "$asker"
    [ "$(cat "$dir/held.answer")" = 'GET /later' ]
    [ "$(curl --silent --max-time 20 http://127.0.0.1:$port/tcp)" = 'GET /tcp' ]
    start_sandboxed two --takeover
    await_end "$old"
    [ "$status" -eq 0 ]
    [ "$(ask /two)" = 'GET /two' ]
    [ "$(curl --silent --max-time 20 http://127.0.0.1:$port/two)" = 'GET /two' ]
}

# Listeners, as JSON, on app.sock in each of these directories.
configure_sockets() { # DIRECTORY...
    local each
    for each; do
        printf '{ "bind": "unix:%s/app.sock", "routes": [ { "target": "unix:%s/target.sock" } ] }' "$each" "$dir"
    done | sed 's/}{/}, {/g; s/.*/{ "listeners": [ & ] }/' >"$dir/conf/porthole.json.new"
    mv "$dir/conf/porthole.json.new" "$dir/conf/porthole.json"
}

@test "sandbox: a reload goes on within, and one that would need more is refused with that reason" {
    start_target
    mkdir "$dir/conf" "$dir/one" "$dir/two"
    configure_sockets "$dir/one"
    background run "$porthole" run -c "$dir/conf/porthole.json"
    await_socket "$dir/one/app.sock"
    eventually grep -q 'info sandboxed' "$dir/run.err"
    needs_landlock 2 run
    configure_sockets "$dir/one" "$dir/two"
    kill -HUP "$pid"
    eventually grep -q "reload refused.*$dir/two/app.sock (the socket of a listener) is out of reach since the start" "$dir/run.err"
    [ ! -e "$dir/two/app.sock" ]
    sock=$dir/one/app.sock
    [ "$(ask /still)" = 'GET /still' ]
    configure_sockets "$dir/one"
    sed -i 's/"routes"/"mode": "0600", "routes"/' "$dir/conf/porthole.json"
    kill -HUP "$pid"
    eventually has_mode 600 "$sock"
    [ "$(ask /again)" = 'GET /again' ]
}

has_mode() { # MODE PATH
    [ "$(stat -c %a "$2")" = "$1" ]
}
