/* What a secret is while its file comes, changes and goes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/secret.h"

/* A directory with a file in it, and a clock that is set. */
struct rig {
    char directory[32], path[64], other[64];
    struct secret secret;
    struct instant now;
};

static int rig_init(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    strcpy(rig->directory, "/tmp/secret.XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    snprintf(rig->path, sizeof(rig->path), "%s/token", rig->directory);
    snprintf(rig->other, sizeof(rig->other), "%s/other", rig->directory);
    rig->secret.path = rig->path;
    rig->now.ns = 1000000000;
    *state = rig;
    return 0;
}

static int rig_deinit(void **state)
{
    struct rig *rig = *state;

    secret_deinit(&rig->secret);
    unlink(rig->path);
    unlink(rig->other);
    rmdir(rig->directory);
    free(rig);
    return 0;
}

static void write_file(const char *path, const void *data, size_t length)
{
    FILE *file = fopen(path, "w");

    assert_non_null(file);
    assert_int_equal(fwrite(data, 1, length, file), length);
    assert_int_equal(fclose(file), 0);
}

static void pass_ms(struct rig *rig, uint64_t ms)
{
    rig->now = instant_add_ms(rig->now, ms);
}

static void assert_holds(struct rig *rig, const char *expected)
{
    struct text text;

    assert_true(secret_get(&rig->secret, rig->now, &text));
    assert_int_equal(text.length, strlen(expected));
    assert_memory_equal(text.data, expected, text.length);
}

static void assert_unusable(struct rig *rig, const char *why)
{
    char reason[160];
    struct text text;

    assert_false(secret_get(&rig->secret, rig->now, &text));
    secret_reason(&rig->secret, reason, sizeof(reason));
    assert_int_equal(strncmp(reason, rig->path, strlen(rig->path)), 0);
    assert_non_null(strstr(reason, why));
}

static void test_secret_line_feed_at_the_end_is_cut_once(void **state)
{
    struct rig *rig = *state;

    write_file(rig->path, "to\tken\n", 7);
    assert_holds(rig, "to\tken");
    write_file(rig->path, "token\n\n", 7);
    pass_ms(rig, SECRET_LOOK_MS);
    assert_unusable(rig, "control character");
}

static void test_secret_is_looked_at_once_a_second(void **state)
{
    struct rig *rig = *state;

    write_file(rig->path, "one", 3);
    assert_holds(rig, "one");
    write_file(rig->path, "two", 3);
    pass_ms(rig, SECRET_LOOK_MS - 1);
    assert_holds(rig, "one");
    pass_ms(rig, 1);
    assert_holds(rig, "two");
}

/* Same size, same name, another file: what a volume of Kubernetes does. */
static void test_secret_renamed_over_is_the_new_one(void **state)
{
    struct rig *rig = *state;

    write_file(rig->path, "one", 3);
    assert_holds(rig, "one");
    write_file(rig->other, "two", 3);
    assert_int_equal(rename(rig->other, rig->path), 0);
    pass_ms(rig, SECRET_LOOK_MS);
    assert_holds(rig, "two");
}

static void test_secret_that_rests_is_not_read_again(void **state)
{
    struct rig *rig = *state;
    const char *data;

    write_file(rig->path, "one", 3);
    assert_holds(rig, "one");
    /* It may change again within the same tick of a clock. */
    assert_int_equal(rig->secret.mark.inode, 0);
    sleep(5);
    pass_ms(rig, SECRET_LOOK_MS);
    assert_holds(rig, "one");
    assert_int_not_equal(rig->secret.mark.inode, 0);
    data = rig->secret.data;
    pass_ms(rig, SECRET_LOOK_MS);
    assert_holds(rig, "one");
    assert_ptr_equal(rig->secret.data, data);
    /* The mark sees what comes then. */
    write_file(rig->path, "two", 3);
    pass_ms(rig, SECRET_LOOK_MS);
    assert_holds(rig, "two");
}

static void test_secret_comes_and_goes(void **state)
{
    struct rig *rig = *state;

    assert_unusable(rig, "No such file");
    write_file(rig->path, "one", 3);
    assert_unusable(rig, "No such file"); /* not before the next look */
    pass_ms(rig, SECRET_LOOK_MS);
    assert_holds(rig, "one");
    unlink(rig->path);
    pass_ms(rig, SECRET_LOOK_MS);
    assert_unusable(rig, "No such file");
    assert_null(rig->secret.data);
}

static void test_secret_unusable_content_is_none(void **state)
{
    static const struct {
        const char *data;
        size_t length;
        const char *why;
    } rows[] = {
        {"", 0, "empty"},       {"\n", 1, "empty"},     {" \t\n", 3, "empty"},  {"a\r\n", 3, "control"},
        {"a\nb", 3, "control"}, {"a\0b", 3, "control"}, {"\x01", 1, "control"}, {"a\x7f", 2, "control"},
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        write_file(rig->path, rows[i].data, rows[i].length);
        pass_ms(rig, SECRET_LOOK_MS);
        assert_unusable(rig, rows[i].why);
    }
}

static void test_secret_size_has_a_bound(void **state)
{
    struct rig *rig = *state;
    char *data = malloc(SECRET_MOST_BYTES + 3);
    struct text text;

    memset(data, 'a', SECRET_MOST_BYTES + 3);
    data[SECRET_MOST_BYTES] = '\n';
    write_file(rig->path, data, SECRET_MOST_BYTES + 1);
    assert_true(secret_get(&rig->secret, rig->now, &text));
    assert_int_equal(text.length, SECRET_MOST_BYTES);
    data[SECRET_MOST_BYTES] = 'a';
    for (size_t n = SECRET_MOST_BYTES + 1; n <= SECRET_MOST_BYTES + 3; n++) {
        write_file(rig->path, data, n);
        pass_ms(rig, SECRET_LOOK_MS);
        assert_unusable(rig, "64 KiB");
    }
    free(data);
}

static void test_secret_must_be_a_regular_file(void **state)
{
    struct rig *rig = *state;

    assert_int_equal(mkfifo(rig->path, 0600), 0);
    assert_unusable(rig, "regular file");
    unlink(rig->path);
    assert_int_equal(mkdir(rig->path, 0700), 0);
    pass_ms(rig, SECRET_LOOK_MS);
    assert_unusable(rig, "regular file");
    rmdir(rig->path);
    /* A link to one is one. */
    write_file(rig->other, "linked", 6);
    assert_int_equal(symlink("other", rig->path), 0);
    pass_ms(rig, SECRET_LOOK_MS);
    assert_holds(rig, "linked");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_secret_line_feed_at_the_end_is_cut_once, rig_init, rig_deinit),
        cmocka_unit_test_setup_teardown(test_secret_is_looked_at_once_a_second, rig_init, rig_deinit),
        cmocka_unit_test_setup_teardown(test_secret_renamed_over_is_the_new_one, rig_init, rig_deinit),
        cmocka_unit_test_setup_teardown(test_secret_that_rests_is_not_read_again, rig_init, rig_deinit),
        cmocka_unit_test_setup_teardown(test_secret_comes_and_goes, rig_init, rig_deinit),
        cmocka_unit_test_setup_teardown(test_secret_unusable_content_is_none, rig_init, rig_deinit),
        cmocka_unit_test_setup_teardown(test_secret_size_has_a_bound, rig_init, rig_deinit),
        cmocka_unit_test_setup_teardown(test_secret_must_be_a_regular_file, rig_init, rig_deinit),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
