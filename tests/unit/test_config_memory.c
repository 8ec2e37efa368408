/* Configurations are read while memory runs out: each allocation fails in its turn. Then there is no snapshot, or it is
 * the one that the file describes, never one of which something is missing.
 *
 * The Makefile puts the calls below in front of libc's (--wrap); jansson's go through ours. */
#include <errno.h>
#include <glob.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/load.h"

#define MOST_TRIES 400 /* of each file, evenly over its allocations */

static struct {
    bool on;
    unsigned n_calls, nth; /* which one fails; 0: none */
} memory;

static bool memory_fails(void)
{
    return memory.on && ++memory.n_calls == memory.nth;
}

#define WRAP(name, parameters, arguments)                       \
    void *__real_##name parameters;                             \
    void *__wrap_##name parameters;                             \
    void *__wrap_##name parameters                              \
    {                                                           \
        errno = ENOMEM;                                         \
        return memory_fails() ? NULL : __real_##name arguments; \
    }

WRAP(malloc, (size_t size), (size))
WRAP(calloc, (size_t n, size_t size), (n, size))
WRAP(realloc, (void *old, size_t size), (old, size))
WRAP(reallocarray, (void *old, size_t n, size_t size), (old, n, size))
WRAP(strdup, (const char *text), (text))
WRAP(strndup, (const char *text, size_t length), (text, length))

/* As it is printed, with what is of this run only left out. The caller frees it. */
static char *printed(const struct snapshot *snapshot)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);

    assert_non_null(out);
    assert_int_equal(config_print(snapshot, out), 0);
    fclose(out);
    return text;
}

/* Loads with the nth allocation failing; what it printed as, or NULL when there was no snapshot. */
static char *load(const char *file, unsigned nth, int *ret_result)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    char *text = NULL;

    memory.n_calls = 0;
    memory.nth = nth;
    memory.on = true;
    *ret_result = config_load(file, &snapshot, &problems);
    memory.on = false;
    if (*ret_result == 0)
        text = printed(snapshot);
    else
        assert_null(snapshot);
    snapshot_unref(snapshot);
    problems_deinit(&problems);
    return text;
}

static void expect_whole_or_none(const char *file)
{
    int r;
    char *whole = load(file, 0, &r);
    unsigned n_calls = memory.n_calls, step = 1 + n_calls / MOST_TRIES;

    if (r != 0)
        return; /* it wants what this machine does not have */
    for (unsigned nth = 1; nth <= n_calls; nth += step) {
        char *text = load(file, nth, &r);

        if (r != -ENOMEM && r != 0)
            fail_msg("%s, allocation %u of %u fails: %d, not -ENOMEM", file, nth, n_calls, r);
        if (text && strcmp(text, whole) != 0)
            fail_msg("%s, allocation %u of %u fails: another configuration\n%s", file, nth, n_calls, text);
        free(text);
    }
    free(whole);
}

static void test_load_without_memory_is_whole_or_none(void **state UNUSED)
{
    glob_t found;

    assert_int_equal(glob("config/examples/*.json", 0, NULL, &found), 0);
    for (size_t i = 0; i < found.gl_pathc; i++)
        expect_whole_or_none(found.gl_pathv[i]);
    globfree(&found);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(test_load_without_memory_is_whole_or_none)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
