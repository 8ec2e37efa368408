# Tunnels whose ends leave in every way: streams, and what begins as HTTP.

load helper

# One tunnel from ADDRESS to TARGET, each a path or a port. With MEMBERS of the listener it is not a stream.
configure_tunnel() { # ADDRESS TARGET [MEMBERS]
    local address=tcp:127.0.0.1:$1 target=tcp:127.0.0.1:$2
    case $1 in /*) address=unix:$1 ;; esac
    case $2 in /*) target=unix:$2 ;; esac
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "bind": "unix:$sock", "routes": [ { "respond": { "status": 200 } } ] },
                 { "bind": "$address", ${3-"\"stream\": { \"target\": \"$target\" }"} } ] }
JSON
}

# WHO closes when it has said a mebibyte; the other end goes on sending, and must get all of that.
expect_all() { # ADDRESS TARGET WHO [UPGRADE]
    local got
    got=$(timeout 60 "$BATS_TEST_DIRNAME/parting.py" "$@")
    echo "$*: $got"
    [ "${got% *}" = 1048576 ]
}

@test "tunnels: what a target said before it closed arrives at a client that still sends" {
    port=$(free_port)
    for address in "$port" "$dir/tunnel.sock"; do
        configure_tunnel "$address" "$dir/target.sock"
        start_porthole run
        expect_all "$address" "$dir/target.sock" target
        kill "$pid"
        await_end "$pid"
        rm "$dir/target.sock"
    done
}

@test "tunnels: what a client said before it closed arrives at a target that still sends" {
    port=$(free_port)
    for target in "$port" "$dir/target.sock"; do
        configure_tunnel "$dir/tunnel.sock" "$target"
        start_porthole run
        expect_all "$dir/tunnel.sock" "$target" client
        kill "$pid"
        await_end "$pid"
    done
}

@test "tunnels: one that began as HTTP is closed in stages, too" {
    port=$(free_port)
    configure_tunnel "$port" "$dir/target.sock" \
        "\"routes\": [ { \"match\": { \"host\": \"a\" }, \"target\": \"unix:$dir/target.sock\", \"upgrade\": [ \"echo\" ] } ]"
    start_porthole run
    expect_all "$port" "$dir/target.sock" target echo
}
