/* Locations: which templates can be one, and where requests are sent. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/location.h"

#define ROOM_BYTES 256

static const struct {
    const char *text;
    bool good;
} templates[] = {
    {"/", true},
    {"/new", true},
    {"/new${request.path}?${request.query}#x", true},
    {"${request.path}", true},
    {"${request.path}x", true},
    {"/?${request.query}", true},
    {"/${request.query}", true}, /* judged when it is known */
    {"http://a", true},
    {"https://a:8443/x", true},
    {"https://[::1]:80", true},
    {"https://${request.host}${request.path}", true},
    {"https://www.${request.host}:8443${request.path}", true},
    {"https://a${request.path}", true},
    {"https://a?${request.query}", true},
    {"https://a/${request.query}", true},
    {"", false},
    {"new", false},
    {"//evil", false},
    {"/${request.path}", false},
    {"${request.query}", false},
    {"${request.host}", false},
    {"javascript:x", false},
    {"ftp://a", false},
    {"HTTP://a", false},
    {"https://", false},
    {"https:///x", false},
    {"https://?x", false},
    {"https://${request.path}", false},
    {"https://a${request.query}", false},
    {"https://${request.query}", false},
    {"https://u@a/", false},
    {"https://a\\b/", false},
    {"/a b", false},
};

static void test_location_is_checked(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(templates) / sizeof(templates[0]); i++) {
        struct template *template = NULL;

        print_message("%s\n", templates[i].text);
        assert_int_equal(template_compile(templates[i].text, &template), 0);
        assert_int_equal(!location_check(template), templates[i].good);
        template_free(template);
    }
}

static const struct {
    const char *text, *host, *path, *query;
    enum location_verdict verdict;
    const char *expected;
} rows[] = {
    {"/new${request.path}", "h", "/a%20b", "q", LOCATION_DONE, "/new/a%20b"},
    {"/new${request.path}?${request.query}", "h", "/a", "q=1&r", LOCATION_DONE, "/new/a?q=1&r"},
    {"/new${request.path}?${request.query}", "h", "/a", "", LOCATION_DONE, "/new/a"},
    {"/new?a&${request.query}", "h", "/a", "", LOCATION_DONE, "/new?a&"},
    {"https://${request.host}${request.path}", "h:80", "/a", "", LOCATION_DONE, "https://h:80/a"},
    {"https://${request.host}${request.path}", "h", "*", "", LOCATION_DONE, "https://h/"},
    {"https://a${request.path}", "h", "//b", "", LOCATION_DONE, "https://a//b"},
    {"/new${request.path}", "h", "//b", "", LOCATION_DONE, "/new//b"},
    {"https://${request.host}/", "", "/", "", LOCATION_NO_HOST, NULL},
    {"${request.path}", "h", "/a", "", LOCATION_DONE, "/a"},
    {"${request.path}", "h", "//evil", "", LOCATION_ELSEWHERE, NULL},
    {"${request.path}", "h", "///evil", "", LOCATION_ELSEWHERE, NULL},
    {"${request.path}", "h", "/\\evil", "", LOCATION_DONE, "/%5Cevil"},
    {"${request.path}", "h", "/.//evil", "", LOCATION_DONE, "/.//evil"},
    {"/${request.query}", "h", "/", "/evil", LOCATION_ELSEWHERE, NULL},
    {"/x?${request.query}", "h", "/", "a\"<>\\^`{|}b", LOCATION_DONE, "/x?a%22%3C%3E%5C%5E%60%7B%7C%7Db"},
    {"/x?${request.query}", "h", "/", "\xc3\xa4", LOCATION_DONE, "/x?%C3%A4"},
};

static void test_location_leads_where_its_row_says(void **state)
{
    char scratch[ROOM_BYTES], out[ROOM_BYTES];

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct template_values values = {
            .host = text_of(rows[i].host), .path = text_of(rows[i].path), .query = text_of(rows[i].query)};
        struct template *template = NULL;
        size_t length = 0;

        print_message("%s %s\n", rows[i].text, rows[i].path);
        assert_int_equal(template_compile(rows[i].text, &template), 0);
        assert_null(location_check(template));
        assert_int_equal(location_write(template, &values, scratch, out, ROOM_BYTES, &length), rows[i].verdict);
        if (rows[i].expected) {
            assert_int_equal(length, strlen(rows[i].expected));
            assert_memory_equal(out, rows[i].expected, length);
            assert_int_equal(location_write(template, &values, scratch, out, length - 1, &length), LOCATION_FULL);
        }
        template_free(template);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_location_is_checked),
        cmocka_unit_test(test_location_leads_where_its_row_says),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
