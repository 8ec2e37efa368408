/* path_view and path_has_prefix: what matching sees of a path, and which spellings it refuses. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/http/path.h"

static const struct {
    const char *origin, *view;
} clear_rows[] = {
    {"/", "/"},
    {"*", "*"},
    {"?", "/"},
    {"?a=/../b", "/"},
    {"/?a", "/"},
    {"/a", "/a"},
    {"/a/", "/a/"},
    {"/a/b/c.d", "/a/b/c.d"},
    {"/a?b/../c", "/a"},
    {"/a?b?c", "/a"},
    {"/a%41", "/aA"},
    {"/%7euser", "/~user"},
    {"/%7Euser", "/~user"},
    {"/%2dx%5F", "/-x_"},
    {"/a%2eb", "/a.b"},
    {"/.a", "/.a"},
    {"/a.", "/a."},
    {"/a..", "/a.."},
    {"/..a", "/..a"},
    {"/...", "/..."},
    {"/%2e%2e%2e", "/..."},
    {"/a;b=c/d", "/a;b=c/d"},
    {"/a%3bb", "/a;b"},
    {"/a:b@c", "/a:b@c"},
    {"/a%3Ab%40c", "/a:b@c"},
    {"/v1%3adelete", "/v1:delete"},
    {"/a%21%24%26%27%28%29%2a%2b%2c%3d", "/a!$&'()*+,="},
    {"/a%20b", "/a%20b"},
    {"/a%25b", "/a%25b"},
    {"/%252e%252e/a", "/%252e%252e/a"},
    {"/caf%c3%a9", "/caf%C3%A9"},
    {"/caf%C3%A9", "/caf%C3%A9"},
    {"/%e2%82%ac", "/%E2%82%AC"},
    {"/%e0%a0%80", "/%E0%A0%80"},
    {"/%f0%90%80%80", "/%F0%90%80%80"},
    {"/%f4%8f%bf%bf/%ed%9f%bf%ee%80%80", "/%F4%8F%BF%BF/%ED%9F%BF%EE%80%80"},
    {"/%c3%a9%c3%a9a%41", "/%C3%A9%C3%A9aA"},
    {"/{a}|^\"<>`", "/{a}|^\"<>`"},
    {"/%7Ba%7D%7C%5E%22%3C%3E%60", "/{a}|^\"<>`"},
    {"/a+b", "/a+b"},
    {"/*", "/*"},
    {"/%2A", "/*"},
};

static void test_path_view_unambiguous_path_one_spelling(void **state)
{
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof(clear_rows) / sizeof(clear_rows[0]); i++) {
        size_t length = 0;
        enum path_verdict verdict = path_view(text_of(clear_rows[i].origin), out, sizeof(out), &length);

        if (verdict != PATH_CLEAR || !text_equal((struct text){out, length}, text_of(clear_rows[i].view)))
            fail_msg("%s: verdict %d, %.*s, expected %s", clear_rows[i].origin, verdict, (int)length, out,
                     clear_rows[i].view);
    }
}

/* TEXT_LITERAL for static tables. */
#define T(literal)                   \
    {                                \
        literal, sizeof(literal) - 1 \
    }

static const struct text ambiguous_rows[] = {
    T("/."),
    T("/.."),
    T("/./a"),
    T("/../a"),
    T("/a/."),
    T("/a/./"),
    T("/a/.."),
    T("/a/../b"),
    T("/a/..?b"),
    T("/a/../../b"),
    T("/%2e"),
    T("/%2E"),
    T("/%2e%2e/a"),
    T("/%2e%2E/a"),
    T("/%2E./a"),
    T("/.%2e/a"),
    T("/a/.%2e"),
    T("/a/%2e/b"),
    T("/.;"),
    T("/..;"),
    T("/..;a=b"),
    T("/..;a=b/c"),
    T("/a/..;/b"),
    T("/a/.;x/b"),
    T("/%2e%2e;x/b"),
    T("/..%3bx/b"),
    T("/..%3B/b"),
    T("/%2e%2e%3bx"),
    T("/..;;/b"),
    T("//"),
    T("//a"),
    T("/a//b"),
    T("/a//"),
    T("/a///b"),
    T("/;/a"),
    T("/a/;x/b"),
    T("/a/;x"),
    T("/;"),
    T("/%3b/a"),
    T("/a%2fb"),
    T("/a%2Fb"),
    T("/%2f"),
    T("/..%2fa"),
    T("/a%5cb"),
    T("/a%5Cb"),
    T("/..%5c"),
    T("/a\\b"),
    T("/..\\a"),
    T("/%00"),
    T("/a%00.txt"),
    T("/..%00/"),
    T("/%01"),
    T("/%09"),
    T("/a%0a"),
    T("/a%0D%0Ab"),
    T("/%1f"),
    T("/%7f"),
    T("/%7F"),
    T("/%c0%af"),
    T("/%C0%AE%C0%AE/a"),
    T("/%c0%2f"),
    T("/%c1%9c"),
    T("/%c0"),
    T("/%e0%80%af"),
    T("/%E0%9F%BF"),
    T("/%f0%80%80%af"),
    T("/%F0%8F%BF%BF"),
    T("/%f8%80%80%80%af"),
    T("/%fc%80%80%80%80%af"),
    T("/%F5%80%80%80"),
    T("/%f4%90%80%80"),
    T("/%ff%fe"),
    T("/%ed%a0%80"),
    T("/%ed%a0%bd%ed%b8%80"),
    T("/%e9"),
    T("/%e9/a"),
    T("/%e0a%80"),
    T("/%c3a%a9"),
    T("/%c3%a9%a9"),
    T("/%e2%82"),
    T("/%e2%82/%ac"),
    T("/%e2%82?%ac"),
    T("/%80"),
    T("/%c3\xa9"),
    T("/a%3f"),
    T("/a%3Fb?c"),
    T("/%3f/../a"),
    T("/a%23"),
    T("/a%23b?c"),
    T("/\xc0\xaf"),
    T("/caf\xc3\xa9"),
    T("/\x80"),
    T("/%e0\x80%af"),
    T("/%"),
    T("/a%"),
    T("/a%4"),
    T("/a%g1"),
    T("/a%1g"),
    T("/a% 41"),
    T("/%%41"),
    T("/%u002e%u002e/"),
    T("/a%4?1"),
    T("/a%?41"),
    T("/%-1"),
    T("/%+1"),
    T("/%0x"),
    T("/%2/"),
    T("/a\0b"),
    T("/a b"),
    T("/a\tb"),
    T("/a#b"),
    T("a"),
    T("**"),
    T(".."),
    T(""),
};

static void test_path_view_second_meaning_ambiguous(void **state)
{
    char out[64];

    (void)state;
    for (size_t i = 0; i < sizeof(ambiguous_rows) / sizeof(ambiguous_rows[0]); i++) {
        struct text origin = ambiguous_rows[i];
        size_t length = sizeof(out);

        if (path_view(origin, out, sizeof(out), &length) != PATH_AMBIGUOUS || length > origin.length)
            fail_msg("%.*s", (int)origin.length, origin.data);
    }
}

static void test_path_view_ambiguous_path_best_effort(void **state)
{
    char out[64];
    size_t length = 0;

    (void)state;
    assert_int_equal(path_view(TEXT_LITERAL("/a/%2e%2e/%2fb%g1%"), out, sizeof(out), &length), PATH_AMBIGUOUS);
    assert_true(text_equal((struct text){out, length}, TEXT_LITERAL("/a/../%2Fb%g1%")));
}

/* Every byte that can be written plainly and escaped in a clear path looks the same both ways. */
static void test_path_view_every_byte_same_plain_and_escaped(void **state)
{
    (void)state;
    for (unsigned byte = 0; byte < 256; byte++) {
        char plain[] = {'/', 'a', (char)byte, 'b'}, upper[16], lower[16], out[3][16];
        size_t length[3] = {0};
        enum path_verdict verdict;

        snprintf(upper, sizeof(upper), "/a%%%02Xb", byte);
        snprintf(lower, sizeof(lower), "/a%%%02xb", byte);
        verdict = path_view(text_of(upper), out[0], sizeof(out[0]), &length[0]);
        assert_int_equal(verdict, path_view(text_of(lower), out[1], sizeof(out[1]), &length[1]));
        assert_true(text_equal((struct text){out[0], length[0]}, (struct text){out[1], length[1]}));
        if (byte == '?' || path_view((struct text){plain, 4}, out[2], sizeof(out[2]), &length[2]) != PATH_CLEAR ||
            byte == '/')
            continue;
        assert_int_equal(verdict, PATH_CLEAR);
        assert_true(text_equal((struct text){out[0], length[0]}, (struct text){out[2], length[2]}));
    }
}

static void test_path_view_small_buffer_too_long(void **state)
{
    static const struct text origin = T("/a%20%41");
    char out[64];

    (void)state;
    for (size_t size = 0; size <= 7; size++) {
        size_t length = 99;
        enum path_verdict verdict;

        memset(out, '#', sizeof(out));
        verdict = path_view(origin, out, size, &length);
        assert_int_equal(verdict, size < 6 ? PATH_TOO_LONG : PATH_CLEAR);
        assert_int_equal(length, size < 6 ? 99 : 6);
        assert_int_equal(out[size], '#');
    }
}

static void test_path_has_prefix_segment_boundaries(void **state)
{
    static const struct {
        const char *path, *prefix;
        bool covered;
    } rows[] = {
        {"/a", "/a", true},    {"/a/", "/a", true},      {"/a/b", "/a", true},     {"/ab", "/a", false},
        {"/a;b", "/a", false}, {"/", "/a", false},       {"/A", "/a", false},      {"/b/a", "/a", false},
        {"/a/", "/a/", true},  {"/a/b", "/a/", true},    {"/a", "/a/", false},     {"/ab", "/a/", false},
        {"/a//", "/a/", true}, {"/a/b/c", "/a/b", true}, {"/a/bc", "/a/b", false}, {"/", "/", true},
        {"/a", "/", true},     {"*", "/", false},        {"*", "", true},          {"/a", "", true},
        {"", "/", false},      {"", "", true},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (path_has_prefix(text_of(rows[i].path), text_of(rows[i].prefix)) != rows[i].covered)
            fail_msg("\"%s\" covers \"%s\"", rows[i].prefix, rows[i].path);
}

static const struct {
    const char *path;
    bool good;
} check_rows[] = {
    {"/", true},        {"/a/b", true},       {"/a/", true},         {"/...", true},          {"/a..b", true},
    {"/%20", true},     {"/%C3%A9", true},    {"/a;b", true},        {"/~a:@!$", true},       {"/%25", true},
    {"", false},        {"a", false},         {"//", false},         {"/a//b", false},        {"/.", false},
    {"/..", false},     {"/a/./b", false},    {"/..;x", false},      {"/.;/", false},         {"/%2e", false},
    {"/%2E%2E", false}, {"/%2F", false},      {"/%5C", false},       {"/%00", false},         {"/%0a", false},
    {"/%c3%a9", false}, {"/%7E", false},      {"/%C0%AF", false},    {"/%", false},           {"/%2", false},
    {"/%zz", false},    {"/a\\b", false},     {"/a?b", false},       {"/a#b", false},         {"/a b", false},
    {"/\x7f", false},   {"/\xc3\xa9", false}, {"/%3A", false},       {"/;x", false},          {"/%E0%80%80", false},
    {"/%f0%90", false}, {"/*", true},         {"*", false},          {"/%3F", false},         {"/%23", false},
    {"/%E9", false},    {"/%FF", false},      {"/%ED%A0%80", false}, {"/%F0%9F%98%80", true}, {"/%C3%A9%A9", false},
};

static void test_path_check_takes_only_what_matching_can_see(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(check_rows) / sizeof(check_rows[0]); i++) {
        const char *path = check_rows[i].path;
        char scratch[64], view[64];
        size_t at = 0, length = 0;
        const char *wrong = path_check(text_of(path), scratch, &at);
        print_message("%s\n", path);
        assert_int_equal(wrong == NULL, check_rows[i].good);
        assert_true(at <= strlen(path));
        if (wrong)
            continue;
        assert_int_equal(path_view(text_of(path), view, sizeof(view), &length), PATH_CLEAR);
        assert_true(text_equal((struct text){view, length}, text_of(path)));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_path_check_takes_only_what_matching_can_see),
        cmocka_unit_test(test_path_view_unambiguous_path_one_spelling),
        cmocka_unit_test(test_path_view_second_meaning_ambiguous),
        cmocka_unit_test(test_path_view_ambiguous_path_best_effort),
        cmocka_unit_test(test_path_view_every_byte_same_plain_and_escaped),
        cmocka_unit_test(test_path_view_small_buffer_too_long),
        cmocka_unit_test(test_path_has_prefix_segment_boundaries),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
