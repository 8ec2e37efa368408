/* What the library is told to have received. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/serve/receipt.h"

struct desk {
    struct list receipts;
    struct receipt receipt, other;
    int ends[2];
    char data[16];
};

static int desk_setup(void **state)
{
    struct desk *desk = calloc(1, sizeof(*desk));

    assert_non_null(desk);
    list_init(&desk->receipts);
    list_init(&desk->receipt.link);
    list_init(&desk->other.link);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, desk->ends), 0);
    receipt_write(&desk->other, &desk->receipts, 12345, 3);
    receipts_show(&desk->receipts);
    *state = desk;
    return 0;
}

static int desk_teardown(void **state)
{
    struct desk *desk = *state;

    receipts_show(NULL);
    close(desk->ends[0]);
    close(desk->ends[1]);
    free(desk);
    return 0;
}

static ssize_t receive(struct desk *desk, size_t size)
{
    memset(desk->data, '-', sizeof(desk->data));
    return recv(desk->ends[0], desk->data, size, 0);
}

static void test_receipt_is_told_in_pieces(void **state)
{
    struct desk *desk = *state;

    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 10);
    assert_int_equal(receive(desk, 6), 6);
    assert_int_equal(receive(desk, 6), 4);
    assert_int_equal(desk->data[4], '-');
    assert_false(list_linked(&desk->receipt.link));
    assert_int_equal(receive(desk, 6), -1);
}

static void test_receipt_touches_no_memory(void **state)
{
    struct desk *desk = *state;
    static char data[1000];

    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 777);
    assert_int_equal(recv(desk->ends[0], data, sizeof(data), 0), 777);
    for (size_t i = 0; i < sizeof(data); i++)
        assert_int_equal(data[i], 0);
}

static void test_receipt_leaves_no_clear_memory_before_what_has_come(void **state)
{
    struct desk *desk = *state;
    static char data[1000];
    size_t n_clear = 0;

    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 777);
    assert_int_equal(write(desk->ends[1], "GET", 3), 3);
    assert_int_equal(recv(desk->ends[0], data, sizeof(data), 0), 780);
    for (size_t i = 0; i < 777; i++) {
        n_clear = data[i] ? 0 : n_clear + 1;
        assert_true(n_clear < 256);
    }
    assert_int_not_equal(data[776], 0);
}

/* A short count says that nothing more is there. */
static void test_receipt_is_followed_by_what_has_come_since(void **state)
{
    struct desk *desk = *state;

    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 2);
    assert_int_equal(send(desk->ends[1], "abc", 3, 0), 3);
    assert_int_equal(receive(desk, 4), 4);
    assert_memory_equal(desk->data, "??ab--", 6);
    assert_int_equal(receive(desk, 4), 1);
    assert_int_equal(desk->data[0], 'c');
}

static void test_receipt_before_the_end_of_file_is_told_first(void **state)
{
    struct desk *desk = *state;

    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 2);
    shutdown(desk->ends[1], SHUT_WR);
    assert_int_equal(receive(desk, 4), 2);
    assert_int_equal(receive(desk, 4), 0);
}

static void test_receipt_is_no_matter_of_who_peeks_or_of_other_threads(void **state)
{
    struct desk *desk = *state;
    char byte;

    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 2);
    assert_int_equal(recv(desk->ends[0], &byte, 1, MSG_PEEK), -1);
    receipts_show(NULL);
    assert_int_equal(receive(desk, 4), -1);
}

static void test_receipt_is_skipped_as_it_was_written(void **state)
{
    struct desk *desk = *state;

    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 7);
    receipt_write(&desk->receipt, &desk->receipts, desk->ends[0], 3);
    assert_int_equal(receipt_skip(&desk->receipt, 4), 4);
    assert_int_equal(receipt_skip(&desk->receipt, 8), 6);
    assert_int_equal(receipt_skip(&desk->receipt, 8), 0);
    receipt_drop(&desk->receipt);
    assert_int_equal(receive(desk, 4), -1);
}

static void *hear(void *closure)
{
    struct desk *desk = closure;
    bool before, aside, heard;

    receipts_show(NULL);
    before = receipts_are_heard();
    receive(desk, 1);
    aside = receipts_are_heard();
    receipts_show(&desk->receipts);
    receive(desk, 1);
    heard = receipts_are_heard();
    return !before && !aside && heard ? desk : NULL;
}

/* A library that receives by another call is never heard: a thread that has heard none begins with that. */
static void test_receipts_are_heard_of_by_the_library_only(void **state)
{
    void *result = NULL;
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, hear, *state), 0);
    assert_int_equal(pthread_join(thread, &result), 0);
    assert_ptr_equal(result, *state);
}

#define DESK_TEST(name) cmocka_unit_test_setup_teardown(name, desk_setup, desk_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        DESK_TEST(test_receipts_are_heard_of_by_the_library_only),
        DESK_TEST(test_receipt_is_told_in_pieces),
        DESK_TEST(test_receipt_touches_no_memory),
        DESK_TEST(test_receipt_leaves_no_clear_memory_before_what_has_come),
        DESK_TEST(test_receipt_is_followed_by_what_has_come_since),
        DESK_TEST(test_receipt_before_the_end_of_file_is_told_first),
        DESK_TEST(test_receipt_is_no_matter_of_who_peeks_or_of_other_threads),
        DESK_TEST(test_receipt_is_skipped_as_it_was_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
