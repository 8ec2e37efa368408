# Another configuration for what runs, or for nothing of it.

load helper

# One listener on $sock that answers BODY; what else is in the file is the other arguments' (MEMBERS of the listener, each
# with a comma behind it, more LISTENERS, each with a comma in front of it, and MEMBERS of the top).
answering() { # BODY [MEMBERS [LISTENERS [TOP]]]
    cat >"$dir/porthole.json" <<JSON
{ "watch": ${watch-false}, ${4-} "listeners": [ { "bind": "unix:$sock", ${2-} $(answers "$1") } ${3-} ] }
JSON
}

answers() { # BODY
    printf '"routes": [ { "respond": { "status": 200, "body": "%s\\n" } } ]' "$1"
}

n_lines() { # PATTERN
    grep -c -- "$1" "$dir/run.err" || true
}

has_lines() { # N PATTERN
    [ "$(n_lines "$2")" -ge "$1" ]
}

# Asks for a reload and waits until there is one more line that fits.
reload_until() { # PATTERN
    local n
    n=$(n_lines "$1")
    kill -HUP "$running"
    eventually has_lines $((n + 1)) "$1"
}

reload() {
    reload_until ' reloaded '
}

start() {
    start_porthole run "$@"
    running=$pid
}

says() { # BODY [CURL-OPTION...]
    local body=$1
    shift
    [ "$(ask / "$@")" = "$body" ]
}

n_descriptors() {
    find "/proc/$running/fd" -mindepth 1 | wc -l
}

@test "reload: routes and targets change, the socket stays, and the file and its hash are in the log" {
    answering one
    start
    says one
    local before
    before=$(inode "$sock")
    answering two
    reload
    says two
    [ "$(inode "$sock")" = "$before" ]
    grep -q " reloaded file=\"$dir/porthole.json\" sha256=\"$(sha256sum <"$dir/porthole.json" | cut -d' ' -f1)\" listeners=1 added=0 removed=0 changed=0 targets=0 routes_changed=1 targets_changed=0" "$dir/run.err"
    for name in first second; do
        start_answering "$name"
        printf '{ "listeners": [ { "bind": "unix:%s", "routes": [ { "target": "app" } ] } ],
            "targets": { "app": { "endpoints": [ "unix:%s/%s.sock" ] } } }' "$sock" "$dir" "$name" >"$dir/porthole.json"
        reload
        says "$name"
    done
    [ "$(grep -c ' reloaded .* changed=0 targets=1 routes_changed=1 targets_changed=1' "$dir/run.err")" -eq 1 ]
    [ "$(grep -c ' reloaded .* changed=0 targets=1 routes_changed=0 targets_changed=1' "$dir/run.err")" -eq 1 ]
}

@test "reload: listeners come and go" {
    answering one
    start
    answering one '' ", { \"bind\": \"unix:$dir/more.sock\", $(answers more) }, { \"bind\": \"unix:@porthole-reload-$$\", \"peers\": { \"allow\": [ { \"uid\": $(id -u) } ] }, $(answers abstract) }"
    reload
    [ "$(curl --silent --unix-socket "$dir/more.sock" http://a/)" = more ]
    [ "$(curl --silent --abstract-unix-socket "porthole-reload-$$" http://a/)" = abstract ]
    says one
    answering one
    reload
    says one
    [ ! -e "$dir/more.sock" ]
    fails curl --silent --abstract-unix-socket "porthole-reload-$$" http://a/
    grep -q ' a listener is removed: its clients may finish ' "$dir/run.err"
}

@test "reload: a listener whose bind changes is there before the old one goes" {
    answering one
    start
    sed -i "s|$sock|$dir/new.sock|" "$dir/porthole.json"
    reload
    [ "$(curl --silent --unix-socket "$dir/new.sock" http://a/)" = one ]
    [ ! -e "$sock" ]
    grep -q ' reloaded .* added=1 removed=1 ' "$dir/run.err"
}

@test "reload: mode, owner and group change on the same socket" {
    answering one '"mode": "0600", "owner": "65533", "group": "65533",' # so that the sandbox leaves us these rights
    start
    local before
    before=$(inode "$sock")
    answering one '"mode": "0666", "owner": "65534", "group": "65534",'
    reload
    [ "$(stat -c '%a %u %g' "$sock")" = '666 65534 65534' ]
    [ "$(inode "$sock")" = "$before" ]
    answering one '"mode": "0640",'
    reload
    [ "$(stat -c '%a %u %g' "$sock")" = "640 $(id -u) $(id -g)" ]
    [ "$(inode "$sock")" = "$before" ]
    says one
    grep -q ' a listener is changed listener=.* mode="0640"' "$dir/run.err"
}

@test "reload: a broken file changes nothing, and all that is wrong with it is in the log" {
    answering one
    start
    printf '{ "watch": false, "listeners": [ { "bind": "unix:%s", "mode": "9", "routes": [ { "respond": { "status": 99 } } ], "nonsense": 1 } ] }' "$sock" >"$dir/porthole.json"
    reload_until ' reload refused: nothing has changed .* at="/listeners/0/nonsense" '
    [ "$(n_lines ' reload refused: nothing has changed ')" = 3 ]
    grep -q ' reload refused: nothing has changed .* line=1 column=[0-9]* at="/listeners/0/mode" ' "$dir/run.err"
    says one
    rm "$dir/porthole.json"
    reload_until 'reload refused.*No such file'
    says one
    answering two
    reload
    says two
}

@test "reload: what cannot change while workers run is refused by name, and nothing else of the file is taken" {
    answering one
    start
    answering two '' '' '"workers": 3,'
    reload_until ' reload refused: nothing has changed .*workers'
    says one
}

@test "reload: what needs rights that were given up is refused, with the reason" {
    answering one
    start
    grep -q ' sandboxed .*landlock' "$dir/run.err" || skip "no Landlock here"
    answering two '' ", { \"bind\": \"unix:$BATS_TEST_TMPDIR/more.sock\", $(answers more) }"
    reload_until ' reload refused: nothing has changed '
    says one
}

@test "reload: what cannot be published is refused, and what was made for it goes again" {
    answering one '"mode": "0600",'
    start
    reload
    local before
    before=$(n_descriptors)
    echo mine >"$dir/file"
    answering two '"mode": "0666",' ", { \"bind\": \"unix:$dir/more.sock\", $(answers more) }, { \"bind\": \"unix:$dir/file\", $(answers more) }"
    reload_until ' reload refused: nothing has changed .*is a regular file'
    [ "$(stat -c %a "$sock")" = 600 ]
    [ ! -e "$dir/more.sock" ]
    [ "$(cat "$dir/file")" = mine ]
    [ "$(n_descriptors)" = "$before" ]
    says one
}

# A client whose next request is sent by `next`.
start_client() {
    mkfifo "$dir/turns"
    background client bash -c "exec /usr/bin/python3 '$BATS_TEST_DIRNAME/turns.py' '$sock' <'$dir/turns'"
    exec 7>"$dir/turns"
}

next() {
    echo >&7
}

@test "reload: a client moves between two requests, and its connection stays" {
    answering one
    start
    start_client
    eventually grep -qx one "$dir/client.out"
    answering two
    reload
    next
    eventually grep -qx two "$dir/client.out"
    exec 7>&-
}

@test "reload: a client of a listener that goes is answered once more, on the route it had" {
    answering one
    start
    start_client
    eventually grep -qx one "$dir/client.out"
    sed -i "s|$sock|$dir/new.sock|; s|one|two|" "$dir/porthole.json"
    reload
    next
    eventually grep -qx 'one (close)' "$dir/client.out"
    next
    eventually grep -qx gone "$dir/client.out"
    exec 7>&-
}

@test "reload: a client whose peer is not allowed any more is let go" {
    answering one
    start
    start_client
    eventually grep -qx one "$dir/client.out"
    answering two '"peers": { "allow": [ { "uid": 65534 } ] },'
    reload
    next
    eventually grep -qx gone "$dir/client.out"
    lacks two "$dir/client.out"
    exec 7>&-
}

@test "reload: a file that changes is loaded without being asked for, however it changes" {
    watch=true
    mkdir "$dir/first"
    answering zero
    mv "$dir/porthole.json" "$dir/first"
    ln -s first "$dir/..data"
    ln -s ..data/porthole.json "$dir/porthole.json"
    start
    local i
    answering_in() { # BODY DIRECTORY
        mkdir "$dir/$2"
        (dir=$dir/$2 && answering "$1")
        ln -s "$2" "$dir/..new"
        mv -T "$dir/..new" "$dir/..data"
    }
    for i in 1 2 3; do
        answering_in "configmap-$i" "number-$i"
    done
    eventually says configmap-3
    answering written
    eventually says written
    printf '{ "listeners": [ {' >"$dir/number-3/porthole.json"
    eventually grep -q ' reload refused' "$dir/run.err"
    says written
    answering again
    eventually says again
}

@test "reload: an exchange keeps the route it began with" {
    configure
    start_target
    start
    background asking curl --silent --max-time 20 --unix-socket "$sock" http://a/held/go
    await_request /held/go
    answering two
    reload
    says two
    touch "$dir/go"
    eventually grep -qx 'GET /held/go' "$dir/asking.out"
}

@test "reload: a listener that goes lets an exchange finish, and idle clients go" {
    configure
    start_target
    start
    background asking curl --silent --max-time 20 --unix-socket "$sock" http://a/held/go
    await_request /held/go
    start_idle_client
    local idle=$pid
    sed -i "s|$sock|$dir/new.sock|" "$dir/porthole.json"
    reload
    await_end "$idle"
    touch "$dir/go"
    eventually grep -qx 'GET /held/go' "$dir/asking.out"
}

@test "reload: what a listener that went leaves behind is cut after drain" {
    configure '' '"drain": "300ms",'
    start_target
    start
    background asking curl --silent --max-time 20 --unix-socket "$sock" http://a/held/never
    local asking=$pid
    await_request /held/never
    sed -i "s|$sock|$dir/new.sock|" "$dir/porthole.json"
    reload
    await_end "$asking"
    [ "$status" -ne 0 ]
}

@test "reload: a tunnel survives" {
    background echo socat "UNIX-LISTEN:$dir/echo.sock,fork" EXEC:cat
    eventually socat -u OPEN:/dev/null "UNIX-CONNECT:$dir/echo.sock"
    printf '{ "listeners": [ { "bind": "unix:%s", "stream": { "target": "unix:%s/echo.sock" } } ] }' "$sock" "$dir" >"$dir/porthole.json"
    start
    mkfifo "$dir/words"
    background tunnel bash -c "exec socat - 'UNIX-CONNECT:$sock' <'$dir/words'"
    exec 7>"$dir/words"
    echo before >&7
    eventually grep -qx before "$dir/tunnel.out"
    sed -i "s|echo.sock|other.sock|" "$dir/porthole.json"
    reload
    echo after >&7
    eventually grep -qx after "$dir/tunnel.out"
    exec 7>&-
}

@test "reload: the access log goes elsewhere and ends" {
    answering one '' '' "\"log\": { \"access\": { \"to\": \"$dir/first.log\" } },"
    start
    says one
    eventually grep -q 'outcome="responded"' "$dir/first.log"
    answering one '' '' "\"log\": { \"level\": \"debug\", \"format\": \"json\", \"access\": { \"to\": \"$dir/second.log\" } },"
    kill -HUP "$running"
    eventually grep -q '"message":"reloaded"' "$dir/run.err"
    says one
    eventually grep -q 'outcome="responded"' "$dir/second.log"
    [ "$(wc -l <"$dir/first.log")" = 1 ]
    answering two
    reload
    says two
    [ "$(wc -l <"$dir/second.log")" = 1 ]
}

@test "reload: several that are asked for at once settle on the last, and a stop among them ends as it should" {
    answering one
    start
    for i in $(seq 30); do
        answering "body-$i"
        kill -HUP "$running"
    done
    eventually says body-30
    for i in $(seq 10); do
        kill -HUP "$running"
    done
    kill "$running"
    await_end "$running"
    [ "$status" = 0 ]
    [ ! -e "$sock" ]
}

@test "reload: who is in the middle of a handshake with a TCP port that goes is served, as at a stop" {
    [ "$(id -u)" -eq 0 ] && [ -w /dev/net/tun ] && unshare --net true || skip "a network of its own cannot be had"
    for how in reload stop reload; do
        met() {
            got=$(unshare --net /usr/bin/python3 "$BATS_TEST_DIRNAME/handshake.py" "$porthole" "$dir" "$how")
            [ "$got" != late ]
        }
        eventually met
        [ "$got" = answered ]
    done
}
