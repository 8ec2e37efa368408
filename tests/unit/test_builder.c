/* Builders keep every piece in order, however much they grow, and remember that they have failed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/builder.h"

static void test_builder_of_nothing_is_an_empty_string(void **state)
{
    struct builder builder = {0};
    size_t length = 1;
    char *text = builder_end(&builder, &length);

    (void)state;
    assert_string_equal(text, "");
    assert_int_equal(length, 0);
    free(text);
}

static void test_builder_keeps_every_piece_at_every_length(void **state)
{
    struct builder builder = {0};
    size_t n = 0, length;
    char *text;

    (void)state;
    for (size_t piece = 1; piece < 300; piece++) {
        char bytes[300];

        for (size_t i = 0; i < piece; i++)
            bytes[i] = (char)('a' + n++ % 23);
        builder_add(&builder, bytes, piece);
    }
    builder_add(&builder, NULL, 0);
    text = builder_end(&builder, &length);
    assert_int_equal(length, n);
    assert_int_equal(strlen(text), n);
    for (size_t i = 0; i < n; i++)
        assert_int_equal(text[i], 'a' + i % 23);
    free(text);
    assert_null(builder.data);
}

/* Its own bytes move while it grows. */
static void test_builder_repeats_what_it_holds(void **state)
{
    struct builder builder = {0};
    size_t length;
    char *text;

    (void)state;
    builder_add(&builder, "-abc", 4);
    for (int i = 0; i < 5000; i++)
        builder_repeat(&builder, 1, 3);
    text = builder_end(&builder, &length);
    assert_int_equal(length, 1 + 3 * 5001);
    for (size_t i = 1; i < length; i++)
        assert_int_equal(text[i], "abc"[(i - 1) % 3]);
    free(text);
}

static void test_builder_that_was_made_shorter_goes_on_from_there(void **state)
{
    struct builder builder = {0};
    size_t length;
    char *text;

    (void)state;
    builder_add(&builder, "a line", 6);
    builder.length = 0;
    builder_add(&builder, "next", 4);
    text = builder_end(&builder, &length);
    assert_string_equal(text, "next");
    free(text);
}

static void test_builder_that_has_failed_takes_nothing_and_gives_nothing(void **state)
{
    struct builder builder = {0};
    size_t length = 1;

    (void)state;
    builder_add(&builder, "half of it", 10);
    builder.failed = true;
    builder_add(&builder, "the rest", 8);
    assert_int_equal(builder.length, 10);
    assert_null(builder_end(&builder, &length));
    assert_int_equal(length, 0);
    assert_null(builder.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_builder_of_nothing_is_an_empty_string),
        cmocka_unit_test(test_builder_keeps_every_piece_at_every_length),
        cmocka_unit_test(test_builder_repeats_what_it_holds),
        cmocka_unit_test(test_builder_that_was_made_shorter_goes_on_from_there),
        cmocka_unit_test(test_builder_that_has_failed_takes_nothing_and_gives_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
