# Little memory: accepting slows before the kernel kills for it, nothing under way is lost, and it goes on when there is some.
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

# The control group goes when what ran in it has ended, also when a test fails.
eval "$(declare -f teardown | sed '1s/teardown/end_all/')"
teardown() {
    end_all
    [ ! -d "${group-}" ] || rmdir "$group"
}

N=500
body=65536

# In front of a target that answers when it is told.
configure_pressure() { # LIMIT [TOP-MEMBERS]
    cat >"$dir/porthole.json" <<JSON
{ ${2-} "limits": { "memory": "$1" }, "admin": [ { "bind": "unix:$dir/admin.sock" } ],
  "listeners": [ { "name": "app", "bind": "unix:$sock", "limits": { "connections": 1000 }, "routes": [ { "target": "t" } ] } ],
  "targets": { "t": { "endpoints": [ "unix:$dir/target.sock" ], "connections": { "max": 1000 } } } }
JSON
}

crowd() {
    background crowd /usr/bin/python3 "$BATS_TEST_DIRNAME/pressure.py" "$sock" "$dir/target.sock" "$dir" "$N" "$body"
}

skip_sanitizers() {
    ! grep --quiet --text -E '__(asan|tsan|ubsan)_' "$porthole" || skip "sanitizers have memory of their own"
}

own_kib() { # PID
    awk '$1 == "RssAnon:" { print $2 }' "/proc/$1/status"
}

is_held() { # N
    [ "$(cat "$dir/held" 2>/dev/null || echo 0)" -ge "$1" ]
}

is_slow() {
    local held
    held=$(cat "$dir/held")
    sleep 1
    [ "$(cat "$dir/held")" -lt "$((held + 16))" ]
}

# The crowd has filled the memory, and now comes in a few at a time.
await_pressure() {
    eventually grep -q 'warn memory is short: new clients come in slowly' "$dir/run.err"
    eventually is_held 16
    eventually is_slow
    echo "held $(cat "$dir/held") of $N, own memory $(own_kib "$server") KiB"
    [ "$(cat "$dir/held")" -lt "$N" ]
}

# Everybody has been answered, and it is over.
await_relief() {
    touch "$dir/go"
    eventually grep -q . "$dir/crowd.out"
    grep -qx "answered=$N resets=0" "$dir/crowd.out"
    eventually grep -q 'info memory is not short any more' "$dir/run.err"
    kill -0 "$server"
}

@test "pressure: those who are in are served, others wait, and come in when there is memory" {
    skip_sanitizers
    for workers in 1 4; do
        rm -f "$dir/go" "$dir/held"
        configure_pressure 16MiB "\"workers\": $workers,"
        start_porthole run
        server=$pid
        crowd
        await_pressure
        [ "$(own_kib "$server")" -lt 16384 ]
        # Who looks after it is let in.
        curl -sS --fail --max-time 5 --unix-socket "$dir/admin.sock" http://x/readyz >"$dir/ready.json"
        grep -q '"memory is [a-z ]*: new clients [a-z ]*"' "$dir/ready.json"
        curl -sS --fail --max-time 5 --unix-socket "$dir/admin.sock" http://x/status >"$dir/status.json"
        jq -e '.ready and .memory.limit == 16777216 and .memory.used > 10000000 and .memory.short >= 1 and .memory.pauses == 1' "$dir/status.json"
        curl -sS --fail --max-time 5 --unix-socket "$dir/admin.sock" http://x/metrics >"$dir/metrics"
        grep -qx 'porthole_memory_limit_bytes 16777216' "$dir/metrics"
        grep -q '^porthole_memory_used_bytes 1[0-9]*$' "$dir/metrics"
        grep -qx 'porthole_memory_short [12]' "$dir/metrics"
        grep -qx 'porthole_memory_pauses_total 1' "$dir/metrics"
        [ "$(grep -c 'warn memory is short' "$dir/run.err")" -eq 1 ]
        grep -q 'used_bytes=[0-9]* limit_bytes=16777216 of="limits.memory" clients=[0-9]* hint=' "$dir/run.err"
        await_relief
        kill "$server"
        await_end "$server"
        [ "$status" -eq 0 ]
    done
}

@test "pressure: a reload that allows more lets those in who wait" {
    skip_sanitizers
    configure_pressure 16MiB
    start_porthole run
    server=$pid
    crowd
    await_pressure
    configure_pressure unlimited
    kill -HUP "$server"
    eventually is_held "$N"
    grep -q 'info memory is not short any more' "$dir/run.err"
    await_relief
}

@test "pressure: a successor takes those over who wait" {
    skip_sanitizers
    configure_pressure 16MiB
    start_porthole run
    server=$pid
    crowd
    await_pressure
    configure_pressure unlimited
    start_porthole next --takeover
    eventually is_held "$N"
    touch "$dir/go"
    eventually grep -q . "$dir/crowd.out"
    grep -qx "answered=$N resets=0" "$dir/crowd.out"
    await_end "$server"
    [ "$status" -eq 0 ]
}

# A control group of our own, if this machine lets us make one.
make_cgroup() { # LIMIT-IN-BYTES
    local path
    path=$(awk -F: '$2 ~ /(^|,)memory(,|$)/ { print $3; exit }' /proc/self/cgroup)
    if [ -n "$path" ]; then
        group=/sys/fs/cgroup/memory$path/${dir##*/}
        mkdir "$group" 2>/dev/null && echo "$1" 2>/dev/null >"$group/memory.limit_in_bytes" && return
    else
        path=$(awk -F: '$2 == "" { print $3 }' /proc/self/cgroup)
        group=/sys/fs/cgroup$path/${dir##*/}
        mkdir "$group" 2>/dev/null && echo "$1" 2>/dev/null >"$group/memory.max" && return
    fi
    rmdir "$group" 2>/dev/null || true
    skip "no control group with memory can be made here"
}

@test "pressure: the limit of the control group is seen, behind the sandbox, and nothing is killed" {
    skip_sanitizers
    body=1000
    make_cgroup $((20 << 20))
    configure_pressure auto
    # shellcheck disable=SC2016 # for the shell that it starts
    background run sh -c 'echo $$ >"$1/cgroup.procs" && exec "$2" run -c "$3"' sh "$group" "$porthole" "$dir/porthole.json"
    server=$pid
    eventually test -S "$sock"
    crowd
    await_pressure
    grep -q 'limit_bytes=20971520 of="the control group"' "$dir/run.err"
    await_relief
    kill "$server"
    await_end "$server"
    [ "$status" -eq 0 ]
}
