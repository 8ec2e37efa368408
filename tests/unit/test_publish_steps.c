/* Publishing, with an attack before each system call that takes a name: whatever can happen between two of them, one
 * thing or two, does happen here, and not by chance (test_publish_attack is for that). What must never come of it:
 * something changed that is not ours to change, a stranger let in, a success that is none, a descriptor lost.
 *
 * The Makefile puts the calls below in front of libc's (--wrap). Environment: ATTACK_TRIES  with two attacks at random
 * (default: 300), ATTACK_SEED  of these */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
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

#include "tests/unit/publish_scene.h"

#define MOST_ATTACKS 2
#define SOCKET_NAME "app.sock"

/* ---- the steps ---- */

struct step_attack {
    unsigned at; /* the number of the call before which it is, from 1 */
    enum scene_place place;
    enum scene_thing thing;
};

static struct {
    bool on; /* the calls are those of a publication */
    struct scene scene;
    struct step_attack attacks[MOST_ATTACKS];
    unsigned n_steps;
    unsigned done;  /* the last step with an attack that did something; 0: none */
    unsigned shown; /* the last step that moved a socket to its name */
    bool let_in;
} steps;

static void step(void)
{
    int saved_errno = errno;

    if (!steps.on)
        return;
    steps.on = false;
    steps.n_steps++;
    for (size_t i = 0; i < MOST_ATTACKS; i++)
        if (steps.attacks[i].at == steps.n_steps &&
            scene_attack(&steps.scene, steps.attacks[i].place, steps.attacks[i].thing))
            steps.done = steps.n_steps;
    if (steps.done > 0 && steps.scene.uid != geteuid() && scene_knock(&steps.scene))
        steps.let_in = true;
    steps.on = true;
    errno = saved_errno;
}

#define WRAP(result, name, parameters, arguments) \
    result __real_##name parameters;              \
    result __wrap_##name parameters;              \
    result __wrap_##name parameters               \
    {                                             \
        step();                                   \
        return __real_##name arguments;           \
    }

/* The mode is there or not; passing it on does no harm. */
WRAP(int, open, (const char *path, int flags, mode_t mode), (path, flags, mode))
WRAP(int, openat, (int fd, const char *name, int flags, mode_t mode), (fd, name, flags, mode))
WRAP(int, mkdirat, (int fd, const char *name, mode_t mode), (fd, name, mode))
WRAP(int, chmod, (const char *path, mode_t mode), (path, mode))
WRAP(int, fchmodat, (int fd, const char *name, mode_t mode, int flags), (fd, name, mode, flags))
WRAP(int, chown, (const char *path, uid_t uid, gid_t gid), (path, uid, gid))
WRAP(int, fchownat, (int fd, const char *name, uid_t uid, gid_t gid, int flags), (fd, name, uid, gid, flags))
WRAP(int, unlinkat, (int fd, const char *name, int flags), (fd, name, flags))
WRAP(int, stat, (const char *path, struct stat *st), (path, st))
WRAP(int, lstat, (const char *path, struct stat *st), (path, st))
WRAP(int, fstatat, (int fd, const char *name, struct stat *st, int flags), (fd, name, st, flags))
WRAP(int, bind, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
WRAP(int, connect, (int fd, const struct sockaddr *address, socklen_t length), (fd, address, length))
WRAP(int, renameat2, (int from_fd, const char *from, int to_fd, const char *to, unsigned flags),
     (from_fd, from, to_fd, to, flags))

int __real_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to);
int __wrap_renameat(int from_fd, const char *from, int to_fd, const char *to)
{
    step();
    if (steps.on && strcmp(to, SOCKET_NAME) == 0)
        steps.shown = steps.n_steps;
    return __real_renameat(from_fd, from, to_fd, to);
}

/* ---- how much is read of a directory ---- */

static unsigned n_names_read;

struct dirent *__real_readdir(DIR *listing);
struct dirent *__wrap_readdir(DIR *listing);
struct dirent *__wrap_readdir(DIR *listing)
{
    n_names_read++;
    return __real_readdir(listing);
}

/* ---- a publication ---- */

struct count {
    unsigned n_tries, n_attacked, n_published;
};

/* Through the directory that the listener holds: its path may lead elsewhere by now. */
static void expect_published(const struct listener *listener)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int client = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0), accepted;
    struct ucred ucred = {0};
    socklen_t size = sizeof(ucred);
    struct stat st;

    assert_int_equal(fstatat(listener->directory_fd, listener->file_name, &st, AT_SYMLINK_NOFOLLOW), 0);
    assert_true(S_ISSOCK(st.st_mode));
    assert_int_equal(st.st_mode & 07777, 0600);
    assert_int_equal(st.st_uid, geteuid());
    assert_true(st.st_ino == listener->inode);
    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d/%s", listener->directory_fd,
             listener->file_name);
    assert_int_equal(connect(client, (struct sockaddr *)&address, sizeof(address)), 0);
    do { /* whoever was let in before */
        accepted = accept4(listener->fd, NULL, NULL, SOCK_CLOEXEC);
        assert_true(accepted >= 0);
        assert_int_equal(getsockopt(accepted, SOL_SOCKET, SO_PEERCRED, &ucred, &size), 0);
        close(accepted);
    } while (ucred.pid != getpid());
    close(client);
}

static void attack_once(const struct fixture *fixture, uid_t attacker, mode_t volume_mode, bool in_directory,
                        struct count *count)
{
    struct listener_config config;
    struct error error = ERROR_INIT;
    struct listener *listener = NULL;
    int n_descriptors, r;

    scene_make(&steps.scene, fixture, attacker, volume_mode);
    config = fixture_config(fixture_path(fixture, in_directory ? "volume/made/" SOCKET_NAME : "volume/" SOCKET_NAME));
    config.mode = 0600;
    config.has_directory_mode = in_directory;
    config.directory_mode = 0777;
    n_descriptors = fixture_count_descriptors();
    steps.n_steps = steps.done = steps.shown = 0;
    steps.let_in = false;
    steps.on = true;
    r = listener_publish(&config, true, &listener, &error);
    steps.on = false;
    count->n_tries++;
    count->n_attacked += steps.done > 0;
    count->n_published += r == 0;
    /* What is done after the last look is not seen. */
    if (r == 0 && steps.done <= steps.shown + 1)
        expect_published(listener);
    scene_check(&steps.scene);
    listener_free(listener);
    scene_check(&steps.scene);
    assert_int_equal(fixture_count_descriptors() - (steps.scene.planted >= 0), n_descriptors);
    assert_false(steps.let_in);
    scene_remove(&steps.scene);
}

static void tell_attacks(void)
{
    for (size_t i = 0; i < MOST_ATTACKS; i++)
        if (steps.attacks[i].at > 0)
            print_message("under attack before call %u: %s in place of %s\n", steps.attacks[i].at,
                          scene_thing_names[steps.attacks[i].thing], scene_place_names[steps.attacks[i].place]);
}

static void attack_by_one(const struct fixture *fixture, uid_t attacker, mode_t volume_mode, bool in_directory,
                          struct count *count)
{
    struct count alone = {0};
    unsigned n_steps;

    steps.attacks[0] = steps.attacks[1] = (struct step_attack){.at = 0};
    attack_once(fixture, attacker, volume_mode, in_directory, &alone);
    assert_int_equal(alone.n_published, 1);
    n_steps = steps.n_steps;
    for (unsigned at = 1; at <= n_steps; at++)
        for (enum scene_place place = 0; place < N_PLACES; place++)
            for (enum scene_thing thing = 0; thing < N_THINGS; thing++) {
                steps.attacks[0] = (struct step_attack){at, place, thing};
                attack_once(fixture, attacker, volume_mode, in_directory, count);
                if (steps.done == 0 && thing == THING_NOTHING && (place == PLACE_NURSERY || place == PLACE_INSIDE))
                    break; /* there is none, or it is not the attacker's to change */
            }
}

static unsigned number_of(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);

    return value ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static void attack_by_two(const struct fixture *fixture, uid_t attacker, mode_t volume_mode, bool in_directory,
                          struct count *count)
{
    unsigned n_tries = number_of("ATTACK_TRIES", 300) / 2;

    for (unsigned i = 0; i < n_tries; i++) {
        for (size_t k = 0; k < MOST_ATTACKS; k++)
            steps.attacks[k] =
                (struct step_attack){1 + (unsigned)random() % 60, (enum scene_place)(random() % N_PLACES),
                                     (enum scene_thing)(random() % N_THINGS)};
        attack_once(fixture, attacker, volume_mode, in_directory, count);
    }
}

static void attack(const struct fixture *fixture, uid_t attacker, mode_t volume_mode)
{
    struct count one = {0}, two = {0};
    mode_t mask = umask(0);

    srandom(number_of("ATTACK_SEED", 1));
    assert_int_equal(setgroups(0, NULL), 0);
    for (int in_directory = 0; in_directory < 2; in_directory++) {
        attack_by_one(fixture, attacker, volume_mode, in_directory, &one);
        attack_by_two(fixture, attacker, volume_mode, in_directory, &two);
    }
    steps.attacks[0].at = steps.attacks[1].at = 0;
    umask(mask);
    print_message("one attack: %u tries, %u attacked, %u published; two: %u, %u, %u\n", one.n_tries, one.n_attacked,
                  one.n_published, two.n_tries, two.n_attacked, two.n_published);
    assert_true(one.n_attacked > 0 && one.n_published > 0);
}

static int teardown(void **state)
{
    steps.on = false;
    tell_attacks();
    return fixture_teardown(state);
}

static void test_publish_under_each_attack_of_another_user_changes_nothing_else(void **state)
{
    attack(*state, FIXTURE_STRANGER, 0777);
}

static void test_publish_under_each_attack_where_names_are_sticky_changes_nothing_else(void **state)
{
    attack(*state, FIXTURE_STRANGER, 01777);
}

static void test_publish_under_each_attack_of_our_own_user_changes_nothing_else(void **state)
{
    attack(*state, geteuid(), 0777);
}

/* Whoever may write there can leave as many names as there is room for. */
static void test_publish_among_many_names_reads_a_part_of_them(void **state)
{
    enum { N_FILES = 5000, MOST_READ = 4500 };
    struct fixture *fixture = *state;
    char name[32];

    close(open(fixture_path(fixture, "file0"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    for (int i = 1; i < N_FILES; i++) {
        snprintf(name, sizeof(name), "file%d", i);
        assert_int_equal(link(fixture_path(fixture, "file0"), fixture_path(fixture, name)), 0);
    }
    n_names_read = 0;
    listener_free(fixture_publish(&fixture->config, false));
    print_message("%u names were read\n", n_names_read);
    assert_true(n_names_read <= MOST_READ);
}

static void test_publish_among_many_leftovers_looks_into_a_few(void **state)
{
    enum { N_LEFTOVERS = 200, MOST_REMOVED = 64 };
    struct fixture *fixture = *state;
    char name[32];

    for (int i = 0; i < N_LEFTOVERS; i++) {
        snprintf(name, sizeof(name), ".porthole-left%04d", i);
        assert_int_equal(mkdir(fixture_path(fixture, name), 0700), 0);
    }
    listener_free(fixture_publish(&fixture->config, false));
    assert_int_equal(fixture_count_entries(fixture->directory), N_LEFTOVERS - MOST_REMOVED);
}

static void test_publish_of_many_listeners_looks_for_leftovers_once(void **state)
{
    enum { N_LISTENERS = 20 };
    struct listener *listeners[N_LISTENERS];
    struct fixture *fixture = *state;
    char names[N_LISTENERS][96];
    struct listener_config configs[N_LISTENERS];

    n_names_read = 0;
    for (int i = 0; i < N_LISTENERS; i++) {
        snprintf(names[i], sizeof(names[i]), "%s/%d.sock", fixture->directory, i);
        configs[i] = fixture_config(names[i]);
        listeners[i] = fixture_publish(&configs[i], false);
    }
    print_message("%u names were read\n", n_names_read);
    assert_true(n_names_read < 5 * N_LISTENERS); /* "." and ".." of the new nurseries, and their ends */
    for (int i = 0; i < N_LISTENERS; i++)
        listener_free(listeners[i]);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup_in_memory, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_publish_under_each_attack_of_another_user_changes_nothing_else),
        T(test_publish_under_each_attack_where_names_are_sticky_changes_nothing_else),
        T(test_publish_under_each_attack_of_our_own_user_changes_nothing_else),
        T(test_publish_among_many_names_reads_a_part_of_them),
        T(test_publish_among_many_leftovers_looks_into_a_few),
        T(test_publish_of_many_listeners_looks_for_leftovers_once),
    };

    return cmocka_run_group_tests_name("publish_steps", tests, NULL, NULL);
}
