#!/bin/bash
# The page for people of admin listeners, in Debian's chromium. Prints TAP. Installs the package of package-lock.json, and
# nothing else, into the build directory, then hands over to web_main.mjs. Pictures are left in build/web.
# usage: tests/web/test_web.sh [WORD...]      only the tests whose name contains one of the words
# Environment: PORTHOLE        the program under test (default: build/porthole)
#              PORTHOLE_BUILD  where the package and the pictures go (default: build)
#              CHROMIUM        the browser (default: chromium)
set -eu

cd "$(dirname "$0")/../.."
export PORTHOLE="${PORTHOLE:-$PWD/build/porthole}"
build=$(realpath -m "${PORTHOLE_BUILD:-$PWD/build}")
export WEB_MODULES=$build/tests/web/node WEB_PICTURES=$build/web
CHROMIUM=$(command -v "${CHROMIUM:-chromium}") || {
    echo "1..1"
    echo "not ok 1 - there is no chromium: make deps-test installs it"
    exit 1
}
export CHROMIUM

tests/node-packages.sh tests/web "$WEB_MODULES"
exec node tests/web/web_main.mjs "$@"
