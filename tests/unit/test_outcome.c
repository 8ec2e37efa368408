/* The table of outcomes is a contract: names are in logs and metrics, statuses on the wire. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/http/status.h"
#include "proxy/report/outcome.h"

static void test_outcome_names_are_unique_words(void **state)
{
    (void)state;
    for (int i = 0; i < N_OUTCOMES; i++) {
        const char *name = outcome_info((enum outcome)i)->name;

        assert_true(strlen(name) > 0);
        assert_int_equal(strspn(name, "abcdefghijklmnopqrstuvwxyz_"), strlen(name));
        for (int j = 0; j < i; j++)
            assert_string_not_equal(name, outcome_info((enum outcome)j)->name);
    }
}

/* They are written into JSON as they are. */
static void test_outcome_sentences_need_no_escape(void **state)
{
    (void)state;
    for (int i = 0; i < N_OUTCOMES; i++) {
        const char *sentence = outcome_info((enum outcome)i)->sentence;

        assert_true(strlen(sentence) > 10);
        assert_true(strlen(sentence) < 200);
        assert_null(strpbrk(sentence, "\"\\"));
        for (const char *at = sentence; *at; at++)
            assert_true(*at >= ' ' && *at < 0x7f);
    }
}

static void test_outcome_statuses_tell_whose_fault_it_is(void **state)
{
    (void)state;
    for (int i = 0; i < N_OUTCOMES; i++) {
        const struct outcome_info *info = outcome_info((enum outcome)i);

        if (info->status == 0)
            continue;
        assert_string_not_equal(status_phrase(info->status), "Unknown");
        if (info->fault == FAULT_CLIENT || info->fault == FAULT_RULES)
            assert_true(info->status < 500 || i == OUTCOME_NOT_SUPPORTED || i == OUTCOME_BODIES_FULL);
        else
            assert_true(info->status >= 500 && info->fault != FAULT_NONE);
    }
}

static void test_outcome_without_fault_is_a_success(void **state)
{
    (void)state;
    for (int i = 0; i < N_OUTCOMES; i++)
        assert_int_equal(outcome_info((enum outcome)i)->fault == FAULT_NONE,
                         i == OUTCOME_FORWARDED || i == OUTCOME_TUNNELED || i == OUTCOME_RESPONDED ||
                             i == OUTCOME_OBSERVED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_outcome_names_are_unique_words),
        cmocka_unit_test(test_outcome_sentences_need_no_escape),
        cmocka_unit_test(test_outcome_statuses_tell_whose_fault_it_is),
        cmocka_unit_test(test_outcome_without_fault_is_a_success),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
