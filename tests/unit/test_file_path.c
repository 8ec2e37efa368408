/* Paths of files: what is below a prefix, however it is written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "proxy/http/file_path.h"

static void test_file_path_is_below_on_segment_boundaries(void **state)
{
    static const struct {
        const char *path, *prefix;
        bool below;
    } rows[] = {
        {"/srv/ci", "/srv/ci", true},
        {"/srv/ci/", "/srv/ci", true},
        {"/srv/ci/a", "/srv/ci", true},
        {"/srv/cix", "/srv/ci", false},
        {"/srv/c", "/srv/ci", false},
        {"/srv", "/srv/ci", false},
        {"/", "/srv/ci", false},
        {"", "/srv/ci", false},
        /* With a slash at its end it covers what is below only. */
        {"/srv/ci/a", "/srv/ci/", true},
        {"/srv/ci", "/srv/ci/", false},
        {"/srv/ci/", "/srv/ci/", false},
        {"/srv/ci/.", "/srv/ci/", false},
        {"/srv/ci//", "/srv/ci/", false},
        {"/etc", "/", true},
        {"/", "/", false},
        /* However it is written. */
        {"//srv///ci/./a", "/srv/ci", true},
        {"/./srv/ci/.", "/srv/ci", true},
        {"/srv/ci/...", "/srv/ci", true},
        {"/srv/ci/..a", "/srv/ci", true},
        /* Up is nowhere. */
        {"/srv/ci/..", "/srv/ci", false},
        {"/srv/ci/../ci", "/srv/ci", false},
        {"/srv/ci/../../etc", "/srv/ci", false},
        {"/srv/ci/a/../b", "/srv/ci", false},
        {"/../srv/ci", "/srv/ci", false},
        {"/srv/ci/a\\..\\..\\etc", "/srv/ci", false},
        /* Not absolute. */
        {"srv/ci", "/srv/ci", false},
        {"./srv/ci", "/srv/ci", false},
        {"volume", "/srv/ci", false},
        {"~/a", "/", false},
        {" /srv/ci", "/srv/ci", false},
        {"C:/srv/ci", "/srv/ci", false},
        /* Docker's binds: the source is what stands before the first colon. */
        {"/srv/ci:/a", "/srv/ci", true},
        {"/srv/ci/a:/b:ro", "/srv/ci", true},
        {"/srv/ci/a:/b:ro,z", "/srv/ci/", true},
        {"/srv/ci:/a", "/srv/ci/", false},
        {"/etc:/srv/ci", "/srv/ci", false},
        {"/:/srv/ci", "/srv/ci", false},
        {"/:/host", "/", false},
        {"volume:/srv/ci", "/srv/ci", false},
        {":/srv/ci", "/srv/ci", false},
        {"/etc:/../srv/ci", "/srv/ci", false},
        /* For one path by those who know of no colons. */
        {"/srv/ci/a:/../../../etc", "/srv/ci", false},
        {"/srv/ci/a:../../etc", "/srv/ci", false},
        {"/srv/ci/..:/a", "/srv/ci", false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        if (file_path_is_below(text_of(rows[i].path), text_of(rows[i].prefix)) != rows[i].below)
            fail_msg("%s, %s", rows[i].path, rows[i].prefix);
}

static void test_file_path_check_prefix_takes_plain_ones(void **state)
{
    static const char *const others[] = {"",   "a",    "./a",   "/a/..", "/./a", "/a//b",
                                         "//", "/a:b", "/a\\b", "/a/.",  "/.."};

    (void)state;
    assert_null(file_path_check_prefix(TEXT_LITERAL("/")));
    assert_null(file_path_check_prefix(TEXT_LITERAL("/srv/ci")));
    assert_null(file_path_check_prefix(TEXT_LITERAL("/srv/ci/")));
    assert_null(file_path_check_prefix(TEXT_LITERAL("/var/run/docker.sock")));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (!file_path_check_prefix(text_of(others[i])))
            fail_msg("\"%s\" is taken", others[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_file_path_is_below_on_segment_boundaries),
        cmocka_unit_test(test_file_path_check_prefix_takes_plain_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
