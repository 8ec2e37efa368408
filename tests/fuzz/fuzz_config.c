/* The loader: no text may crash it, every refusal has its place in the text, and what it accepts it prints as something
 * that it accepts and prints the same again. */
#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The configuration in effect as text, which the caller owns. */
static char *print(const struct snapshot *snapshot, size_t *ret_length)
{
    char *text = NULL;
    FILE *to = open_memstream(&text, ret_length);
    int r;

    assert(to);
    r = config_print(snapshot, to);
    assert(r == 0);
    fclose(to);
    return text;
}

static void check_problems(const struct problems *problems)
{
    assert(problems->n_items > 0);
    for (size_t i = 0; i < problems->n_items; i++) {
        const struct problem *problem = &problems->items[i];
        /* Only the note that there are too many stands nowhere. */
        assert((problem->line > 0 && problem->column > 0) || i == 100);
        assert(problem->pointer && problem->message && problem->message[0] != '\0');
    }
}

static void check_round_trip(const struct snapshot *snapshot)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *again = NULL;
    size_t n_once, n_twice;
    char *once = print(snapshot, &n_once), *twice;
    int r = config_parse(once, n_once, "printed", &again, &problems);

    if (r != 0)
        problems_print(&problems, once, "", stderr);
    assert(r == 0);
    twice = print(again, &n_twice);
    assert(n_once == n_twice && memcmp(once, twice, n_once) == 0);
    free(once);
    free(twice);
    snapshot_unref(again);
    problems_deinit(&problems);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    int r = config_parse((const char *)bytes, size, "fuzzed", &snapshot, &problems);

    assert(r == 0 || r == 1);
    if (r == 1)
        check_problems(&problems);
    else
        check_round_trip(snapshot);
    assert((r == 0) == (snapshot != NULL));
    snapshot_unref(snapshot);
    problems_deinit(&problems);
    return 0;
}
