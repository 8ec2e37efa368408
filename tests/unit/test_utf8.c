/* utf8_length and utf8_code_point: what is a character, by RFC 3629. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/utf8.h"

static size_t encode(uint32_t c, unsigned char *out)
{
    if (c < 0x80)
        return out[0] = (unsigned char)c, 1;
    if (c < 0x800)
        return out[0] = (unsigned char)(0xc0 | c >> 6), out[1] = (unsigned char)(0x80 | (c & 0x3f)), 2;
    if (c < 0x10000) {
        out[0] = (unsigned char)(0xe0 | c >> 12);
        out[1] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
        out[2] = (unsigned char)(0x80 | (c & 0x3f));
        return 3;
    }
    out[0] = (unsigned char)(0xf0 | c >> 18);
    out[1] = (unsigned char)(0x80 | (c >> 12 & 0x3f));
    out[2] = (unsigned char)(0x80 | (c >> 6 & 0x3f));
    out[3] = (unsigned char)(0x80 | (c & 0x3f));
    return 4;
}

static void test_utf8_every_code_point_both_ways(void **state)
{
    (void)state;
    for (uint32_t c = 0; c < 0x140000; c++) {
        unsigned char bytes[UTF8_MOST_BYTES + 1] = {0};
        size_t n = encode(c, bytes);
        size_t expected = (c >= 0xd800 && c < 0xe000) || c > 0x10ffff ? 0 : n;

        assert_int_equal(utf8_length(bytes, n), expected);
        assert_int_equal(utf8_length(bytes, n + 1), expected);
        assert_int_equal(utf8_length(bytes, n - 1), 0);
        if (expected > 0)
            assert_int_equal(utf8_code_point(bytes, n), c);
    }
}

static void test_utf8_other_forms_no_character(void **state)
{
    static const char *const rows[] = {
        "\x80",
        "\xbf",
        "\xc0\xaf",
        "\xc1\xbf",
        "\xe0\x80\xaf",
        "\xe0\x9f\xbf",
        "\xf0\x80\x80\xaf",
        "\xf0\x8f\xbf\xbf",
        "\xf5\x80\x80\x80",
        "\xf8\x80\x80\x80\xaf",
        "\xfc\x80\x80\x80\x80\xaf",
        "\xfe",
        "\xff",
        "\xc3\x28",
        "\xe2\x28\xa1",
        "\xe2\x82\x28",
        "\xf0\x9f\x98\x28",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (utf8_length((const unsigned char *)rows[i], strlen(rows[i])) != 0)
            fail_msg("row %zu", i);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_utf8_every_code_point_both_ways),
        cmocka_unit_test(test_utf8_other_forms_no_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
