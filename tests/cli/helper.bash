# What the tests of the command line share. Each test has a directory of its own ($dir, mode 0755, short enough for
# socket paths), and everything it starts ends with it.

porthole=${PORTHOLE:-$BATS_TEST_DIRNAME/../../build/porthole}

setup() {
    dir=$(mktemp -d /tmp/porthole-cli-XXXXXX)
    chmod 0755 "$dir"
    sock=$dir/app.sock
    pids=()
}

teardown() {
    end_background
    rm -rf "$dir"
}

# Only what is ours still: the number of a process that has ended may be another's by now.
end_background() {
    local pid ours
    ours=$(jobs -pr && jobs -ps)
    for pid in "${pids[@]}"; do
        [[ " ${ours//$'\n'/ } " == *" $pid "* ]] || continue
        kill -9 "$pid" 2>/dev/null || true
        wait "$pid" 2>/dev/null || true
    done
}

# Runs a command in the background: its process id goes to $pid, its output to $dir/NAME.out and .err. What an earlier
# command of that name printed is gone when this returns: who waits for a line waits for this one's.
background() { # NAME COMMAND...
    local name=$1
    shift
    : >"$dir/$name.out" 2>"$dir/$name.err"
    "$@" >"$dir/$name.out" 2>"$dir/$name.err" 3>&- &
    pid=$!
    pids+=("$pid")
}

# Waits for a command to succeed; gives up after 30 s, for a machine may be busy.
eventually() { # COMMAND...
    local end=$((SECONDS + 30))
    until "$@"; do
        [ "$SECONDS" -lt "$end" ] || { echo "has not come true: $*"; return 1; }
        sleep 0.02
    done
}

# "!" fails a test only in its last line. These do everywhere.
fails() { # COMMAND...
    if "$@"; then
        echo "has not failed: $*"
        return 1
    fi
}

# No line fits, of files that are there.
lacks() { # GREP-ARGUMENT...
    local status=0
    grep "$@" || status=$?
    [ "$status" -eq 1 ]
}

is_over() { # PID
    ! kill -0 "$1" 2>/dev/null
}

# Waits for a background process to end and puts its exit status into $status; 124 when it is still there after 30 s.
# shellcheck disable=SC2034 # tests read status, as after bats' own run
await_end() { # PID
    status=124
    eventually is_over "$1" || return 0
    status=0
    wait "$1" || status=$?
}

# A probe whose target has time, where time is not what is tested: a second is little on a busy machine.
patient_probe() { # ARGUMENT...
    "$porthole" probe --timeout 30s "$@"
}

await_socket() { # PATH
    "$porthole" probe --wait 30s "unix:$1"
}

# A target on $dir/target.sock (backend.py).
start_target() {
    background target /usr/bin/python3 "$BATS_TEST_DIRNAME/backend.py" "$dir/target.sock"
    await_socket "$dir/target.sock"
}

# A target on $dir/NAME.sock that answers everything with its name.
start_answering() { # NAME
    printf '{ "listeners": [ { "bind": "unix:%s/%s.sock", "routes": [ { "respond": { "status": 200, "body": "%s\\n" } } ] } ] }' \
        "$dir" "$1" "$1" >"$dir/$1.json"
    background "$1" "$porthole" run -c "$dir/$1.json"
    await_socket "$dir/$1.sock"
}

# Waits until the target has read the head of a request.
await_request() { # PATH
    eventually grep -qx "$1" "$dir/target.out"
}

# A client that connects and stays, without a word. Who connects after it is accepted after it.
start_idle_client() {
    background idle socat -d -d -u "UNIX-CONNECT:$sock" -
    eventually grep -q 'successfully connected' "$dir/idle.err"
}

# The configuration of one listener on $sock in front of the target. The arguments are more members of the listener and of
# the top, in JSON, each ending with a comma.
configure() { # [LISTENER-MEMBERS [TOP-MEMBERS]]
    cat >"$dir/porthole.json" <<JSON
{ ${2-} "listeners": [ { "bind": "unix:$sock", ${1-}
    "routes": [ { "target": "unix:$dir/target.sock" } ] } ] }
JSON
}

# `porthole run` on that configuration, ready: another file than before lies at the path, and there is one at each other
# path that the configuration has. Its process id is in $pid.
start_porthole() { # NAME [OPTION...]
    local name=$1 before i
    shift
    before=$(inode "$sock")
    background "$name" "$porthole" run -c "$dir/porthole.json" "$@"
    for ((i = 0; i < 1500; i++)); do
        [ "$(inode "$sock")" = "$before" ] || { await_shown; return; }
        kill -0 "$pid" 2>/dev/null || break
        sleep 0.02
    done
    cat "$dir/$name.err"
    return 1
}

# Sockets are shown one after the other.
await_shown() {
    local path
    for path in $(grep -oP '"bind": "unix:\K/[^"$]*(?=")' "$dir/porthole.json"); do
        eventually test -S "$path" || return 1
    done
}

# A TCP port to listen on: below those that the kernel gives away, so that nobody else's connection gets it meanwhile.
free_port() {
    /usr/bin/python3 - <<'PY'
import random
import socket

while True:
    port = random.randrange(10000, 32000)
    with socket.socket() as candidate:
        try:
            candidate.bind(("", port))
        except OSError:
            continue
    print(port)
    break
PY
}

# Whether somebody listens on a TCP port, at a path.
accepts() { # PORT
    { : <>"/dev/tcp/127.0.0.1/$1"; } 2>/dev/null
}

accepts_at() { # PATH
    socat -u OPEN:/dev/null "UNIX-CONNECT:$1" 2>/dev/null
}

inode() { # PATH
    stat -c %i "$1" 2>/dev/null || echo none
}

ask() { # PATH-OF-URL [CURL-OPTION...]
    local path=$1
    shift
    curl --silent --show-error --max-time 20 --unix-socket "$sock" "$@" "http://localhost$path"
}

ms_now() {
    date +%s%3N
}
