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

@test "suites: varnishtest files without a program fail at once" {
    printf 'vtest "endless"\nshell {sleep 1000}\n' >"$TESTS/sample/endless.vtc"
    PORTHOLE=$BATS_TEST_TMPDIR/none sums_to 0 1
    [[ $output == *"there is no $BATS_TEST_TMPDIR/none"* ]]
}

# A test that waits for another one's file. Either ends when both are running.
rendezvous() { # SUITE NAME OTHER
    mkdir -p "$TESTS/$1"
    { echo '#!/bin/bash'; cat <<END; } >"$TESTS/$1/test_$2.sh"
touch '$BATS_TEST_TMPDIR/$2'
for ((i = 0; i < 300; i++)); do
    [ ! -e '$BATS_TEST_TMPDIR/$3' ] || break
    sleep 0.1
done
echo 1..1
[ -e '$BATS_TEST_TMPDIR/$3' ] && echo ok 1 - met || echo not ok 1 - alone
END
    chmod +x "$TESTS/$1/test_$2.sh"
}

@test "suites: files run beside each other, of one suite and of several" {
    rendezvous sample a b
    rendezvous sample b c
    rendezvous other c a
    run "$BATS_TEST_DIRNAME/../run-suites.sh" other sample
    echo "$output"
    [ "$status" -eq 0 ]
    [[ ${lines[0]} == "other: 1 passed, 0 failed, 0 skipped ("* ]]
    [[ ${lines[1]} == "sample: 2 passed, 0 failed, 0 skipped ("* ]]
    [ "${lines[2]}" = "3 passed, 0 failed" ]
}

@test "suites: TASKS=1 and suites that are joined run one file after the other, in order" {
    local name
    for name in a b; do
        script "$name" <<END
echo 1..1
mkdir '$BATS_TEST_TMPDIR/alone' || exit 1
sleep 0.2
rmdir '$BATS_TEST_TMPDIR/alone'
echo ok 1 - $name | tee -a '$BATS_TEST_TMPDIR/order'
END
    done
    mkdir "$TESTS/other"
    sed 's/- b/- c/' "$TESTS/sample/test_b.sh" >"$TESTS/other/test_c.sh"
    chmod +x "$TESTS/other/test_c.sh"
    TASKS=1 run "$BATS_TEST_DIRNAME/../run-suites.sh" sample other
    [ "${lines[-1]}" = "3 passed, 0 failed" ]
    run "$BATS_TEST_DIRNAME/../run-suites.sh" sample,other
    echo "$output"
    [ "${lines[-1]}" = "3 passed, 0 failed" ]
    [ "$(cut -c8- "$BATS_TEST_TMPDIR/order" | xargs)" = "a b c a b c" ]
}

@test "suites: what fails is told with its suite, in the order of the arguments" {
    mkdir "$TESTS/quick"
    script slow <<<'sleep 0.5; echo 1..1; echo not ok 1 - late'
    { echo '#!/bin/bash'; echo 'echo 1..1; echo not ok 1 - early'; } >"$TESTS/quick/test_quick.sh"
    chmod +x "$TESTS/quick/test_quick.sh"
    run "$BATS_TEST_DIRNAME/../run-suites.sh" sample quick
    echo "$output"
    [ "$status" -eq 1 ]
    [[ $output == *"FAILED sample/test_slow.sh"*"- late"*"sample: 0 passed, 1 failed"*"FAILED quick/test_quick.sh"*"- early"*"quick: 0 passed"* ]]
    [ "${lines[-1]}" = "0 passed, 2 failed" ]
}

@test "suites: where other users may not run the program, the tests that want them to are refused with a way out" {
    [ "$(id -u)" -eq 0 ] || skip "needs root, who becomes others"
    mkdir "$TESTS/cli"
    script fine <<<'echo 1..1; echo ok 1 - it'
    cp "$TESTS/sample/test_fine.sh" "$TESTS/cli"
    mkdir -m 0700 "$BATS_TEST_TMPDIR/home"
    PORTHOLE=$BATS_TEST_TMPDIR/home/porthole
    cp /bin/true "$PORTHOLE"
    run "$BATS_TEST_DIRNAME/../run-suites.sh" sample,cli
    [ "$status" -eq 2 ]
    [[ $output == *"have the tree elsewhere"* ]]
    sums_to 1 0
    chmod o+x "$BATS_TEST_TMPDIR/home" "$BATS_TEST_TMPDIR" "${BATS_TEST_TMPDIR%/*}" "${BATS_TEST_TMPDIR%/*/*}"
    run "$BATS_TEST_DIRNAME/../run-suites.sh" sample,cli
    [ "$status" -eq 0 ]
}

@test "suites: a run that is interrupted ends its tests" {
    script endless <<<'echo $$ >"$LOG_DIR/pid"; exec sleep 1000'
    "$BATS_TEST_DIRNAME/../run-suites.sh" sample 3>&- >"$BATS_TEST_TMPDIR/out" &
    local runner=$! pid i
    for ((i = 0; i < 300; i++)); do
        [ ! -s "$LOG_DIR/pid" ] || break
        sleep 0.1
    done
    pid=$(cat "$LOG_DIR/pid")
    kill "$runner"
    if wait "$runner"; then false; fi
    for ((i = 0; i < 300; i++)); do
        kill -0 "$pid" 2>/dev/null || return 0
        sleep 0.1
    done
    return 1
}
