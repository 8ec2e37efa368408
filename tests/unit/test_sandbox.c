/* The sandbox, entered in a process of its own for each test: what a reload may still bring. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"
#include "proxy/base/log.h"
#include "proxy/sandbox/landlock_abi.h"
#include "proxy/sandbox/sandbox.h"

static char directory[64]; /* has a/ and b/ */

static int make_tree(void **state)
{
    char path[80];

    (void)state;
    snprintf(directory, sizeof(directory), "/tmp/porthole-sandbox-XXXXXX");
    assert_non_null(mkdtemp(directory));
    for (const char *name = "ab"; *name; name++) {
        snprintf(path, sizeof(path), "%s/%c", directory, *name);
        assert_int_equal(mkdir(path, 0755), 0);
    }
    return 0;
}

static int remove_tree(void **state)
{
    char command[128];

    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", directory);
    return system(command);
}

/* A configuration of a listener on a socket in one of the directories ("" is none), with this target. */
static struct snapshot *configure(const char *where, const char *members, const char *target)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    char text[1024];

    snprintf(text, sizeof(text),
             "{ \"listeners\": [ { \"bind\": \"unix:%s/%s/x.sock\", %s \"routes\": [ { \"target\": \"%s\" } ] } ] }",
             directory, where, members, target);
    if (config_parse(text, strlen(text), "none.json", &snapshot, &problems) != 0)
        problems_print(&problems, "", "", stderr);
    problems_deinit(&problems);
    return snapshot;
}

static long landlock_abi(void)
{
    return syscall(SYS_landlock_create_ruleset, NULL, 0, LANDLOCK_ASK_VERSION);
}

/* Runs fn inside the sandbox of the first configuration; what it returns is the exit status, 0 if all is well. */
static void inside(int (*fn)(void))
{
    int status = -1;
    pid_t child = fork();

    if (child == 0) {
        struct snapshot *snapshot = configure("a", "", "http://127.0.0.1:4711");
        struct error error = ERROR_INIT;
        int result;

        log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
        result = sandbox_enter(snapshot, &error) < 0 ? 99 : fn();
        snapshot_unref(snapshot);
        _exit(result);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Whether a configuration is admitted, or refused with this in its reason. */
static bool answers(const char *where, const char *members, const char *target, const char *reason)
{
    struct snapshot *snapshot = configure(where, members, target);
    struct error error = ERROR_INIT;
    int r = snapshot ? sandbox_admits(snapshot, &error) : -EINVAL;

    snapshot_unref(snapshot);
    if (reason ? r == -EPERM && strstr(error.message, reason) : r == 0)
        return true;
    fprintf(stderr, "%s, %s, %s: %d %s\n", where, members, target, r, error.message);
    return false;
}

static int admits_what_is_within(void)
{
    return answers("a", "", "http://127.0.0.1:4711", NULL) && answers("a", "", "unix:/anywhere/else.sock", NULL) &&
                   answers("a/new", "", "http://127.0.0.2:4711", NULL) &&
                   answers("a", "\"directory_mode\": \"0755\",", "http://127.0.0.1:4711", NULL)
               ? 0
               : 1;
}

static int refuses_what_is_outside(void)
{
    return answers("b", "", "http://127.0.0.1:4711", "(the socket of a listener) is out of reach since the start") &&
                   answers("a", "", "http://127.0.0.1:4712", "TCP port 4712 is out of reach") &&
                   answers("a", "", "unix:@abstract", "abstract sockets are out of reach") &&
                   answers("a", "", "http://localhost:4711", "is out of reach")
               ? 0
               : 1;
}

static int refuses_capabilities(void)
{
    return answers("a", "\"owner\": \"12345\",", "http://127.0.0.1:4711", "CAP_CHOWN") ? 0 : 1;
}

static void test_sandbox_before_it_is_entered_everything_is_admitted(void **state)
{
    (void)state;
    assert_true(answers("b", "\"owner\": \"12345\",", "unix:@abstract", NULL));
}

static void test_sandbox_reload_within_is_admitted(void **state)
{
    (void)state;
    inside(admits_what_is_within);
}

static void test_sandbox_reload_outside_is_refused_with_its_reason(void **state)
{
    (void)state;
    if (landlock_abi() < 6)
        skip();
    inside(refuses_what_is_outside);
}

static void test_sandbox_reload_that_needs_a_capability_given_up_is_refused(void **state)
{
    (void)state;
    if (geteuid() != 0)
        skip();
    inside(refuses_capabilities);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sandbox_before_it_is_entered_everything_is_admitted),
        cmocka_unit_test(test_sandbox_reload_within_is_admitted),
        cmocka_unit_test(test_sandbox_reload_outside_is_refused_with_its_reason),
        cmocka_unit_test(test_sandbox_reload_that_needs_a_capability_given_up_is_refused),
    };

    return cmocka_run_group_tests(tests, make_tree, remove_tree);
}
