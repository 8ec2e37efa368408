#!/bin/bash
# Proves that includes point down only, that there is no circle, that each library is known to its own rooms only, and that
# no file is longer than 600 lines, of the tests neither. Says how long functions are.
# usage: tests/layers.sh [ROOT]
set -eu -o pipefail

cd "${1:-$(dirname "$0")/..}"
readonly MOST_LINES=600

edges=$(mktemp) files=$(mktemp)
trap 'rm -f "$edges" "$files"' EXIT

find config proxy cmd -name '*.[ch]' -o -name '*.def' | LC_ALL=C sort >"$files"
# shellcheck disable=SC2016 # awk's own $
xargs awk -v edges="$edges" '
# The floors of the house, from the ground up. Includes may point to the same floor or down.
function floor_of(path) {
    if (path ~ /^proxy\/base\//)     return 0
    if (path ~ /^proxy\/http\//)     return 1
    if (path ~ /^config\//)          return 2
    if (path ~ /^proxy\/report\//)   return 3
    if (path ~ /^proxy\/reach\//)    return 4
    if (path ~ /^proxy\/listen\//)   return 5
    if (path ~ /^proxy\/tunnel\//)   return 6
    if (path ~ /^proxy\/exchange\//) return 7
    if (path ~ /^proxy\/serve\//)    return 8
    if (path ~ /^proxy\/admin\//)    return 9
    if (path ~ /^proxy\/sandbox\//)  return 10
    if (path ~ /^proxy\/(worker|seats|signals|stop|summary|notify|pulse)\./) return 10
    if (path ~ /^proxy\/(reload|reload_plan|reload_names|listeners|descriptors|memory_need|pressure|watcher|self|crew)\./) return 11
    if (path ~ /^proxy\/server\./)   return 12
    if (path ~ /^cmd\//)             return 13
    return -1
}

# Who may include a header of a library.
function fence_of(header) {
    if (header == "microhttpd.h") return "^proxy/serve/frontend(_[a-z]+)?\\.[ch]$"
    if (header ~ /^curl\//)       return "^(proxy/reach/(connector|connect(_[a-z]+)?|channel|health)\\.[ch]|cmd/(fetch|run|version)\\.c)$"
    if (header == "jansson.h")    return "^(config|proxy/admin)/|^cmd/(status|status_view|tap|tap_view|har)\\.[ch]$"
    if (header == "seccomp.h")    return "^proxy/sandbox/generate/filter\\.c$"
    if (header == "pcre2.h")      return "^proxy/http/pattern\\.c$"
    return ""
}

function complain(what) {
    printf "%s:%d: %s\n", FILENAME, FNR, what
    n_bad++
}

# A room: a source file with its header and its table.
function room_of(path) {
    sub(/\.(c|h|def)$/, "", path)
    return path
}

BEGIN {
    split("proxy/base proxy/http config proxy/report proxy/reach proxy/listen proxy/tunnel proxy/exchange " \
          "proxy/serve proxy/admin proxy/worker proxy/listeners proxy/server cmd", names, " ")
}

FNR == 1 {
    n_files++
    here = floor_of(FILENAME)
    if (here < 0)
        complain("is on no floor of the house")
}

match($0, /^[ \t]*#[ \t]*include[ \t]*[<"][^>"]+[>"]/) {
    n_includes++
    header = substr($0, RSTART, RLENGTH)
    quoted = header ~ /"$/
    sub(/^[^<"]*[<"]/, "", header)
    sub(/[>"]$/, "", header)

    fence = fence_of(header)
    if (fence != "" && FILENAME !~ fence)
        complain("may not include <" header ">")
    if (!quoted)
        next
    there = floor_of(header)
    if (there < 0)
        complain("\"" header "\" is not a path from the top of the tree")
    else if (there > here)
        complain("includes \"" header "\": " names[here + 1] " lies below " names[there + 1])
    print room_of(FILENAME), room_of(header) > edges
}

END {
    if (n_bad)
        exit 1
    printf "layers: %d files, %d includes, all pointing down\n", n_files, n_includes
}' <"$files"

# tsort(1) names the rooms of each circle it meets; a room may include itself.
if ! circles=$(awk '$1 != $2' "$edges" | LC_ALL=C tsort 2>&1 >/dev/null) || [ -n "$circles" ]; then
    echo "layers: rooms include each other in a circle:"
    sed -n 's/^tsort: \([^-].*[/].*\)$/    \1/p; s/^tsort: -: input contains a loop:$/  circle:/p' <<<"$circles"
    exit 1
fi
echo "layers: no circle"

if [ -d tests ]; then
    # shellcheck disable=SC2016 # awk's own $
    find tests -name node_modules -prune -o -type f -regextype egrep \
        -regex '.*\.(c|cc|cpp|h|go|py|mjs|sh|bash|bats|vtc)' -print | LC_ALL=C sort | xargs -r awk -v most="$MOST_LINES" '
FNR == most + 1 {
    printf "%s:%d: is longer than %d lines\n", FILENAME, FNR, most
    n_bad++
}

END {
    exit n_bad > 0
}'
fi

# A function is what stands between braces in the first column.
xargs awk -v most="$MOST_LINES" '
function check_length() {
    if (n_lines > most) {
        printf "%s:%d: is longer than %d lines\n", file, n_lines, most
        n_bad++
    }
    if (n_lines > longest)
        longest = n_lines
}

FNR == 1 {
    check_length()
    file = FILENAME
    begin = 0
}

{ n_lines = FNR }

/^{$/ { begin = FNR }
/^}$/ && begin {
    lengths[FNR - begin - 1]++
    n_functions++
    begin = 0
}

END {
    check_length()
    if (n_bad)
        exit 1
    while (n_functions && 2 * seen < n_functions)
        seen += lengths[median++]
    printf "layers: %d lines in the longest file, %d in the median of %d functions\n", longest, median ? median - 1 : 0, n_functions
}' <"$files"
