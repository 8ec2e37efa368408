/* Amending: what changes of a listener that is served on, in which steps, and what is undone. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/listen/amend.h"
#include "tests/unit/publish_fixture.h"

/* Who could connect after each step. These definitions win over the C library's. */
static struct {
    const char *path;
    struct stat steps[8];
    size_t n;
    bool chown_fails;
} seen;

static void see(void)
{
    if (seen.path && seen.n < 8)
        assert_int_equal(stat(seen.path, &seen.steps[seen.n++]), 0);
}

int chmod(const char *path, mode_t mode)
{
    int r = (int)syscall(SYS_chmod, path, mode);

    see();
    return r;
}

int fchownat(int fd, const char *path, uid_t uid, gid_t gid, int flags)
{
    int r;

    if (seen.chown_fails) {
        errno = EPERM;
        return -1;
    }
    r = (int)syscall(SYS_fchownat, fd, path, uid, gid, flags);
    see();
    return r;
}

static struct listener *begin(struct fixture *fixture, mode_t mode)
{
    struct listener *listener;

    seen.path = NULL;
    fixture->config.mode = mode;
    listener = fixture_publish(&fixture->config, false);
    seen.path = fixture->path;
    seen.n = 0;
    seen.chown_fails = false;
    return listener;
}

static void end(struct listener *listener)
{
    seen.path = NULL;
    listener_free(listener);
}

static void expect(size_t step, mode_t mode, uid_t uid)
{
    assert_true(step < seen.n);
    assert_int_equal(seen.steps[step].st_mode & 07777, mode);
    assert_int_equal(seen.steps[step].st_uid, uid);
}

static void amend(struct listener *listener, const struct listener_config *config, struct amendment *ret_amendment)
{
    struct error error = ERROR_INIT;

    if (listener_amend(listener, config, ret_amendment, &error) < 0)
        fail_msg("%s", error.message);
}

static void test_amend_that_changes_nothing_does_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = begin(fixture, 0660);
    struct listener_config config = fixture->config;
    struct amendment amendment;

    amend(listener, &config, &amendment);
    assert_false(amendment_is_some(&amendment));
    assert_int_equal(seen.n, 0);
    end(listener);
}

/* Neither the old owner with the new mode nor the new owner with the old one, where either could be somebody else. */
static void test_amend_never_lets_in_whom_neither_configuration_does(void **state)
{
    static const struct {
        mode_t from, to, between;
    } cases[] = {{0660, 0606, 0600}, {0600, 0660, 0600}, {0660, 0600, 0600}, {0666, 0600, 0666}, {0600, 0666, 0666}};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(cases); i++) {
        struct listener *listener = begin(fixture, cases[i].from);
        struct listener_config config = fixture->config;
        struct amendment amendment;
        ino_t before = fixture_stat(fixture->path).st_ino;
        size_t chmods = cases[i].between != cases[i].from;

        config.mode = cases[i].to;
        config.owner = FIXTURE_STRANGER;
        amend(listener, &config, &amendment);
        assert_true(amendment_is_some(&amendment));
        if (chmods)
            expect(0, cases[i].between, geteuid());
        expect(chmods, cases[i].between, FIXTURE_STRANGER);
        expect(seen.n - 1, cases[i].to, FIXTURE_STRANGER);
        assert_int_equal(fixture_stat(fixture->path).st_ino, before);
        amendment_undo(&amendment);
        amendment_undo(&amendment);
        expect(seen.n - 1, cases[i].from, geteuid());
        end(listener);
    }
}

static void test_amend_that_fails_leaves_everything_as_it_was(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = begin(fixture, 0660);
    struct listener_config config = fixture->config;
    struct error error = ERROR_INIT;
    struct amendment amendment;

    config.mode = 0600;
    config.owner = FIXTURE_STRANGER;
    config.backlog = 7;
    seen.chown_fails = true;
    assert_int_equal(listener_amend(listener, &config, &amendment, &error), -EPERM);
    assert_non_null(strstr(error.message, "cannot give"));
    assert_false(amendment_is_some(&amendment));
    assert_int_equal(fixture_stat(fixture->path).st_mode & 07777, 0660);
    end(listener);
}

/* What lies at the path is somebody else's by now. */
static void test_amend_leaves_alone_what_is_not_ours(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = begin(fixture, 0660);
    struct listener_config config = fixture->config;
    struct amendment amendment;
    mode_t before;

    assert_int_equal(unlink(fixture->path), 0);
    fixture_make_stale(fixture->path);
    before = fixture_stat(fixture->path).st_mode;
    config.mode = 0601;
    amend(listener, &config, &amendment);
    assert_false(amendment_is_some(&amendment));
    assert_int_equal(fixture_stat(fixture->path).st_mode, before);
    end(listener);
}

/* The directory's mode, if the directory is one that was made so; and only then. */
static void test_amend_changes_the_mode_of_a_directory_that_was_made_for_it(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made/app.sock")), other;
    struct error error = ERROR_INIT;
    struct amendment amendment;
    struct listener *listener;

    seen.path = NULL;
    config.has_directory_mode = true;
    config.directory_mode = 0700;
    listener = fixture_publish(&config, false);
    other = config;
    other.directory_mode = 0711;
    amend(listener, &other, &amendment);
    assert_int_equal(fixture_stat(fixture_path(fixture, "made")).st_mode & 07777, 0711);
    amendment_undo(&amendment);
    assert_int_equal(fixture_stat(fixture_path(fixture, "made")).st_mode & 07777, 0700);
    assert_int_equal(chmod(fixture_path(fixture, "made"), 0755), 0);
    assert_int_equal(listener_amend(listener, &other, &amendment, &error), -EPERM);
    assert_int_equal(fixture_stat(fixture_path(fixture, "made")).st_mode & 07777, 0755);
    listener_free(listener);
}

/* As a new one would have it; one that was there before keeps the group that it has. */
static void test_amend_gives_a_directory_that_was_made_the_group_of_its_socket(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made/app.sock")), other = config;
    const char *made = fixture_path(fixture, "made");
    struct amendment amendment;
    struct listener *listener;

    if (geteuid() != 0)
        skip();
    seen.path = NULL;
    seen.chown_fails = false;
    config.group = 1234;
    other.group = 4321;
    listener = fixture_publish(&config, false);
    assert_int_equal(fixture_stat(made).st_gid, 1234);
    amend(listener, &other, &amendment);
    assert_int_equal(fixture_stat(made).st_gid, 4321);
    assert_int_equal(fixture_stat(made).st_mode & 07777, 0750);
    assert_int_equal(fixture_stat(config.bind.name).st_gid, 4321);
    amendment_undo(&amendment);
    assert_int_equal(fixture_stat(made).st_gid, 1234);
    assert_int_equal(fixture_stat(config.bind.name).st_gid, 1234);
    other.group = OWNER_UNCHANGED;
    amend(listener, &other, &amendment);
    assert_int_equal(fixture_stat(made).st_gid, getegid());
    amendment_undo(&amendment);
    listener_free(listener);

    listener = fixture_publish(&config, false); /* the directory is there by now */
    amend(listener, &other, &amendment);
    assert_int_equal(fixture_stat(made).st_gid, 1234);
    assert_int_equal(fixture_stat(config.bind.name).st_gid, getegid());
    amendment_undo(&amendment);
    listener_free(listener);
}

#define AMEND_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        AMEND_TEST(test_amend_that_changes_nothing_does_nothing),
        AMEND_TEST(test_amend_never_lets_in_whom_neither_configuration_does),
        AMEND_TEST(test_amend_that_fails_leaves_everything_as_it_was),
        AMEND_TEST(test_amend_leaves_alone_what_is_not_ours),
        AMEND_TEST(test_amend_changes_the_mode_of_a_directory_that_was_made_for_it),
        AMEND_TEST(test_amend_gives_a_directory_that_was_made_the_group_of_its_socket),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
