#!/bin/sh
# Lists the share of lines covered in each source file, least first, and in all.
# usage: tests/coverage.sh BUILD
set -eu

cd "$(dirname "$0")/.."
find "$1/obj/config" "$1/obj/proxy" "$1/obj/cmd" -name '*.gcda' -exec gcov -n {} + 2>/dev/null | awk '
/^File / {
    file = $2
    gsub(/\047/, "", file)
}
/^Lines executed:/ && file ~ /^(config|proxy|cmd)\/.*\.c$/ {
    split(substr($2, 10), percent, "%")
    lines[file] = $4
    covered[file] = percent[1] * $4 / 100
    file = ""
}
END {
    for (f in lines) {
        printf "%6.1f %%  %5d lines  %s\n", 100 * covered[f] / lines[f], lines[f], f | "sort -n"
        all += lines[f]
        hit += covered[f]
    }
    close("sort -n")
    if (!all) {
        print "coverage: nothing was run"
        exit 1
    }
    printf "%6.1f %%  %5d lines  in all\n", 100 * hit / all, all
}'
