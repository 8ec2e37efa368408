#include "tests/unit/state_walk.h"

#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define CHART_BYTES 2048

static const struct state_machine *walk_machine;

static unsigned walk_move(unsigned from, unsigned to)
{
    state_check(walk_machine, from, to);
    return to;
}

/* Whether the process dies of this move, as it should. */
static bool walk_aborts(state_walk_fn *move, unsigned from, unsigned to)
{
    const struct rlimit none = {0, 0};
    int status = 0, null;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        signal(SIGABRT, SIG_DFL);
        setrlimit(RLIMIT_CORE, &none);
        null = open("/dev/null", O_WRONLY | O_CLOEXEC);
        dup2(null, STDERR_FILENO);
        move(from, to);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

static void walk_moves(const struct state_machine *machine, state_walk_fn *move)
{
    for (unsigned from = 0; from < machine->n_states; from++) {
        for (unsigned to = 0; to < machine->n_states; to++) {
            if (state_may_move(machine, from, to))
                assert_int_equal(move(from, to), to);
            else if (!walk_aborts(move, from, to))
                fail_msg("%s: %s to %s is not in the table, and was made", machine->name, machine->states[from].name,
                         machine->states[to].name);
        }
    }
}

static void walk_reaches_all(const struct state_machine *machine)
{
    uint32_t seen = STATE_BIT(0), before = 0;

    while (seen != before) {
        before = seen;
        for (unsigned i = 0; i < machine->n_states; i++)
            if (seen & STATE_BIT(i))
                seen |= machine->states[i].next;
    }
    assert_int_equal(seen, (uint32_t)((UINT64_C(1) << machine->n_states) - 1));
}

static void walk_compare(const struct state_machine *machine, const char *chart)
{
    char text[CHART_BYTES];
    size_t n = 0;

    for (unsigned from = 0; from < machine->n_states; from++) {
        if (machine->states[from].next == 0)
            continue;
        n += (size_t)snprintf(text + n, sizeof(text) - n, "%s:", machine->states[from].name);
        for (unsigned to = 0; to < machine->n_states; to++)
            if (state_may_move(machine, from, to))
                n += (size_t)snprintf(text + n, sizeof(text) - n, " %s", machine->states[to].name);
        n += (size_t)snprintf(text + n, sizeof(text) - n, "\n");
        assert_true(n < sizeof(text));
    }
    assert_string_equal(text, chart);
}

void state_walk(const struct state_machine *machine, state_walk_fn *move, const char *chart)
{
    assert_non_null(machine->name);
    assert_true(machine->n_states > 1 && machine->n_states <= STATE_MOST);
    for (unsigned i = 0; i < machine->n_states; i++)
        assert_non_null(machine->states[i].name);
    walk_reaches_all(machine);
    walk_compare(machine, chart);
    walk_machine = machine;
    walk_moves(machine, move ? move : walk_move);
}
