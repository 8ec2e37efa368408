# Host names: name servers that are silent, dead, replaced or right, and names that move (names.py).

load helper

# In a network of its own, with a resolv.conf and hosts of its own.
in_its_own_world() { # SCENARIO [SECONDS]
    local unshare=(unshare --mount --net)
    [ "$(id -u)" = 0 ] || unshare+=(--map-root-user)
    "${unshare[@]}" mount --bind "$dir" "$dir" 2>/dev/null || skip "no namespaces here"
    timeout -k 5 120 "${unshare[@]}" /usr/bin/python3 "$BATS_TEST_DIRNAME/names.py" "$porthole" "$dir" "$@"
}

@test "names: a name server that never answers costs a thread for each name, and nobody else anything" {
    in_its_own_world silent 5
}

@test "names: the first of two name servers is dead, which costs one request its time" {
    in_its_own_world first-dead
}

@test "names: a name server that dies breaks no target that works" {
    in_its_own_world outage
}

@test "names: resolv.conf is read again when it changes" {
    in_its_own_world server-changes
}

@test "names: a target that has moved is found by the request that was refused" {
    in_its_own_world refused
}

@test "names: a target that has moved in /etc/hosts is found as well" {
    in_its_own_world refused-hosts
}

@test "names: a target that has moved is found although its old place still answers" {
    in_its_own_world accepting
}

@test "names: a target that has moved is found although its old place swallows what is sent there" {
    in_its_own_world black-hole
}

@test "names: with resolve.all each address is an endpoint, which comes and goes" {
    in_its_own_world each-address
}

@test "names: a reload that brings a port at a host name keeps nobody waiting" {
    in_its_own_world listening
}
