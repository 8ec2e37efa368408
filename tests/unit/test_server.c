/* A server's life, with its real threads: publishing, serving, being replaced, and stopping without losing anybody. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"
#include "proxy/server.h"
#include "tests/unit/publish_fixture.h"

#define PATIENCE_MS 20000
#define GET "GET / HTTP/1.1\r\nHost: a\r\n\r\n"
#define RESPONDS "\"routes\": [ { \"respond\": { \"status\": 200, \"body\": \"hi\" } } ]"
#define FORWARDS "\"routes\": [ { \"target\": \"unix:%s/target.sock\" } ]"

struct running {
    struct server *server;
    pthread_t thread;
    int result;
};

/* `format` has the directory for each %s. */
static struct snapshot *make_snapshot(struct fixture *fixture, const char *format)
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

static int server_make_from(struct fixture *fixture, const char *format, bool takeover, struct server **ret_server)
{
    const struct server_options options = {.takeover = takeover};
    struct snapshot *snapshot = make_snapshot(fixture, format);
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

static void running_start(struct running *running)
{
    assert_int_equal(pthread_create(&running->thread, NULL, running_main, running), 0);
}

static void running_begin(struct running *running, struct fixture *fixture, const char *format, bool takeover)
{
    assert_int_equal(server_make_from(fixture, format, takeover, &running->server), 0);
    running_start(running);
}

/* Waits for its own end. */
static void running_join(struct running *running)
{
    struct timespec until;

    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += PATIENCE_MS / 1000;
    assert_int_equal(pthread_timedjoin_np(running->thread, NULL, &until), 0);
    assert_int_equal(running->result, 0);
    server_free(running->server);
}

static void running_end(struct running *running)
{
    server_stop(running->server);
    running_join(running);
}

/* Receives until the text has come, or the end when it is NULL. */
static void expect(int fd, const char *text)
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

static int say(const char *path, const char *text)
{
    int fd = fixture_connect(path);

    if (fd < 0)
        fail_msg("cannot connect to %s: %s", path, strerror(-fd));
    assert_int_equal(send(fd, text, strlen(text), MSG_NOSIGNAL), strlen(text));
    return fd;
}

static int target_listen(struct fixture *fixture)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(address.sun_path, sizeof(address.sun_path), "%s/target.sock", fixture->directory);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(fd, 8), 0);
    return fd;
}

#define ONE "{ \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": \"unix:%s/app.sock\", "

static void test_server_started_serves_before_it_runs(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fd;

    assert_int_equal(server_make_from(fixture, ONE RESPONDS "} ] }", false, &running.server), 0);
    fd = say(fixture->path, GET);
    running_start(&running);
    expect(fd, "\r\n\r\nhi");
    running_end(&running);
    expect(fd, NULL);
    close(fd);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static void test_server_that_cannot_publish_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct server *server = NULL;
    int descriptors;

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    descriptors = fixture_count_descriptors();
    assert_true(server_make_from(fixture,
                                 ONE RESPONDS "}, { \"bind\": \"unix:/proc/porthole/a.sock\", " RESPONDS "} ] }", false,
                                 &server) < 0);
    assert_null(server);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
    assert_int_equal(fixture_count_descriptors(), descriptors);
}

static void test_server_stopping_finishes_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    int listening = target_listen(fixture), fd, target;
    struct running running;

    running_begin(&running, fixture, ONE FORWARDS "} ] }", false);
    fd = say(fixture->path, GET);
    target = accept(listening, NULL, NULL);
    expect(target, "\r\n\r\n");
    server_stop(running.server);
    for (int i = 0; i < PATIENCE_MS && access(fixture->path, F_OK) == 0; i++)
        usleep(1000);
    assert_int_equal(access(fixture->path, F_OK), -1);
    assert_int_equal(send(target, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstill", 43, 0), 43);
    expect(fd, "still");
    expect(fd, NULL);
    running_join(&running);
    close(fd);
    close(target);
    close(listening);
    unlink(fixture_path(fixture, "target.sock"));
}

static void test_server_stopping_cuts_at_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    int listening = target_listen(fixture), fd, target;
    struct running running;

    running_begin(&running, fixture,
                  "{ \"drain\": \"100ms\", \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": "
                  "\"unix:%s/app.sock\", " FORWARDS "} ] }",
                  false);
    fd = say(fixture->path, GET);
    target = accept(listening, NULL, NULL);
    expect(target, "\r\n\r\n");
    running_end(&running);
    expect(fd, NULL);
    expect(target, NULL);
    close(fd);
    close(target);
    close(listening);
}

/* Who asks from inside knows that nobody wants anything any more. */
static void test_server_stopped_from_inside_does_not_wait_for_others_to_learn_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fd;

    running_begin(&running, fixture,
                  "{ \"shutdown\": { \"delay\": \"1h\" }, \"log\": { \"level\": \"error\" }, \"listeners\": [ { "
                  "\"bind\": \"unix:%s/app.sock\", " RESPONDS "} ] }",
                  false);
    fd = say(fixture->path, GET);
    expect(fd, "hi");
    server_stop(running.server);
    running_end(&running);
    expect(fd, NULL);
    close(fd);
}

static void test_server_of_another_process_is_not_replaced_by_accident(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    struct server *second = NULL;
    int fd;

    running_begin(&running, fixture, ONE RESPONDS "} ] }", false);
    assert_int_equal(server_make_from(fixture, ONE RESPONDS "} ] }", false, &second), -EADDRINUSE);
    fd = say(fixture->path, GET);
    expect(fd, "hi");
    close(fd);
    running_end(&running);
}

static void test_server_taken_over_drains_and_ends_by_itself(void **state)
{
    struct fixture *fixture = *state;
    struct running first, second;
    int before, after;

    running_begin(&first, fixture, ONE RESPONDS "} ] }", false);
    before = say(fixture->path, GET);
    expect(before, "hi");
    running_begin(&second, fixture, ONE "\"routes\": [ { \"respond\": { \"status\": 200, \"body\": \"new\" } } ] } ] }",
                  true);
    after = say(fixture->path, GET);
    expect(after, "new");
    running_join(&first);
    expect(before, NULL);
    close(before);
    close(after);
    after = say(fixture->path, GET); /* the first one left the second one's socket alone */
    expect(after, "new");
    close(after);
    running_end(&second);
}

#define SECOND "{ \"bind\": \"unix:%s/second.sock\", " RESPONDS "}"

/* Somebody serves both paths; a successor is made, and something puts a directory in the place of the second. */
static void two_paths_begin(struct fixture *fixture, struct running *running, ino_t inodes[2],
                            struct server **ret_second)
{
    struct snapshot *snapshot;
    struct error error = ERROR_INIT;

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    running_begin(running, fixture, ONE RESPONDS "}, " SECOND " ] }", false);
    inodes[0] = fixture_stat(fixture->path).st_ino;
    inodes[1] = fixture_stat(fixture_path(fixture, "second.sock")).st_ino;
    snapshot = make_snapshot(fixture, ONE RESPONDS "}, " SECOND " ] }");
    assert_int_equal(server_new(snapshot, &(struct server_options){.takeover = true}, ret_second, &error), 0);
    snapshot_unref(snapshot);
    assert_true(fixture_stat(fixture->path).st_ino == inodes[0]);
}

static void two_paths_expect(struct fixture *fixture, struct running *running, const ino_t inodes[2])
{
    int fd = say(fixture->path, GET);

    expect(fd, "\r\n\r\nhi");
    close(fd);
    assert_true(fixture_stat(fixture->path).st_ino == inodes[0]);
    if (inodes[1]) /* who is kept away from its path may publish it again when it is back */
        assert_true(fixture_stat(fixture_path(fixture, "second.sock")).st_ino == inodes[1]);
    fd = say(fixture_path(fixture, "second.sock"), GET);
    expect(fd, "\r\n\r\nhi");
    close(fd);
    assert_int_equal(fixture_count_entries(fixture->directory), 2);
    running_end(running);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static void exchange(const char *a, const char *b)
{
    assert_int_equal(renameat2(AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE), 0);
}

static void test_server_that_cannot_show_the_second_path_gives_the_first_back(void **state)
{
    struct fixture *fixture = *state;
    const char *second = fixture_path(fixture, "second.sock"), *away = fixture_path(fixture, "away");
    struct error error = ERROR_INIT;
    struct running running;
    struct server *successor;
    ino_t inodes[2];

    two_paths_begin(fixture, &running, inodes, &successor);
    assert_int_equal(mkdir(away, 0700), 0);
    exchange(second, away);
    assert_int_equal(server_start(successor, &error), -EEXIST);
    exchange(second, away);
    assert_int_equal(rmdir(away), 0);
    server_free(successor);
    inodes[1] = 0;
    two_paths_expect(fixture, &running, inodes);
}

/* As where a limit of processes is small. */
static void refuse_threads(bool refuse)
{
    pthread_attr_t attributes;

    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, refuse ? (size_t)1 << 48 : (size_t)8 << 20);
    assert_int_equal(pthread_setattr_default_np(&attributes), 0);
    pthread_attr_destroy(&attributes);
}

static void test_server_whose_threads_cannot_be_made_takes_no_path(void **state)
{
    struct fixture *fixture = *state;
    struct error error = ERROR_INIT;
    struct running running;
    struct server *successor;
    ino_t inodes[2];

    two_paths_begin(fixture, &running, inodes, &successor);
    refuse_threads(true);
    assert_true(server_start(successor, &error) < 0);
    refuse_threads(false);
    assert_non_null(strstr(error.message, "cannot start a worker thread"));
    server_free(successor);
    two_paths_expect(fixture, &running, inodes);
}

static void test_server_that_cannot_make_the_second_path_takes_no_path(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    struct server *successor = NULL;
    ino_t inode;
    int fd;

    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    running_begin(&running, fixture, ONE RESPONDS "} ] }", false);
    inode = fixture_stat(fixture->path).st_ino;
    assert_true(server_make_from(fixture,
                                 ONE RESPONDS "}, { \"bind\": \"unix:/proc/porthole/a.sock\", " RESPONDS "} ] }", true,
                                 &successor) < 0);
    assert_true(fixture_stat(fixture->path).st_ino == inode);
    fd = say(fixture->path, GET);
    expect(fd, "\r\n\r\nhi");
    close(fd);
    running_end(&running);
}

static void test_server_restores_a_removed_socket(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fd;

    running_begin(&running, fixture, ONE RESPONDS "} ] }", false);
    fd = say(fixture->path, GET);
    expect(fd, "hi");
    close(fd);
    assert_int_equal(unlink(fixture->path), 0);
    for (int i = 0; i < PATIENCE_MS && access(fixture->path, F_OK) != 0; i++)
        usleep(1000);
    fd = say(fixture->path, GET);
    expect(fd, "hi");
    close(fd);
    running_end(&running);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static void test_server_full_of_busy_clients_serves_the_next_when_one_leaves(void **state)
{
    struct fixture *fixture = *state;
    int listening = target_listen(fixture), fds[3], targets[2];
    struct running running;

    running_begin(&running, fixture, ONE "\"limits\": { \"connections\": 2 }, " FORWARDS "} ] }", false);
    for (int i = 0; i < 2; i++) {
        fds[i] = say(fixture->path, GET);
        targets[i] = accept(listening, NULL, NULL);
        expect(targets[i], "\r\n\r\n");
    }
    fds[2] = say(fixture->path, GET);
    assert_int_equal(poll(&(struct pollfd){.fd = listening, .events = POLLIN}, 1, 300), 0);
    assert_int_equal(poll(&(struct pollfd){.fd = fds[0], .events = POLLIN}, 1, 0), 0);
    close(fds[0]);
    close(targets[0]);
    targets[0] = accept(listening, NULL, NULL);
    expect(targets[0], "\r\n\r\n");
    for (int i = 0; i < 2; i++)
        close(targets[i]);
    close(fds[1]);
    close(fds[2]);
    close(listening);
    running_end(&running);
    unlink(fixture_path(fixture, "target.sock"));
}

/* Nothing but making room ends the wait of these tests: the time-outs are longer than their patience. */
#define PATIENT "\"timeouts\": { \"head\": \"10m\", \"idle\": \"10m\" }, "

/* Those who have only come and those who have been answered, the longest idle first. */
static void test_server_full_of_idle_clients_lets_the_longest_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[6];

    running_begin(&running, fixture, ONE PATIENT "\"limits\": { \"connections\": 4 }, " RESPONDS "} ] }", false);
    for (int i = 0; i < 4; i++) {
        if (i == 2)
            usleep(500 * 1000);
        fds[i] = i % 2 == 0 ? fixture_connect(fixture->path) : say(fixture->path, GET);
        if (i % 2 == 1)
            expect(fds[i], "hi");
    }
    for (int i = 4; i < 6; i++) {
        fds[i] = say(fixture->path, GET);
        expect(fds[i], "hi");
    }
    for (int i = 0; i < 2; i++)
        expect(fds[i], NULL);
    for (int i = 2; i < 6; i++) {
        assert_int_equal(send(fds[i], GET, strlen(GET), MSG_NOSIGNAL), strlen(GET));
        expect(fds[i], "hi");
    }
    for (int i = 0; i < 6; i++)
        close(fds[i]);
    running_end(&running);
}

/* A part of a request is a request: who is slow keeps its place. */
static void test_server_client_that_has_begun_a_request_makes_no_room(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[3];

    running_begin(&running, fixture, ONE PATIENT "\"limits\": { \"connections\": 2 }, " RESPONDS "} ] }", false);
    fds[0] = say(fixture->path, "G");
    fds[1] = say(fixture->path, GET "G");
    expect(fds[1], "hi");
    fds[2] = say(fixture->path, GET);
    assert_int_equal(poll(&(struct pollfd){.fd = fds[2], .events = POLLIN}, 1, 300), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(send(fds[i], &GET[1], strlen(GET) - 1, MSG_NOSIGNAL), strlen(GET) - 1);
        expect(fds[i], "hi");
    }
    expect(fds[2], "hi");
    for (int i = 0; i < 3; i++)
        close(fds[i]);
    running_end(&running);
}

/* Waits until so many of them have seen the end. */
static void await_ends(const int *fds, size_t n, size_t n_wanted)
{
    size_t n_ended = 0;

    for (int i = 0; i < PATIENCE_MS && n_ended < n_wanted; i++) {
        n_ended = 0;
        for (size_t j = 0; j < n; j++)
            n_ended += poll(&(struct pollfd){.fd = fds[j], .events = POLLIN}, 1, 0) == 1;
        usleep(1000);
    }
    assert_true(n_ended >= n_wanted);
}

/* In whichever worker it is. */
static void test_server_full_of_idle_clients_lets_those_of_other_workers_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[24];

    running_begin(&running, fixture,
                  "{ \"workers\": 4, \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": "
                  "\"unix:%s/app.sock\", " PATIENT "\"limits\": { \"connections\": 8 }, " RESPONDS "} ] }",
                  false);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = say(fixture->path, GET);
        expect(fds[i], "hi");
    }
    await_ends(fds, ARRAY_LENGTH(fds), ARRAY_LENGTH(fds) - 8);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    running_end(&running);
}

static void test_server_user_with_all_its_places_idle_lets_its_own_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[5];

    running_begin(&running, fixture, ONE PATIENT "\"limits\": { \"connections_per_uid\": 2 }, " RESPONDS "} ] }",
                  false);
    for (int i = 0; i < 5; i++) {
        fds[i] = say(fixture->path, GET);
        expect(fds[i], "hi");
        if (i >= 2)
            expect(fds[i - 2], NULL);
    }
    for (int i = 0; i < 5; i++)
        close(fds[i]);
    running_end(&running);
}

/* In whichever worker they are. */
static void test_server_user_with_idle_clients_in_other_workers_lets_them_go(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[24];

    running_begin(&running, fixture,
                  "{ \"workers\": 4, \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": "
                  "\"unix:%s/app.sock\", " PATIENT "\"limits\": { \"connections_per_uid\": 4 }, " RESPONDS "} ] }",
                  false);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        fds[i] = say(fixture->path, GET);
        expect(fds[i], "hi");
    }
    await_ends(fds, ARRAY_LENGTH(fds), ARRAY_LENGTH(fds) - 4);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        close(fds[i]);
    running_end(&running);
}

static void test_server_peer_that_is_not_allowed_is_closed_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fd;

    running_begin(&running, fixture, ONE "\"peers\": { \"allow\": [ { \"uid\": 4711 } ] }, " RESPONDS "} ] }", false);
    fd = fixture_connect(fixture->path);
    assert_true(fd >= 0);
    expect(fd, NULL);
    close(fd);
    running_end(&running);
}

static void test_server_with_several_workers_serves_everybody(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fds[40];

    running_begin(&running, fixture,
                  "{ \"workers\": 3, \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": "
                  "\"unix:%s/app.sock\", " RESPONDS "} ] }",
                  false);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++)
        fds[i] = say(fixture->path, GET);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        expect(fds[i], "hi");
        close(fds[i]);
    }
    running_end(&running);
}

static void test_server_stopped_before_it_ran_ends(void **state)
{
    struct fixture *fixture = *state;
    struct server *server = NULL;

    assert_int_equal(server_make_from(fixture, ONE RESPONDS "} ] }", false, &server), 0);
    server_free(server);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
    server_free(NULL);
}

#define SERVER_TEST(name) cmocka_unit_test_setup_teardown(name, fixture_setup, fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        SERVER_TEST(test_server_started_serves_before_it_runs),
        SERVER_TEST(test_server_that_cannot_publish_leaves_nothing),
        SERVER_TEST(test_server_stopping_finishes_what_is_under_way),
        SERVER_TEST(test_server_stopping_cuts_at_the_deadline),
        SERVER_TEST(test_server_stopped_from_inside_does_not_wait_for_others_to_learn_of_it),
        SERVER_TEST(test_server_of_another_process_is_not_replaced_by_accident),
        SERVER_TEST(test_server_taken_over_drains_and_ends_by_itself),
        SERVER_TEST(test_server_that_cannot_show_the_second_path_gives_the_first_back),
        SERVER_TEST(test_server_whose_threads_cannot_be_made_takes_no_path),
        SERVER_TEST(test_server_that_cannot_make_the_second_path_takes_no_path),
        SERVER_TEST(test_server_restores_a_removed_socket),
        SERVER_TEST(test_server_full_of_busy_clients_serves_the_next_when_one_leaves),
        SERVER_TEST(test_server_full_of_idle_clients_lets_the_longest_go),
        SERVER_TEST(test_server_client_that_has_begun_a_request_makes_no_room),
        SERVER_TEST(test_server_full_of_idle_clients_lets_those_of_other_workers_go),
        SERVER_TEST(test_server_user_with_all_its_places_idle_lets_its_own_go),
        SERVER_TEST(test_server_user_with_idle_clients_in_other_workers_lets_them_go),
        SERVER_TEST(test_server_peer_that_is_not_allowed_is_closed_at_once),
        SERVER_TEST(test_server_with_several_workers_serves_everybody),
        SERVER_TEST(test_server_stopped_before_it_ran_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
