/* Publishing a Unix socket: what is set, what is left, what others can put on the way. */
#include <errno.h>
#include <fcntl.h>
#include <fnmatch.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "tests/unit/publish_fixture.h"

/* A volume that takes modes and owners without an error and ignores them, and a look at the moment between bind and
 * rename. These definitions win over the C library's. */
static bool volume_ignores_modes, volume_ignores_owners;
static void (*before_mode_is_set)(const char *path);

/* Of sockets, which are named by a link to what is held. */
int chmod(const char *path, mode_t mode)
{
    char real[PATH_MAX];
    ssize_t n = readlink(path, real, sizeof(real) - 1);
    struct stat st;

    if (n > 0 && stat(path, &st) == 0 && S_ISSOCK(st.st_mode)) {
        real[n] = '\0';
        if (before_mode_is_set)
            before_mode_is_set(real);
        if (volume_ignores_modes)
            return 0;
    }
    return (int)syscall(SYS_fchmodat, AT_FDCWD, path, mode);
}

int fchownat(int fd, const char *path, uid_t owner, gid_t group, int flags)
{
    if (volume_ignores_owners)
        return 0;
    return (int)syscall(SYS_fchownat, fd, path, owner, group, flags);
}

static void test_publish_nothing_there_serves(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = fixture_publish(&fixture->config, false);
    int client = fixture_connect(fixture->path);
    int accepted;

    fixture_expect_only_socket(fixture);
    assert_int_equal(fixture_stat(fixture->path).st_mode & 07777, 0660);
    assert_int_equal(listener_look(listener), LISTENER_OURS);
    assert_true(fcntl(listener->fd, F_GETFL) & O_NONBLOCK);
    assert_true(fcntl(listener->fd, F_GETFD) & FD_CLOEXEC);
    assert_true(client >= 0);
    accepted = accept(listener->fd, NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
    listener_free(listener);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static void test_publish_any_umask_mode_is_right_and_umask_stays(void **state)
{
    static const mode_t umasks[] = {0, 0077, 0777};
    static const mode_t modes[] = {0660, 0600, 0777, 0};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(umasks) * ARRAY_LENGTH(modes); i++) {
        mode_t mask = umasks[i / ARRAY_LENGTH(modes)];
        mode_t before = umask(mask);
        struct listener *listener;

        fixture->config.mode = modes[i % ARRAY_LENGTH(modes)];
        listener = fixture_publish(&fixture->config, false);
        assert_int_equal(umask(before), mask);
        assert_int_equal(fixture_stat(fixture->path).st_mode & 07777, fixture->config.mode);
        listener_free(listener);
    }
}

static int publish_in_own_directory(void *argument)
{
    struct fixture *fixture = argument;
    struct listener *listener = NULL;
    struct stat st, directory;

    umask(0777);
    if (listener_publish(&fixture->config, false, &listener, NULL) < 0)
        return 1;
    if (lstat(fixture->path, &st) < 0 || (st.st_mode & 07777) != 0660 || st.st_uid != FIXTURE_STRANGER)
        return 2;
    *strrchr(fixture->path, '/') = '\0';
    if (stat(fixture->path, &directory) < 0 || (directory.st_mode & 07777) != 0750)
        return 3;
    fixture->path[strlen(fixture->path)] = '/';
    listener_free(listener);
    return 0;
}

static void test_publish_umask_0777_without_privilege_serves(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(chmod(fixture->directory, 0777), 0);
    snprintf(fixture->path, sizeof(fixture->path), "%s/own/app.sock", fixture->directory);
    assert_int_equal(fixture_as_stranger(publish_in_own_directory, fixture), 0);
}

static void test_publish_owner_and_group_are_set(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener;

    fixture->config.owner = 1234;
    fixture->config.group = 4321;
    listener = fixture_publish(&fixture->config, false);
    assert_int_equal(fixture_stat(fixture->path).st_uid, 1234);
    assert_int_equal(fixture_stat(fixture->path).st_gid, 4321);
    listener_free(listener);
}

static void test_publish_set_group_id_directory_gives_its_group(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener;

    assert_int_equal(chown(fixture->directory, 0, 4321), 0);
    assert_int_equal(chmod(fixture->directory, 02775), 0);
    listener = fixture_publish(&fixture->config, false);
    assert_int_equal(fixture_stat(fixture->path).st_gid, 4321);
    listener_free(listener);
}

static void test_publish_volume_ignores_modes_fails_naming_both(void **state)
{
    struct fixture *fixture = *state;

    volume_ignores_modes = true;
    fixture_expect_failure(&fixture->config, false, -EOPNOTSUPP, "ignores modes: asked for 0660, got 0755");
    volume_ignores_modes = false;
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static void test_publish_volume_ignores_owners_fails_naming_both(void **state)
{
    struct fixture *fixture = *state;

    fixture->config.group = 4321;
    volume_ignores_owners = true;
    fixture_expect_failure(&fixture->config, false, -EOPNOTSUPP,
                           "asked for uid -1, gid 4321 (-1: unchanged), got 0, 0");
    volume_ignores_owners = false;
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static int publish_for_somebody_else(void *argument)
{
    struct fixture *fixture = argument;
    struct error error = ERROR_INIT;
    struct listener *listener = NULL;

    fixture->config.owner = 1234;
    if (listener_publish(&fixture->config, false, &listener, &error) != -EPERM)
        return 1;
    return strstr(error.message, "to owner 1234") && strstr(error.message, "uid 65534") ? 0 : 2;
}

static void test_publish_owner_without_privilege_fails_and_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(chmod(fixture->directory, 0777), 0);
    assert_int_equal(fixture_as_stranger(publish_for_somebody_else, fixture), 0);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static char seen_directory[PATH_MAX];
static int seen_reached;

static int look_into_temporary(void *argument)
{
    char path[PATH_MAX];
    struct stat st;

    (void)argument;
    snprintf(path, sizeof(path), "%.4000s/app.sock", seen_directory);
    return fixture_connect(path) == -EACCES && lstat(path, &st) < 0 && errno == EACCES ? 0 : 1;
}

static void stranger_looks(const char *path)
{
    snprintf(seen_directory, sizeof(seen_directory), "%.*s", (int)(strrchr(path, '/') - path), path);
    seen_reached = fixture_as_stranger(look_into_temporary, NULL);
}

static void test_publish_stranger_never_reaches_the_temporary_socket(void **state)
{
    struct fixture *fixture = *state;
    mode_t before = umask(0);
    struct listener *listener;

    seen_reached = -1;
    before_mode_is_set = stranger_looks;
    listener = fixture_publish(&fixture->config, false);
    before_mode_is_set = NULL;
    umask(before);
    assert_int_equal(seen_reached, 0);
    assert_non_null(strstr(seen_directory, "/.porthole-"));
    listener_free(listener);
}

static const char *swap_victim;

/* As somebody may who can write to the directory, and was quicker than we with the temporary one. */
static void swap_socket(const char *path)
{
    before_mode_is_set = NULL;
    assert_int_equal(unlink(path), 0);
    assert_int_equal(symlink(swap_victim, path), 0);
}

static void test_publish_swapped_socket_leaves_the_mode_of_other_files(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = NULL;
    struct error error = ERROR_INIT;
    int fd;

    swap_victim = fixture_path(fixture, "victim");
    fd = open(swap_victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    close(fd);
    fixture->config.mode = 0666;
    before_mode_is_set = swap_socket;
    if (listener_publish(&fixture->config, false, &listener, &error) == 0)
        listener_free(listener);
    assert_null(before_mode_is_set);
    assert_int_equal(fixture_stat(swap_victim).st_mode & 07777, 0600);
}

/* ---- what ss(8) shows ---- */

static void expect_bound(const struct listener *listener, const char *format, ...) PRINTF_LIKE(2, 3);

static void expect_bound(const struct listener *listener, const char *format, ...)
{
    struct sockaddr_un address = {.sun_family = AF_UNSPEC};
    socklen_t length = sizeof(address);
    char pattern[256];
    va_list args;

    va_start(args, format);
    vsnprintf(pattern, sizeof(pattern), format, args);
    va_end(args);
    assert_int_equal(getsockname(listener->fd, (struct sockaddr *)&address, &length), 0);
    if (fnmatch(pattern, address.sun_path, FNM_PATHNAME | FNM_PERIOD) != 0)
        fail_msg("%s is not like %s", address.sun_path, pattern);
}

/* Never a path, which could lead elsewhere by the time that it is bound. */
static void test_publish_address_tells_the_path_through_a_descriptor(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = fixture_publish(&fixture->config, false);

    expect_bound(listener, "/proc/self/fd/*/!tmp!%s!app.sock@*", strrchr(fixture->directory, '/') + 1);
    listener_free(listener);
}

static void test_publish_address_of_a_long_name_is_short(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config;
    struct listener *listener;
    char name[120];

    memset(name, 'n', sizeof(name) - 1);
    name[sizeof(name) - 1] = '\0';
    config = fixture_config(fixture_path(fixture, name));
    listener = fixture_publish(&config, false);
    expect_bound(listener, "/proc/self/fd/*/s@*");
    assert_int_equal(listener_look(listener), LISTENER_OURS);
    listener_free(listener);
}

static void test_publish_paths_longer_than_sockaddr_un_are_served(void **state)
{
    struct fixture *fixture = *state;
    char path[1024];
    struct listener *listener;
    int client;

    snprintf(path, sizeof(path), "%s/%0150d", fixture->directory, 1);
    assert_int_equal(mkdir(path, 0755), 0);
    snprintf(path, sizeof(path), "%s/%0150d/%0250d.sock", fixture->directory, 1, 2);
    fixture->config = fixture_config(path);
    listener = fixture_publish(&fixture->config, false);
    client = fixture_connect(path);
    assert_true(client >= 0);
    fixture_expect_failure(&fixture->config, false, -EADDRINUSE, "another process serves");
    close(client);
    listener_free(listener);
    assert_int_equal(access(path, F_OK), -1);
}

static void test_publish_name_that_is_none_is_refused(void **state)
{
    static const char *const names[] = {"", ".", ".."};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(names); i++) {
        struct listener_config config = fixture_config(fixture_path(fixture, names[i]));

        fixture_expect_failure(&config, true, -EINVAL, "does not name a file");
    }
}

static void test_publish_failure_takes_the_made_directory_away(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made/app.sock"));

    volume_ignores_modes = true;
    fixture_expect_failure(&config, false, -EOPNOTSUPP, "ignores modes");
    volume_ignores_modes = false;
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

/* ---- what others can put on the way ---- */

static void expect_bystander(const struct fixture *fixture)
{
    struct stat st = fixture_stat(fixture_path(fixture, "bystander"));

    assert_int_equal(st.st_mode & 07777, 0700);
    assert_int_equal(st.st_gid, 0);
    assert_int_equal(fixture_count_entries(fixture_path(fixture, "bystander")), 0);
}

/* A link in a directory that others may write may be theirs, whoever owns it now. */
static void test_publish_link_of_others_in_place_of_the_directory_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made/app.sock"));
    char link[128];

    snprintf(link, sizeof(link), "%s", fixture_path(fixture, "made"));
    config.has_directory_mode = true;
    config.directory_mode = 0777;
    assert_int_equal(mkdir(fixture_path(fixture, "bystander"), 0700), 0);
    assert_int_equal(symlink("bystander", link), 0);
    assert_int_equal(chmod(fixture->directory, 0777), 0);
    fixture_expect_failure(&config, false, -ELOOP, "symbolic link on the way");
    assert_int_equal(chmod(fixture->directory, 0755), 0);
    assert_int_equal(lchown(link, FIXTURE_STRANGER, FIXTURE_STRANGER), 0);
    fixture_expect_failure(&config, false, -ELOOP, "symbolic link on the way");
    expect_bystander(fixture);
    config.has_directory_mode = false;
    fixture_expect_failure(&config, false, -ELOOP, "symbolic link on the way");
    expect_bystander(fixture);
    /* The administrator's own is part of how the machine is set up. */
    assert_int_equal(lchown(link, 0, 0), 0);
    listener_free(fixture_publish(&config, false));
    expect_bystander(fixture);
}

static void test_publish_again_through_a_link_that_was_not_there_is_refused(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made/app.sock"));
    struct listener *listener = fixture_publish(&config, false);
    struct error error = ERROR_INIT;
    int old;

    assert_int_equal(mkdir(fixture_path(fixture, "bystander"), 0700), 0);
    assert_int_equal(rename(fixture_path(fixture, "made"), fixture_path(fixture, "away")), 0);
    assert_int_equal(symlink("bystander", fixture_path(fixture, "made")), 0);
    assert_int_equal(listener_publish_again(listener, &error), -ELOOP);
    assert_non_null(strstr(error.message, "and now to"));
    expect_bystander(fixture);
    assert_int_equal(unlink(fixture_path(fixture, "made")), 0);
    old = listener_publish_again(listener, &error);
    assert_true(old >= 0);
    close(old);
    assert_int_equal(listener_look(listener), LISTENER_OURS);
    listener_free(listener);
}

/* Another file of our own user in the place of the socket that was made: published it would be somebody else's. */
static const char *impostor_path;
static int impostor_fd = -1, n_swaps_left;

int bind(int fd, const struct sockaddr *address, socklen_t length)
{
    const char *path = ((const struct sockaddr_un *)(const void *)address)->sun_path;
    int r = (int)syscall(SYS_bind, fd, address, length);

    if (r == 0 && address->sa_family == AF_UNIX && strncmp(path, "/proc/", 6) == 0 && n_swaps_left-- > 0)
        assert_int_equal(rename(impostor_path, path), 0);
    return r;
}

static void make_impostor(const struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    impostor_path = fixture_path(fixture, "impostor");
    impostor_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", impostor_path);
    assert_int_equal(syscall(SYS_bind, impostor_fd, &address, sizeof(address)), 0);
    assert_int_equal(listen(impostor_fd, 4), 0);
}

static void test_publish_socket_that_is_not_the_one_bound_is_not_published(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener;
    int client, accepted;

    make_impostor(fixture);
    n_swaps_left = 1;
    listener = fixture_publish(&fixture->config, false); /* tried again */
    n_swaps_left = 0;
    while ((accepted = accept(impostor_fd, NULL, NULL)) >= 0) /* what asked whose it is */
        close(accepted);
    client = fixture_connect(fixture->path);
    assert_true(client >= 0);
    accepted = accept(listener->fd, NULL, NULL);
    assert_true(accepted >= 0);
    assert_int_equal(accept(impostor_fd, NULL, NULL), -1);
    close(accepted);
    close(client);
    close(impostor_fd);
    listener_free(listener);
}

/* A default ACL that lets a stranger in, as setfacl -d -m u:65534:rw makes it. */
static void set_default_acl(const char *directory)
{
    struct {
        uint32_t version;
        struct {
            uint16_t tag, permissions;
            uint32_t id;
        } entries[5];
    } acl = {2,
             {{0x01, 7, UINT32_MAX},
              {0x02, 7, FIXTURE_STRANGER},
              {0x04, 7, UINT32_MAX},
              {0x10, 7, UINT32_MAX},
              {0x20, 0, UINT32_MAX}}};

    assert_int_equal(setxattr(directory, "system.posix_acl_default", &acl, sizeof(acl), 0), 0);
}

static int connect_as_stranger(void *argument)
{
    int fd = fixture_connect(argument);

    return fd == -EACCES ? 0 : 1;
}

static void test_publish_default_acl_lets_nobody_in(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "made/app.sock"));
    struct listener *listener, *made;

    set_default_acl(fixture->directory);
    listener = fixture_publish(&fixture->config, false);
    assert_int_equal(fixture_stat(fixture->path).st_mode & 07777, 0660);
    assert_int_equal(fixture_as_stranger(connect_as_stranger, fixture->path), 0);
    made = fixture_publish(&config, false);
    assert_int_equal(fixture_stat(fixture_path(fixture, "made")).st_mode & 07777, 0750);
    assert_true(getxattr(fixture_path(fixture, "made"), "system.posix_acl_access", NULL, 0) < 0);
    assert_true(getxattr(fixture_path(fixture, "made"), "system.posix_acl_default", NULL, 0) < 0);
    assert_int_equal(fixture_as_stranger(connect_as_stranger, (void *)config.bind.name), 0);
    listener_free(made);
    listener_free(listener);
}

static int publish_unwritable(void *argument)
{
    struct fixture *fixture = argument;
    struct error error = ERROR_INIT;
    struct listener *listener = NULL;
    struct listener_config made = fixture_config(fixture_path(fixture, "made/app.sock"));
    struct listener_config closed = fixture_config(fixture_path(fixture, "closed/app.sock"));

    if (listener_publish(&fixture->config, false, &listener, &error) != -EACCES ||
        !strstr(error.message, "cannot write to directory") || !strstr(error.message, "uid 65534, gid 65534"))
        return 1;
    if (listener_publish(&made, false, &listener, &error) != -EACCES || !strstr(error.message, "cannot make directory"))
        return 2;
    if (listener_publish(&closed, false, &listener, &error) != -EACCES ||
        !strstr(error.message, "cannot open directory"))
        return 3;
    return 0;
}

static void test_publish_directory_without_permission_is_refused(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(mkdir(fixture_path(fixture, "closed"), 0700), 0);
    assert_int_equal(fixture_as_stranger(publish_unwritable, fixture), 0);
    assert_int_equal(fixture_count_entries(fixture->directory), 1);
}

/* Whoever may read the directory may lock it, and that is nobody's business. */
static void test_publish_directory_that_somebody_locks_is_served_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct instant begin = instant_now();
    int fd = open(fixture->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

    assert_int_equal(flock(fd, LOCK_EX), 0);
    listener_free(fixture_publish(&fixture->config, false));
    assert_true(instant_elapsed_us(begin, instant_now()) < 2000000);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
    close(fd);
}

/* Our own lock, which only a process of ours can hold: it is waited for, but once. */
static void test_publish_own_lock_that_stays_taken_is_waited_for_once(void **state)
{
    struct fixture *fixture = *state;
    struct instant begin = instant_now();
    int lock;

    lock = open(fixture_path(fixture, ".porthole-lock"), O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(flock(lock, LOCK_EX), 0);
    for (int i = 0; i < 8; i++)
        listener_free(fixture_publish(&fixture->config, false));
    assert_true(instant_elapsed_us(begin, instant_now()) >= 1000000);
    assert_true(instant_elapsed_us(begin, instant_now()) < 8000000); /* 16 waits are 32 s */
    assert_int_equal(fixture_count_entries(fixture->directory), 1);
    close(lock);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_publish_nothing_there_serves),
        T(test_publish_any_umask_mode_is_right_and_umask_stays),
        T(test_publish_umask_0777_without_privilege_serves),
        T(test_publish_owner_and_group_are_set),
        T(test_publish_set_group_id_directory_gives_its_group),
        T(test_publish_volume_ignores_modes_fails_naming_both),
        T(test_publish_volume_ignores_owners_fails_naming_both),
        T(test_publish_owner_without_privilege_fails_and_leaves_nothing),
        T(test_publish_stranger_never_reaches_the_temporary_socket),
        T(test_publish_swapped_socket_leaves_the_mode_of_other_files),
        T(test_publish_address_tells_the_path_through_a_descriptor),
        T(test_publish_address_of_a_long_name_is_short),
        T(test_publish_paths_longer_than_sockaddr_un_are_served),
        T(test_publish_name_that_is_none_is_refused),
        T(test_publish_failure_takes_the_made_directory_away),
        T(test_publish_link_of_others_in_place_of_the_directory_is_refused),
        T(test_publish_again_through_a_link_that_was_not_there_is_refused),
        T(test_publish_socket_that_is_not_the_one_bound_is_not_published),
        T(test_publish_default_acl_lets_nobody_in),
        T(test_publish_directory_without_permission_is_refused),
        T(test_publish_directory_that_somebody_locks_is_served_at_once),
        T(test_publish_own_lock_that_stays_taken_is_waited_for_once),
    };

    return cmocka_run_group_tests_name("publish", tests, NULL, NULL);
}
