# What a configuration can take of memory: told by check --memory, and kept to.
# shellcheck disable=SC2154 # $status and $output come from bats, $pid from helper.bash

load helper

configure() { # CONNECTIONS
    cat >"$dir/porthole.json" <<JSON
{ "listeners": [ { "name": "app", "bind": "unix:$sock", "limits": { "connections": $1, "header": "${2-16KiB}" },
    "timeouts": { "body": "60s" }, "routes": [ { "target": "t" } ] } ],
  "targets": { "t": { "endpoints": [ "unix:$dir/target.sock" ], "connections": { "max": 1024 } } } }
JSON
}

# In KiB.
most() {
    "$porthole" check --memory "$dir/porthole.json" | awk 'NR == 1 { printf "%d\n", $(NF - 1) * 1024 }'
}

@test "memory: the parts add up to what is told first, and follow the limits" {
    configure 56
    run "$porthole" check --memory "$dir/porthole.json"
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == *": at most "*" MiB" ]]
    grep --quiet ' MiB  64 clients of app, [0-9]* KiB each$' <<<"$output"
    awk 'NR == 1 { sum = $(NF - 1); next } { sum -= $1 } END { exit sum > 0.3 || sum < -0.3 }' <<<"$output"
    few=$(most)
    configure 560
    many=$(most)
    [ "$many" -gt "$((few * 4))" ]
    configure 56 64KiB
    [ "$(most)" -gt "$few" ]
    "$porthole" check --memory "$dir/porthole.json" | grep --quiet 'gaps'
}

@test "memory: a client at its worst is what README.md says" {
    echo '{ "listeners": [ { "bind": "unix:/x/y", "routes": [ { "target": "unix:/x/z" } ] } ] }' >"$dir/porthole.json"
    each=$("$porthole" check --memory "$dir/porthole.json" | sed -n 's/.*clients of .*, \([0-9]*\) KiB each$/\1/p')
    grep --quiet " has $each KiB at worst" "$BATS_TEST_DIRNAME/../../README.md"
}

@test "memory: clients and a target at their worst stay below it, and leave it" {
    ! grep --quiet --text -E '__(asan|tsan|ubsan)_' "$porthole" || skip "sanitizers have memory of their own"
    configure 224
    start_porthole run
    read -r used before after < <(/usr/bin/python3 "$BATS_TEST_DIRNAME/worst.py" "$sock" "$dir/target.sock" "$pid" 256)
    echo "used $used KiB, at most $(most) KiB, $before before and $after after"
    [ "$used" -gt 0 ]
    [ "$used" -lt "$(most)" ]
    [ "$used" -gt "$((before + 8192))" ]
    [ "$after" -le "$((before + 4096))" ]
}
