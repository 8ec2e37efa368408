/* A server's life, with its real threads: publishing, serving, being replaced, and stopping without losing anybody. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/server_rig.h"

static void test_server_started_serves_before_it_runs(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fd;

    assert_int_equal(running_make(fixture, ONE RESPONDS "} ] }", false, &running.server), 0);
    fd = running_say(fixture->path, GET);
    running_start(&running);
    running_expect(fd, "\r\n\r\nhi");
    running_end(&running);
    running_expect(fd, NULL);
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
    assert_true(running_make(fixture, ONE RESPONDS "}, { \"bind\": \"unix:/proc/porthole/a.sock\", " RESPONDS "} ] }",
                             false, &server) < 0);
    assert_null(server);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
    assert_int_equal(fixture_count_descriptors(), descriptors);
}

static void test_server_stopping_finishes_what_is_under_way(void **state)
{
    struct fixture *fixture = *state;
    int listening = running_target(fixture), fd, target;
    struct running running;

    running_begin(&running, fixture, ONE FORWARDS "} ] }", false);
    fd = running_say(fixture->path, GET);
    target = accept(listening, NULL, NULL);
    running_expect(target, "\r\n\r\n");
    server_stop(running.server);
    for (int i = 0; i < PATIENCE_MS && access(fixture->path, F_OK) == 0; i++)
        usleep(1000);
    assert_int_equal(access(fixture->path, F_OK), -1);
    assert_int_equal(send(target, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nstill", 43, 0), 43);
    running_expect(fd, "still");
    running_expect(fd, NULL);
    running_join(&running);
    close(fd);
    close(target);
    close(listening);
    unlink(fixture_path(fixture, "target.sock"));
}

static void test_server_stopping_cuts_at_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    int listening = running_target(fixture), fd, target;
    struct running running;

    running_begin(&running, fixture,
                  "{ \"drain\": \"100ms\", \"log\": { \"level\": \"error\" }, \"listeners\": [ { \"bind\": "
                  "\"unix:%s/app.sock\", " FORWARDS "} ] }",
                  false);
    fd = running_say(fixture->path, GET);
    target = accept(listening, NULL, NULL);
    running_expect(target, "\r\n\r\n");
    running_end(&running);
    running_expect(fd, NULL);
    running_expect(target, NULL);
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
    fd = running_say(fixture->path, GET);
    running_expect(fd, "hi");
    server_stop(running.server);
    running_end(&running);
    running_expect(fd, NULL);
    close(fd);
}

static void test_server_of_another_process_is_not_replaced_by_accident(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    struct server *second = NULL;
    int fd;

    running_begin(&running, fixture, ONE RESPONDS "} ] }", false);
    assert_int_equal(running_make(fixture, ONE RESPONDS "} ] }", false, &second), -EADDRINUSE);
    fd = running_say(fixture->path, GET);
    running_expect(fd, "hi");
    close(fd);
    running_end(&running);
}

static void test_server_taken_over_drains_and_ends_by_itself(void **state)
{
    struct fixture *fixture = *state;
    struct running first, second;
    int before, after;

    running_begin(&first, fixture, ONE RESPONDS "} ] }", false);
    before = running_say(fixture->path, GET);
    running_expect(before, "hi");
    running_begin(&second, fixture, ONE "\"routes\": [ { \"respond\": { \"status\": 200, \"body\": \"new\" } } ] } ] }",
                  true);
    after = running_say(fixture->path, GET);
    running_expect(after, "new");
    running_join(&first);
    running_expect(before, NULL);
    close(before);
    close(after);
    after = running_say(fixture->path, GET); /* the first one left the second one's socket alone */
    running_expect(after, "new");
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
    snapshot = running_snapshot(fixture, ONE RESPONDS "}, " SECOND " ] }");
    assert_int_equal(server_new(snapshot, &(struct server_options){.takeover = true}, ret_second, &error), 0);
    snapshot_unref(snapshot);
    assert_true(fixture_stat(fixture->path).st_ino == inodes[0]);
}

static void two_paths_expect(struct fixture *fixture, struct running *running, const ino_t inodes[2])
{
    int fd = running_say(fixture->path, GET);

    running_expect(fd, "\r\n\r\nhi");
    close(fd);
    assert_true(fixture_stat(fixture->path).st_ino == inodes[0]);
    if (inodes[1]) /* who is kept away from its path may publish it again when it is back */
        assert_true(fixture_stat(fixture_path(fixture, "second.sock")).st_ino == inodes[1]);
    fd = running_say(fixture_path(fixture, "second.sock"), GET);
    running_expect(fd, "\r\n\r\nhi");
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
    assert_true(running_make(fixture, ONE RESPONDS "}, { \"bind\": \"unix:/proc/porthole/a.sock\", " RESPONDS "} ] }",
                             true, &successor) < 0);
    assert_true(fixture_stat(fixture->path).st_ino == inode);
    fd = running_say(fixture->path, GET);
    running_expect(fd, "\r\n\r\nhi");
    close(fd);
    running_end(&running);
}

static void test_server_restores_a_removed_socket(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fd;

    running_begin(&running, fixture, ONE RESPONDS "} ] }", false);
    fd = running_say(fixture->path, GET);
    running_expect(fd, "hi");
    close(fd);
    assert_int_equal(unlink(fixture->path), 0);
    for (int i = 0; i < PATIENCE_MS && access(fixture->path, F_OK) != 0; i++)
        usleep(1000);
    fd = running_say(fixture->path, GET);
    running_expect(fd, "hi");
    close(fd);
    running_end(&running);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
}

static void test_server_peer_that_is_not_allowed_is_closed_at_once(void **state)
{
    struct fixture *fixture = *state;
    struct running running;
    int fd;

    running_begin(&running, fixture, ONE "\"peers\": { \"allow\": [ { \"uid\": 4711 } ] }, " RESPONDS "} ] }", false);
    fd = fixture_connect(fixture->path);
    assert_true(fd >= 0);
    running_expect(fd, NULL);
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
        fds[i] = running_say(fixture->path, GET);
    for (size_t i = 0; i < ARRAY_LENGTH(fds); i++) {
        running_expect(fds[i], "hi");
        close(fds[i]);
    }
    running_end(&running);
}

static void test_server_stopped_before_it_ran_ends(void **state)
{
    struct fixture *fixture = *state;
    struct server *server = NULL;

    assert_int_equal(running_make(fixture, ONE RESPONDS "} ] }", false, &server), 0);
    server_free(server);
    assert_int_equal(fixture_count_entries(fixture->directory), 0);
    server_free(NULL);
}

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
        SERVER_TEST(test_server_peer_that_is_not_allowed_is_closed_at_once),
        SERVER_TEST(test_server_with_several_workers_serves_everybody),
        SERVER_TEST(test_server_stopped_before_it_ran_ends),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
