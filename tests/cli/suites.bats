# The test runner itself: what crashes, stops early or says nothing must count as failed.

setup() {
    export TESTS=$BATS_TEST_TMPDIR/tests LOG_DIR=$BATS_TEST_TMPDIR/log PORTHOLE=/bin/true
    mkdir -p "$TESTS/sample"
}

script() { # NAME: a TAP program from standard input
    { echo '#!/bin/bash'; cat; } >"$TESTS/sample/test_$1.sh"
    chmod +x "$TESTS/sample/test_$1.sh"
}

sums_to() { # PASSED FAILED
    run "$BATS_TEST_DIRNAME/../run-suites.sh" sample
    echo "$output"
    [ "${lines[-1]}" = "$1 passed, $2 failed" ]
    [ $((status != 0)) -eq $(($2 > 0)) ]
}

@test "suites: passed, failed and skipped tests are told apart" {
    script good <<<'echo 1..3; echo ok 1 - a; echo "ok 2 - b # skip no network"; echo ok 3 - c'
    sums_to 2 0
    script bad <<<'echo 1..2; echo ok 1 - a; echo not ok 2 - b; echo "# because"'
    sums_to 3 1
    [[ $output == *"not ok 2 - b"*"# because"* ]]
}

@test "suites: a crash after good tests is a failure" {
    script crash <<<'echo 1..1; echo ok 1 - a; kill -SEGV $$'
    sums_to 1 1
}

@test "suites: tests that were planned and not run are failures" {
    script short <<<'echo 1..4; echo ok 1 - a; exit 0'
    sums_to 1 3
}

@test "suites: a program that tells nothing is a failure" {
    script silent <<<'exit 0'
    sums_to 0 1
}

@test "suites: tests without a plan are not trusted" {
    script planless <<<'echo ok 1 - a'
    sums_to 1 1
}

@test "suites: a suite without tests is a failure" {
    sums_to 0 1
}

@test "suites: a report of a sanitizer is a failure" {
    script leaky <<<'echo 1..1; echo ok 1 - a; file=${ASAN_OPTIONS#log_path=}; echo leak >"${file%%:*}.1"'
    sums_to 1 1
    [[ $output == *leak* ]]
}

@test "suites: varnishtest files count one each" {
    printf 'vtest "good"\nshell {true}\n' >"$TESTS/sample/good.vtc"
    printf 'vtest "bad"\nshell {false}\n' >"$TESTS/sample/bad.vtc"
    printf 'vtest "skipped"\nfeature cmd false\n' >"$TESTS/sample/skipped.vtc"
    sums_to 1 1
    printf 'nonsense\n' >"$TESTS/sample/bad.vtc"
    sums_to 1 1
}
