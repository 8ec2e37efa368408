/* Rewrites: what a path becomes, what is refused, and what "to" may be. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/path.h"
#include "proxy/http/rewrite.h"

#define ROOM_BYTES 256

static const struct {
    const char *strip, *add, *regex, *to;
    const char *origin;
    enum rewrite_verdict verdict;
    const char *expected; /* of DONE */
} rows[] = {
    {"/api", NULL, NULL, NULL, "/api", REWRITE_DONE, "/"},
    {"/api", NULL, NULL, NULL, "/api/", REWRITE_DONE, "/"},
    {"/api", NULL, NULL, NULL, "/api/x?/api/y", REWRITE_DONE, "/x?/api/y"},
    {"/api", NULL, NULL, NULL, "/apis/x", REWRITE_NOT, NULL},
    {"/api", NULL, NULL, NULL, "/x", REWRITE_NOT, NULL},
    {"/api/", NULL, NULL, NULL, "/api/x", REWRITE_DONE, "/x"},
    {"/api/", NULL, NULL, NULL, "/api", REWRITE_NOT, NULL},
    {"/api", "/v1", NULL, NULL, "/api", REWRITE_DONE, "/v1"},
    {"/api", "/v1", NULL, NULL, "/api/", REWRITE_DONE, "/v1/"},
    {"/api/", "/v1/", NULL, NULL, "/api/x/y", REWRITE_DONE, "/v1/x/y"},
    {"/api", "/v1/", NULL, NULL, "/api", REWRITE_DONE, "/v1"},
    {"/api", "/v1", NULL, NULL, "/x", REWRITE_NOT, NULL}, /* neither of both */
    {NULL, "/v1", NULL, NULL, "/", REWRITE_DONE, "/v1/"},
    {NULL, "/v1/", NULL, NULL, "/x", REWRITE_DONE, "/v1/x"},
    {NULL, "/", NULL, NULL, "/x", REWRITE_DONE, "/x"},
    {"/", NULL, NULL, NULL, "/x", REWRITE_DONE, "/x"},
    {NULL, "/v1", NULL, NULL, "?q", REWRITE_DONE, "/v1/?q"},
    {NULL, "/v1", NULL, NULL, "*", REWRITE_NOT, NULL},
    /* found in any spelling, and what is left is as it was written */
    {"/a:b", NULL, NULL, NULL, "/a%3Ab/c%3ad%c3%a4", REWRITE_DONE, "/c%3ad%c3%a4"},
    {"/a:b", NULL, NULL, NULL, "/a:b/%41?%2e%2E", REWRITE_DONE, "/%41?%2e%2E"},
    {"/\xc3", NULL, NULL, NULL, "/a", REWRITE_NOT, NULL},
    {"/%C3%A4", "/v", NULL, NULL, "/%c3%a4/x", REWRITE_DONE, "/v/x"},
    /* what could mean something else */
    {"/api", NULL, NULL, NULL, "/api/../x", REWRITE_AMBIGUOUS, NULL},
    {"/api", NULL, NULL, NULL, "/api/%2e%2e/x", REWRITE_AMBIGUOUS, NULL},
    {"/api", NULL, NULL, NULL, "/api//x", REWRITE_AMBIGUOUS, NULL},
    {"/api", NULL, NULL, NULL, "/api/%2Fx", REWRITE_AMBIGUOUS, NULL},
    {"/api", NULL, NULL, NULL, "/api/\\x", REWRITE_AMBIGUOUS, NULL},
    {"/api", NULL, NULL, NULL, "x", REWRITE_AMBIGUOUS, NULL},
    {NULL, NULL, "/a/(.*)", "/b/$1", "/a/x%41/y?q", REWRITE_DONE, "/b/x%41/y?q"},
    {NULL, NULL, "/a/(.*)", "/b/$1", "/a", REWRITE_NOT, NULL},
    {NULL, NULL, "/a/(.*)", "/b/$1", "/a/", REWRITE_DONE, "/b/"},
    {NULL, NULL, "/(x)?(y)?", "/$2/$$1$1", "/y", REWRITE_DONE, "/y/$1"},
    {NULL, NULL, "/(x)?(y)?", "/$1/$2", "/y", REWRITE_AMBIGUOUS, NULL}, /* "//y" */
    {NULL, NULL, "/(.*)/(.*)", "/$2/$1", "/a/b%2Ec", REWRITE_DONE, "/b%2Ec/a"},
    {NULL, NULL, "/a/(.*)b(.*)", "/$1$2", "/a/.b.", REWRITE_AMBIGUOUS, NULL}, /* "/.." */
    {NULL, NULL, "/a(.).(.*)", "/x$1$2", "/a%20f", REWRITE_AMBIGUOUS, NULL},  /* "/x%0f" */
    {NULL, NULL, "/a%(.*)", "/x/%$1", "/a%20b", REWRITE_DONE, "/x/%20b"},
    {NULL, NULL, "/a%(.*)", "/x/$1", "/a%C3%A4", REWRITE_AMBIGUOUS, NULL}, /* no longer UTF-8 */
};

static struct rewrite make(size_t i)
{
    struct rewrite rewrite = {(char *)(uintptr_t)rows[i].strip, (char *)(uintptr_t)rows[i].add, NULL,
                              (char *)(uintptr_t)rows[i].to};
    struct pattern_error error;

    if (rows[i].regex)
        assert_int_equal(pattern_compile(rows[i].regex, &rewrite.regex, &error), 0);
    return rewrite;
}

static void test_rewrite_does_as_its_row_says(void **state)
{
    struct pattern_memory *patterns = pattern_memory_new();
    char scratch[ROOM_BYTES], out[ROOM_BYTES];
    const struct rewrite_room room = {patterns, scratch, sizeof(scratch)};

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct rewrite rewrite = make(i);
        struct head_writer writer = {.out = out, .size = sizeof(out)};

        print_message("%zu: %s\n", i, rows[i].origin);
        assert_int_equal(rewrite_apply(&rewrite, text_of(rows[i].origin), &room, &writer), rows[i].verdict);
        if (rows[i].expected) {
            assert_int_equal(writer.length, strlen(rows[i].expected));
            assert_memory_equal(out, rows[i].expected, writer.length);
            for (size_t size = 0; size < writer.length; size++) {
                struct head_writer small = {.out = out, .size = size};
                assert_int_equal(rewrite_apply(&rewrite, text_of(rows[i].origin), &room, &small), REWRITE_FULL);
            }
        }
        pattern_free(rewrite.regex);
    }
    pattern_memory_free(patterns);
}

static void test_rewrite_to_is_checked(void **state)
{
    static const struct {
        const char *to;
        unsigned n_groups;
        int at; /* -1: it is good */
    } tos[] = {
        {"/", 0, -1},   {"/a%20/$1", 1, -1}, {"/$$", 0, -1}, {"/$9", 9, -1},      {"", 0, 0},
        {"a", 0, 0},    {"$1", 1, 0},        {"/$1", 0, 1},  {"/$2", 1, 1},       {"/$0", 9, 1},
        {"/$", 1, 1},   {"/${1}", 1, 1},     {"/a?b", 0, 2}, {"/a#b", 0, 2},      {"/a b", 0, 2},
        {"/a%2", 0, 2}, {"/%zz", 0, 1},      {"/a\\", 0, 2}, {"/\xc3\xa4", 0, 1},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(tos) / sizeof(tos[0]); i++) {
        size_t at = 0;

        print_message("%s\n", tos[i].to);
        assert_int_equal(rewrite_check_to(tos[i].to, tos[i].n_groups, &at) != NULL, tos[i].at >= 0);
        if (tos[i].at >= 0)
            assert_int_equal(at, tos[i].at);
    }
}

static void test_rewrite_offsets_map_the_view_to_the_path(void **state)
{
    struct text path = text_of("/a%3Ab/%c3%a4%41"); /* seen as "/a:b/%C3%A4A" */

    (void)state;
    assert_int_equal(path_offset_of_view(path, 0), 0);
    assert_int_equal(path_offset_of_view(path, 2), 2);
    assert_int_equal(path_offset_of_view(path, 3), 5);
    assert_int_equal(path_offset_of_view(path, 5), 7);
    assert_int_equal(path_offset_of_view(path, 6), 8);
    assert_int_equal(path_offset_of_view(path, 8), 10);
    assert_int_equal(path_offset_of_view(path, 11), 13);
    assert_int_equal(path_offset_of_view(path, 12), path.length);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rewrite_does_as_its_row_says),
        cmocka_unit_test(test_rewrite_to_is_checked),
        cmocka_unit_test(test_rewrite_offsets_map_the_view_to_the_path),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
