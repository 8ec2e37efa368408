#!/bin/bash
# Runs test suites and sums them up; the last line is "N passed, N failed". Exit status 0 when none failed.
# usage: tests/run-suites.sh SUITE[@VARIANT][,SUITE[@VARIANT]...]...
#
# A suite is a directory under tests/. Its *.vtc (varnishtest), *.bats, test_*.sh (TAP), test_*.c (cmocka) and
# fuzz_*.c (libFuzzer) files are run, the last two as they were built. VARIANT is a build under build/.
# Environment: PORTHOLE      the program under test (default: the build's)
#              TESTS         where the suites are (default: tests)
#              LOG_DIR       logs (default: build/log)
#              TASKS         how many test files are run at once (default: three for each processor)
#              FUZZ_SECONDS  for each fuzz target (default: 5)
#              FUZZ_SEED     of its random numbers, so that the same program does the same again (default: another each time)
# Tests see PORTHOLE, PORTHOLE_BUILD (helper programs are in its tests/SUITE) and TESTDIR (tests/), all absolute.
# Whatever crashes, hangs or tells nothing has failed. So has a suite during which a sanitizer wrote a report.
#
# Most tests wait most of their time, so files run beside each other, whatever their suite. A task is what runs as one
# process: a file, or all .vtc files of a suite. Tasks start in the order of the arguments (name what takes longest first),
# and suites are told in that order, each when its last task has ended. Suites joined by commas share something (a podman's
# storage, an image that the first one makes): their tasks run one after the other. LOG_DIR/times has the seconds of each task.
set -u

top=$(cd "$(dirname "$0")/.." && pwd)
tests=${TESTS:-$top/tests}
log_root=${LOG_DIR:-$top/build/log}
processors=$(nproc)
most=${TASKS:-$((3 * processors))}
program=${PORTHOLE:-}
[ -z "$program" ] || program=$(realpath "$program")

# By number of the suite, in the order of the arguments.
suites=() n_left=() passed=() failed=() skipped=() begins=() ends=() reports=()

# By number of the task; owners are suites, lanes may be empty, a running task's state is its process id.
kinds=() names=() owners=() lanes=() seconds=() commands=() states=() starts=()

declare -A busy # lanes; in each there is room for one task at a time
n_fuzzers=0
n_running=0

# --- Judging -------------------------------------------------------------------------------------------------

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

count() { # SUITE PASSED FAILED SKIPPED
    passed[$1]=$((passed[$1] + $2))
    failed[$1]=$((failed[$1] + $3))
    skipped[$1]=$((skipped[$1] + $4))
}

# Keeps a line, or what standard input says, for the moment when the suite is told.
report() { # SUITE [LINE]
    reports[$1]+=${2-$(cat)}$'\n'
}

judge_tap() { # SUITE NAME LOG STATUS
    local n_passed n_failed n_skipped
    [ "$4" -lt 124 ] || echo "# exit status $4 of $2" >>"$3"
    read -r n_passed n_failed n_skipped < <(tap_count "$3" "$4")
    count "$1" "$n_passed" "$n_failed" "$n_skipped"
    [ "$n_failed" -gt 0 ] || return
    report "$1" "  FAILED ${suites[$1]}/$2: $n_failed of $((n_passed + n_failed)), status $4, see $3"
    report "$1" < <(tap_show_failures "$3")
}

judge_vtc() { # SUITE N-FILES LOG
    local n_passed n_failed n_skipped
    n_passed=$(grep -c '^#    top  TEST .* passed (' "$3")
    n_skipped=$(grep -c '^#    top  TEST .* skipped (' "$3")
    n_failed=$(($2 - n_passed - n_skipped))
    count "$1" "$n_passed" "$n_failed" "$n_skipped"
    [ "$n_failed" -gt 0 ] || return
    report "$1" "  FAILED ${suites[$1]}: $n_failed of $2 varnishtest files, see $3"
    report "$1" < <(
        grep '^#    top  TEST .*\(FAILED\|TIMED OUT\)' "$3" | sed 's/^/    /'
        grep -v '^\*\*\*\* top   extmacro' "$3" | tail -n 200 | sed 's/^/    /'
    )
}

judge_fuzz() { # SUITE NAME LOG STATUS
    if [ "$4" -eq 0 ] && grep -q '^stat::number_of_executed_units' "$3"; then
        count "$1" 1 0 0
        return
    fi
    count "$1" 0 1 0
    report "$1" "  FAILED ${suites[$1]}/$2, see $3"
    report "$1" < <(grep -v '^#' "$3" | tail -n 40 | sed 's/^/    /')
}

judge() { # TASK STATUS
    local suite=${owners[$1]}
    local log=$log_root/${suites[suite]}/${names[$1]}.log
    echo "$((SECONDS - starts[$1])) ${suites[suite]}/${names[$1]}" >>"$log_root/times"
    case ${kinds[$1]} in
    tap) judge_tap "$suite" "${names[$1]}" "$log" "$2" ;;
    vtc) judge_vtc "$suite" "$(wc -l <"${log%.log}.files")" "$log" ;;
    fuzz) judge_fuzz "$suite" "${names[$1]}" "$log" "$2" ;;
    esac
    n_left[suite]=$((n_left[suite] - 1))
    ends[suite]=$SECONDS
}

# A process that a test kills while LeakSanitizer looks at it at its end leaves this one line, and no leak.
is_killed_in_its_search() { # FILE
    ! grep -qvE '^==[0-9]+==Unable to get registers from thread [0-9]+\.$' "$1"
}

count_sanitizer_reports() { # SUITE
    local file
    for file in "$log_root/${suites[$1]}"/sanitizer.*; do
        [ -e "$file" ] || continue
        ! is_killed_in_its_search "$file" || continue
        count "$1" 0 1 0
        report "$1" "  FAILED ${suites[$1]}: a sanitizer complained, see $file"
        report "$1" < <(head -n 40 "$file" | sed 's/^/    /')
    done
}

tell() { # SUITE
    count_sanitizer_reports "$1"
    if [ $((passed[$1] + failed[$1] + skipped[$1])) -eq 0 ]; then
        failed[$1]=1
        report "$1" "  FAILED ${suites[$1]}: there are no tests"
    fi
    printf '%s' "${reports[$1]}"
    echo "${suites[$1]}: ${passed[$1]} passed, ${failed[$1]} failed, ${skipped[$1]} skipped ($((ends[$1] - begins[$1])) s)"
}

# --- Tasks ---------------------------------------------------------------------------------------------------

variant_of() { # SUITE-NAME
    case $1 in
    *@*) echo "${1#*@}" ;;
    fuzz) echo fuzz ;;
    esac
}

build_of() { # SUITE-NAME
    local variant
    variant=$(variant_of "$1")
    echo "$top/build${variant:+/$variant}"
}

add_task() { # SUITE LANE KIND NAME SECONDS COMMAND...
    local quoted
    kinds+=("$3") names+=("$4") owners+=("$1") lanes+=("$2") seconds+=("$5") states+=(waiting) starts+=(0)
    n_left[$1]=$((n_left[$1] + 1))
    shift 5
    printf -v quoted '%q ' "$@"
    commands+=("$quoted")
}

# Finds the program built from a source. A suite whose programs were not built must not pass.
built() { # SUITE SOURCE
    local name=${2##*/}
    binary=$(build_of "${suites[$1]}")/tests/${suites[$1]%@*}/${name%.c}
    [ -x "$binary" ] && return
    count "$1" 0 1 0
    report "$1" "  FAILED ${suites[$1]}/$name: it is not built"
    return 1
}

add_vtc() { # SUITE LANE FILE...
    local suite=$1 lane=$2 build
    local list=$log_root/${suites[$1]}/varnishtest.files
    shift 2
    build=$(build_of "${suites[suite]}")
    printf '%s\n' "$@" >"$list"
    add_task "$suite" "$lane" vtc varnishtest 1800 varnishtest -k "-j$processors" -t 60 \
        "-Dporthole=${program:-$build/porthole}" "-Dtestdir=$tests" "-Dbuild=$build" "$@"
}

# A fuzz target never waits: as many at once as processors, and these leave the others their turn. What it finds worth
# keeping goes to build/fuzz/corpus, not into the tree.
add_fuzz() { # SUITE PROGRAM
    local name=${2##*/fuzz_} logs=$log_root/${suites[$1]} wanted=${FUZZ_SECONDS:-5} found seeds=()
    found=$(build_of "${suites[$1]}")/corpus/$name
    mkdir -p "$found"
    [ ! -d "$tests/fuzz/corpus/$name" ] || seeds=("$tests/fuzz/corpus/$name")
    [ ! -e "$tests/fuzz/$name.dict" ] || seeds+=("-dict=$tests/fuzz/$name.dict")
    add_task "$1" "fuzz $((n_fuzzers++ % processors))" fuzz "fuzz_$name" $((wanted + 120)) nice -n 10 "$2" "-max_total_time=$wanted" -timeout=10 \
        "-seed=${FUZZ_SEED:-0}" -rss_limit_mb=1024 "-artifact_prefix=$logs/" -print_final_stats=1 "$found" "${seeds[@]}"
}

add_suite() { # SUITE LANE
    local suite=$1 lane=$2 file name vtc=()
    for file in "$tests/${suites[suite]%@*}"/*; do
        name=${file##*/}
        case $name in
        test_*.c)
            ! built "$suite" "$file" ||
                add_task "$suite" "$lane" tap "$name" 300 env CMOCKA_MESSAGE_OUTPUT=TAP "$binary"
            ;;
        fuzz_*.c) ! built "$suite" "$file" || add_fuzz "$suite" "$binary" ;;
        test_*.sh) add_task "$suite" "$lane" tap "$name" 1800 "$file" ;;
        *.bats) add_task "$suite" "$lane" tap "$name" 1200 bats --tap "$file" ;;
        *.vtc) vtc+=("$file") ;;
        esac
    done
    [ ${#vtc[@]} -eq 0 ] || add_vtc "$suite" "$lane" "${vtc[@]}"
}

# Enters the suites of one argument.
add_argument() { # SUITE[,SUITE...]
    local name suite lane=''
    [[ $1 != *,* ]] || lane=$1
    for name in ${1//,/ }; do
        suite=${#suites[@]}
        suites+=("$name")
        n_left+=(0) passed+=(0) failed+=(0) skipped+=(0) begins+=('') ends+=('') reports+=('')
        rm -rf "${log_root:?}/$name"
        mkdir -p "$log_root/$name"
        add_suite "$suite" "$lane"
    done
}

# --- Running -------------------------------------------------------------------------------------------------

set_environment() { # SUITE-NAME
    local options=log_path=$log_root/$1/sanitizer
    PORTHOLE_BUILD=$(build_of "$1")
    export PORTHOLE_BUILD TESTDIR=$tests PORTHOLE=${program:-$PORTHOLE_BUILD/porthole}
    [ "$(variant_of "$1")" != fuzz ] || return
    export ASAN_OPTIONS=$options:detect_stack_use_after_return=1:strict_string_checks=1
    export UBSAN_OPTIONS=$options:print_stacktrace=1
    export TSAN_OPTIONS=$options:second_deadlock_stack=1
}

# Starts a task in the background; when it has ended it says so on descriptor 3: its number and its exit status.
start() { # TASK
    local suite=${owners[$1]}
    local name=${suites[suite]}
    starts[$1]=$SECONDS
    [ "${begins[suite]}" ] || begins[suite]=$SECONDS
    (
        set_environment "$name"
        if [ "${kinds[$1]}" = vtc ] && [ ! -x "$PORTHOLE" ]; then
            echo "there is no $PORTHOLE, which every file would wait for"
        else
            cd "$top" && eval "timeout -k 10 ${seconds[$1]} ${commands[$1]}"
        fi >"$log_root/$name/${names[$1]}.log" 2>&1 3>&- </dev/null
        echo "$1 $?" >&3
    ) &
    states[$1]=$!
    [ -z "${lanes[$1]}" ] || busy[${lanes[$1]}]=yes
    n_running=$((n_running + 1))
}

# Starts what has room.
start_some() {
    local task
    for task in "${!states[@]}"; do
        [ "$n_running" -lt "$most" ] || return
        [ "${states[task]}" != waiting ] || [ "${busy[${lanes[task]:-none}]-}" ] || start "$task"
    done
}

await_one() {
    local task status
    if ! read -r -t 7200 task status <&3; then
        echo "nothing has ended for two hours"
        exit 1
    fi
    states[task]=ended
    unset "busy[${lanes[task]:-none}]"
    n_running=$((n_running - 1))
    judge "$task" "$status"
}

# Nothing outlives an interrupted run: timeout passes the signal on.
end_all() {
    local pid
    for pid in "${states[@]}"; do
        case $pid in
        waiting | ended) ;;
        *) pkill -TERM -P "$pid" ;;
        esac
    done
}

# Some tests of the command line run the program as other users.
if [[ " $* " =~ [\ ,]cli[@,\ ] && $(id -u) -eq 0 ]] &&
    ! setpriv --reuid 65534 --regid 65534 --clear-groups test -x "$(dirname "${program:-$top/build/porthole}")"; then
    echo "other users than root run the program in some tests, and may not enter $top:" \
        "have the tree elsewhere (/srv/porthole, say), or let them pass through (chmod o+x)" >&2
    exit 2
fi

mkdir -p "$log_root"
: >"$log_root/times"
for argument in "$@"; do
    add_argument "$argument"
done

channel=$(mktemp -u)
mkfifo "$channel"
exec 3<>"$channel"
rm "$channel"
trap 'end_all; exit 1' INT TERM HUP

n_told=0
while [ "$n_told" -lt ${#suites[@]} ]; do
    while [ "$n_told" -lt ${#suites[@]} ] && [ "${n_left[n_told]}" -eq 0 ]; do
        tell $((n_told++))
    done
    start_some
    [ "$n_running" -eq 0 ] || await_one
done

total_passed=0
total_failed=0
for suite in "${!suites[@]}"; do
    total_passed=$((total_passed + passed[suite]))
    total_failed=$((total_failed + failed[suite]))
done
echo "$total_passed passed, $total_failed failed"
[ $total_failed -eq 0 ] && [ $total_passed -gt 0 ]
