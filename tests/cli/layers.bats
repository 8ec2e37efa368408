# The layer check itself: it passes on the tree and sees every kind of violation.

setup() {
    house=$BATS_TEST_TMPDIR
    mkdir -p "$house"/{config,cmd,proxy/base,proxy/http,proxy/report,proxy/reach,proxy/listen,proxy/tunnel,proxy/exchange,proxy/serve}
    echo '#include "proxy/server.h"' >"$house/cmd/run.c"
}

layers() {
    run "$BATS_TEST_DIRNAME/../layers.sh" "$house"
}

plant() { # FILE INCLUDE
    printf '#include <stddef.h>\n#include %s\n' "$2" >"$house/$1"
    layers
    rm "$house/$1"
}

accepts() {
    plant "$@"
    [ "$status" -eq 0 ] || { echo "$1 may include $2: $output"; return 1; }
}

refuses() {
    plant "$@"
    [ "$status" -ne 0 ] || { echo "$1 must not include $2"; return 1; }
    [[ $output == "$1:2: "* ]] || { echo "the place is not named: $output"; return 1; }
}

@test "layers: the tree has no back-edge" {
    run "$BATS_TEST_DIRNAME/../layers.sh"
    [ "$status" -eq 0 ]
    [[ $output == *"all pointing down"* ]]
    [[ ${lines[-1]} =~ "lines in the longest file, "([0-9]+)" in the median of "[0-9]+" functions" ]]
    [ "${BASH_REMATCH[1]}" -lt 15 ]
}

@test "layers: a back-edge is refused on every floor" {
    refuses proxy/base/loop.c '"config/snapshot.h"'
    refuses proxy/base/loop.h '"proxy/http/fields.h"'
    refuses proxy/http/path.c '"config/snapshot.h"'
    refuses config/load.c '"proxy/report/outcome.h"'
    refuses config/load.c '"cmd/run.h"'
    refuses proxy/http/head.c '"proxy/report/outcome.h"'
    refuses proxy/report/metrics.c '"proxy/reach/pool.h"'
    refuses proxy/reach/upstream.c '"proxy/exchange/exchange.h"'
    refuses proxy/reach/upstream.c '"proxy/listen/listener.h"'
    refuses proxy/listen/acceptor.c '"proxy/tunnel/tunnel.h"'
    refuses proxy/tunnel/tunnel.c '"proxy/exchange/exchange.h"'
    refuses proxy/exchange/exchange.c '"proxy/serve/frontend.h"'
    refuses proxy/exchange/route.def '"proxy/worker.h"'
    refuses proxy/serve/frontend.c '"proxy/worker.h"'
    refuses proxy/worker.c '"proxy/server.h"'
    refuses proxy/server.c '"cmd/run.h"'
}

@test "layers: the way down is open" {
    accepts cmd/demo.c '"proxy/server.h"'
    accepts proxy/server.c '"proxy/worker.h"'
    accepts proxy/worker.c '"proxy/serve/frontend.h"'
    accepts proxy/serve/frontend.c '"proxy/exchange/exchange.h"'
    accepts proxy/exchange/exchange.c '"proxy/tunnel/tunnel.h"'
    accepts proxy/tunnel/tunnel.c '"proxy/listen/admission.h"'
    accepts proxy/exchange/exchange.c '"proxy/reach/upstream.h"'
    accepts proxy/reach/pool.c '"config/snapshot.h"'
    accepts config/route.c '"proxy/http/path.h"'
    accepts config/load.c '"proxy/base/error.h"'
}

@test "layers: messages know nothing of the configuration" {
    refuses proxy/http/fields.c '"config/snapshot.h"'
}

@test "layers: each library stays behind its fence" {
    accepts proxy/serve/frontend.c '<microhttpd.h>'
    accepts proxy/reach/connect.c '<curl/curl.h>'
    accepts proxy/reach/channel.c '<curl/curl.h>'
    accepts proxy/reach/health.c '<curl/curl.h>'
    accepts cmd/fetch.c '<curl/curl.h>'
    accepts config/load.c '<jansson.h>'
    accepts proxy/http/pattern.c '<pcre2.h>'
    refuses proxy/listen/listener.c '<microhttpd.h>'
    refuses proxy/exchange/exchange.c '<microhttpd.h>'
    refuses proxy/reach/pool.c '<curl/curl.h>'
    refuses proxy/exchange/exchange.c '<curl/multi.h>'
    refuses proxy/report/access_log.c '<jansson.h>'
    refuses proxy/exchange/route.c '<pcre2.h>'
}

@test "layers: an include that is no path from the top is refused" {
    refuses proxy/http/fields.c '"fields.h"'
    refuses proxy/http/fields.c '"../base/error.h"'
}

@test "layers: a file on no floor is refused" {
    mkdir "$house/proxy/attic"
    touch "$house/proxy/attic/old.c"
    echo '#include <stddef.h>' >"$house/proxy/attic/old.c"
    layers
    [ "$status" -ne 0 ]
    [[ $output == *"proxy/attic/old.c"* ]]
}

@test "layers: a file of more than 600 lines is refused" {
    yes '' | head -n 600 >"$house/proxy/base/long.c"
    layers
    [ "$status" -eq 0 ]
    [[ ${lines[-1]} == "layers: 600 lines in the longest file, 0 in the median of 0 functions" ]]
    echo >>"$house/proxy/base/long.c"
    layers
    [ "$status" -ne 0 ]
    [[ $output == *"proxy/base/long.c:601: is longer than 600 lines"* ]]
}

@test "layers: a file of the tests of more than 600 lines is refused, but no table of theirs" {
    mkdir -p "$house/tests/unit"
    yes '' | head -n 601 | tee "$house/tests/unit/matrix.md" >"$house/tests/unit/test_long.c"
    layers
    [ "$status" -ne 0 ]
    [[ $output == *"tests/unit/test_long.c:601: is longer than 600 lines"* && $output != *matrix.md* ]]
    sed -i 1d "$house/tests/unit/test_long.c"
    layers
    [ "$status" -eq 0 ]
}

@test "layers: the median of what stands between a function's braces is told" {
    printf 'struct a {\n    int b;\n};\n\nint f(void)\n{\n    return 1;\n}\n\nint g(void)\n{\n\n\n\n    return 1;\n}\n\nvoid h(void)\n{\n}\n' \
        >"$house/proxy/base/three.c"
    layers
    [[ ${lines[-1]} == "layers: 20 lines in the longest file, 1 in the median of 3 functions" ]]
}

# Plants files, each "NAME INCLUDED", and looks.
planted() { # "FILE INCLUDE"...
    local file
    for file in "$@"; do
        printf '#include %s\n' "${file#* }" >"$house/${file%% *}"
    done
    layers
    for file in "$@"; do
        rm "$house/${file%% *}"
    done
}

refuses_circle() { # "ROOM..." "FILE INCLUDE"...
    local room rooms=$1
    shift
    planted "$@"
    [ "$status" -ne 0 ] || { echo "a circle is accepted: $*"; return 1; }
    for room in $rooms; do
        [[ $output == *"    $room"$'\n'* || $output == *"    $room" ]] || { echo "$room is not named: $output"; return 1; }
    done
}

@test "layers: rooms that include each other in a circle are refused, and named" {
    refuses_circle "proxy/reach/pool proxy/reach/target" \
        'proxy/reach/pool.h "proxy/reach/target.h"' 'proxy/reach/target.h "proxy/reach/pool.h"'
    # A private header belongs to its room; who includes it is another.
    refuses_circle "proxy/reach/pool proxy/reach/pool_parts" \
        'proxy/reach/pool.c "proxy/reach/pool_parts.h"' 'proxy/reach/pool_parts.h "proxy/reach/pool.h"'
    # The source of one and the header of the other are enough.
    refuses_circle "proxy/serve/client proxy/serve/raw" \
        'proxy/serve/client.c "proxy/serve/raw.h"' 'proxy/serve/raw.c "proxy/serve/client.h"'
    refuses_circle "config/a config/b config/c" \
        'config/a.h "config/b.h"' 'config/b.c "config/c.def"' 'config/c.c "config/a.h"'
}

@test "layers: two circles are both named" {
    refuses_circle "config/a config/b cmd/x cmd/y" 'config/a.h "config/b.h"' 'config/b.h "config/a.h"' 'cmd/x.h "cmd/y.h"' 'cmd/y.h "cmd/x.h"'
}

@test "layers: the files of one room may include each other, and a room many others" {
    planted 'proxy/reach/pool.c "proxy/reach/pool.h"' 'proxy/reach/pool.h "proxy/reach/pool.def"' \
        'proxy/reach/target.h "proxy/reach/pool.h"' 'proxy/reach/target.c "proxy/reach/pool.def"' \
        'proxy/reach/upstream.c "proxy/reach/target.h"'
    [ "$status" -eq 0 ] || { echo "$output"; return 1; }
}

@test "layers: a circle over two floors is an include that points up" {
    planted 'proxy/reach/pool.c "proxy/tunnel/tunnel.h"' 'proxy/tunnel/tunnel.c "proxy/reach/pool.h"'
    [ "$status" -ne 0 ]
    [[ $output == 'proxy/reach/pool.c:1: includes "proxy/tunnel/tunnel.h"'* ]]
}
