/* Figures of the process are there, and follow what it does. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/report/process.h"

static void test_process_figures_are_those_of_this_process(void **state)
{
    struct process process = PROCESS_INIT;
    struct process_figures before, after;
    int fds[200];

    (void)state;
    process_open(&process);
    before = process_read(&process);
    assert_true(before.resident_bytes > 100 * 1024);
    assert_true(before.most_descriptors >= before.n_descriptors);
    /* More than one block of entries. */
    for (size_t i = 0; i < 200; i++)
        assert_true((fds[i] = open("/dev/null", O_RDONLY | O_CLOEXEC)) >= 0);
    after = process_read(&process);
    assert_int_equal(after.n_descriptors, before.n_descriptors + 200);
    assert_true(after.cpu_ns >= before.cpu_ns);
    for (size_t i = 0; i < 200; i++)
        close(fds[i]);
    process_close(&process);
    process_close(&process);
}

static void test_process_without_proc_knows_the_rest(void **state)
{
    const struct process process = PROCESS_INIT;
    struct process_figures figures = process_read(&process);

    (void)state;
    assert_int_equal(figures.n_descriptors, 0);
    assert_int_equal(figures.resident_bytes, 0);
    assert_true(figures.most_descriptors > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_process_figures_are_those_of_this_process),
        cmocka_unit_test(test_process_without_proc_knows_the_rest),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
