#!/usr/bin/env bats
# What README.md and the reference in config/README.md say is held against the program.

setup() {
    porthole=$(realpath "${PORTHOLE:-$BATS_TEST_DIRNAME/../../build/porthole}")
    root=$BATS_TEST_DIRNAME/../..
    readme=$root/README.md
    reference=$root/config/README.md
}

# The first fenced block of JSON that contains a word.
json_block() { # FILE WORD
    awk -v word="$2" '
        /^```json$/ { inside = 1; text = ""; next }
        /^```$/ && inside { inside = 0; if (index(text, word)) { printf "%s", text; exit } }
        inside { text = text $0 "\n" }' "$1"
}

@test "the table of outcomes is that of outcome.def" {
    expected=$(awk -F'"' '/^OUTCOME\(/ { split($3, part, ","); gsub(/ /, "", part[2])
        printf "| `%s` | %s | %s |\n", $2, part[2] == "0" ? "" : part[2], $4 }' "$root/proxy/report/outcome.def")
    table=$(sed -n '/^<!-- outcomes/,/^<!-- \/outcomes/p' "$reference" | grep '^| `' | sed 's/ |  | / |  | /')
    [ "$table" = "$expected" ]
}

@test "the reference has every message about porthole itself, but those for its developers" {
    messages=$(grep --recursive --no-filename --only-matching --perl-regexp --include='*.c' \
        'LOG_EVENT\((?!LOG_LEVEL_DEBUG)[^"]*"\K[^"\\]*("\s*:\s*"[^"\\]*)?' "$root/proxy" "$root/cmd" | sed 's/" *: *"/\n/')
    [ "$(wc --lines <<<"$messages")" -gt 60 ]
    table=$(sed --quiet '/^| message | fields |/,/^$/p' "$reference" | sed 's/[][]//g; s/([^)]*\.md[^)]*)//g; s/(#[^)]*)//g')
    while read -r message; do
        # Long ones are told there by how they begin, and what several have in common only once.
        [[ $table == *"${message:0:20}"* ]] || { echo "not there: $message"; missing=1; }
    done <<<"$messages"
    [ -z "${missing-}" ]
}

@test "the smallest configuration is accepted, and the same in both" {
    json_block "$readme" /run/app/http.sock >"$BATS_TEST_TMPDIR/c.json"
    run "$porthole" check -c "$BATS_TEST_TMPDIR/c.json"
    [ "$status" -eq 0 ]
    json_block "$reference" /run/app/http.sock | cmp - "$BATS_TEST_TMPDIR/c.json"
}

@test "the stream shown is accepted" {
    json_block "$reference" PGSQL >"$BATS_TEST_TMPDIR/c.json"
    run "$porthole" check -c "$BATS_TEST_TMPDIR/c.json"
    [ "$status" -eq 0 ]
}

@test "the routes shown are accepted" {
    {
        echo '{ "listeners": [ { "bind": "unix:/run/a.sock",'
        json_block "$reference" '"methods"'
        echo '} ], "targets": { "docker": { "endpoints": ["unix:/var/run/docker.sock"] } } }'
    } >"$BATS_TEST_TMPDIR/c.json"
    run "$porthole" check -c "$BATS_TEST_TMPDIR/c.json"
    [ "$status" -eq 0 ]
}

@test "the error shown is the error given" {
    shown=$(sed -n 's/^    porthole\.json:\(.*\)/porthole.json:\1/p' "$reference")
    [ -n "$shown" ]
    grep -qxF "    $shown" "$readme"
    cd "$BATS_TEST_TMPDIR"
    json_block "$readme" /run/app/http.sock | sed 's/"0660"/660/' >porthole.json
    run "$porthole" check -c porthole.json
    [ "$status" -eq 78 ]
    [ "$output" = "$shown" ]
}

@test "every verb has its row, with its options" {
    while read -r verb; do
        grep -q "^| \`$verb" "$readme"
    done < <("$porthole" --help | awk '/^verbs:/ { on = 1; next } /^$/ { on = 0 } on { print $1 }')
}

@test "the examples have the words of the policies, and every one its own" {
    page=$root/config/examples/README.md
    expected=$(sed -n '/^POLICY(/,$p' "$root/cmd/policies.def" | tr '\n' ' ' |
        sed -E 's/POLICY\([a-z0-9_]*, *"([^"]*)", *"([^"]*)", *"([^"]*)"\) */| [\1](\1.json) | \2 | \3 |\n/g' | grep .)
    [ "$(grep '^| \[' "$page")" = "$expected" ]
    # Whoever may make a container without rules on its body is root, which must be said.
    for file in $(grep -lE 'containers/create|/exec"' "$root"/config/examples/docker-*.json); do
        grep -q '"body": {' "$file" || grep -qF "[$(basename "$file" .json)]" <(grep 'NOT A BOUNDARY' "$page")
    done
}

@test "the reference has every key with its type, default and bounds" {
    "$root/build/tests/cli/config_keys" | /usr/bin/python3 "$BATS_TEST_DIRNAME/config/reference.py" "$reference"
}

@test "every link of the reference leads somewhere" {
    for link in $(grep -o ']([^)#]*)' "$reference" | tr -d '])('); do
        [ -e "$root/config/$link" ]
    done
    for anchor in $(grep -o '](#[^)]*)' "$reference" | tr -d '])(#'); do
        grep '^#' "$reference" | sed 's/^#* //' | tr 'A-Z ' 'a-z-' | grep -qx "$anchor"
    done
}

@test "every link of README and of the pages beside the code leads somewhere" {
    for page in README.md config/examples/README.md proxy/README.md docker/README.md k8s/README.md CONTRIBUTING.md; do
        for link in $(grep -o ']([^):#]*)' "$root/$page" | tr -d '])('); do
            [ -e "$root/$(dirname "$page")/$link" ] || { echo "$page: $link"; false; }
        done
    done
}

@test "the bench measures the smallest configuration" {
    json_block "$readme" /run/app/http.sock | jq -S . >"$BATS_TEST_TMPDIR/readme.json"
    sed -e 's|@SOCKET@|/run/porthole/app.sock|' -e 's|@BACKEND@|/run/app/http.sock|' "$root/tests/bench/peers/porthole-smallest.json" |
        jq -S . | diff "$BATS_TEST_TMPDIR/readme.json" -
}

@test "make complains of no compiler on a machine that has none yet" {
    run env -u MAKEFLAGS -u MAKELEVEL CC=no-such-compiler make -C "$root" help
    [ "$status" -eq 0 ]
    [[ $output == *"  run  "* ]]
    [[ $output != *no-such-compiler* ]]
}
