/* Publishing a Unix socket where something is already: what may be replaced; and the directory that it is in. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/publish_fixture.h"

/* ---- our own file with a mode that keeps us out ---- */

static int publish_over_own_closed(void *argument)
{
    struct fixture *fixture = argument;
    struct error error = ERROR_INIT;
    struct listener *listener = NULL, *second = NULL;
    struct stat st;

    for (mode_t mode = 0; mode <= 0066; mode += 0066) {
        fixture_make_stale(fixture->path);
        if (chmod(fixture->path, mode) < 0 || listener_publish(&fixture->config, false, &listener, &error) < 0)
            return 1;
        /* A living one is not replaced, and is left as it was. */
        if (chmod(fixture->path, mode) < 0 ||
            listener_publish(&fixture->config, false, &second, &error) != -EADDRINUSE || stat(fixture->path, &st) < 0 ||
            (st.st_mode & 07777) != mode)
            return 2;
        listener_free(listener);
    }
    return 0;
}

static void test_publish_own_stale_socket_that_keeps_us_out_is_replaced(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(chmod(fixture->directory, 0777), 0);
    assert_int_equal(fixture_as_stranger(publish_over_own_closed, fixture), 0);
}

static void test_publish_living_process_is_refused_and_untouched(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = fixture_publish(&fixture->config, false);
    ino_t inode = fixture_stat(fixture->path).st_ino;

    fixture_expect_failure(&fixture->config, false, -EADDRINUSE, "stop it or use --takeover");
    assert_int_equal(fixture_stat(fixture->path).st_ino, inode);
    assert_int_equal(listener_look(listener), LISTENER_OURS);
    fixture_expect_only_socket(fixture);
    listener_free(listener);
}

static void test_publish_living_process_with_full_backlog_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener;
    int clients[8], n = 0;

    fixture->config.backlog = 1;
    listener = fixture_publish(&fixture->config, false);
    while (n < 8 && (clients[n] = fixture_connect(fixture->path)) >= 0)
        n++;
    assert_int_equal(clients[n], -EAGAIN);
    fixture_expect_failure(&fixture->config, false, -EADDRINUSE, "another process serves");
    while (n > 0)
        close(clients[--n]);
    listener_free(listener);
}

static void test_publish_takeover_replaces_and_old_leaves_new_alone(void **state)
{
    struct fixture *fixture = *state;
    struct listener *old = fixture_publish(&fixture->config, false);
    int early = fixture_connect(fixture->path);
    struct listener *fresh = fixture_publish(&fixture->config, true);
    int accepted = accept(old->fd, NULL, NULL);
    int late;

    assert_true(early >= 0);
    assert_true(accepted >= 0); /* who had connected is still the old one's */
    assert_int_equal(listener_look(old), LISTENER_REPLACED);
    assert_int_equal(listener_look(fresh), LISTENER_OURS);
    listener_free(old);
    assert_int_equal(listener_look(fresh), LISTENER_OURS);
    late = fixture_connect(fixture->path);
    assert_true(late >= 0);
    close(early);
    close(late);
    close(accepted);
    listener_free(fresh);
}

static void test_publish_stale_socket_is_replaced(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener;

    fixture_make_stale(fixture->path);
    listener = fixture_publish(&fixture->config, false);
    fixture_expect_only_socket(fixture);
    listener_free(listener);
}

static int publish_over_foreign(void *argument)
{
    struct fixture *fixture = argument;
    struct error error = ERROR_INIT;
    struct listener *listener = NULL;

    for (int takeover = 0; takeover < 2; takeover++)
        if (listener_publish(&fixture->config, takeover, &listener, &error) != -EACCES ||
            !strstr(error.message, "uid 0, gid 0, mode 0600") || !strstr(error.message, "uid 65534, gid 65534"))
            return 1;
    return 0;
}

static void test_publish_socket_without_permission_is_refused_naming_it(void **state)
{
    struct fixture *fixture = *state;

    fixture_make_stale(fixture->path);
    assert_int_equal(chmod(fixture->path, 0600), 0);
    assert_int_equal(chmod(fixture->directory, 0777), 0);
    assert_int_equal(fixture_as_stranger(publish_over_foreign, fixture), 0);
    fixture_expect_only_socket(fixture);
}

static void test_publish_datagram_socket_in_use_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", fixture->path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    fixture_expect_failure(&fixture->config, true, -EADDRINUSE, "a socket of another type");
    close(fd);
}

static void expect_refused_type(struct fixture *fixture, const char *what)
{
    struct stat before = fixture_stat(fixture->path);

    fixture_expect_failure(&fixture->config, true, -EEXIST, what);
    assert_int_equal(fixture_stat(fixture->path).st_ino, before.st_ino);
    assert_int_equal(unlink(fixture->path) < 0 ? rmdir(fixture->path) : 0, 0);
}

static void test_publish_over_what_is_no_socket_is_refused(void **state)
{
    struct fixture *fixture = *state;
    const char *other = fixture_path(fixture, "other.sock");

    assert_true(close(creat(fixture->path, 0600)) == 0);
    expect_refused_type(fixture, "is a regular file");
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    expect_refused_type(fixture, "is a directory");
    assert_int_equal(mkfifo(fixture->path, 0600), 0);
    expect_refused_type(fixture, "is a named pipe");
    assert_int_equal(symlink("nowhere", fixture->path), 0);
    expect_refused_type(fixture, "is a symbolic link");
    fixture_make_stale(other);
    assert_int_equal(symlink(other, fixture->path), 0);
    expect_refused_type(fixture, "is a symbolic link");
    if (mknod(fixture->path, S_IFCHR | 0600, 0) == 0) /* containers may not */
        expect_refused_type(fixture, "is a device");
    assert_int_equal(fixture_count_entries(fixture->directory), 1);
}

static void test_publish_leftovers_of_a_crash_are_removed_and_nothing_else(void **state)
{
    static const char *const kept[] = {".porthole-abc", ".porthole-abcdefghi", "x.porthole-abcdefg"};
    struct fixture *fixture = *state;
    struct listener *listener, *living;
    struct listener_config elsewhere;
    char path[128];

    snprintf(path, sizeof(path), "%s", fixture_path(fixture, "elsewhere/living"));
    elsewhere = fixture_config(path);
    for (size_t i = 0; i < ARRAY_LENGTH(kept); i++)
        assert_int_equal(mkdir(fixture_path(fixture, kept[i]), 0700), 0);
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-withsock"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-emptyxyz"), 0000), 0);
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-leftover"), 0700), 0);
    fixture_make_stale(fixture_path(fixture, ".porthole-leftover/app.sock"));
    fixture_make_stale(fixture_path(fixture, ".porthole-withsock/s"));
    /* not ours: a directory with something else in it, and a link to a place where an "s" lies */
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-otherdir"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-otherdir/s"), 0700), 0);
    assert_int_equal(mkdir(fixture_path(fixture, "elsewhere"), 0700), 0);
    fixture_make_stale(fixture_path(fixture, "elsewhere/s"));
    assert_int_equal(symlink("elsewhere", fixture_path(fixture, ".porthole-linkedxx")), 0);
    /* others', open to others, or served */
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-stranger"), 0700), 0);
    assert_int_equal(chown(fixture_path(fixture, ".porthole-stranger"), FIXTURE_STRANGER, 0), 0);
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-openopen"), 0755), 0);
    fixture_make_stale(fixture_path(fixture, ".porthole-openopen/s"));
    living = fixture_publish(&elsewhere, false);
    assert_int_equal(mkdir(fixture_path(fixture, ".porthole-livingxx"), 0700), 0);
    assert_int_equal(rename(path, fixture_path(fixture, ".porthole-livingxx/s")), 0);

    listener = fixture_publish(&fixture->config, false);
    assert_int_equal(fixture_count_entries(fixture->directory), (int)ARRAY_LENGTH(kept) + 7);
    fixture_stat(fixture_path(fixture, ".porthole-otherdir/s"));
    fixture_stat(fixture_path(fixture, ".porthole-openopen/s"));
    fixture_stat(fixture_path(fixture, ".porthole-livingxx/s"));
    listener_free(living);
    fixture_stat(fixture_path(fixture, "elsewhere/s"));
    listener_free(listener);
}

/* ---- the directory ---- */

static void test_publish_last_directory_is_made_with_its_mode_and_group(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made//app.sock"));
    mode_t before = umask(0777);
    struct listener *listener;
    struct stat st;

    config.group = 4321;
    listener = fixture_publish(&config, false);
    umask(before);
    st = fixture_stat(fixture_path(fixture, "made"));
    assert_int_equal(st.st_mode & 07777, 0750);
    assert_int_equal(st.st_uid, 0);
    assert_int_equal(st.st_gid, 4321);
    listener_free(listener);
}

static void test_publish_missing_parents_are_named(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "a/b/c/app.sock"));
    char expected[160];

    snprintf(expected, sizeof(expected), "directory %s/a does not exist", fixture->directory);
    fixture_expect_failure(&config, false, -ENOENT, expected);
    assert_int_equal(mkdir(fixture_path(fixture, "a"), 0755), 0);
    snprintf(expected, sizeof(expected), "directory %s/a/b does not exist", fixture->directory);
    fixture_expect_failure(&config, false, -ENOENT, expected);
}

static void test_publish_directory_that_is_a_file_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "file/app.sock"));

    assert_true(close(creat(fixture_path(fixture, "file"), 0600)) == 0);
    fixture_expect_failure(&config, false, -ENOTDIR, "Not a directory");
}

static void test_publish_directory_that_was_there_keeps_its_mode_or_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener;

    fixture->config.has_directory_mode = true;
    fixture->config.directory_mode = 0710;
    fixture_expect_failure(&fixture->config, false, -EPERM, "mode 0755, and directory_mode asks for");
    assert_int_equal(fixture_stat(fixture->directory).st_mode & 07777, 0755);
    fixture->config.directory_mode = 0755;
    listener = fixture_publish(&fixture->config, false);
    listener_free(listener);
    assert_int_equal(chown(fixture->directory, FIXTURE_STRANGER, 0), 0);
    fixture_expect_failure(&fixture->config, false, -EPERM, "with uid 65534, gid 0");
    fixture->config.has_directory_mode = false;
    listener_free(fixture_publish(&fixture->config, false));
}

/* As porthole's own one is found after a crash: it has the mode that it was made with. */
static void test_publish_directory_of_an_earlier_life_is_used(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made/app.sock"));

    config.has_directory_mode = true;
    config.directory_mode = 0711;
    for (int life = 0; life < 2; life++)
        listener_free(fixture_publish(&config, false));
    assert_int_equal(fixture_stat(fixture_path(fixture, "made")).st_mode & 07777, 0711);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_publish_own_stale_socket_that_keeps_us_out_is_replaced),
        T(test_publish_living_process_is_refused_and_untouched),
        T(test_publish_living_process_with_full_backlog_is_refused),
        T(test_publish_takeover_replaces_and_old_leaves_new_alone),
        T(test_publish_stale_socket_is_replaced),
        T(test_publish_socket_without_permission_is_refused_naming_it),
        T(test_publish_datagram_socket_in_use_is_refused),
        T(test_publish_over_what_is_no_socket_is_refused),
        T(test_publish_leftovers_of_a_crash_are_removed_and_nothing_else),
        T(test_publish_last_directory_is_made_with_its_mode_and_group),
        T(test_publish_missing_parents_are_named),
        T(test_publish_directory_that_is_a_file_is_refused),
        T(test_publish_directory_that_was_there_keeps_its_mode_or_is_refused),
        T(test_publish_directory_of_an_earlier_life_is_used),
    };

    return cmocka_run_group_tests_name("publish_place", tests, NULL, NULL);
}
