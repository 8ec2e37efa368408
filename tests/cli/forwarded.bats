# Whose word about a client a target gets, where it depends on who the client is. What each field becomes is in the matrix.

load helper

claims=(-H 'X-Real-IP: 192.0.2.1' -H 'X-Forwarded-Proto: https' -H 'X_Real_IP: 192.0.2.2' -H 'Forwarded: for=192.0.2.3')

fields() { # COMMAND-BEFORE-CURL...
    "$@" curl --silent --unix-socket "$sock" "${claims[@]}" http://localhost/fields >"$dir/fields"
}

@test "forwarded: what a peer says about itself is dropped by default" {
    configure
    start_target
    start_porthole run
    fields env
    grep -qx 'x-forwarded-proto=http' "$dir/fields"
    grep -q '^forwarded=for=_uid-' "$dir/fields"
    lacks '192\.0\.2' "$dir/fields"
}

@test "forwarded: trust appends for the peers that fit, and replaces for others on the same socket" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, to be somebody else"
    configure '"mode": "0666", "forwarded": { "trust": [ { "uid": 1234 }, { "gid": 4321 } ] },'
    start_target
    start_porthole run
    for who in "--reuid 1234 --regid 1234 --clear-groups" "--reuid 99 --regid 1 --groups 4321"; do
        # shellcheck disable=SC2086 # words
        fields setpriv $who
        grep -qx 'x-real-ip=192.0.2.1' "$dir/fields"
        grep -qx 'x-forwarded-proto=https' "$dir/fields"
        grep -qx 'forwarded=for=192.0.2.3' "$dir/fields"
        lacks '192\.0\.2\.2' "$dir/fields"
    done
    for who in "--reuid 0" "--reuid 99 --regid 1234 --groups 98"; do
        # shellcheck disable=SC2086 # words
        fields setpriv $who
        grep -qx 'x-forwarded-proto=http' "$dir/fields"
        grep -q '^forwarded=for=_uid-' "$dir/fields"
        lacks '192\.0\.2' "$dir/fields"
    done
}

@test "forwarded: a client of a TCP listener is not taken at its word either, and its address is told" {
    port=$(free_port)
    configure
    sed -i "s|\"bind\": \"[^\"]*\"|\"bind\": \"tcp:127.0.0.1:$port\"|" "$dir/porthole.json"
    start_target
    background run "$porthole" run -c "$dir/porthole.json"
    "$porthole" probe --wait 30s "tcp:127.0.0.1:$port"
    curl --silent "${claims[@]}" -H 'X-Forwarded-For: 192.0.2.4' "http://127.0.0.1:$port/fields" >"$dir/fields"
    grep -qx 'x-forwarded-for=127.0.0.1' "$dir/fields"
    grep -q '^forwarded=for=127.0.0.1;' "$dir/fields"
    lacks '192\.0\.2' "$dir/fields"
}
