/* Connecting, through libcurl, to every kind of address and to everything that can be wrong with one. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/connect_scene.h"
#include "tests/unit/name_service.h"
#include "tests/unit/publish_fixture.h"
#include "tests/unit/state_walk.h"

static void test_connect_attempt_moves_as_its_table_says(void **state)
{
    (void)state;
    state_walk(&attempt_machine, NULL,
               "RESOLVING: TRYING OVER\n"
               "TRYING: RESOLVING BACKING_OFF OVER\n"
               "BACKING_OFF: TRYING\n");
}

static void test_connect_unix(void **state)
{
    struct rig *rig = *state;

    connect_scene_works(rig, ADDRESS_UNIX, rig->path, 0, rig->listen_fd);
}

static void test_connect_unix_is_immediate(void **state)
{
    struct rig *rig = *state;
    struct connect_scene result;

    connect_scene_begin(rig, &result, ADDRESS_UNIX, rig->path, 0);
    assert_int_equal(result.start, CONNECT_DONE);
    channel_close(&result.channel);
}

static void test_connect_abstract(void **state)
{
    struct rig *rig = *state;
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char name[64];
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    snprintf(name, sizeof(name), "porthole-unit-%d", (int)getpid());
    connect_scene_fails(rig, ADDRESS_ABSTRACT, name, 0, OUTCOME_TARGET_REFUSED);
    memcpy(address.sun_path + 1, name, strlen(name));
    assert_int_equal(
        bind(fd, (struct sockaddr *)&address, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name))),
        0);
    assert_int_equal(listen(fd, 1), 0);
    connect_scene_works(rig, ADDRESS_ABSTRACT, name, 0, fd);
    close(fd);
}

static void test_connect_absent(void **state)
{
    struct rig *rig = *state;

    rig_stop_listening(rig);
    connect_scene_fails(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_ABSENT);
    connect_scene_fails(rig, ADDRESS_UNIX, "/nonexistent-directory/a.sock", 0, OUTCOME_TARGET_ABSENT);
    connect_scene_fails(rig, ADDRESS_UNIX, "/dev/null/a.sock", 0, OUTCOME_TARGET_ABSENT);
}

static void test_connect_refused(void **state)
{
    struct rig *rig = *state;

    connect_scene_fails(rig, ADDRESS_UNIX, "/dev/null", 0, OUTCOME_TARGET_REFUSED); /* not a socket */
    close(rig->listen_fd);
    rig->listen_fd = -1;
    connect_scene_fails(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_REFUSED);
}

static void test_connect_denied(void **state)
{
    struct rig *rig = *state;
    bool is_root = geteuid() == 0;

    assert_int_equal(chmod(rig->path, 0), 0);
    assert_int_equal(chmod(rig->directory, 0711), 0);
    if (is_root)
        assert_int_equal(seteuid(FIXTURE_STRANGER), 0);
    connect_scene_fails(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_DENIED);
    if (is_root)
        assert_int_equal(seteuid(0), 0);
}

/* ---- long paths ---- */

/* Moves the rig's socket to `path`, which may be longer than sockaddr_un allows. */
static void expect_connection_at(struct rig *rig, const char *path)
{
    assert_int_equal(rename(rig->path, path), 0);
    connect_scene_works(rig, ADDRESS_UNIX, path, 0, rig->listen_fd);
    assert_int_equal(rename(path, rig->path), 0);
}

static void test_connect_path_of_every_length_around_the_limit_reaches_it(void **state)
{
    struct rig *rig = *state;
    char directory[128], path[256];

    for (int length = 104; length <= 112; length++) {
        int n = length - (int)strlen(rig->directory) - (int)strlen("//s.sock");

        snprintf(directory, sizeof(directory), "%s/%0*d", rig->directory, n, 0);
        snprintf(path, sizeof(path), "%s/s.sock", directory);
        assert_int_equal(strlen(path), length);
        assert_int_equal(mkdir(directory, 0700), 0);
        expect_connection_at(rig, path);
        assert_int_equal(rmdir(directory), 0);
    }
}

static void test_connect_long_path_absent_and_refused(void **state)
{
    struct rig *rig = *state;
    char path[512];

    snprintf(path, sizeof(path), "%s/%0120d/a.sock", rig->directory, 0);
    connect_scene_fails(rig, ADDRESS_UNIX, path, 0, OUTCOME_TARGET_ABSENT);
    snprintf(path, sizeof(path), "%s/%0120d", rig->directory, 0);
    assert_int_equal(mkdir(path, 0700), 0);
    snprintf(path, sizeof(path), "%s/%0120d/a.sock", rig->directory, 0);
    connect_scene_fails(rig, ADDRESS_UNIX, path, 0, OUTCOME_TARGET_ABSENT);
    assert_int_equal(rename(rig->path, path), 0);
    close(rig->listen_fd);
    rig->listen_fd = -1;
    connect_scene_fails(rig, ADDRESS_UNIX, path, 0, OUTCOME_TARGET_REFUSED);
    unlink(path);
    *strrchr(path, '/') = '\0';
    assert_int_equal(rmdir(path), 0);
}

static void test_connect_name_of_255_bytes_reaches_it(void **state)
{
    struct rig *rig = *state;
    char path[512];

    snprintf(path, sizeof(path), "%s/%0255d", rig->directory, 0);
    assert_int_equal(rename(rig->path, path), 0);
    connect_scene_works(rig, ADDRESS_UNIX, path, 0, rig->listen_fd);
    unlink(path);
}

/* ---- a full backlog ---- */

static void fill_backlog(struct rig *rig, struct connect_scene *first)
{
    assert_int_equal(listen(rig->listen_fd, 0), 0);
    connect_scene_begin(rig, first, ADDRESS_UNIX, rig->path, 0);
    assert_int_equal(first->start, CONNECT_DONE);
}

static void test_connect_full_backlog_waits_until_it_drains(void **state)
{
    struct rig *rig = *state;
    struct connect_scene first, second;

    fill_backlog(rig, &first);
    connect_scene_begin(rig, &second, ADDRESS_UNIX, rig->path, 0);
    assert_int_equal(second.start, CONNECT_WAIT);
    rig_pass_ms(rig, 50);
    assert_int_equal(second.outcome, OUTCOME_PENDING);
    rig_accept(rig);
    connect_scene_await(rig, &second);
    assert_int_equal(second.outcome, OUTCOME_FORWARDED);
    rig_accept(rig);
    channel_close(&first.channel);
    channel_close(&second.channel);
}

static void test_connect_full_backlog_until_the_deadline(void **state)
{
    struct rig *rig = *state;
    struct instant begun = instant_now();
    struct connect_scene first;

    rig->target_config.connect_timeout_ms = 60;
    fill_backlog(rig, &first);
    connect_scene_fails(rig, ADDRESS_UNIX, rig->path, 0, OUTCOME_TARGET_FULL);
    assert_true(instant_elapsed_us(begun, instant_now()) >= 55000);
    channel_close(&first.channel);
}

static void test_connect_full_backlog_of_a_target_that_leaves(void **state)
{
    struct rig *rig = *state;
    struct connect_scene first, second;

    fill_backlog(rig, &first);
    connect_scene_begin(rig, &second, ADDRESS_UNIX, rig->path, 0);
    rig_stop_listening(rig);
    connect_scene_await(rig, &second);
    assert_int_equal(second.outcome, OUTCOME_TARGET_ABSENT);
    channel_close(&first.channel);
}

/* ---- TCP ---- */

static void test_connect_tcp(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = connect_scene_listen(AF_INET, &port);

    assert_true(fd >= 0);
    connect_scene_works(rig, ADDRESS_HTTP, "127.0.0.1", port, fd);
    connect_scene_works(rig, ADDRESS_HTTP, "localhost", port, fd);
    close(fd);
    connect_scene_fails(rig, ADDRESS_HTTP, "127.0.0.1", port, OUTCOME_TARGET_REFUSED);
}

static void test_connect_tcp_v6(void **state)
{
    struct rig *rig = *state;
    int port = 0, fd = connect_scene_listen(AF_INET6, &port);

    if (fd < 0)
        skip(); /* a machine without IPv6 */
    connect_scene_works(rig, ADDRESS_HTTP, "::1", port, fd);
    close(fd);
    connect_scene_fails(rig, ADDRESS_HTTP, "::1", port, OUTCOME_TARGET_REFUSED);
}

/* ---- TLS ---- */

static void test_connect_tls_to_a_plain_server(void **state)
{
    struct rig *rig = *state;
    struct connect_scene result;
    int port = 0, listening = connect_scene_listen(AF_INET, &port), fd;

    connect_scene_begin(rig, &result, ADDRESS_HTTPS, "127.0.0.1", port);
    assert_int_equal(result.start, CONNECT_WAIT);
    rig_pass_ms(rig, 20);
    fd = accept4(listening, NULL, NULL, SOCK_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(send(fd, "HTTP/1.1 400 Bad Request\r\n\r\n", 28, 0), 28);
    connect_scene_await(rig, &result);
    assert_int_equal(result.outcome, OUTCOME_TLS_FAILED);
    close(fd);
    close(listening);
}

static void test_connect_tls_to_a_silent_server_times_out(void **state)
{
    struct rig *rig = *state;
    int port = 0, listening = connect_scene_listen(AF_INET, &port);

    rig->target_config.connect_timeout_ms = 60;
    connect_scene_fails(rig, ADDRESS_HTTPS, "127.0.0.1", port, OUTCOME_CONNECT_TIMEOUT);
    close(listening);
}

static void test_connect_tls_with_a_missing_ca_file(void **state)
{
    struct rig *rig = *state;
    int port = 0, listening = connect_scene_listen(AF_INET, &port);

    rig->target_config.tls.verify = true;
    rig->target_config.tls.ca = "/nonexistent/ca.pem";
    connect_scene_fails(rig, ADDRESS_HTTPS, "127.0.0.1", port, OUTCOME_TLS_FAILED);
    close(listening);
}

static void test_connect_cancelled_at_each_stage_leaves_nothing(void **state)
{
    struct rig *rig = *state;
    int descriptors, port = 0, listening = connect_scene_listen(AF_INET, &port);
    struct connect_scene first, result;

    fill_backlog(rig, &first);
    name_service_set("127.0.0.1", 0, true);
    rig->target_config.tls.server_name = "example.org";
    descriptors = fixture_count_descriptors();
    for (int stage = 0; stage < 6; stage++) {
        switch (stage / 2) {
        case 0: /* backing off */
            connect_scene_begin(rig, &result, ADDRESS_UNIX, rig->path, 0);
            break;
        case 1: /* resolving */
            connect_scene_begin(rig, &result, ADDRESS_HTTP, "silent.test", port);
            break;
        default: /* shaking hands with somebody who says nothing */
            connect_scene_begin(rig, &result, ADDRESS_HTTPS, "127.0.0.1", port);
        }
        assert_int_equal(result.start, CONNECT_WAIT);
        if (stage % 2)
            rig_pass_ms(rig, 20);
        connect_cancel(result.attempt);
        rig_pass_ms(rig, 10);
        assert_int_equal(result.n_called, 0);
    }
    assert_int_equal(fixture_count_descriptors(), descriptors);
    name_service_set("127.0.0.1", 0, false);
    channel_close(&first.channel);
    close(listening);
}

/* One test's attempts reuse the easy handles of the attempts before. */
static void test_connect_many_times_in_turns(void **state)
{
    struct rig *rig = *state;
    int descriptors = fixture_count_descriptors();

    for (int i = 0; i < 50; i++) {
        connect_scene_works(rig, ADDRESS_UNIX, rig->path, 0, rig->listen_fd);
        connect_scene_fails(rig, ADDRESS_UNIX, "/nonexistent", 0, OUTCOME_TARGET_ABSENT);
        connect_scene_fails(rig, ADDRESS_ABSTRACT, "porthole-unit-nobody", 0, OUTCOME_TARGET_REFUSED);
    }
    assert_int_equal(fixture_count_descriptors(), descriptors);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_connect_attempt_moves_as_its_table_says),
        RIG_TEST(test_connect_unix),
        RIG_TEST(test_connect_unix_is_immediate),
        RIG_TEST(test_connect_abstract),
        RIG_TEST(test_connect_absent),
        RIG_TEST(test_connect_refused),
        RIG_TEST(test_connect_denied),
        RIG_TEST(test_connect_path_of_every_length_around_the_limit_reaches_it),
        RIG_TEST(test_connect_long_path_absent_and_refused),
        RIG_TEST(test_connect_name_of_255_bytes_reaches_it),
        RIG_TEST(test_connect_full_backlog_waits_until_it_drains),
        RIG_TEST(test_connect_full_backlog_until_the_deadline),
        RIG_TEST(test_connect_full_backlog_of_a_target_that_leaves),
        RIG_TEST(test_connect_tcp),
        RIG_TEST(test_connect_tcp_v6),
        RIG_TEST(test_connect_tls_to_a_plain_server),
        RIG_TEST(test_connect_tls_to_a_silent_server_times_out),
        RIG_TEST(test_connect_tls_with_a_missing_ca_file),
        RIG_TEST(test_connect_cancelled_at_each_stage_leaves_nothing),
        RIG_TEST(test_connect_many_times_in_turns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
