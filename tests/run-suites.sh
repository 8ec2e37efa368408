#!/bin/bash
# Runs test suites and sums them up; the last line is "N passed, N failed". Exit status 0 when none failed.
# usage: tests/run-suites.sh SUITE[@VARIANT]...
#
# A suite is a directory under tests/. Its *.vtc (varnishtest), *.bats, test_*.sh (TAP), test_*.c (cmocka) and
# fuzz_*.c (libFuzzer) files are run, the last two as they were built. VARIANT is a build under build/.
# Environment: PORTHOLE      the program under test (default: the build's)
#              TESTS         where the suites are (default: tests)
#              LOG_DIR       logs (default: build/log)
#              FUZZ_SECONDS  for each fuzz target (default: 5)
#              FUZZ_SEED     of its random numbers, so that the same program does the same again (default: another each time)
# Tests see PORTHOLE, PORTHOLE_BUILD (helper programs are in its tests/SUITE) and TESTDIR (tests/), all absolute.
# Whatever crashes, hangs or tells nothing has failed. So has a suite during which a sanitizer wrote a report.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
tests=${TESTS:-$top/tests}
log_root=${LOG_DIR:-$top/build/log}
jobs=$(nproc)
total_passed=0
total_failed=0

# Reads TAP and prints "passed failed skipped". A plan that was not kept, a missing plan, an exit status
# without a failed test: each is a failure.
tap_count() { # LOG STATUS
    awk -v status="$2" '
        /^1\.\.[0-9]+/ { planned = 1; plan += substr($1, 4); if ($1 == "1..0" && /[Ss][Kk][Ii][Pp]/) skipped++ }
        /^ok /         { seen++; if (/# *[Ss][Kk][Ii][Pp]/) skipped++; else passed++ }
        # cmocka 1.1 calls a skipped test "not ok N # SKIP".
        /^not ok [0-9]+ # SKIP/ { seen++; skipped++; next }
        /^not ok /     { seen++; failed++ }
        END {
            if (plan > seen) failed += plan - seen
            if (plan < seen) failed++
            if (!failed && (!planned || status != 0 || passed + skipped == 0)) failed++
            print passed + 0, failed + 0, skipped + 0
        }' "$1"
}

tap_show_failures() { # LOG
    awk '/^(ok|not ok) / { show = /^not/ } show { print "    " $0; n++ } END { exit n == 0 }' "$1" ||
        tail -n 40 "$1" | sed 's/^/    /'
}

count() { # PASSED FAILED SKIPPED
    passed=$((passed + $1))
    failed=$((failed + $2))
    skipped=$((skipped + $3))
}

# Runs one program that prints TAP.
run_tap() { # NAME SECONDS COMMAND...
    local name=$1 seconds=$2 log status n_passed n_failed n_skipped
    shift 2
    log=$logs/$name.log
    (cd "$top" && timeout -k 10 "$seconds" "$@") >"$log" 2>&1 </dev/null
    status=$?
    [ $status -lt 124 ] || echo "# exit status $status of $name" >>"$log"
    read -r n_passed n_failed n_skipped < <(tap_count "$log" $status)
    count "$n_passed" "$n_failed" "$n_skipped"
    if [ "$n_failed" -gt 0 ]; then
        echo "  FAILED $suite/$name: $n_failed of $((n_passed + n_failed)), status $status, see $log"
        tap_show_failures "$log"
    fi
}

run_vtc() { # FILE...
    local log=$logs/varnishtest.log n_passed n_failed n_skipped
    (cd "$top" && timeout -k 10 1800 varnishtest -k "-j$jobs" -t 60 "-Dporthole=$PORTHOLE" "-Dtestdir=$TESTDIR" \
        "-Dbuild=$PORTHOLE_BUILD" "$@") >"$log" 2>&1 </dev/null
    n_passed=$(grep -c '^#    top  TEST .* passed (' "$log")
    n_skipped=$(grep -c '^#    top  TEST .* skipped (' "$log")
    n_failed=$(($# - n_passed - n_skipped))
    count "$n_passed" "$n_failed" "$n_skipped"
    if [ "$n_failed" -gt 0 ]; then
        echo "  FAILED $suite: $n_failed of $# varnishtest files, see $log"
        grep '^#    top  TEST .*\(FAILED\|TIMED OUT\)' "$log" | sed 's/^/    /'
        grep -v '^\*\*\*\* top   extmacro' "$log" | tail -n 200 | sed 's/^/    /'
    fi
}

# Runs a fuzz target and says ok, or what went wrong. What it finds worth keeping goes to build/fuzz/corpus, not into the
# tree.
fuzz() { # PROGRAM
    local name=${1##*/fuzz_} log found seeds=()
    log=$logs/fuzz_$name.log
    found=$PORTHOLE_BUILD/corpus/$name
    mkdir -p "$found"
    if [ -d "$tests/fuzz/corpus/$name" ]; then
        seeds=("$tests/fuzz/corpus/$name")
    fi
    if [ -e "$tests/fuzz/$name.dict" ]; then
        seeds+=("-dict=$tests/fuzz/$name.dict")
    fi
    if timeout -k 10 $((${FUZZ_SECONDS:-5} + 120)) "$1" "-max_total_time=${FUZZ_SECONDS:-5}" -timeout=10 "-seed=${FUZZ_SEED:-0}" \
        -rss_limit_mb=1024 "-artifact_prefix=$logs/" -print_final_stats=1 "$found" "${seeds[@]}" >"$log" 2>&1 </dev/null &&
        grep -q '^stat::number_of_executed_units' "$log"; then
        echo ok
    else
        echo "  FAILED $suite/fuzz_$name, see $log"
        grep -v '^#' "$log" | tail -n 40 | sed 's/^/    /'
    fi
}

# One fuzz target counts as one test; there are as many at once as processors.
run_fuzzers() { # PROGRAM...
    local program_file verdict
    for program_file in "$@"; do
        while [ "$(jobs -rp | wc -l)" -ge "$jobs" ]; do
            wait -n
        done
        fuzz "$program_file" >"$logs/${program_file##*/}.verdict" &
    done
    wait
    for program_file in "$@"; do
        verdict=$(cat "$logs/${program_file##*/}.verdict")
        if [ "$verdict" = ok ]; then
            count 1 0 0
        else
            count 0 1 0
            echo "$verdict"
        fi
    done
}

# Finds the program built from a source. A suite whose programs were not built must not pass.
built() { # SOURCE
    local name=${1##*/}
    program_file=$PORTHOLE_BUILD/tests/${suite%@*}/${name%.c}
    [ -x "$program_file" ] && return
    count 0 1 0
    echo "  FAILED $suite/$name: it is not built"
    return 1
}

run_files() { # NAME: everything of that suite
    local file program_file vtc=() fuzzers=()
    for file in "$tests/$1"/*; do
        case ${file##*/} in
        test_*.c) built "$file" && run_tap "${file##*/}" 300 env CMOCKA_MESSAGE_OUTPUT=TAP "$program_file" ;;
        fuzz_*.c) built "$file" && fuzzers+=("$program_file") ;;
        test_*.sh) run_tap "${file##*/}" 1800 "$file" ;;
        *.bats) run_tap "${file##*/}" 900 bats --tap "$file" ;;
        *.vtc) vtc+=("$file") ;;
        esac
    done
    [ ${#vtc[@]} -eq 0 ] || run_vtc "${vtc[@]}"
    [ ${#fuzzers[@]} -eq 0 ] || run_fuzzers "${fuzzers[@]}"
}

count_sanitizer_reports() {
    local report
    for report in "$logs"/sanitizer.*; do
        [ -e "$report" ] || continue
        count 0 1 0
        echo "  FAILED $suite: a sanitizer complained, see $report"
        head -n 40 "$report" | sed 's/^/    /'
    done
}

run_suite() { # SUITE[@VARIANT]
    local suite=$1 variant='' logs passed=0 failed=0 skipped=0 begin=$SECONDS
    case $suite in
    *@*) variant=${suite#*@} ;;
    fuzz) variant=fuzz ;;
    esac
    export PORTHOLE_BUILD=$top/build${variant:+/$variant}
    export PORTHOLE=${program:-$PORTHOLE_BUILD/porthole}
    export TESTDIR=$tests
    logs=$log_root/$suite
    export ASAN_OPTIONS="log_path=$logs/sanitizer:detect_stack_use_after_return=1:strict_string_checks=1"
    export UBSAN_OPTIONS="log_path=$logs/sanitizer:print_stacktrace=1"
    export TSAN_OPTIONS="log_path=$logs/sanitizer:second_deadlock_stack=1"
    if [ "$variant" = fuzz ]; then
        unset ASAN_OPTIONS UBSAN_OPTIONS
    fi

    rm -rf "$logs"
    mkdir -p "$logs"
    run_files "${suite%@*}"
    count_sanitizer_reports
    if [ $((passed + failed + skipped)) -eq 0 ]; then
        failed=1
        echo "  FAILED $suite: there are no tests"
    fi
    echo "$suite: $passed passed, $failed failed, $skipped skipped ($((SECONDS - begin)) s)"
    total_passed=$((total_passed + passed))
    total_failed=$((total_failed + failed))
}

program=${PORTHOLE:-}
[ -z "$program" ] || program=$(realpath "$program")
for suite in "$@"; do
    run_suite "$suite"
done
echo "$total_passed passed, $total_failed failed"
[ $total_failed -eq 0 ] && [ $total_passed -gt 0 ]
