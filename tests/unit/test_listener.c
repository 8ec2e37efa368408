/* Listeners over time: who wins, who takes over, whose file goes; and the kinds without a file. */
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/reach/addresses.h"
#include "tests/unit/publish_fixture.h"

#define N_TAKEOVERS 1000
#define N_PUBLISHERS 4
#define N_ROUNDS 25

static void test_listener_withdrawn_after_removal_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = fixture_publish(&fixture->config, false);

    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(listener_look(listener), LISTENER_ABSENT);
    listener_free(listener);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static void test_listener_withdrawn_leaves_a_foreign_file(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = fixture_publish(&fixture->config, false);
    struct stat st;

    assert_int_equal(unlink(fixture->path), 0);
    fixture_make_stale(fixture->path);
    st = fixture_stat(fixture->path);
    assert_int_equal(listener_look(listener), LISTENER_REPLACED);
    listener_free(listener);
    assert_int_equal(fixture_stat(fixture->path).st_ino, st.st_ino);
}

static void test_listener_withdrawn_still_accepts_who_has_connected(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = fixture_publish(&fixture->config, false);
    int client = fixture_connect(fixture->path);
    int accepted;

    listener_withdraw(listener);
    listener_withdraw(listener);
    assert_int_equal(fixture_connect(fixture->path), -ENOENT);
    accepted = accept(listener->fd, NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(client);
    listener_free(listener);
    listener_free(NULL);
}

static void test_listener_published_again_after_removal_serves_and_returns_the_old(void **state)
{
    struct fixture *fixture = *state;
    struct listener_config config = fixture_config(fixture_path(fixture, "volume/app.sock"));
    struct listener *listener = fixture_publish(&config, false);
    int early = fixture_connect(config.bind.name);
    int old, client, accepted;

    /* the directory goes, too, as when a volume is mounted anew */
    assert_int_equal(unlink(config.bind.name), 0);
    assert_int_equal(rmdir(fixture_path(fixture, "volume")), 0);
    assert_int_equal(listener_look(listener), LISTENER_ABSENT);
    old = listener_publish_again(listener, NULL);
    assert_true(old >= 0);
    assert_int_equal(listener_look(listener), LISTENER_OURS);
    client = fixture_connect(config.bind.name);
    assert_true(client >= 0);
    accepted = accept(old, NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted);
    close(early);
    close(client);
    close(old);
    listener_free(listener);
    assert_int_equal(fixture_count_entries(fixture_path(fixture, "volume")), 0);
}

static void test_listener_published_again_over_a_foreign_file_fails_and_keeps_its_own(void **state)
{
    struct fixture *fixture = *state;
    struct listener *listener = fixture_publish(&fixture->config, false);
    struct error error = ERROR_INIT;
    int fd = listener->fd;

    assert_int_equal(unlink(fixture->path), 0);
    assert_int_equal(mkdir(fixture->path, 0700), 0);
    assert_int_equal(listener_publish_again(listener, &error), -EEXIST);
    assert_non_null(strstr(error.message, "is a directory"));
    assert_int_equal(listener->fd, fd);
    listener_free(listener);
    assert_true(S_ISDIR(fixture_stat(fixture->path).st_mode));
}

/* A client that looks and connects all the time. */
struct watcher {
    const char *path;
    atomic_bool stop;
    atomic_uint n_looks, n_connected;
    unsigned n_absent;
};

static void *watcher_main(void *opaque)
{
    struct watcher *watcher = opaque;
    struct stat st;

    while (!watcher->stop) {
        int fd = fixture_connect(watcher->path);

        watcher->n_looks++;
        watcher->n_connected += fd >= 0;
        watcher->n_absent += fd == -ENOENT || lstat(watcher->path, &st) < 0;
        if (fd >= 0)
            close(fd);
    }
    return NULL;
}

static void test_listener_thousand_takeovers_path_is_never_absent(void **state)
{
    struct fixture *fixture = *state;
    struct watcher watcher = {.path = fixture->path};
    struct listener *listener = fixture_publish(&fixture->config, false);
    pthread_t thread;

    assert_int_equal(pthread_create(&thread, NULL, watcher_main, &watcher), 0);
    for (int i = 0; i < N_TAKEOVERS || watcher.n_looks <= N_TAKEOVERS / 10 || watcher.n_connected == 0; i++) {
        struct listener *fresh = fixture_publish(&fixture->config, true);

        listener_free(listener);
        listener = fresh;
    }
    watcher.stop = true;
    pthread_join(thread, NULL);
    assert_int_equal(watcher.n_absent, 0);
    assert_true(watcher.n_connected > 0);
    assert_true(watcher.n_looks > N_TAKEOVERS / 10);
    assert_int_equal(listener_look(listener), LISTENER_OURS);
    listener_free(listener);
}

/* Waits for the start, publishes, tells how it went, and holds what it has until the end. */
static int publisher_main(const struct fixture *fixture, int start, int result, int end)
{
    struct listener *listener = NULL;
    char byte;
    int r;

    if (read(start, &byte, 1) != 0)
        return 1;
    r = listener_publish(&fixture->config, false, &listener, NULL);
    byte = r == 0 ? 'w' : r == -EADDRINUSE ? 'l' : '?';
    if (write(result, &byte, 1) != 1 || read(end, &byte, 1) != 0)
        return 1;
    listener_free(listener);
    return 0;
}

/* Lets several processes publish at once; returns how many won, and fails the test when one neither won nor lost. */
static int race_publishers(const struct fixture *fixture)
{
    int start[2], result[2], end[2], status;
    char bytes[N_PUBLISHERS];
    int n_won = 0;

    assert_int_equal(pipe2(start, O_CLOEXEC) | pipe2(result, O_CLOEXEC) | pipe2(end, O_CLOEXEC), 0);
    for (int i = 0; i < N_PUBLISHERS; i++) {
        pid_t pid = fork();

        assert_true(pid >= 0);
        if (pid == 0) {
            close(start[1]);
            close(end[1]);
            _exit(publisher_main(fixture, start[0], result[1], end[0]));
        }
    }
    close(start[1]);
    for (int i = 0; i < N_PUBLISHERS; i++) {
        assert_int_equal(read(result[0], &bytes[i], 1), 1);
        assert_int_not_equal(bytes[i], '?');
        n_won += bytes[i] == 'w';
    }
    close(end[1]);
    for (int i = 0; i < N_PUBLISHERS; i++) {
        assert_true(wait(&status) > 0);
        assert_int_equal(status, 0);
    }
    close(start[0]);
    close(end[0]);
    close(result[0]);
    close(result[1]);
    return n_won;
}

static void test_listener_concurrent_publishers_exactly_one_wins(void **state)
{
    struct fixture *fixture = *state;

    for (int round = 0; round < N_ROUNDS; round++) {
        if (round % 2)
            fixture_make_stale(fixture->path);
        assert_int_equal(race_publishers(fixture), 1);
        assert_int_equal(fixture_count_entries(fixture->directory), 0);
    }
}

static struct listener_config abstract_config(const char *name)
{
    struct listener_config config = fixture_config(name);

    config.bind.kind = ADDRESS_ABSTRACT;
    return config;
}

static void test_listener_abstract_name_serves_and_is_exclusive(void **state)
{
    char name[64] = "";
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    struct listener_config config = abstract_config(name);
    struct listener *listener;
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    snprintf(name, sizeof(name), "porthole-unit-%d", getpid());
    listener = fixture_publish(&config, false);
    assert_int_equal(listener_look(listener), LISTENER_OURS);
    assert_int_equal(listener_publish_again(listener, NULL), -EINVAL);
    snprintf(address.sun_path + 1, sizeof(address.sun_path) - 1, "%s", name);
    assert_int_equal(connect(fd, (struct sockaddr *)&address,
                             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
                     0);
    close(fd);
    fixture_expect_failure(&config, false, -EADDRINUSE, "stop it or use --takeover");
    fixture_expect_failure(&config, true, -EADDRINUSE, "does not offer it");
    listener_free(listener);
    listener_free(fixture_publish(&config, false));
}

static void test_listener_abstract_name_of_107_bytes_fits_and_108_do_not(void **state)
{
    char name[128] = "";
    struct listener_config config = abstract_config(name);

    (void)state;
    snprintf(name, sizeof(name), "%0107d", getpid());
    listener_free(fixture_publish(&config, false));
    snprintf(name, sizeof(name), "%0108d", getpid());
    fixture_expect_failure(&config, false, -ENAMETOOLONG, "108 bytes");
}

static struct listener_config tcp_config(const char *host, in_port_t port)
{
    struct listener_config config = fixture_config(host);

    config.bind.kind = ADDRESS_TCP;
    config.bind.port = port;
    return config;
}

static in_port_t port_of(const struct listener *listener)
{
    struct sockaddr_in6 address = {.sin6_port = 0};
    socklen_t length = sizeof(address);

    assert_int_equal(getsockname(listener->fd, (struct sockaddr *)&address, &length), 0);
    return ntohs(address.sin6_port); /* at the same place in sockaddr_in */
}

/* A connection or a negative errno. */
static int open_ipv4(in_port_t port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int r;

    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    r = connect(fd, (struct sockaddr *)&address, sizeof(address)) < 0 ? -errno : 0;
    if (r == 0)
        return fd;
    close(fd);
    return r;
}

static int connect_ipv4(in_port_t port)
{
    int fd = open_ipv4(port);

    if (fd < 0)
        return fd;
    close(fd);
    return 0;
}

static void test_listener_tcp_literal_and_name_serve_and_are_exclusive(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(hosts); i++) {
        struct listener_config config = tcp_config(hosts[i], 0);
        struct listener *listener = fixture_publish(&config, false);

        config.bind.port = port_of(listener);
        if (i == 0)
            assert_int_equal(connect_ipv4(config.bind.port), 0);
        fixture_expect_failure(&config, true, -EADDRINUSE, "another process serves");
        assert_true(fcntl(listener->fd, F_GETFL) & O_NONBLOCK);
        listener_free(listener);
    }
}

/* localhost, say, which is 127.0.0.1 and ::1: two processes do not get one each. */
static void test_listener_tcp_name_whose_first_address_is_taken_gets_no_other(void **state)
{
    struct listener_config config = tcp_config("127.0.0.1", 0);
    struct listener *first = fixture_publish(&config, false), *second = NULL;
    struct addresses *known = calloc(1, sizeof(*known) + 2 * sizeof(known->list[0]));

    (void)state;
    assert_non_null(known);
    known->n = 2;
    for (size_t i = 0; i < 2; i++)
        known->list[i].four =
            (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK + (in_addr_t)i)};
    config.bind.port = port_of(first);
    for (int takeover = 0; takeover < 2; takeover++) {
        struct error error = ERROR_INIT;

        assert_int_equal(listener_prepare(&config, takeover, known, &second, &error), -EADDRINUSE);
        assert_non_null(strstr(error.message, "another process serves"));
    }
    listener_free(first);
    free(known);
}

static void test_listener_tcp_port_with_connections_in_time_wait_is_bound_again(void **state)
{
    struct listener_config config = tcp_config("127.0.0.1", 0);
    struct listener *listener = fixture_publish(&config, false);
    int client, accepted;

    (void)state;
    config.bind.port = port_of(listener);
    client = open_ipv4(config.bind.port);
    assert_true(client >= 0);
    accepted = accept(listener->fd, NULL, NULL);
    assert_true(accepted >= 0);
    close(accepted); /* who closes first keeps the port in TIME_WAIT */
    close(client);
    listener_free(listener);
    listener_free(fixture_publish(&config, false));
}

static void test_listener_tcp_ipv6_wildcard_is_ipv6_only(void **state)
{
    struct listener_config config = tcp_config("::", 0);
    struct error error = ERROR_INIT;
    struct listener *listener = NULL;
    int r = listener_publish(&config, false, &listener, &error);

    (void)state;
    if (r == -EAFNOSUPPORT || r == -EADDRNOTAVAIL)
        skip();
    assert_int_equal(r, 0);
    assert_int_equal(connect_ipv4(port_of(listener)), -ECONNREFUSED);
    listener_free(listener);
}

static void test_listener_tcp_host_that_is_none_fails_naming_it(void **state)
{
    struct listener_config config = tcp_config("a..b", 0);

    (void)state;
    fixture_expect_failure(&config, false, -EADDRNOTAVAIL, "cannot resolve the host of a..b");
    config = tcp_config("192.0.2.1", 0);
    fixture_expect_failure(&config, false, -EADDRNOTAVAIL, "cannot listen on 192.0.2.1");
}

static void test_listener_address_of_a_target_is_refused(void **state)
{
    struct listener_config config = tcp_config("127.0.0.1", 80);

    (void)state;
    config.bind.kind = ADDRESS_HTTP;
    fixture_expect_failure(&config, false, -EINVAL, "is the address of a target");
}

#define T(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        T(test_listener_withdrawn_after_removal_leaves_nothing),
        T(test_listener_withdrawn_leaves_a_foreign_file),
        T(test_listener_withdrawn_still_accepts_who_has_connected),
        T(test_listener_published_again_after_removal_serves_and_returns_the_old),
        T(test_listener_published_again_over_a_foreign_file_fails_and_keeps_its_own),
        T(test_listener_thousand_takeovers_path_is_never_absent),
        T(test_listener_concurrent_publishers_exactly_one_wins),
        cmocka_unit_test(test_listener_abstract_name_serves_and_is_exclusive),
        cmocka_unit_test(test_listener_abstract_name_of_107_bytes_fits_and_108_do_not),
        cmocka_unit_test(test_listener_tcp_literal_and_name_serve_and_are_exclusive),
        cmocka_unit_test(test_listener_tcp_name_whose_first_address_is_taken_gets_no_other),
        cmocka_unit_test(test_listener_tcp_port_with_connections_in_time_wait_is_bound_again),
        cmocka_unit_test(test_listener_tcp_ipv6_wildcard_is_ipv6_only),
        cmocka_unit_test(test_listener_tcp_host_that_is_none_fails_naming_it),
        cmocka_unit_test(test_listener_address_of_a_target_is_refused),
    };

    return cmocka_run_group_tests_name("listener", tests, NULL, NULL);
}
