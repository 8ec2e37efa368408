#!/bin/bash
# What the varnishtest files share. It runs in a test's own directory, where porthole's socket is p.sock and its
# target's s1.sock.
# usage: rig.sh configure [top=MEMBERS] [listener=MEMBERS] [target=MEMBERS] [routes=ARRAY]
#            writes c.json; MEMBERS are JSON members, each followed by a comma;
#            "@{" stands for the "${" of a reference, which varnishtest takes for its own
#        rig.sh await [FILE]
#            waits until a socket is there (default: porthole's, which listens as soon as its path exists)
#        rig.sh logged ACCESS-LOG PATTERN...
#            compares the exchanges of a log with one pattern each: "STATUS OUTCOME BYTES_IN BYTES_OUT", as in bash's [[;
#            one that begins with "?" may be missing (a library generation that refuses before there is an exchange)
#        rig.sh refuse REQUEST...
#            sends each (see wire.py): it must be answered with 4xx, 501 or 505, once or twice (the libraries stutter),
#            and the connection be closed
#        rig.sh only-malformed ACCESS-LOG
#            all exchanges of a log but the last, which was forwarded, are malformed ones
set -eu
shopt -s extglob

configure() {
    local top='' listener='' target='' routes='[ { "target": "t" } ]' assignment
    for assignment in "$@"; do
        case $assignment in
        top=* | listener=* | target=* | routes=*) local "${assignment//@\{/\$\{}" ;;
        *) exit 2 ;;
        esac
    done
    cat >c.json <<JSON
{ "drain": "1s", $top "log": { "access": { "format": "json", "to": "stdout" } },
  "listeners": [ { "name": "l", "bind": "unix:$PWD/p.sock", $listener "routes": $routes } ],
  "targets": { "t": { $target "endpoints": ["unix:$PWD/s1.sock"] } } }
JSON
}

await() {
    local i
    for ((i = 0; i < 1000; i++)); do
        [ -S "$1" ] && return
        sleep 0.01
    done
    echo "$1 did not appear"
    exit 1
}

logged() {
    local pattern line exchanges
    exchanges=$(tr -d '\r' <"$1" | jq -r 'select(.outcome) | "\(.status) \(.outcome) \(.bytes_in) \(.bytes_out)"')
    shift
    mapfile -t lines < <(printf '%s' "${exchanges:+$exchanges$'\n'}")
    for pattern in "$@"; do
        line=${lines[0]-}
        # shellcheck disable=SC2053 # it is a pattern
        if [[ $line == ${pattern#\?} ]]; then
            lines=("${lines[@]:1}")
        elif [[ $pattern != \?* ]]; then
            echo "expected $pattern, logged:"
            echo "$exchanges"
            exit 1
        fi
    done
    [ ${#lines[@]} -eq 0 ] && return
    echo "more than expected was logged:"
    echo "$exchanges"
    exit 1
}

refuse() {
    local summary request refused='^(4[0-9][0-9]|501|505)( (4[0-9][0-9]|501|505))? (closed|reset)$'
    while IFS=$'\t' read -r summary request; do
        [[ $summary =~ $refused ]] && continue
        echo "answered with '$summary', not refused: $request"
        exit 1
    done < <("${BASH_SOURCE[0]%/*}/wire.py" --each p.sock "$@")
    [ "${summary+seen}" ]
}

only_malformed() {
    jq -s -e '.[-1].outcome == "forwarded" and all(.[:-1][]; .outcome == "malformed")' "$1" >/dev/null && return
    cat "$1"
    exit 1
}

case $1 in
configure) configure "${@:2}" ;;
await) await "${2:-p.sock}" ;;
logged) logged "${@:2}" ;;
refuse) refuse "${@:2}" ;;
only-malformed) only_malformed "$2" ;;
*) exit 2 ;;
esac
