/* Lines with a memo are those without, whatever was put before and however little room is left. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/line_memo.h"

#define N_KEYS 3u
#define SIZE_MOST 1024u

struct memos {
    struct line_time_memo time;
    struct line_memo keys[N_KEYS];
};

static const char *const keys[N_KEYS] = {"a", "method", "a_long_name_of_a_field"};

/* Some the same as before, some not; with what needs escapes, and longer than what is remembered. */
static size_t make_value(unsigned *seed, char value[SIZE_MOST])
{
    static const size_t lengths[] = {0, 1, 7, 20, 63, 64, 65, 111, 112, 113, 300};
    static const char kinds[] = "ab\"\n\x80";
    size_t n = lengths[(unsigned)rand_r(seed) % (sizeof(lengths) / sizeof(lengths[0]))];

    memset(value, kinds[(unsigned)rand_r(seed) % (sizeof(kinds) - 1)], n);
    return n;
}

static size_t make_line(struct memos *memos, unsigned seed, enum log_format format, char *out, size_t size)
{
    const struct wall_time time = {UINT64_C(1700000000000000000) + (unsigned)rand_r(&seed) % 3000u * 1000000u};
    struct line line;

    line_begin_again(&line, memos ? &memos->time : NULL, format, time, out, size);
    for (unsigned i = 0; i < N_KEYS; i++) {
        struct line_memo *memo = memos ? &memos->keys[i] : NULL;
        char value[SIZE_MOST];
        size_t n = make_value(&seed, value);

        if (i == 0)
            line_put_number_again(&line, memo, keys[i], n);
        else
            line_put_text_again(&line, memo, keys[i], (struct text){n > 0 ? value : NULL, n}, i == 1 ? SIZE_MAX : 90);
    }
    return line_end(&line);
}

static void check_format(enum log_format format)
{
    struct memos memos = {.time = {0}};

    for (unsigned seed = 1; seed < 20000; seed++) {
        char with[SIZE_MOST], without[SIZE_MOST];
        size_t size = seed % 3 == 0 ? 128 + seed % 300 : sizeof(with), n;

        n = make_line(NULL, seed, format, without, size);
        assert_int_equal(make_line(&memos, seed, format, with, size), n);
        assert_memory_equal(with, without, n);
    }
}

static void test_line_memo_changes_no_line(void **state)
{
    (void)state;
    check_format(LOG_FORMAT_PLAIN);
    check_format(LOG_FORMAT_JSON);
}

static void test_line_memo_remembers_the_last(void **state)
{
    struct line_memo memo = {.n_put = 0};
    struct line line;
    char out[512];

    (void)state;
    line_begin(&line, LOG_FORMAT_JSON, (struct wall_time){0}, out, sizeof(out));
    line_put_text_again(&line, &memo, "key", TEXT_LITERAL("val\"ue"), SIZE_MAX);
    assert_int_equal(memo.n_value, 6);
    assert_int_equal(memo.n_put, strlen(",\"key\":\"val\\\"ue\""));
    memo.put[8] = 'V'; /* is what is copied */
    line_put_text_again(&line, &memo, "key", TEXT_LITERAL("val\"ue"), SIZE_MAX);
    line_put_text_again(&line, &memo, "key", TEXT_LITERAL("other"), SIZE_MAX);
    out[line_end(&line)] = '\0';
    assert_non_null(strstr(out, ",\"key\":\"val\\\"ue\",\"key\":\"Val\\\"ue\",\"key\":\"other\"}\n"));
}

/* The first second of all is none that is remembered. */
static void test_line_memo_of_time_zero(void **state)
{
    struct line_time_memo memo = {.second = 0};
    struct line line;
    char out[128];

    (void)state;
    line_begin_again(&line, &memo, LOG_FORMAT_PLAIN, (struct wall_time){7000000}, out, sizeof(out));
    assert_memory_equal(out, "1970-01-01T00:00:00.007Z", LINE_TIME_BYTES);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_line_memo_changes_no_line),
        cmocka_unit_test(test_line_memo_remembers_the_last),
        cmocka_unit_test(test_line_memo_of_time_zero),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
