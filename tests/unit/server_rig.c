#include "tests/unit/server_rig.h"

#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <cmocka.h>

struct snapshot *running_snapshot(struct fixture *fixture, const char *format)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    char text[4096];
    const char *d = fixture->directory;
    size_t n = 0;

    for (const char *at = format; *at && n + 128 < sizeof(text); at++) {
        if (at[0] == '%' && at[1] == 's') {
            n += (size_t)snprintf(text + n, sizeof(text) - n, "%s", d);
            at++;
        } else {
            text[n++] = *at;
        }
    }
    if (config_parse(text, n, "test", &snapshot, &problems) != 0) {
        problems_print(&problems, "test", "", stderr);
        fail_msg("the configuration is not good: %.*s", (int)n, text);
    }
    return snapshot;
}

int running_make(struct fixture *fixture, const char *format, bool takeover, struct server **ret_server)
{
    const struct server_options options = {.takeover = takeover};
    struct snapshot *snapshot = running_snapshot(fixture, format);
    struct error error = ERROR_INIT;
    int r = server_new(snapshot, &options, ret_server, &error);

    if (r == 0)
        assert_int_equal(server_start(*ret_server, &error), 0);
    assert_true(r <= 0);
    assert_int_equal(r, error.code);
    snapshot_unref(snapshot);
    return r;
}

static void *running_main(void *closure)
{
    struct running *running = closure;

    running->result = server_run(running->server);
    return NULL;
}

void running_start(struct running *running)
{
    assert_int_equal(pthread_create(&running->thread, NULL, running_main, running), 0);
}

void running_begin(struct running *running, struct fixture *fixture, const char *format, bool takeover)
{
    assert_int_equal(running_make(fixture, format, takeover, &running->server), 0);
    running_start(running);
}

void running_join(struct running *running)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    assert_int_equal(pthread_timedjoin_np(running->thread, NULL, &until), 0);
    assert_int_equal(running->result, 0);
    server_free(running->server);
}

void running_end(struct running *running)
{
    server_stop(running->server);
    running_join(running);
}

void running_expect(int fd, const char *text)
{
    struct pollfd waiting = {.fd = fd, .events = POLLIN};
    char data[4096];
    size_t n = 0;
    ssize_t r;

    for (data[0] = '\0'; !text || !strstr(data, text); data[n] = '\0') {
        if (poll(&waiting, 1, PATIENCE_MS) != 1)
            fail_msg("'%s' never came after '%s'", text ? text : "the end", data);
        r = recv(fd, data + n, sizeof(data) - 1 - n, 0);
        if (r <= 0 && text)
            fail_msg("an end came instead of '%s' after '%s'", text, data);
        if (r <= 0)
            return;
        n += (size_t)r;
    }
}

int running_say(const char *path, const char *text)
{
    int fd = fixture_connect(path);

    if (fd < 0)
        fail_msg("cannot connect to %s: %s", path, strerror(-fd));
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

int running_target(struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/target.sock", fixture->directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}
