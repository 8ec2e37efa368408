#!/usr/bin/env bats
# What README.md says is held against the program.

setup() {
    porthole=$(realpath "${PORTHOLE:-$BATS_TEST_DIRNAME/../../build/porthole}")
    readme=$BATS_TEST_DIRNAME/../../README.md
    root=$BATS_TEST_DIRNAME/../..
}

# The first fenced block of JSON that contains a word.
json_block() { # WORD
    awk -v word="$1" '
        /^```json$/ { inside = 1; text = ""; next }
        /^```$/ && inside { inside = 0; if (index(text, word)) { printf "%s", text; exit } }
        inside { text = text $0 "\n" }' "$readme"
}

@test "the table of outcomes is that of outcome.def" {
    expected=$(awk -F'"' '/^OUTCOME\(/ { split($3, part, ","); gsub(/ /, "", part[2])
        printf "| `%s` | %s | %s |\n", $2, part[2] == "0" ? "" : part[2], $4 }' "$root/proxy/report/outcome.def")
    table=$(sed -n '/^<!-- outcomes/,/^<!-- \/outcomes/p' "$readme" | grep '^| `' | sed 's/ |  | / |  | /')
    [ "$table" = "$expected" ]
}

@test "the smallest configuration is accepted" {
    json_block /run/app/http.sock >"$BATS_TEST_TMPDIR/c.json"
    run "$porthole" check -c "$BATS_TEST_TMPDIR/c.json"
    [ "$status" -eq 0 ]
}

@test "the routes shown are accepted" {
    {
        echo '{ "listeners": [ { "bind": "unix:/run/a.sock",'
        json_block '"methods"'
        echo '} ], "targets": { "docker": { "endpoints": ["unix:/var/run/docker.sock"] } } }'
    } >"$BATS_TEST_TMPDIR/c.json"
    run "$porthole" check -c "$BATS_TEST_TMPDIR/c.json"
    [ "$status" -eq 0 ]
}

@test "the error shown is the error given" {
    shown=$(sed -n 's/^    porthole\.json:\(.*\)/porthole.json:\1/p' "$readme")
    [ -n "$shown" ]
    cd "$BATS_TEST_TMPDIR"
    echo '{"listeners":[{"mode":660,"bind":"unix:/a","routes":[{"target":"unix:/b"}]}]}' >porthole.json
    run "$porthole" check -c porthole.json
    [ "$status" -eq 78 ]
    [ "$output" = "$shown" ]
}

@test "every verb has its row, with its options" {
    while read -r verb; do
        grep -q "^| \`$verb" "$readme"
    done < <("$porthole" --help | awk '/^verbs:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }')
}

@test "the defaults in the tables are those in effect" {
    echo '{"listeners":[{"bind":"unix:/a","routes":[{"target":"t"}]}],"targets":{"t":{"endpoints":["unix:/b"]}}}' \
        >"$BATS_TEST_TMPDIR/c.json"
    "$porthole" check -c "$BATS_TEST_TMPDIR/c.json" --print | jq -r '
        .listeners[0] as $l | .targets.t as $t
        | "mode `\"\($l.mode)\"`", "backlog \($l.backlog)", "limits.connections \($l.limits.connections)",
          "limits.header `\"\($l.limits.header)\"`", "timeouts.head `\"\($l.timeouts.head)\"`",
          "timeouts.body `\"\($l.timeouts.body)\"`", "connections.max \($t.connections.max), \($t.connections.idle)",
          "timeouts.connect `\"\($t.timeouts.connect)\"`"' >"$BATS_TEST_TMPDIR/defaults"
    [ "$(wc -l <"$BATS_TEST_TMPDIR/defaults")" -eq 8 ]
    while read -r key default; do
        grep -F "| \`$key\`" "$readme" | grep -F -- "$default" >/dev/null || {
            echo "$key is $default"
            false
        }
    done <"$BATS_TEST_TMPDIR/defaults"
}

@test "the bench measures the smallest configuration" {
    json_block /run/app/http.sock | jq -S . >"$BATS_TEST_TMPDIR/readme.json"
    sed -e 's|@SOCKET@|/run/porthole/app.sock|' -e 's|@BACKEND@|/run/app/http.sock|' "$root/tests/bench/peers/porthole-smallest.json" |
        jq -S . | diff "$BATS_TEST_TMPDIR/readme.json" -
}
