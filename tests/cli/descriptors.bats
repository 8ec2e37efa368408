# A connection to a target when there is no descriptor left for it.

load helper

two_targets() { # MEMBERS-OF-TARGETS
    cat >"$dir/porthole.json" <<JSON
{ "watch": false, "listeners": [ { "bind": "unix:$sock", "routes": [ { "match": { "path_prefix": "/a" }, "target": "a" }, { "target": "b" } ] } ],
  "targets": { "a": { ${1-} "endpoints": [ "unix:$dir/target.sock" ] }, "b": { ${1-} "endpoints": [ "unix:$dir/other.sock" ] } } }
JSON
    start_target
    background other /usr/bin/python3 "$BATS_TEST_DIRNAME/backend.py" "$dir/other.sock"
    await_socket "$dir/other.sock"
    start_porthole run
}

ask_without_descriptors() { # PATH...
    /usr/bin/python3 "$BATS_TEST_DIRNAME/descriptors.py" "$sock" "$pid" "$@"
}

@test "descriptors: the connection that has been idle for longest makes room for one to another target" {
    two_targets
    [ "$(ask_without_descriptors /a /b /a /b | paste -sd ' ')" = '200 200 200 200' ]
}

@test "descriptors: where nothing is idle, the client is told so, and served again when there is room" {
    two_targets '"connections": { "idle": 0 },'
    [ "$(ask_without_descriptors /a /b | paste -sd ' ')" = '200 503' ]
    eventually grep -q ' error no descriptor was left .*outcome="no_descriptors"' "$dir/run.err"
    prlimit --pid "$pid" --nofile=1024
    [ "$(ask /b)" = "GET /b" ]
}
