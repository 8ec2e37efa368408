# What a verb is started with: as process 1 of a container, and without standard descriptors.

load helper

# Runs a verb as process 1 of a PID namespace of its own; when it is there and would hear SIGTERM or SIGINT, $inner is its
# number outside, and $pid that of what waits for it.
as_process_1() { # ARGUMENT...
    local i caught
    unshare --pid --fork --kill-child --mount-proc true 2>/dev/null || skip 'cannot make a PID namespace'
    # With a /proc of its own, as a container has it: LeakSanitizer looks for its own threads there.
    background first env --default-signal unshare --pid --fork --kill-child --mount-proc "$porthole" "$@"
    for ((i = 0; i < 500; i++)); do
        inner=$(cat "/proc/$pid/task/$pid/children" 2>/dev/null) || true
        inner=${inner% }
        caught=$(sed -n 's/^SigCgt:[[:space:]]*//p' "/proc/${inner:-none}/status" 2>/dev/null) || true
        [ $((0x${caught:-0} & 0x4002)) -ne $((0x4002)) ] || return 0
        sleep 0.02
    done
    echo "process 1 does not listen to SIGTERM and SIGINT: ${caught:-no process}"
    return 1
}

@test "process: as process 1, SIGTERM and SIGINT end what waits" {
    background mute socat -u "UNIX-LISTEN:$dir/mute,fork" OPEN:/dev/null # takes requests, and never answers
    eventually test -S "$dir/mute"
    for number in 15 2; do
        for verb in "probe unix:$dir/none --wait 60s" "probe unix:$dir/mute --path / --timeout 60s"; do
            # shellcheck disable=SC2086 # words
            as_process_1 $verb
            kill "-$number" "$inner"
            await_end "$pid"
            echo "$verb: $status"
            [ "$status" -eq $((128 + number)) ]
        done
    done
}

@test "process: as process 1, run still stops gracefully, with 0" {
    configure
    as_process_1 run -c "$dir/porthole.json"
    eventually test -S "$sock"
    kill "$inner"
    await_end "$pid"
    [ "$status" -eq 0 ]
    [ ! -e "$sock" ]
}

@test "process: another process is ended by the signal itself" {
    background probe "$porthole" probe "unix:$dir/none" --wait 60s
    sleep 0.2
    kill "$pid"
    await_end "$pid"
    [ "$status" -eq 143 ]
    [ ! -s "$dir/probe.err" ]
}

@test "process: without descriptors 0 to 2 nothing gets their numbers, and no line goes astray" {
    start_target
    configure '' '"log": { "level": "debug", "access": true },'
    for closed in '0<&- 1>&- 2>&-' '1>&-' '2>&-' '0<&-'; do
        background closed bash -c "exec \"\$@\" $closed" - "$porthole" run -c "$dir/porthole.json"
        await_socket "$sock"
        [ "$(ask /whole)" = 'GET /whole' ]
        for fd in 0 1 2; do
            name=$(readlink "/proc/$pid/fd/$fd")
            echo "$closed: $fd is $name"
            [[ $name == /dev/null || $name == "$dir"/closed.* ]]
        done
        kill "$pid"
        await_end "$pid"
        [ "$status" -eq 0 ]
    done
}
