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

install_packages() {
    local try
    # The directory gets its name when it is whole, so a lock file in it stands for all of its packages.
    cmp -s tests/web/package-lock.json "$WEB_MODULES/package-lock.json" && return
    rm -rf "$WEB_MODULES.new"
    mkdir -p "$WEB_MODULES.new"
    cp tests/web/package.json tests/web/package-lock.json "$WEB_MODULES.new"
    for try in 1 2 3; do
        if (cd "$WEB_MODULES.new" && timeout 120 npm ci --ignore-scripts --no-audit --no-fund) >&2; then
            rm -rf "$WEB_MODULES"
            mv "$WEB_MODULES.new" "$WEB_MODULES"
            return
        fi
        echo "# npm ci failed, attempt $try"
    done
    return 1
}

if ! install_packages; then
    echo "1..1"
    echo "not ok 1 - npm ci: the package of tests/web/package-lock.json cannot be installed"
    exit 1
fi
exec node tests/web/web_main.mjs "$@"
