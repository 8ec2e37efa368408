/* Buffers and their free list. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/buffer.h"

static void test_buffer_taken_is_empty_and_of_its_size(void **state)
{
    struct buffer_store store;
    struct buffer *buffer;

    (void)state;
    buffer_store_init(&store, 100, 2);
    buffer = buffer_take(&store);
    assert_non_null(buffer);
    assert_int_equal(buffer_length(buffer), 0);
    assert_int_equal(buffer_room(buffer), 100);
    memset(buffer->data, 'x', 100);
    buffer->start = 40;
    buffer->end = 100;
    assert_int_equal(buffer_length(buffer), 60);
    assert_int_equal(buffer_room(buffer), 0);
    buffer_give(&store, buffer);
    assert_ptr_equal(buffer_take(&store), buffer);
    assert_int_equal(buffer_length(buffer), 0);
    assert_int_equal(buffer_room(buffer), 100);
    buffer_give(&store, buffer);
    buffer_store_deinit(&store);
}

static void test_buffer_store_keeps_no_more_than_it_may(void **state)
{
    struct buffer_store store;
    struct buffer *buffers[5];

    (void)state;
    buffer_store_init(&store, 10, 3);
    for (int i = 0; i < 5; i++)
        buffers[i] = buffer_take(&store);
    assert_int_equal(store.n_spare, 0);
    for (int i = 0; i < 5; i++)
        buffer_give(&store, buffers[i]);
    assert_int_equal(store.n_spare, 3);
    assert_ptr_equal(buffer_take(&store), buffers[2]); /* the hottest first */
    assert_int_equal(store.n_spare, 2);
    buffer_give(&store, buffers[2]);
    buffer_give(&store, NULL);
    assert_int_equal(store.n_spare, 3);
    buffer_store_deinit(&store);
    assert_int_equal(store.n_spare, 0);
    assert_null(store.spare);
}

static void test_buffer_compact_moves_what_is_there_to_the_front(void **state)
{
    struct buffer_store store;
    struct buffer *buffer;

    (void)state;
    buffer_store_init(&store, 10, 0);
    buffer = buffer_take(&store);
    memcpy(buffer->data, "0123456789", 10);
    buffer->end = 10;
    buffer_compact(buffer);
    assert_int_equal(buffer_length(buffer), 10);
    buffer->start = 3; /* the parts overlap */
    buffer_compact(buffer);
    assert_int_equal(buffer->start, 0);
    assert_int_equal(buffer_length(buffer), 7);
    assert_int_equal(buffer_room(buffer), 3);
    assert_memory_equal(buffer->data, "3456789", 7);
    buffer->start = buffer->end;
    buffer_compact(buffer);
    assert_int_equal(buffer_length(buffer), 0);
    assert_int_equal(buffer_room(buffer), 10);
    buffer_give(&store, buffer);
    assert_int_equal(store.n_spare, 0);
    buffer_store_deinit(&store);
}

static void test_buffer_store_that_has_grown_hands_out_no_small_ones(void **state)
{
    struct buffer_store store;
    struct buffer *spare, *taken, *large;

    (void)state;
    buffer_store_init(&store, 100, 4);
    spare = buffer_take(&store);
    taken = buffer_take(&store);
    buffer_give(&store, spare);
    buffer_store_grow(&store, 50);
    assert_int_equal(store.size, 100);
    assert_int_equal(store.n_spare, 1);
    buffer_store_grow(&store, 200);
    assert_int_equal(store.n_spare, 0);
    assert_int_equal(taken->size, 100);
    buffer_give(&store, taken);
    assert_int_equal(store.n_spare, 0);
    large = buffer_take(&store);
    assert_int_equal(large->size, 200);
    memset(large->data, 'x', 200);
    buffer_give(&store, large);
    assert_int_equal(store.n_spare, 1);
    buffer_store_deinit(&store);
}

/* An address space that is used up, for this child of the test. */
static void test_buffer_out_of_memory_is_null(void **state)
{
    const struct rlimit none = {0, 0};
    struct buffer_store store;
    int status;
    pid_t pid;

    (void)state;
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
    skip(); /* its malloc does not return NULL */
#endif
    pid = fork();
    assert_true(pid >= 0);
    if (pid == 0) {
        buffer_store_init(&store, 64u << 20, 1);
        if (setrlimit(RLIMIT_AS, &none) < 0)
            _exit(2);
        _exit(buffer_take(&store) == NULL ? 0 : 1);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_equal(WEXITSTATUS(status), 0);
}

static void test_buffer_widened_keeps_what_is_there(void **state)
{
    struct buffer_store store;
    struct buffer *small, *large;

    (void)state;
    buffer_store_init(&store, 10, 3);
    store.wide_size = 100;
    small = buffer_take(&store);
    assert_non_null(small);
    memcpy(small->data, "..abcdefgh", 10);
    small->start = 2;
    small->end = 10;
    large = buffer_widen(&store, small);
    assert_non_null(large);
    assert_int_equal(store.n_spare, 1);
    assert_int_equal(large->start, 0);
    assert_int_equal(buffer_length(large), 8);
    assert_int_equal(buffer_room(large), 92);
    assert_memory_equal(large->data, "abcdefgh", 8);
    /* It is not one of the store's. */
    buffer_give(&store, large);
    assert_int_equal(store.n_spare, 1);
    buffer_store_deinit(&store);
}

static void test_buffer_narrowed_has_what_was_there_and_no_room(void **state)
{
    struct buffer_store store;
    struct buffer *buffer, *narrow;

    (void)state;
    buffer_store_init(&store, 100, 3);
    buffer = buffer_take(&store);
    assert_non_null(buffer);
    memcpy(buffer->data, "..abcdefgh", 10);
    buffer->start = 2;
    buffer->end = 10;
    narrow = buffer_narrow(buffer);
    buffer_give(&store, buffer);
    assert_non_null(narrow);
    assert_int_equal(narrow->start, 2);
    assert_int_equal(buffer_room(narrow), 0);
    assert_memory_equal(narrow->data, "..abcdefgh", 10);
    /* It is not one of the store's. */
    buffer_give(&store, narrow);
    assert_int_equal(store.n_spare, 1);
    buffer_store_deinit(&store);
}

static void test_buffer_taken_sparingly_is_small_when_many_are_in_use(void **state)
{
    struct buffer_store store;
    struct buffer *buffers[4];

    (void)state;
    buffer_store_init(&store, 100, 2);
    for (int i = 0; i < 4; i++)
        buffers[i] = buffer_take_sparing(&store, 30);
    assert_int_equal(buffer_room(buffers[1]), 100);
    assert_int_equal(buffer_room(buffers[2]), 30);
    assert_int_equal(buffer_room(buffers[3]), 30);
    buffer_give(&store, buffers[3]);
    assert_int_equal(store.n_taken, 2);
    buffer_give(&store, buffers[0]);
    buffers[0] = buffer_take_sparing(&store, 30);
    assert_int_equal(buffer_room(buffers[0]), 100);
    for (int i = 0; i < 3; i++)
        buffer_give(&store, buffers[i]);
    assert_int_equal(store.n_taken, 0);
    assert_int_equal(store.n_spare, 2);
    buffer_store_deinit(&store);
}

/* What is always wanted stays. */
static void test_buffer_store_rests_when_nobody_wants_its_spare_ones(void **state)
{
    struct buffer_store store;
    struct buffer *buffers[3];

    (void)state;
    buffer_store_init(&store, 10, 3);
    for (int i = 0; i < 3; i++)
        buffers[i] = buffer_take(&store);
    for (int i = 0; i < 3; i++)
        buffer_give(&store, buffers[i]);
    buffer_store_rest(&store);
    assert_int_equal(store.n_spare, 3);
    assert_ptr_equal(buffer_take(&store), buffers[2]);
    buffer_give(&store, buffers[2]);
    buffer_store_rest(&store);
    assert_int_equal(store.n_spare, 1);
    assert_ptr_equal(store.spare, buffers[2]);
    buffer_store_rest(&store);
    assert_int_equal(store.n_spare, 0);
    assert_null(store.spare);
    buffer_store_rest(&store);
    buffer_store_deinit(&store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_buffer_taken_is_empty_and_of_its_size),
        cmocka_unit_test(test_buffer_store_keeps_no_more_than_it_may),
        cmocka_unit_test(test_buffer_compact_moves_what_is_there_to_the_front),
        cmocka_unit_test(test_buffer_store_that_has_grown_hands_out_no_small_ones),
        cmocka_unit_test(test_buffer_out_of_memory_is_null),
        cmocka_unit_test(test_buffer_widened_keeps_what_is_there),
        cmocka_unit_test(test_buffer_narrowed_has_what_was_there_and_no_room),
        cmocka_unit_test(test_buffer_store_rests_when_nobody_wants_its_spare_ones),
        cmocka_unit_test(test_buffer_taken_sparingly_is_small_when_many_are_in_use),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
