/* Regular expressions fit a text as a whole, and give up at a limit. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/text.h"
#include "proxy/http/pattern.h"

static struct pattern *compiled(const char *text)
{
    struct pattern_error error;
    struct pattern *pattern = NULL;

    assert_int_equal(pattern_compile(text, &pattern, &error), 0);
    return pattern;
}

static enum pattern_verdict match(const char *text, struct text subject)
{
    struct pattern_memory *memory = pattern_memory_new();
    struct pattern *pattern = compiled(text);
    enum pattern_verdict verdict;

    assert_non_null(memory);
    verdict = pattern_match(pattern, subject, memory);
    pattern_free(pattern);
    pattern_memory_free(memory);
    return verdict;
}

static void test_pattern_fits_the_whole_text(void **state)
{
    static const struct {
        const char *pattern, *text;
        enum pattern_verdict verdict;
    } cases[] = {
        {"/v1\\.[0-9]+/info", "/v1.44/info", PATTERN_FITS},
        {"/v1\\.[0-9]+/info", "/v1.44/info/", PATTERN_DOES_NOT},
        {"/v1\\.[0-9]+/info", "x/v1.44/info", PATTERN_DOES_NOT},
        {"/v1\\.[0-9]+/info", "/v1x44/info", PATTERN_DOES_NOT},
        /* A shorter alternative does not hide the one that reaches the end. */
        {"a|ab", "ab", PATTERN_FITS},
        {"a|b", "ab", PATTERN_DOES_NOT},
        /* Neither do line ends, nor anchors of its own. */
        {"a", "a\n", PATTERN_DOES_NOT},
        {"a$", "a\n", PATTERN_DOES_NOT},
        {"(?m)^a$", "a\nb", PATTERN_DOES_NOT},
        {".*", "a\nb", PATTERN_DOES_NOT},
        {"\\Aa\\Z", "a\n", PATTERN_DOES_NOT},
        {"", "", PATTERN_FITS},
        {"", "a", PATTERN_DOES_NOT},
        {"a*", "", PATTERN_FITS},
        {".", "\xc3\xbc", PATTERN_FITS},
        {"(?i)stra\xc3\x9f"
         "e",
         "STRA\xc3\x9f"
         "E",
         PATTERN_FITS},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        enum pattern_verdict verdict = match(cases[i].pattern, text_of(cases[i].text));
        if (verdict != cases[i].verdict)
            fail_msg("%s on %s: %d", cases[i].pattern, cases[i].text, verdict);
    }
}

static void test_pattern_sees_past_a_nul(void **state)
{
    (void)state;
    assert_int_equal(match("a", (struct text){"a\0b", 3}), PATTERN_DOES_NOT);
    assert_int_equal(match("a\\0b", (struct text){"a\0b", 3}), PATTERN_FITS);
}

static void test_pattern_takes_no_text_for_an_empty_one(void **state)
{
    (void)state;
    assert_int_equal(match("", (struct text){NULL, 0}), PATTERN_FITS);
}

static void test_pattern_does_not_judge_what_is_no_utf8(void **state)
{
    (void)state;
    assert_int_equal(match(".*", text_of("a\xff")), PATTERN_UNDECIDED);
    assert_int_equal(match("a.*", text_of("\xc3")), PATTERN_UNDECIDED);
}

static void test_pattern_gives_up_at_a_limit(void **state)
{
    struct text many = {NULL, 0};
    char text[4096];

    (void)state;
    memset(text, 'a', sizeof(text));
    many.data = text;
    many.length = 40;
    assert_int_equal(match("(a+)+[bc]", many), PATTERN_UNDECIDED);
    many.length = sizeof(text);
    assert_int_equal(match("(?:(?:a|aa)+)+[bc]", many), PATTERN_UNDECIDED);
    assert_int_equal(match("(?:a|(b))*", many), PATTERN_FITS);
}

/* PCRE2 itself does not count how far these go. */
static void test_pattern_is_given_up_when_its_work_is_the_square(void **state)
{
    static const char *const patterns[] = {
        "[a-z]*[a-z]*:x",      "a*a*b",       ".*a.*b",          "[^:]*[^;]*!", ".*.*;", "\\w+\\w+;", "a*?a*?b",
        "(?:x|[a-z]*[a-z])*!", ".*?[a-z]*+!", "\\p{L}*\\p{L}*1",
    };
    char text[16384];

    (void)state;
    memset(text, 'a', sizeof(text));
    /* Whatever character a pattern must have is there. */
    memcpy(text + sizeof(text) - 20, "Z;Z:ZxZbZcZ!Z1Z;ZxZn", 20);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
        if (match(patterns[i], (struct text){text, sizeof(text)}) != PATTERN_UNDECIDED)
            fail_msg("%s", patterns[i]);
}

/* Long texts are no hindrance by themselves. */
static void test_pattern_fits_long_texts(void **state)
{
    static const char *const patterns[] = {".*",        "a+(?:!x)?",           "[^ ]*[!x]", ".*!.*",
                                           "[a-z]*!?x", "(?:a{7}b?)*a{0,6}!x", "a.*(?:x|y)"};
    size_t length = (size_t)1 << 20;
    char *text = malloc(length);

    (void)state;
    assert_non_null(text);
    memset(text, 'a', length);
    memcpy(text + length - 2, "!x", 2);
    for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++) {
        /* The one with a group that repeats has limits of its own. */
        size_t from = strchr(patterns[i], '{') ? length - 16384 : 0;

        if (match(patterns[i], (struct text){text + from, length - from}) != PATTERN_FITS)
            fail_msg("%s", patterns[i]);
    }
    free(text);
}

static void test_pattern_shares_what_matches_may_cost(void **state)
{
    struct pattern *pattern = compiled(".*foo.*bar.*");
    struct pattern_memory *memory = pattern_memory_new();
    char text[400] = "foo bar ";
    struct text many = {text, sizeof(text)};
    unsigned n = 0;

    (void)state;
    assert_non_null(memory);
    for (size_t i = 8; i + 3 <= sizeof(text); i += 3)
        memcpy(text + i, "foo", 3);
    text[sizeof(text) - 1] = text[sizeof(text) - 2] = '.';
    for (int i = 0; i < 2000; i++)
        assert_int_equal(pattern_match(pattern, many, memory), PATTERN_FITS);
    pattern_memory_share(memory, true);
    while (n < 2000 && pattern_match(pattern, many, memory) == PATTERN_FITS)
        n++;
    assert_in_range(n, 1, 100);
    pattern_memory_share(memory, true);
    assert_int_equal(pattern_match(pattern, many, memory), PATTERN_FITS);
    pattern_memory_share(memory, false);
    for (int i = 0; i < 2000; i++)
        assert_int_equal(pattern_match(pattern, many, memory), PATTERN_FITS);
    pattern_memory_free(memory);
    pattern_free(pattern);
}

static void test_pattern_tells_what_groups_caught(void **state)
{
    struct pattern *pattern = compiled("/(a+)/(b)?(c*)");
    struct pattern_memory *memory = pattern_memory_new();
    struct text text = TEXT_LITERAL("/aa/cc");

    (void)state;
    assert_non_null(memory);
    assert_int_equal(pattern_groups(pattern), 3);
    assert_string_equal(pattern_text(pattern), "/(a+)/(b)?(c*)");
    assert_int_equal(pattern_match(pattern, text, memory), PATTERN_FITS);
    assert_true(text_equal(pattern_group(memory, text, 0), text));
    assert_true(text_equal(pattern_group(memory, text, 1), TEXT_LITERAL("aa")));
    assert_int_equal(pattern_group(memory, text, 2).length, 0);
    assert_true(text_equal(pattern_group(memory, text, 3), TEXT_LITERAL("cc")));
    assert_int_equal(pattern_group(memory, text, 4).length, 0);
    assert_int_equal(pattern_group(memory, text, 99).length, 0);
    pattern_memory_free(memory);
    pattern_free(pattern);
}

static void test_pattern_says_what_is_wrong(void **state)
{
    static const struct {
        const char *pattern, *message;
        size_t at;
    } cases[] = {
        {"/a(b", "missing closing parenthesis", 4},
        {"[z-a]", "range out of order in character class", 3},
        {"*", "quantifier does not follow a repeatable item", 0},
        {"a\\C", "using \\C is disabled by the application", 3},
        {"\xff", "UTF-8 error: illegal byte (0xfe or 0xff)", 0},
    };
    char groups[4 * 32 + 1] = "", huge[PATTERN_MOST_BYTES + 2];
    struct pattern_error error;
    struct pattern *pattern = NULL;

    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        assert_int_equal(pattern_compile(cases[i].pattern, &pattern, &error), -EINVAL);
        assert_string_equal(error.message, cases[i].message);
        assert_int_equal(error.at, cases[i].at);
    }
    for (size_t i = 0; i < 32; i++)
        memcpy(groups + 3 * i, "(a)", 4);
    assert_int_equal(pattern_compile(groups, &pattern, &error), -EINVAL);
    assert_non_null(strstr(error.message, "more than 31 groups"));
    memset(huge, 'a', sizeof(huge) - 1);
    huge[sizeof(huge) - 1] = '\0';
    assert_int_equal(pattern_compile(huge, &pattern, &error), -EINVAL);
    assert_non_null(strstr(error.message, "more than 4096 bytes"));
    assert_null(pattern);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_pattern_fits_the_whole_text),
        cmocka_unit_test(test_pattern_sees_past_a_nul),
        cmocka_unit_test(test_pattern_takes_no_text_for_an_empty_one),
        cmocka_unit_test(test_pattern_does_not_judge_what_is_no_utf8),
        cmocka_unit_test(test_pattern_gives_up_at_a_limit),
        cmocka_unit_test(test_pattern_is_given_up_when_its_work_is_the_square),
        cmocka_unit_test(test_pattern_fits_long_texts),
        cmocka_unit_test(test_pattern_shares_what_matches_may_cost),
        cmocka_unit_test(test_pattern_tells_what_groups_caught),
        cmocka_unit_test(test_pattern_says_what_is_wrong),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
