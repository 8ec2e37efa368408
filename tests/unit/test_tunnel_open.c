/* How tunnels begin: joined with early bytes, waiting for a connection or never getting one; and what the log says. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tunnel_rig.h"

#define NOTHING ((struct text){NULL, 0})

/* ---- early bytes ---- */

/* A connection to the target as an exchange would have it. */
static struct connection *take_connection(struct rig *rig)
{
    struct ticket ticket = {.target = NULL};
    struct connection *connection = NULL;
    struct failure failure;

    assert_int_equal(target_ask(rig->target, &ticket, true, &connection, &failure), CONNECT_DONE);
    rig_accept(rig);
    return connection;
}

static int join(struct rig *rig, struct tunnel_client *client, struct text from_client, struct text from_target)
{
    return tunnel_join(&rig->env.tunnels, client, rig->target, RIG_PATIENCE_MS, take_connection(rig), &tunnel_record,
                       from_client, from_target);
}

static void test_tunnel_joined_delivers_early_bytes_first(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);
    char from_client[] = "early ", from_target[] = "morning ";

    assert_int_equal(send(rig->client_fd, "bird", 4, 0), 4);
    assert_int_equal(join(rig, &client, (struct text){from_client, 6}, (struct text){from_target, 8}), 0);
    memset(from_client, 'x', 6); /* they were borrowed */
    memset(from_target, 'x', 8);
    assert_int_equal(send(rig->target_fd, "worm", 4, 0), 4);
    rig_turn(rig);
    assert_int_equal(rig_receive(rig), 10);
    assert_string_equal(rig->received, "early bird");
    end_expect(rig->client_fd, "morning worm");
    tunnel_expect_moved(rig, 10, 12);
    close(rig->client_fd);
    rig->client_fd = -1;
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_tunnel_joined_with_a_whole_block_of_early_bytes(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);
    size_t length = rig->env.tunnels.blocks.size;
    char *data = end_pattern(length);

    assert_true(length >= 2 * rig->listener.limit_header_bytes);
    end_make_tiny(client.fd);
    assert_int_equal(join(rig, &client, NOTHING, (struct text){data, length}), 0);
    for (size_t n = 0; n < length;) {
        size_t got;

        rig_turn(rig);
        got = end_receive(rig->client_fd, rig->body, length);
        assert_true(got > 0);
        assert_memory_equal(rig->body, data + n, got);
        n += got;
    }
    tunnel_expect_moved(rig, 0, length);
    free(data);
}

static void test_tunnel_that_cannot_be_joined_takes_everything_over_all_the_same(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);
    size_t length = rig->env.tunnels.blocks.size + 1;
    char *data = end_pattern(length);

    assert_int_equal(join(rig, &client, (struct text){data, length}, NOTHING), -ENOMEM);
    end_expect_end(rig->client_fd);
    end_expect_end(rig->target_fd);
    assert_int_equal(rig->n_left, 1);
    assert_int_equal(rig->env.tunnels.n_tunnels, 0);
    assert_int_equal(target_n_open(rig->target), 0);
    assert_int_equal(rig->generation->n_holders, 2);
    assert_false(tunnels_are_ready(&rig->env.tunnels));
    for (int i = 0; i < N_OUTCOMES; i++)
        assert_int_equal(rig_count(rig, (enum outcome)i), 0);
    free(data);
}

/* A descriptor that epoll does not know. */
static void test_tunnel_whose_client_cannot_be_watched_fails(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);

    close(client.fd);
    client.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    assert_true(client.fd >= 0);
    assert_int_equal(tunnel_open(&rig->env.tunnels, &client, rig->target, &tunnel_record), -EPERM);
    client.fd = open("/dev/null", O_RDWR | O_CLOEXEC);
    client.pass = rig_pass(rig);
    assert_int_equal(join(rig, &client, NOTHING, NOTHING), -EPERM);
    end_expect_end(rig->target_fd);
    assert_int_equal(rig->n_left, 2);
    assert_int_equal(rig->env.tunnels.n_tunnels, 0);
    assert_int_equal(target_n_open(rig->target), 0);
}

/* ---- targets that are not there ---- */

static void test_tunnel_to_nobody_ends_at_once(void **state)
{
    struct rig *rig = *state;

    rig_stop_listening(rig);
    tunnel_begin(rig);
    tunnel_expect_over(rig, OUTCOME_TARGET_ABSENT);
    end_expect_end(rig->client_fd);
    assert_int_equal(counter_read(&rig->metrics.tunnels), 0);
}

static void test_tunnel_to_a_socket_without_listener_is_refused(void **state)
{
    struct rig *rig = *state;

    close(rig->listen_fd);
    rig->listen_fd = -1;
    tunnel_begin(rig);
    tunnel_expect_over(rig, OUTCOME_TARGET_REFUSED);
    end_expect_end(rig->client_fd);
    unlink(rig->path);
}

/* The target's only connection is taken, so that this one waits. */
static int open_behind_another(struct rig *rig)
{
    int first;

    rig->target->commons->places.most = 1;
    tunnel_begin_open(rig);
    first = fcntl(rig->client_fd, F_DUPFD_CLOEXEC, 0);
    assert_true(first >= 0);
    tunnel_begin(rig);
    rig_turn(rig);
    assert_int_equal(rig->env.tunnels.n_tunnels, 2);
    assert_false(rig_has_connection(rig));
    return first;
}

static void test_tunnel_waits_for_a_connection_and_then_begins(void **state)
{
    struct rig *rig = *state;
    int first = open_behind_another(rig);

    end_say(rig, rig->client_fd, "patience");
    assert_int_equal(counter_read(&rig->metrics.tunnels), 1);
    close(first); /* its tunnel ends, and gives its place away */
    rig_turn(rig);
    rig_accept(rig);
    end_expect(rig->target_fd, "patience");
    assert_int_equal(counter_read(&rig->metrics.tunnels), 2);
    assert_int_equal(rig_count(rig, OUTCOME_TUNNELED), 1);
    assert_int_equal(rig->env.tunnels.n_tunnels, 1);
}

static void test_tunnel_that_waited_too_long_finds_the_target_busy(void **state)
{
    struct rig *rig = *state;
    int first;

    rig->target_config.connect_timeout_ms = 40;
    first = open_behind_another(rig);
    rig_await_outcome(rig, OUTCOME_TARGET_BUSY);
    end_expect_end(rig->client_fd);
    assert_int_equal(rig->env.tunnels.n_tunnels, 1);
    assert_int_equal(rig->n_left, 1);
    close(first);
}

static void test_tunnel_client_that_leaves_while_waiting_takes_its_place_out_of_the_queue(void **state)
{
    struct rig *rig = *state;
    int first = open_behind_another(rig);

    close(rig->client_fd);
    rig->client_fd = -1;
    rig_turn(rig);
    assert_int_equal(rig_count(rig, OUTCOME_CLIENT_GONE), 1);
    assert_int_equal(rig->env.tunnels.n_tunnels, 1);
    assert_true(rig->target->commons->places.shares.n_waiting == 0);
    close(first);
    rig_turn(rig);
    end_expect_end(rig->target_fd);
    assert_false(rig_has_connection(rig));
    assert_int_equal(rig_count(rig, OUTCOME_TUNNELED), 1);
    assert_int_equal(rig->n_left, 2);
}

/* It sent what it had to say and left, as a logger does; that must not depend on how soon the target is there. */
static void test_tunnel_client_that_speaks_and_leaves_while_waiting_is_heard_out(void **state)
{
    struct rig *rig = *state;
    int first = open_behind_another(rig);

    assert_int_equal(send(rig->client_fd, "one line\n", 9, 0), 9);
    close(rig->client_fd);
    rig->client_fd = -1;
    rig_turn(rig);
    close(first);
    rig_turn(rig);
    rig_accept(rig);
    assert_int_equal(rig_receive(rig), 9);
    assert_string_equal(rig->received, "one line\n");
    end_expect_end(rig->target_fd);
}

static void test_tunnel_of_a_client_that_only_finished_sending_waits_on(void **state)
{
    struct rig *rig = *state;
    int first = open_behind_another(rig);

    assert_int_equal(send(rig->client_fd, "question", 8, 0), 8);
    end_finish(rig, rig->client_fd);
    assert_int_equal(rig->env.tunnels.n_tunnels, 2);
    close(first);
    rig_turn(rig);
    rig_accept(rig);
    assert_int_equal(rig_receive(rig), 8);
    end_say(rig, rig->target_fd, "answer");
    end_expect(rig->client_fd, "answer");
}

/* ---- the log ---- */

/* Lets a tunnel report to a file and returns its line. */
static const char *line_of_tunnel(struct rig *rig, struct record *entry, char *line, size_t size)
{
    struct error error = ERROR_INIT;
    struct tunnel_client client = rig_make_client(rig);
    char path[128];
    ssize_t n;
    int fd;

    snprintf(path, sizeof(path), "%s/log", rig->directory);
    rig->env.recorder.access_log = access_log_new(path, LOG_FORMAT_PLAIN, NULL, &error);
    assert_non_null(rig->env.recorder.access_log);
    assert_int_equal(tunnel_open(&rig->env.tunnels, &client, rig->target, entry), 0);
    memset((char *)entry->peer.data, '!', entry->peer.length); /* they were borrowed */
    memset((char *)entry->request_id.data, '!', entry->request_id.length);
    if (rig->listen_fd >= 0) {
        rig_accept(rig);
        end_say(rig, rig->client_fd, "four");
        end_say(rig, rig->target_fd, "sixsix");
        end_finish(rig, rig->client_fd);
        end_finish(rig, rig->target_fd);
    }
    rig_turn(rig);
    access_log_free(rig->env.recorder.access_log);
    rig->env.recorder.access_log = NULL;
    fd = open(path, O_RDONLY | O_CLOEXEC);
    n = read(fd, line, size - 1);
    assert_true(n > 0);
    line[n] = '\0';
    close(fd);
    unlink(path);
    return line;
}

static void test_tunnel_is_logged_with_its_own_copy_of_what_is_known(void **state)
{
    struct rig *rig = *state;
    char peer[] = "unix:uid=7", id[] = "id-17", line[1024];
    struct record entry = {.request_id = {id, 5},
                           .listener = TEXT_LITERAL("front"),
                           .upstream = TEXT_LITERAL("app"),
                           .peer = {peer, 10},
                           .received_bytes = 100,
                           .sent_bytes = 1000,
                           .connect_us = -1,
                           .first_byte_us = -1};

    line_of_tunnel(rig, &entry, line, sizeof(line));
    assert_non_null(strstr(line, " id=\"id-17\" listener=\"front\" peer=\"unix:uid=7\" method=\"\" request=\"\" "));
    assert_non_null(strstr(line, " outcome=\"tunneled\" "));
    assert_non_null(strstr(line, " target=\"app\" endpoint=\""));
    assert_non_null(strstr(line, " bytes_in=104 bytes_out=1006 "));
    assert_non_null(strstr(line, " connect_us="));
    assert_null(strstr(line, "reason="));
    assert_null(strstr(line, "first_byte_us="));
}

static void test_tunnel_to_nobody_is_logged_with_its_reason(void **state)
{
    struct rig *rig = *state;
    char peer[] = "unix:uid=7", id[] = "id-17", line[1024];
    struct record entry = {.request_id = {id, 5}, .peer = {peer, 10}, .connect_us = -1, .first_byte_us = -1};

    rig_stop_listening(rig);
    line_of_tunnel(rig, &entry, line, sizeof(line));
    assert_non_null(strstr(line, " id=\"id-17\" "));
    assert_non_null(strstr(line, " outcome=\"target_absent\" reason=\"No such file or directory\" "));
    assert_non_null(strstr(line, " bytes_in=0 bytes_out=0 "));
    assert_null(strstr(line, " connect_us=")); /* not reached */
}

/* ---- of an exchange ---- */

static void begin_switching(struct rig *rig)
{
    assert_int_equal(rig_begin(rig, "GET /a 1\nHost: a\nConnection: upgrade\nUpgrade: echo"), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    rig_accept(rig);
    rig_receive(rig);
    rig_send(rig, "HTTP/1.1 101 S\r\nConnection: Upgrade\r\nUpgrade: echo\r\n\r\n");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_TUNNEL);
}

static void expect_client_closed(struct rig *rig)
{
    char byte;

    assert_int_equal(read(rig->client_fd, &byte, 1), 0);
    assert_int_equal(rig->n_left, 1);
    assert_int_equal(rig->env.tunnels.n_tunnels, 0);
}

static void test_exchange_tunnel_outlives_it(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);

    begin_switching(rig);
    assert_int_equal(exchange_tunnel(rig->exchange, &client, TEXT_LITERAL("hi")), 0);
    exchange_end(rig->exchange, true);
    rig->exchange = NULL;
    rig_turn(rig);
    assert_int_equal(rig_receive(rig), 2);
    assert_int_equal(rig->generation->n_holders, 3);
    rig_close(rig);
    rig_turn(rig);
    assert_int_equal(rig_count(rig, OUTCOME_TUNNELED), 1);
    assert_int_equal(rig_count(rig, OUTCOME_FORWARDED), 0);
    assert_int_equal(rig->n_left, 1);
    assert_int_equal(rig->generation->n_holders, 2);
}

static void test_exchange_that_failed_makes_no_tunnel(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);

    begin_switching(rig);
    exchange_fail(rig->exchange, OUTCOME_STOPPED);
    assert_true(exchange_tunnel(rig->exchange, &client, TEXT_LITERAL("hi")) < 0);
    expect_client_closed(rig);
    rig_end(rig, false, OUTCOME_STOPPED);
    assert_int_equal(rig_receive(rig), -1);
}

static void test_exchange_whose_tunnel_cannot_begin_is_internal(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);
    size_t length = rig->env.tunnels.blocks.size + 1;
    char *early = calloc(1, length);

    begin_switching(rig);
    assert_true(exchange_tunnel(rig->exchange, &client, (struct text){early, length}) < 0);
    expect_client_closed(rig);
    rig_end(rig, true, OUTCOME_INTERNAL);
    assert_int_equal(target_n_open(rig->target), 0);
    free(early);
}

static void test_exchange_that_was_never_told_its_switch_closes_the_connection(void **state)
{
    struct rig *rig = *state;

    begin_switching(rig);
    rig_end(rig, false, OUTCOME_CLIENT_GONE);
    assert_int_equal(rig_receive(rig), -1);
    assert_int_equal(target_n_open(rig->target), 0);
}

static void test_exchange_stream_has_no_exchange(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);

    rig->listener.stream = &rig->target_config;
    rig->listener.n_routes = 0;
    assert_int_equal(exchange_stream(&rig->env, &client, TEXT_LITERAL("unix:uid=7")), 0);
    rig_turn(rig);
    rig_accept(rig);
    rig_send(rig, "SSH-2.0-x\r\n");
    assert_int_equal(read(rig->client_fd, rig->body, 100), 11);
    rig_close(rig);
    rig_turn(rig);
    assert_int_equal(rig_count(rig, OUTCOME_TUNNELED), 1);
    rig_stop_listening(rig);
    client = rig_make_client(rig);
    assert_int_equal(exchange_stream(&rig->env, &client, TEXT_LITERAL("unix:uid=7")), 0);
    rig_turn(rig);
    assert_int_equal(rig_count(rig, OUTCOME_TARGET_ABSENT), 1);
    assert_int_equal(rig->n_left, 2);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_tunnel_joined_delivers_early_bytes_first),
        RIG_TEST(test_tunnel_joined_with_a_whole_block_of_early_bytes),
        RIG_TEST(test_tunnel_that_cannot_be_joined_takes_everything_over_all_the_same),
        RIG_TEST(test_tunnel_whose_client_cannot_be_watched_fails),
        RIG_TEST(test_tunnel_to_nobody_ends_at_once),
        RIG_TEST(test_tunnel_to_a_socket_without_listener_is_refused),
        RIG_TEST(test_tunnel_waits_for_a_connection_and_then_begins),
        RIG_TEST(test_tunnel_that_waited_too_long_finds_the_target_busy),
        RIG_TEST(test_tunnel_client_that_leaves_while_waiting_takes_its_place_out_of_the_queue),
        RIG_TEST(test_tunnel_client_that_speaks_and_leaves_while_waiting_is_heard_out),
        RIG_TEST(test_tunnel_of_a_client_that_only_finished_sending_waits_on),
        RIG_TEST(test_tunnel_is_logged_with_its_own_copy_of_what_is_known),
        RIG_TEST(test_tunnel_to_nobody_is_logged_with_its_reason),
        RIG_TEST(test_exchange_tunnel_outlives_it),
        RIG_TEST(test_exchange_that_failed_makes_no_tunnel),
        RIG_TEST(test_exchange_whose_tunnel_cannot_begin_is_internal),
        RIG_TEST(test_exchange_that_was_never_told_its_switch_closes_the_connection),
        RIG_TEST(test_exchange_stream_has_no_exchange),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
