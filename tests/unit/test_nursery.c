/* Nurseries: what is left of them when something fails in the middle. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/nursery.h"
#include "tests/unit/publish_fixture.h"

/* How many descriptors more than are open now may be had. */
static void allow_more(rlim_t n)
{
    int next = dup(0);
    struct rlimit limit;

    assert_true(next >= 0);
    close(next);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    limit.rlim_cur = (rlim_t)next + n;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &limit), 0);
}

static void test_nursery_without_descriptors_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    int parent = open(fixture->directory, O_PATH | O_DIRECTORY | O_CLOEXEC);
    struct rlimit before;
    unsigned n_failed = 0;

    assert_true(parent >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    for (rlim_t n = 0; n < 4; n++) {
        struct nursery nursery = NURSERY_INIT;
        int r;

        allow_more(n);
        r = nursery_make(&nursery, parent);
        setrlimit(RLIMIT_NOFILE, &before);
        if (r < 0) {
            assert_int_equal(r, -EMFILE);
            n_failed++;
        }
        nursery_remove(&nursery, "none");
        assert_int_equal(fixture_count_entries(fixture->directory), 0);
    }
    assert_in_range(n_failed, 1, 3);
    close(parent);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test_setup_teardown(test_nursery_without_descriptors_leaves_nothing,
                                                                       fixture_setup, fixture_teardown)};

    return cmocka_run_group_tests_name("nursery", tests, NULL, NULL);
}
