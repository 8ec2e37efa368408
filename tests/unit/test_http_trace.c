/* traceparent: what is read, what is not, and what is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/http/trace.h"

#define ID "4bf92f3577b34da6a3ce929d0e0e4736"
#define SPAN "00f067aa0ba902b7"
#define GOOD "00-" ID "-" SPAN "-01"

static void assert_trace(const char *trace, const char *expected)
{
    assert_memory_equal(trace, expected, TRACE_BYTES);
    assert_int_equal(strlen(expected), TRACE_BYTES);
}

static void test_trace_good_is_read(void **state)
{
    char out[TRACE_BYTES];

    (void)state;
    assert_true(trace_read(text_of(GOOD), out));
    assert_trace(out, GOOD);
    assert_true(text_equal(trace_id(out), text_of(ID)));
    assert_true(text_equal(trace_span(out), text_of(SPAN)));
}

static void test_trace_unknown_flags_are_cleared(void **state)
{
    char out[TRACE_BYTES];

    (void)state;
    assert_true(trace_read(text_of("00-" ID "-" SPAN "-ff"), out));
    assert_trace(out, "00-" ID "-" SPAN "-03");
    assert_true(trace_read(text_of("00-" ID "-" SPAN "-f4"), out));
    assert_trace(out, "00-" ID "-" SPAN "-00");
}

static void test_trace_later_version_is_read_as_the_first(void **state)
{
    char out[TRACE_BYTES];

    (void)state;
    assert_true(trace_read(text_of("cc-" ID "-" SPAN "-01"), out));
    assert_trace(out, GOOD);
    assert_true(trace_read(text_of("cc-" ID "-" SPAN "-01-what the future holds"), out));
    assert_trace(out, GOOD);
}

static void test_trace_bad_is_refused(void **state)
{
    static const char *const bad[] = {
        "",
        "00",
        "00-" ID "-" SPAN,
        "00-" ID "-" SPAN "-0",
        "00-" ID "-" SPAN "-01-",
        "00-" ID "-" SPAN "-011",
        "cc-" ID "-" SPAN "-011",
        "cc-" ID "-" SPAN "-01.x",
        "ff-" ID "-" SPAN "-01",
        "0g-" ID "-" SPAN "-01",
        "CC-" ID "-" SPAN "-01",
        "00-4BF92F3577B34DA6A3CE929D0E0E4736-" SPAN "-01",
        "00-" ID "-00F067AA0BA902B7-01",
        "00-" ID "-" SPAN "-0A",
        "00-00000000000000000000000000000000-" SPAN "-01",
        "00-" ID "-0000000000000000-01",
        "00_" ID "-" SPAN "-01",
        "00-" ID "_" SPAN "-01",
        "00-" ID "-" SPAN "_01",
        " 00-" ID "-" SPAN "-01",
        "00-" ID "-" SPAN "-01 ",
    };
    char out[TRACE_BYTES] = "untouched";

    (void)state;
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
        if (trace_read(text_of(bad[i]), out))
            fail_msg("'%s' was read", bad[i]);
    assert_string_equal(out, "untouched");
}

static void test_trace_begun_is_sampled_and_never_zero(void **state)
{
    char out[TRACE_BYTES], again[TRACE_BYTES];

    (void)state;
    trace_begin(out, UINT64_C(0x4bf92f3577b34da6), UINT64_C(0xa3ce929d0e0e4736), UINT64_C(0xf067aa0ba902b7));
    assert_trace(out, GOOD);
    trace_begin(out, 0, 0, 0);
    assert_true(trace_read((struct text){out, TRACE_BYTES}, again));
}

static void test_trace_another_span(void **state)
{
    char out[TRACE_BYTES];

    (void)state;
    assert_true(trace_read(text_of(GOOD), out));
    trace_set_span(out, 0x12ab);
    assert_trace(out, "00-" ID "-00000000000012ab-01");
}

int main(void)
{
    static const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_trace_good_is_read),
        cmocka_unit_test(test_trace_unknown_flags_are_cleared),
        cmocka_unit_test(test_trace_later_version_is_read_as_the_first),
        cmocka_unit_test(test_trace_bad_is_refused),
        cmocka_unit_test(test_trace_begun_is_sampled_and_never_zero),
        cmocka_unit_test(test_trace_another_span),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
