/* Publishing while somebody who may write the directory moves, replaces and removes whatever appears there: files that
 * are not ours to change stay as they are, and what is published is always our socket. Here that is a race, and chance
 * decides what is tried (test_publish_steps tries all that can happen between two calls). Environment: ATTACK_SECONDS
 * and ATTACK_TRIES  of each attack at least (defaults: 2 and 0); `make attack` is the long form */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/clock.h"
#include "tests/unit/publish_fixture.h"

#define CANARY_CONTENT "nobody's business\n"
#define MOST_PLANTED 32

/* Only tries: the victim may be quicker. */
static void attacker_link(const char *target, const char *name)
{
    if (symlink(target, name) < 0)
        errno = 0;
}

static void attacker_link_in(int directory, const char *name)
{
    if (symlinkat("../canary/file", directory, name) < 0)
        errno = 0;
}

/* ---- the attacker, a process of its own in the directory ---- */

struct attacker {
    bool inside; /* of our own user: can go into private directories */
    unsigned n_moved;
    int planted[MOST_PLANTED]; /* sockets of which some are in a nursery */
    unsigned n_planted;
};

/* Goes into a directory, and never through a link that an attacker has made: what lies there is not ours to break. */
static int attacker_enter(const char *name)
{
    return open(name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

/* Makes a socket that the attacker listens on and moves it to the name. */
static void attacker_plant_socket(struct attacker *attacker, int directory, const char *name)
{
    int *slot = &attacker->planted[attacker->n_planted++ % MOST_PLANTED];
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (*slot > 0)
        close(*slot);
    *slot = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "planted%d", getpid());
    unlink(address.sun_path);
    if (bind(*slot, (struct sockaddr *)&address, sizeof(address)) == 0 && listen(*slot, 100) == 0 &&
        chmod(address.sun_path, 0777) == 0 && renameat(AT_FDCWD, address.sun_path, directory, name) < 0)
        unlink(address.sun_path);
}

/* Else the attack is over with the first that was planted where nobody may remove the directory. */
static void attacker_empty(const char *name)
{
    int directory = attacker_enter(name);

    if (directory < 0)
        return;
    unlinkat(directory, "app.sock", 0);
    close(directory);
}

/* What was left here 64 times ago would keep the name from being free. */
static void attacker_move_away(struct attacker *attacker, const char *name)
{
    char away[32];

    snprintf(away, sizeof(away), "away%u", attacker->n_moved++ % 64);
    attacker_empty(away);
    if (rmdir(away) < 0)
        unlink(away);
    if (rename(name, away) < 0)
        unlink(name);
}

static void attacker_replace(struct attacker *attacker, const char *name)
{
    int directory;

    attacker_move_away(attacker, name);
    switch (random() % 5) {
    case 0:
        attacker_link("canary", name);
        break;
    case 1:
        attacker_link("canary/file", name);
        break;
    case 2:
        if (rename("treasure", name) == 0) /* of root's, and private, as a nursery is */
            rename(name, "treasure");
        break;
    case 3:
        break;
    default:
        mkdir(name, 0777);
        directory = attacker_enter(name);
        attacker_link_in(directory, "app.sock");
        close(directory);
        break;
    }
}

/* In the place of the socket that is being made. */
static void attacker_swap_socket(struct attacker *attacker, const char *name)
{
    int fd = attacker_enter(name);
    DIR *directory = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;

    while (directory && (entry = readdir(directory))) {
        if (entry->d_name[0] == '.')
            continue;
        if (random() % 2) {
            attacker_plant_socket(attacker, fd, entry->d_name);
        } else {
            unlinkat(fd, entry->d_name, 0);
            attacker_link_in(fd, entry->d_name);
        }
    }
    if (directory)
        closedir(directory);
}

static void attacker_meet(struct attacker *attacker, const char *name)
{
    bool is_nursery = strncmp(name, ".porthole-", 10) == 0 && strlen(name) == 18;

    if (attacker->inside && is_nursery && random() % 4)
        attacker_swap_socket(attacker, name);
    else if ((is_nursery || strcmp(name, "made") == 0) && random() % 8)
        attacker_replace(attacker, name);
    else if (is_nursery)
        rmdir(name);
    else if (strcmp(name, "made") == 0)
        attacker_empty(name);
    else if (strcmp(name, "app.sock") == 0 && random() % 8 == 0)
        unlink(name);
}

static void attacker_run(const char *directory, uid_t uid)
{
    struct attacker attacker = {.inside = uid == geteuid()};

    srandom((unsigned)getpid());
    umask(0);
    if (chdir(directory) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
        _exit(126);
    for (;;) {
        DIR *entries = opendir(".");
        struct dirent *entry;

        while (entries && (entry = readdir(entries)))
            attacker_meet(&attacker, entry->d_name);
        if (entries)
            closedir(entries);
    }
}

/* ---- what must stay as it is ---- */

struct canary {
    struct stat directory, file;
};

static void canary_make(const struct fixture *fixture, struct canary *canary)
{
    int fd;

    assert_int_equal(mkdir(fixture_path(fixture, "canary"), 0711), 0);
    fd = open(fixture_path(fixture, "canary/file"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, CANARY_CONTENT, sizeof(CANARY_CONTENT) - 1), sizeof(CANARY_CONTENT) - 1);
    close(fd);
    assert_int_equal(mkdir(fixture_path(fixture, "treasure"), 0700), 0);
    canary->directory = fixture_stat(fixture_path(fixture, "canary"));
    canary->file = fixture_stat(fixture_path(fixture, "canary/file"));
}

static void expect_same(const struct stat *before, const char *path)
{
    struct stat st = fixture_stat(path);

    assert_int_equal(st.st_ino, before->st_ino);
    assert_int_equal(st.st_mode, before->st_mode);
    assert_int_equal(st.st_uid, before->st_uid);
    assert_int_equal(st.st_gid, before->st_gid);
    assert_int_equal(st.st_size, before->st_size);
}

static void canary_check(const struct fixture *fixture, const struct canary *canary)
{
    expect_same(&canary->directory, fixture_path(fixture, "canary"));
    expect_same(&canary->file, fixture_path(fixture, "canary/file"));
    assert_int_equal(fixture_count_entries(fixture_path(fixture, "canary")), 1);
}

/* ---- the victim ---- */

/* Whose a socket is that has just been published; the attackers put none of theirs at the path itself. */
static void expect_ours(const char *path)
{
    struct ucred ucred = {0};
    socklen_t size = sizeof(ucred);
    int client = fixture_connect(path);

    if (client < 0)
        return; /* taken away meanwhile */
    assert_int_equal(getsockopt(client, SOL_SOCKET, SO_PEERCRED, &ucred, &size), 0);
    close(client);
    assert_int_equal(ucred.pid, getpid());
}

static unsigned number_of(const char *name, unsigned otherwise)
{
    const char *value = getenv(name);

    return value ? (unsigned)strtoul(value, NULL, 10) : otherwise;
}

static void publish_under_attack(struct fixture *fixture, uid_t attacker, mode_t mode)
{
    struct instant end = instant_add_ms(instant_now(), (uint64_t)number_of("ATTACK_SECONDS", 2) * 1000);
    struct instant latest = instant_add_ms(end, 20000);
    unsigned n_wanted = number_of("ATTACK_TRIES", 0);
    struct listener_config configs[2] = {fixture->config};
    unsigned n_tries = 0, n_published[2] = {0};
    char refused[ERROR_MESSAGE_BYTES] = "none", made[sizeof(fixture->directory) + 16];
    struct canary canary;
    pid_t pids[2];

    canary_make(fixture, &canary);
    assert_int_equal(chmod(fixture->directory, mode), 0);
    snprintf(made, sizeof(made), "%s/made/app.sock", fixture->directory);
    configs[1] = fixture_config(made);
    configs[0].mode = configs[1].mode = 0666;
    configs[1].has_directory_mode = true;
    configs[1].directory_mode = 0777;
    for (size_t i = 0; i < ARRAY_LENGTH(pids); i++) {
        pids[i] = fork();
        if (pids[i] == 0)
            attacker_run(fixture->directory, attacker);
    }
    while (n_tries < n_wanted || instant_before(instant_now(), end) ||
           ((!n_published[0] || !n_published[1]) && instant_before(instant_now(), latest))) {
        unsigned kind = n_tries++ % 2;
        const struct listener_config *config = &configs[kind];
        struct error error = ERROR_INIT;
        struct listener *listener = NULL;

        if (listener_publish(config, true, &listener, &error) < 0) {
            snprintf(refused, sizeof(refused), "%s", error.message);
        } else {
            n_published[kind]++;
            expect_ours(config->bind.name);
            canary_check(fixture, &canary); /* while what is published is there */
        }
        listener_free(listener);
    }
    for (size_t i = 0; i < ARRAY_LENGTH(pids); i++) {
        int status;

        kill(pids[i], SIGKILL);
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        assert_true(WIFSIGNALED(status)); /* it was at it until now */
    }
    canary_check(fixture, &canary);
    print_message("%u tries, %u published, %u with their directory, refused at last: %s\n", n_tries, n_published[0],
                  n_published[1], refused);
    assert_true(n_published[0] > 0 && n_published[1] > 0);
}

static void test_publish_attacked_by_another_user_changes_nothing_else(void **state)
{
    publish_under_attack(*state, FIXTURE_STRANGER, 0777);
}

static void test_publish_attacked_where_names_are_sticky_changes_nothing_else(void **state)
{
    publish_under_attack(*state, FIXTURE_STRANGER, 01777);
}

static void test_publish_attacked_by_our_own_user_changes_nothing_else(void **state)
{
    publish_under_attack(*state, geteuid(), 0777);
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup_in_memory, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_publish_attacked_by_another_user_changes_nothing_else),
        T(test_publish_attacked_where_names_are_sticky_changes_nothing_else),
        T(test_publish_attacked_by_our_own_user_changes_nothing_else),
    };

    return cmocka_run_group_tests_name("publish_attack", tests, NULL, NULL);
}
