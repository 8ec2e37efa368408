# Who may write the directory can take a socket's place away, and nothing else: not porthole, its time, its log or its
# clients. A successor is a later porthole of the same user, and nobody else.
# PLACE_SECONDS=20: for how long the races of this file run.

load helper

seconds=${PLACE_SECONDS:-4}
stranger='setpriv --reuid 1234 --regid 1234 --clear-groups'

place() { # VERB ARGUMENT...
    /usr/bin/python3 "$BATS_TEST_DIRNAME/place.py" "$@"
}

# As somebody else; where the tree is, others may not go.
place_as_stranger() { # VERB ARGUMENT...
    cp "$BATS_TEST_DIRNAME/place.py" "$dir/place.py"
    chmod 0777 "$dir"
    $stranger /usr/bin/python3 "$dir/place.py" "$@"
}

# Listeners on $dir/NAME.sock, each of which answers with its name.
# Who runs already is not to follow what is written for the next one.
configure_names() { # [NAME...]
    local name listeners=
    for name; do
        listeners+="{ \"bind\": \"unix:$dir/$name.sock\", \"routes\": [ { \"respond\": { \"status\": 200, \"body\": \"$name\" } } ] },"
    done
    echo "{ \"watch\": false, ${top-} \"listeners\": [ ${listeners%,} ] }" >"$dir/porthole.json"
}

answers() { # NAME
    [ "$(curl --silent --max-time 20 --unix-socket "$dir/$1.sock" http://localhost/)" = "$1" ]
}

lives() { # PID NAME: it is there, and never thought that it has a successor
    kill -0 "$1"
    lacks -q -e 'taken over' -e 'stopping' "$dir/$2.err"
}

# How many lines about the place of a socket there are.
told() { # NAME
    grep -c -e 'published again' -e 'taken over' "$dir/$1.err" || true
}

# Processor time of a process, in hundredths of a second.
spent() { # PID
    awk '{ sub(/.*\) /, ""); print $12 + $13 }' "/proc/$1/stat"
}

# Nothing of this costs more than a line in ten seconds, and a third of a processor.
bounded() { # PID NAME SPENT-BEFORE SECONDS
    local cost=$(($(spent "$1") - $3)) lines
    lines=$(told "$2")
    echo "# $lines lines, $((cost / $4))% of a processor" >&3
    [ "$lines" -le $((2 + $4 / 10)) ]
    [ "$cost" -le $(($4 * 33)) ]
}

@test "place: two sockets of its own that are exchanged are both published again" {
    configure_names app other
    start_porthole run
    for _ in 1 2 3; do
        place exchange "$dir/app.sock" "$dir/other.sock"
        eventually answers app
        eventually answers other
    done
    sleep 2.5 # it looks by itself every other second, too
    lives "$pid" run
    answers app && answers other
}

@test "place: a target's socket that is linked over the path is no successor" {
    start_target
    configure
    start_porthole run
    ln "$dir/target.sock" "$dir/link"
    mv -T "$dir/link" "$sock"
    differs() { [ "$(inode "$sock")" != "$(inode "$dir/target.sock")" ]; }
    eventually differs
    lives "$pid" run
    [ "$(ask /again)" = 'GET /again' ]
}

@test "place: the socket of a porthole that serves another path is no successor" {
    configure_names app
    start_porthole run
    run=$pid
    configure_names other
    sock=$dir/other.sock
    start_porthole other
    mv -T "$dir/other.sock" "$dir/app.sock"
    eventually answers app
    eventually answers other
    lives "$run" run
    lives "$pid" other
}

@test "place: another user's listening socket is replaced, however often it comes" {
    configure_names app
    start_porthole run
    before=$(spent "$pid")
    place_as_stranger squat "$sock" "$seconds" >"$dir/squat.out"
    cat "$dir/squat.out" >&3
    bounded "$pid" run "$before" "$seconds"
    eventually answers app
    lives "$pid" run
}

@test "place: a name that is removed again and again costs a line, little time and no client" {
    start_target
    top='"workers": 4,'
    configure '' "$top"
    start_porthole run
    run=$pid
    background stay /usr/bin/python3 "$BATS_TEST_DIRNAME/place.py" stay "$sock" "$dir/enough"
    stay=$pid
    eventually grep -q connected "$dir/stay.out"
    before=$(spent "$run")
    place_as_stranger unlink "$sock" "$seconds" >"$dir/unlink.out"
    cat "$dir/unlink.out" >&3
    bounded "$run" run "$before" "$seconds"
    place unlink "$sock" "$seconds" # as ourselves
    touch "$dir/enough"
    await_end "$stay"
    cat "$dir/stay.err"
    [ "$status" -eq 0 ]
    comes_back() { [ "$(ask /again)" = 'GET /again' ]; }
    eventually comes_back
    lives "$run" run
}

@test "place: names that come and go beside the sockets cost little" {
    # shellcheck disable=SC2046 # words
    configure_names app $(seq -f app%.0f 200)
    sock=$dir/app200.sock # the last
    start_porthole run
    before=$(spent "$pid")
    place_as_stranger flood "$dir" "$seconds" >"$dir/flood.out"
    cat "$dir/flood.out" >&3
    bounded "$pid" run "$before" "$seconds"
    [ "$(told run)" -eq 0 ]
    answers app
}

@test "place: who waits in the backlog of a socket that is removed is served" {
    start_target
    configure '' '"workers": 4,'
    start_porthole run
    kill -STOP "$pid"
    background queue /usr/bin/python3 "$BATS_TEST_DIRNAME/place.py" queue "$sock" 200 "$dir/ready" "$dir/go"
    eventually [ -e "$dir/ready" ]
    rm "$sock"
    kill -CONT "${pids[1]}"
    eventually [ -S "$sock" ]
    touch "$dir/go"
    await_end "$pid"
    cat "$dir/queue.err"
    [ "$(cat "$dir/queue.out")" = 'answered 200' ]
}

@test "place: whoever locks the directory delays neither a start nor a stop" {
    names=$(seq -f app%.0f 12)
    sock=$dir/app12.sock
    # shellcheck disable=SC2086 # words
    configure_names $names
    cp "$BATS_TEST_DIRNAME/place.py" "$dir/place.py"
    background lock $stranger /usr/bin/python3 "$dir/place.py" lock "$dir"
    eventually grep -q locked "$dir/lock.out"
    begin=$(ms_now)
    start_porthole run
    eventually answers app12
    kill "$pid"
    await_end "$pid"
    [ "$status" -eq 0 ]
    [ $(($(ms_now) - begin)) -lt 15000 ] # a wait for each of twelve would be 24 s, twice
    [ -z "$(find "$dir" -name '*.sock')" ]
}

@test "place: who holds our own lock delays a stop once, and nobody is accepted meanwhile" {
    names=$(seq -f app%.0f 12)
    sock=$dir/app12.sock
    # shellcheck disable=SC2086 # words
    configure_names $names
    background lock /usr/bin/python3 "$BATS_TEST_DIRNAME/place.py" lock "$dir/.porthole-lock" create
    eventually grep -q locked "$dir/lock.out"
    begin=$(ms_now)
    start_porthole run
    eventually answers app12
    kill "$pid"
    refuses() { curl --silent --unix-socket "$sock" http://localhost/ || [ $? -eq 7 ]; }
    eventually refuses
    await_end "$pid"
    [ "$status" -eq 0 ]
    [ $(($(ms_now) - begin)) -lt 15000 ]
    [ -z "$(find "$dir" -name '*.sock')" ]
}

@test "place: whatever lies where our lock should be is left alone and hinders nothing" {
    configure_names app
    chmod 0777 "$dir"
    echo precious >"$dir/precious"
    for make in 'touch' 'mkfifo' 'mkdir' 'ln -s precious' "$stranger touch"; do
        (cd "$dir" && $make .porthole-lock)
        [ "$make" != touch ] || chmod 0644 "$dir/.porthole-lock"
        before=$(stat -c '%F %a %u' "$dir/.porthole-lock")
        begin=$(ms_now)
        start_porthole run
        answers app
        kill "$pid"
        await_end "$pid"
        [ "$status" -eq 0 ]
        [ "$(stat -c '%F %a %u' "$dir/.porthole-lock")" = "$before" ]
        [ "$(cat "$dir/precious")" = precious ]
        rm -r "$dir/.porthole-lock"
    done
}

@test "place: of two that start at once without a lock exactly one stays" {
    configure_names app
    chmod 0777 "$dir"
    (cd "$dir" && $stranger touch .porthole-lock)
    for round in 1 2 3 4 5; do
        background "one$round" "$porthole" run -c "$dir/porthole.json"
        one=$pid
        background "two$round" "$porthole" run -c "$dir/porthole.json"
        two=$pid
        one_is_left() {
            if is_over "$one"; then ! is_over "$two"; else is_over "$two"; fi
        }
        eventually one_is_left
        sleep 0.3
        one_is_left
        answers app
        kill "$one" 2>/dev/null || kill "$two"
        await_end "$one"
        await_end "$two"
    done
}

@test "place: a takeover from other namespaces of processes and networks succeeds" {
    configure_names app
    start_porthole old
    old=$pid
    before=$(inode "$sock")
    background new unshare --fork --kill-child --pid --mount-proc --net "$porthole" run --takeover -c "$dir/porthole.json"
    await_end "$old"
    [ "$status" -eq 0 ]
    [ "$(inode "$sock")" != "$before" ]
    answers app
    old=$pid
    start_porthole newer --takeover # back again, from outside
    eventually is_over "$old"
    answers app
    kill -0 "$pid"
}

@test "place: a takeover of one that is frozen succeeds, and it leaves when it thaws" {
    configure_names app
    start_porthole old
    old=$pid
    kill -STOP "$old"
    start_porthole new --takeover
    eventually answers app
    kill -CONT "$old"
    await_end "$old"
    [ "$status" -eq 0 ]
    answers app
    lives "$pid" new
}

@test "place: another user's living process is not taken over" {
    configure_names app
    chmod 0777 "$dir"
    cp "$porthole" "$dir/porthole"
    background old $stranger "$dir/porthole" run -c "$dir/porthole.json"
    old=$pid
    await_socket "$sock"
    run timeout 10 "$porthole" run --takeover -c "$dir/porthole.json"
    [ "$status" -eq 1 ]
    [[ $output == *"a process of uid 1234 serves $sock"* ]]
    answers app
    lives "$old" old
}
