/* real_path: one spelling for each path, whether it is there or not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/real_path.h"

/* Below a directory that has real/, real/deep/, and the links of make_tree, some of which lead to nothing yet. */
static const struct {
    const char *path, *real;
} rows[] = {
    {"real", "real"},
    {"real/a", "real/a"},
    {"real//a", "real/a"},
    {"real/./a", "real/a"},
    {"./real/../real/a", "real/a"},
    {"to-real/a", "real/a"},
    {"relative/a", "real/deep/a"},
    {"relative/../a", "real/a"},
    {"file", "real/there"},
    {"to-real/none/b/c", "real/none/b/c"},
    {"to-real/none/../c", "real/c"},
    {"none//./b", "none/b"},
    {"none/../../%", NULL}, /* leaves the directory */
    {"away/a", "nowhere/at/all/a"},
    {"away", "nowhere/at/all"},
    {"away/..", "nowhere/at"},
    {"real/away", "nowhere/at/all"},
    {"far/a", "real/none/b/a"},
    {"none/../away", "nowhere/at/all"},
    {"none/../to-real/a", "real/a"},
    {"30", "nowhere/at/all"},
    {"loop/a", "loop/a"},
    {"real/there/below", "real/there/below"},
    {"real/a/", "real/a"},
};

static void make_tree(const char *directory)
{
    char name[16], target[64];

    assert_int_equal(chdir(directory), 0);
    assert_int_equal(mkdir("real", 0700), 0);
    assert_int_equal(mkdir("real/deep", 0700), 0);
    assert_int_equal(symlink("real", "to-real"), 0);
    assert_int_equal(symlink("to-real/deep", "relative"), 0);
    assert_int_equal(fclose(fopen("real/there", "we")), 0);
    assert_int_equal(symlink("real/there", "file"), 0);
    assert_int_equal(symlink("nowhere/at/all", "away"), 0);
    assert_int_equal(symlink("../away", "real/away"), 0);
    snprintf(target, sizeof(target), "%s//to-real/./none/b", directory);
    assert_int_equal(symlink(target, "far"), 0);
    assert_int_equal(symlink("loop", "loop"), 0);
    /* A row of them. */
    for (int i = 1; i <= 30; i++) {
        snprintf(name, sizeof(name), "%d", i);
        snprintf(target, sizeof(target), i == 1 ? "away" : "%d", i - 1);
        assert_int_equal(symlink(target, name), 0);
    }
}

static void test_real_path_resolves_as_far_as_the_path_exists(void **state UNUSED)
{
    char directory[] = "/tmp/test-real-path-XXXXXX", command[64], *top;

    assert_non_null(mkdtemp(directory));
    make_tree(directory);
    top = realpath(directory, NULL);
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        char path[256], expected[256], *real;

        snprintf(path, sizeof(path), "%s/%s", directory, rows[i].path);
        snprintf(expected, sizeof(expected), "%s/%s", top, rows[i].real ? rows[i].real : "");
        print_message("%s\n", path);
        real = real_path(path);
        assert_non_null(real);
        if (rows[i].real)
            assert_string_equal(real, expected);
        else
            assert_null(strstr(real, ".."));
        free(real);
    }
    free(top);
    snprintf(command, sizeof(command), "rm -r %s", directory);
    assert_int_equal(system(command), 0);
}

static void test_real_path_of_the_root_and_above_it_is_the_root(void **state UNUSED)
{
    static const char *const roots[] = {"/", "//", "/..", "/.", "/no-such-directory/..", "/no-such-directory/../../.."};

    for (size_t i = 0; i < ARRAY_LENGTH(roots); i++) {
        char *real = real_path(roots[i]);
        assert_string_equal(real, "/");
        free(real);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_real_path_resolves_as_far_as_the_path_exists),
        cmocka_unit_test(test_real_path_of_the_root_and_above_it_is_the_root),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
