#include "tests/unit/publish_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int fixture_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

static int fixture_setup_in(void **state, const char *parent)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));

    assert_non_null(fixture);
    snprintf(fixture->directory, sizeof(fixture->directory), "%s/porthole-unit-XXXXXX", parent);
    assert_non_null(mkdtemp(fixture->directory));
    assert_int_equal(chmod(fixture->directory, 0755), 0);
    snprintf(fixture->path, sizeof(fixture->path), "%s/app.sock", fixture->directory);
    fixture->config = fixture_config(fixture->path);
    *state = fixture;
    return 0;
}

int fixture_setup(void **state)
{
    return fixture_setup_in(state, "/tmp");
}

int fixture_setup_in_memory(void **state)
{
    return fixture_setup_in(state, access("/dev/shm", W_OK | X_OK) == 0 ? "/dev/shm" : "/tmp");
}

int fixture_teardown(void **state)
{
    struct fixture *fixture = *state;

    nftw(fixture->directory, fixture_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    free(fixture);
    return 0;
}

const char *fixture_path(const struct fixture *fixture, const char *name)
{
    static char buffers[16][1024];
    static unsigned next;
    char *buffer = buffers[next++ % 16];

    snprintf(buffer, sizeof(buffers[0]), "%s/%s", fixture->directory, name);
    return buffer;
}

struct listener_config fixture_config(const char *path)
{
    return (struct listener_config){
        .name = (char *)path,
        .bind = {.kind = ADDRESS_UNIX, .text = (char *)path, .name = (char *)path},
        .mode = 0660,
        .owner = OWNER_UNCHANGED,
        .group = OWNER_UNCHANGED,
        .directory_mode = 0750,
        .backlog = 1024,
    };
}

struct listener *fixture_publish(const struct listener_config *config, bool takeover)
{
    struct error error = ERROR_INIT;
    struct listener *listener = NULL;
    int r = listener_publish(config, takeover, &listener, &error);

    if (r < 0)
        fail_msg("cannot publish: %s", error.message);
    assert_int_equal(r, 0);
    assert_non_null(listener);
    return listener;
}

void fixture_expect_failure(const struct listener_config *config, bool takeover, int code, const char *part)
{
    struct error error = ERROR_INIT;
    struct listener *listener = NULL;
    int n_descriptors = fixture_count_descriptors();
    int r = listener_publish(config, takeover, &listener, &error);

    if (r != code || error.code != code || !strstr(error.message, part))
        fail_msg("expected %d and '%s', got %d and '%s'", code, part, r, error.message);
    assert_null(listener);
    assert_int_equal(fixture_count_descriptors(), n_descriptors);
}

int fixture_connect(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int file = open(path, O_PATH | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int r = file < 0 ? -errno : 0;

    if (r == 0) {
        snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
        if (connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
            r = -errno;
        close(file);
    }
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

struct stat fixture_stat(const char *path)
{
    struct stat st;

    if (lstat(path, &st) < 0)
        fail_msg("%s: %s", path, strerror(errno));
    return st;
}

int fixture_count_entries(const char *directory)
{
    DIR *entries = opendir(directory);
    int n = 0;

    assert_non_null(entries);
    while (readdir(entries))
        n++;
    closedir(entries);
    return n - 2;
}

int fixture_count_descriptors(void)
{
    return fixture_count_entries("/proc/self/fd");
}

void fixture_expect_only_socket(const struct fixture *fixture)
{
    assert_int_equal(fixture_count_entries(fixture->directory), 1);
    assert_true(S_ISSOCK(fixture_stat(fixture->path).st_mode));
}

void fixture_make_stale(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s", path);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    close(fd);
}

int fixture_as_stranger(int (*fn)(void *argument), void *argument)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        if (setgroups(0, NULL) < 0 || setresgid(FIXTURE_STRANGER, FIXTURE_STRANGER, FIXTURE_STRANGER) < 0 ||
            setresuid(FIXTURE_STRANGER, FIXTURE_STRANGER, FIXTURE_STRANGER) < 0)
            _exit(126);
        _exit(fn(argument));
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_true(WIFEXITED(status));
    assert_int_not_equal(WEXITSTATUS(status), 126);
    return WEXITSTATUS(status);
}
