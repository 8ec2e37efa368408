/* Claims: what is written is read, and nothing else. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/listen/claim.h"

static struct claim parse(const char *name)
{
    return claim_parse(text_of(name));
}

static void test_claim_written_is_read(void **state)
{
    const struct claim claims[] = {{1, 0}, {UINT64_MAX, UINT32_MAX}, {0x0123456789abcdef, 0x89abcdef}};
    char text[CLAIM_LENGTH + 1], name[64];

    (void)state;
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        struct claim read;

        claim_format(&claims[i], text);
        assert_int_equal(strlen(text), CLAIM_LENGTH);
        snprintf(name, sizeof(name), "/run/@app.sock%s", text);
        read = parse(name);
        assert_true(read.since == claims[i].since && read.place == claims[i].place);
    }
}

static void test_claim_anything_else_says_nothing(void **state)
{
    static const char *const names[] = {
        "",
        "@",
        "app.sock",
        "@0123456789abcdef0123456",          /* too short */
        "app.sock#0123456789abcdef01234567", /* another mark */
        "app.sock@0123456789ABCDEF01234567", /* upper case */
        "app.sock@0123456789abcdeg01234567",
        "app.sock@0123456789abcdef0123456-",
        "app.sock@0123456789abcdef01234567 ",
        "app.sock@+123456789abcdef01234567",
        "app.sock@0x23456789abcdef01234567",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        struct claim claim = parse(names[i]);

        if (claim.since != 0 || claim.place != 0)
            fail_msg("'%s' says something", names[i]);
    }
}

static void test_claim_later_one_is_of_the_same_place(void **state)
{
    const struct claim ours = {.since = 5, .place = 7}, later = {.since = 6, .place = 7}, elsewhere = {6, 8},
                       none = {0};

    (void)state;
    assert_true(claim_is_later(&later, &ours));
    assert_false(claim_is_later(&ours, &ours));
    assert_false(claim_is_later(&ours, &later));
    assert_false(claim_is_later(&elsewhere, &ours));
    assert_false(claim_is_later(&none, &none));
}

static void test_claim_places_differ_by_name_and_directory(void **state)
{
    (void)state;
    assert_true(claim_place(1, "a") == claim_place(1, "a"));
    assert_true(claim_place(1, "a") != claim_place(1, "b"));
    assert_true(claim_place(1, "a") != claim_place(2, "a"));
}

static void test_claim_laid_later_is_later(void **state)
{
    struct claim first = claim_lay(1), second;

    (void)state;
    do
        second = claim_lay(1);
    while (second.since == first.since);
    assert_true(claim_is_later(&second, &first));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_claim_written_is_read),
        cmocka_unit_test(test_claim_anything_else_says_nothing),
        cmocka_unit_test(test_claim_later_one_is_of_the_same_place),
        cmocka_unit_test(test_claim_places_differ_by_name_and_directory),
        cmocka_unit_test(test_claim_laid_later_is_later),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
