/* What Keep-Alive says about how long a connection lasts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "proxy/http/keep_alive.h"

static void test_keep_alive_ms_is_what_the_field_says(void **state)
{
    static const struct {
        const char *value;
        uint64_t ms;
    } rows[] = {
        {"timeout=5", 5000},
        {"timeout=5, max=100", 5000},
        {"max=100,TimeOut = 005", 5000},
        {"timeout=5, timeout=4, timeout=6", 4000},
        {"timeout=0", 0},
        {"max=0", 0},
        {"timeout=5, MAX=0", 0},
        {"max=1", KEEP_ALIVE_SILENT},
        {"", KEEP_ALIVE_SILENT},
        {"300", KEEP_ALIVE_SILENT},
        {"timeout", KEEP_ALIVE_SILENT},
        {"timeout=", KEEP_ALIVE_SILENT},
        {"timeout=-1", KEEP_ALIVE_SILENT},
        {"timeout=1.5", KEEP_ALIVE_SILENT},
        {"timeout=5s", KEEP_ALIVE_SILENT},
        {"timeout=\"5\"", KEEP_ALIVE_SILENT},
        {"timeout=5;max=0", KEEP_ALIVE_SILENT},
        {"xtimeout=5, timeouts=5, =5", KEEP_ALIVE_SILENT},
        {"timeout=31535999", UINT64_C(31535999000)},
        {"timeout=31536000", KEEP_ALIVE_SILENT},
        {"timeout=18446744073709551616, timeout=9223372036854775807", KEEP_ALIVE_SILENT},
        {"timeout=99999999999, timeout=3", 3000},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (keep_alive_ms(text_of(rows[i].value)) != rows[i].ms)
            fail_msg("%s: %llu", rows[i].value, (unsigned long long)keep_alive_ms(text_of(rows[i].value)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_keep_alive_ms_is_what_the_field_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
