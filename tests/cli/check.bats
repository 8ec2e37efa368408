# porthole check: its exit status and its outputs. What it finds is tested in config.bats.

load helper

@test "check: a good file is said to be, status 0" {
    configure
    run "$porthole" check -c "$dir/porthole.json"
    [ "$status" -eq 0 ]
    [ "$output" = "$dir/porthole.json: ok" ]
}

@test "check: a broken file is reported on standard error with its place, status 78" {
    echo '{ "listeners": [ { "bind": "unix:/run/x.sock", "modee": "0660", "routes": [] } ] }' >"$dir/broken.json"
    run "$porthole" check -c "$dir/broken.json"
    [ "$status" -eq 78 ]
    [[ $output == "$dir/broken.json:1:"*modee* ]]
    [ "${#lines[@]}" -ge 2 ]
    [ -z "$("$porthole" check -c "$dir/broken.json" 2>/dev/null)" ]
}

@test "check: a file that cannot be read is a configuration error that names it" {
    run "$porthole" check -c "$dir/none.json"
    [ "$status" -eq 78 ]
    [[ $output == *"$dir/none.json"*"No such file"* ]]
    run "$porthole" check -c "$dir"
    [ "$status" -eq 78 ]
}

@test "check: what --print prints is complete and has the same meaning" {
    configure '"mode": "0600",'
    "$porthole" check -c "$dir/porthole.json" --print >"$dir/printed.json"
    [ "$(jq -r '.listeners[0].mode' "$dir/printed.json")" = 0600 ]
    [ "$(jq -r '.listeners[0].backlog' "$dir/printed.json")" = 1024 ]
    "$porthole" check -c "$dir/printed.json" --print | cmp - "$dir/printed.json"
}

@test "check: --print of a broken file prints nothing" {
    echo '{' >"$dir/broken.json"
    run "$porthole" check --print -c "$dir/broken.json"
    [ "$status" -eq 78 ]
    [ -z "$("$porthole" check --print -c "$dir/broken.json" 2>/dev/null)" ]
}
