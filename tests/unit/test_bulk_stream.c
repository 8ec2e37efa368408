/* Bodies of answers of unknown length that are moved beside the library: in chunks and until the close, at every
 * position, and each way in which either side can stop. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/exchange/capture.h"
#include "tests/unit/client_rig.h"

#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define GET_1_0 "GET /a HTTP/1.0\r\nHost: a\r\n\r\n"
#define CHUNKED "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
#define UNTIL_CLOSE "HTTP/1.1 200 OK\r\n\r\n"
#define LARGE_BYTES 700000

static char large[LARGE_BYTES];
static char content[RIG_BYTES];

static int stream_group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the server does: splice(2) has no flag for it */
    front_fill(large, LARGE_BYTES);
    return 0;
}

static bool is_moving(struct front *front)
{
    return front_client(front)->request.bulk != NULL;
}

/* Up to the head and the first piece, which is enough to go on beside the library. */
static void begin(struct front *front, const char *request, const char *answer)
{
    front_open_moving(front);
    front_reach_target(front, request);
    front_target_say(front, answer);
    assert_true(is_moving(front));
}

/* Decodes what the client has of a chunked body behind the head: into `content`, its length in *ret_n. Whether the last
 * chunk is there. */
static bool decode(struct front *front, size_t *ret_n)
{
    struct chunked chunked = {0};
    const char *body = strstr(front->data, "\r\n\r\n");
    struct text in;

    *ret_n = 0;
    if (!body)
        return false;
    in = (struct text){body + 4, front->n_data - (size_t)(body + 4 - front->data)};
    for (;;) {
        struct text data;
        size_t used;
        enum chunked_result result = chunked_decode(&chunked, in, &used, &data);

        assert_int_not_equal(result, CHUNKED_BAD);
        if (result == CHUNKED_DATA) {
            memcpy(content + *ret_n, data.data, data.length);
            *ret_n += data.length;
        }
        if (result == CHUNKED_MORE || result == CHUNKED_END)
            return result == CHUNKED_END;
        in = (struct text){in.data + used, in.length - used};
    }
}

/* The client has a whole chunked answer with this body. */
static void expect_whole(struct front *front, const char *body)
{
    size_t n;

    front_settle(front);
    front_receive(front);
    if (!decode(front, &n) || n != strlen(body) || memcmp(content, body, n) != 0)
        fail_msg("expected '%s', got '%s'", body, front->data);
    front->n_data = 0;
}

static void expect_client_goes_on(struct front *front)
{
    assert_int_equal(front->n_closed, 0);
    assert_int_equal(front_phase(front), CLIENT_IDLE);
    front_say(front, GET);
    if (rig_n_idle(front->rig) == 0 && front->rig->target_fd < 0)
        rig_accept(front->rig);
    assert_true(rig_receive(front->rig) > 0);
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_int_equal(front->n_closed, 0);
}

/* ---- whole bodies ---- */

static void test_stream_in_chunks_arrives_and_both_connections_go_on(void **state)
{
    struct front *front = *state;

    begin(front, GET, CHUNKED "3\r\nabc\r\n");
    front_target_say(front, "4\r\nde");
    front_target_say(front, "fg\r\n3\r\nhij\r\n0\r\n\r\n");
    expect_whole(front, "abcdefghij");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    assert_int_equal(rig_n_idle(front->rig), 1);
    expect_client_goes_on(front);
}

static void test_stream_is_the_same_wherever_it_is_parted(void **state)
{
    struct front *front = *state;
    char text[] = CHUNKED "3\r\nabc\r\n5;a=b\r\ndefgh\r\n2\r\nij\r\n0\r\nX-A: b\r\n\r\n";

    front_open_moving(front);
    front_reach_target(front, GET);
    for (size_t i = 1; i < sizeof(text) - 1; i++) {
        if (i > 1) {
            front_say(front, GET);
            assert_true(rig_receive(front->rig) > 0);
        }
        rig_send_bytes(front->rig, text, i);
        front_settle(front);
        rig_send_bytes(front->rig, text + i, sizeof(text) - 1 - i);
        front_settle(front);
        front_receive(front);
        assert_non_null(strstr(front->data, "\r\nX-A: b\r\n\r\n"));
        expect_whole(front, "abcdefghij");
        assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), i);
    }
    assert_int_equal(front->n_closed, 0);
}

static void test_stream_of_single_bytes_arrives(void **state)
{
    struct front *front = *state;

    begin(front, GET, CHUNKED "1\r\na\r\n");
    for (const char *byte = "a\r\nbcdefghijk\r\n0\r\n\r\n"; *byte; byte++)
        rig_send_bytes(front->rig, byte, 1), front_settle(front);
    expect_whole(front, "abcdefghijk");
    expect_client_goes_on(front);
}

static void test_stream_until_close_becomes_chunks(void **state)
{
    struct front *front = *state;

    begin(front, GET, UNTIL_CLOSE "abc");
    front_target_say(front, "def");
    front_receive(front);
    assert_int_equal(strcmp(front->data + front->n_data - 8, "3\r\ndef\r\n"),
                     0); /* complete although there is no more */
    front_target_say(front, "ghij");
    rig_close(front->rig);
    expect_whole(front, "abcdefghij");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    expect_client_goes_on(front);
}

/* It is the library's to close then. */
static void expect_raw_and_closed(struct front *front, const char *answer, const char *rest)
{
    begin(front, GET_1_0, answer);
    front_target_say(front, rest);
    rig_close(front->rig);
    front_await(front, OUTCOME_FORWARDED);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    front_expect_closed(front);
}

static void test_stream_until_close_to_http_1_0_has_no_chunks(void **state)
{
    expect_raw_and_closed(*state, UNTIL_CLOSE "abc", "defghij");
}

static void test_stream_in_chunks_to_http_1_0_has_none(void **state)
{
    expect_raw_and_closed(*state, CHUNKED "3\r\nabc\r\n", "7\r\ndefghij\r\n0\r\nX-A: b\r\n\r\n");
}

static void test_stream_to_a_client_that_wants_to_close_is_in_chunks(void **state)
{
    struct front *front = *state;

    begin(front, "GET /a HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n", UNTIL_CLOSE "abc");
    front_target_say(front, "defghij");
    rig_close(front->rig);
    front_await(front, OUTCOME_FORWARDED);
    expect_whole(front, "abcdefghij");
    front_expect_closed(front);
}

static void test_stream_to_a_half_closed_client_arrives(void **state)
{
    struct front *front = *state;

    begin(front, GET, CHUNKED "3\r\nabc\r\n");
    shutdown(front->fd, SHUT_WR);
    front_target_say(front, "7\r\ndefghij\r\n0\r\n\r\n");
    front_await(front, OUTCOME_FORWARDED);
    expect_whole(front, "abcdefghij");
    front_expect_closed(front);
}

/* The target sends `large` in chunks of so much (0: raw, until it closes) while the client reads slowly. */
static void exchange_large(struct front *front, size_t chunk_bytes)
{
    static char wire[2 * LARGE_BYTES];
    size_t n_wire = 0, n_sent = 0, n;

    for (size_t i = 0; i < LARGE_BYTES; i += chunk_bytes ? chunk_bytes : LARGE_BYTES) {
        size_t piece = chunk_bytes && LARGE_BYTES - i > chunk_bytes ? chunk_bytes : LARGE_BYTES - i;

        n_wire += chunk_bytes ? (size_t)sprintf(wire + n_wire, "%zx\r\n", piece) : 0;
        memcpy(wire + n_wire, large + i, piece);
        n_wire += piece;
        n_wire += chunk_bytes ? (size_t)sprintf(wire + n_wire, "\r\n") : 0;
    }
    n_wire += chunk_bytes ? (size_t)sprintf(wire + n_wire, "0\r\n\r\n") : 0;
    for (int i = 0; !decode(front, &n); i++) {
        ssize_t r = send(front->rig->target_fd, wire + n_sent, n_wire - n_sent, MSG_NOSIGNAL | MSG_DONTWAIT);

        assert_true(i < 100000);
        n_sent += r > 0 ? (size_t)r : 0;
        front_settle(front);
        if (n_sent == n_wire && !chunk_bytes && front->rig->target_fd >= 0)
            rig_close(front->rig);
        if (i % 3 == 0)
            front_receive(front);
    }
    front_settle(front);
    assert_int_equal(n, LARGE_BYTES);
    assert_memory_equal(content, large, LARGE_BYTES);
    front->n_data = 0;
    front->data[0] = '\0';
}

static void test_stream_of_much_waits_for_a_slow_client(void **state)
{
    static const size_t chunks[] = {0, 1000, 5000, 70000, LARGE_BYTES};
    struct front *front = *state;

    front_open(front);
    front->rig->env.bulk_bytes = 1;
    front->rig->env.bulk_chunk_bytes = 4000;
    front_say(front, GET);
    rig_accept(front->rig);
    for (size_t i = sizeof(chunks) / sizeof(chunks[0]); i-- > 0;) {
        rig_receive(front->rig);
        front_target_say(front, chunks[i] ? CHUNKED : UNTIL_CLOSE);
        exchange_large(front, chunks[i]);
        assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), sizeof(chunks) / sizeof(chunks[0]) - i);
        if (i > 0)
            front_say(front, GET);
    }
    assert_int_equal(front->n_closed, 0);
}

static void test_stream_without_a_pipe_is_copied_in_blocks(void **state)
{
    struct front *front = *state;
    struct pipe_store *pipes = &front->rig->env.tunnels.pipes;

    pipes->n_pipes += 1000;
    begin(front, GET, UNTIL_CLOSE "abc");
    front_target_say(front, "def");
    rig_close(front->rig);
    expect_whole(front, "abcdef");
    pipes->n_pipes -= 1000;
    expect_client_goes_on(front);
}

static void test_stream_pipelined_requests_wait_for_its_end(void **state)
{
    struct front *front = *state;

    begin(front, GET "GET /b HTTP/1.1\r\nHost: a\r\n\r\n", CHUNKED "3\r\nabc\r\n");
    assert_int_equal(rig_receive(front->rig), 0);
    front_target_say(front, "3\r\ndef\r\n0\r\n\r\n");
    expect_whole(front, "abcdef");
    rig_expect_request(front->rig, "GET /b HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, CHUNKED "1\r\n0\r\n");
    front_target_say(front, "1\r\n1\r\n0\r\n\r\n");
    expect_whole(front, "01");
    expect_client_goes_on(front);
}

static void test_stream_worker_that_drains_meanwhile_lets_it_end(void **state)
{
    struct front *front = *state;

    begin(front, GET, CHUNKED "3\r\nabc\r\n");
    front->rig->env.closing = front->rig->env.stopping = true;
    clients_stop(frontend_clients(front->frontend));
    front_target_say(front, "3\r\ndef\r\n0\r\n\r\n");
    expect_whole(front, "abcdef");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
}

/* ---- ends that are none ---- */

/* The client's connection ends before the body does, and the target's is gone. */
static void expect_cut(struct front *front, enum outcome outcome)
{
    size_t n;

    front_await(front, outcome);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 0);
    if (front->fd < 0)
        return;
    front_receive(front);
    assert_false(decode(front, &n));
    front_expect_closed(front);
}

static void test_stream_that_breaks_off_in_a_chunk_is_cut(void **state)
{
    struct front *front = *state;

    begin(front, GET, CHUNKED "3\r\nabc\r\n");
    front_target_say(front, "5\r\nde");
    rig_close(front->rig);
    expect_cut(front, OUTCOME_TARGET_TRUNCATED);
}

static void test_stream_that_breaks_off_between_chunks_is_cut(void **state)
{
    struct front *front = *state;

    begin(front, GET, CHUNKED "3\r\nabc\r\n");
    front_target_say(front, "2\r\nde\r\n");
    rig_close(front->rig);
    expect_cut(front, OUTCOME_TARGET_TRUNCATED);
}

static void test_stream_of_a_bad_chunk_is_cut(void **state)
{
    struct front *front = *state;

    begin(front, GET, CHUNKED "3\r\nabc\r\n");
    front_target_say(front, "2\r\nde+\r\n");
    expect_cut(front, OUTCOME_TARGET_TRUNCATED);
}

/* A target that has something unread resets the connection. */
static void test_stream_until_close_that_is_reset_is_cut(void **state)
{
    struct front *front = *state;

    front_open_moving(front);
    front_say(front, "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx");
    rig_accept(front->rig);
    front_target_say(front, UNTIL_CLOSE "abc");
    assert_true(is_moving(front));
    front_target_say(front, "def");
    rig_close(front->rig);
    expect_cut(front, OUTCOME_TARGET_TRUNCATED);
}

static void test_stream_of_a_silent_target_is_cut_after_its_own_time(void **state)
{
    struct front *front = *state;

    front->rig->target_config.times.idle_ms = 100;
    begin(front, GET, UNTIL_CLOSE "abc");
    expect_cut(front, OUTCOME_TARGET_STALLED);
}

static void fill_client(struct front *front)
{
    while (send(front->rig->target_fd, large, LARGE_BYTES, MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        front_settle(front);
}

static void test_stream_client_that_stops_reading_for_too_long_is_cut(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_body_ms = 400;
    begin(front, GET, UNTIL_CLOSE "abc");
    fill_client(front);
    expect_cut(front, OUTCOME_CLIENT_STALLED);
}

static void test_stream_client_that_leaves_frees_the_target(void **state)
{
    struct front *front = *state;

    begin(front, GET, UNTIL_CLOSE "abc");
    fill_client(front);
    close(front->fd);
    front->fd = -1;
    expect_cut(front, OUTCOME_CLIENT_GONE);
}

static void test_stream_is_stopped_with_all_clients(void **state)
{
    struct front *front = *state;

    begin(front, GET, UNTIL_CLOSE "abc");
    fill_client(front);
    clients_cut_all(frontend_clients(front->frontend));
    expect_cut(front, OUTCOME_STOPPED);
}

static void test_stream_frontend_that_ends_meanwhile_leaves_nothing(void **state)
{
    struct front *front = *state;

    begin(front, GET, UNTIL_CLOSE "abc");
    fill_client(front);
}

/* ---- whose body it is ---- */

static void test_stream_of_small_pieces_stays_with_the_library(void **state)
{
    struct front *front = *state;

    front_open(front);
    front->rig->env.bulk_bytes = 4;
    front_reach_target(front, GET);
    front_target_say(front, CHUNKED "3\r\nabc\r\n");
    front_target_say(front, "3\r\ndef\r\n");
    assert_false(is_moving(front));
    front_target_say(front, "4\r\nghij\r\n");
    assert_true(is_moving(front));
    front_target_say(front, "0\r\n\r\n");
    expect_whole(front, "abcdefghij");
    expect_client_goes_on(front);
}

/* It must go through our hands. */
static void test_stream_is_no_body_that_a_tap_wants_to_see(void **state)
{
    struct front *front = *state;

    front_open_moving(front);
    front_reach_target(front, GET);
    capture_begin(front_client(front)->request.exchange, TAP_WANTS | TAP_WANTS_HEADS | 100u << TAP_BODY_SHIFT);
    front_target_say(front, CHUNKED "3\r\nabc\r\n");
    assert_false(is_moving(front));
    front_target_say(front, "3\r\ndef\r\n0\r\n\r\n");
    expect_whole(front, "abcdef");
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_stream_in_chunks_arrives_and_both_connections_go_on),
        FRONT_TEST(test_stream_is_the_same_wherever_it_is_parted),
        FRONT_TEST(test_stream_of_single_bytes_arrives),
        FRONT_TEST(test_stream_until_close_becomes_chunks),
        FRONT_TEST(test_stream_until_close_to_http_1_0_has_no_chunks),
        FRONT_TEST(test_stream_in_chunks_to_http_1_0_has_none),
        FRONT_TEST(test_stream_to_a_client_that_wants_to_close_is_in_chunks),
        FRONT_TEST(test_stream_to_a_half_closed_client_arrives),
        FRONT_TEST(test_stream_of_much_waits_for_a_slow_client),
        FRONT_TEST(test_stream_without_a_pipe_is_copied_in_blocks),
        FRONT_TEST(test_stream_pipelined_requests_wait_for_its_end),
        FRONT_TEST(test_stream_worker_that_drains_meanwhile_lets_it_end),
        FRONT_TEST(test_stream_that_breaks_off_in_a_chunk_is_cut),
        FRONT_TEST(test_stream_that_breaks_off_between_chunks_is_cut),
        FRONT_TEST(test_stream_of_a_bad_chunk_is_cut),
        FRONT_TEST(test_stream_until_close_that_is_reset_is_cut),
        FRONT_TEST(test_stream_of_a_silent_target_is_cut_after_its_own_time),
        FRONT_TEST(test_stream_client_that_stops_reading_for_too_long_is_cut),
        FRONT_TEST(test_stream_client_that_leaves_frees_the_target),
        FRONT_TEST(test_stream_is_stopped_with_all_clients),
        FRONT_TEST(test_stream_frontend_that_ends_meanwhile_leaves_nothing),
        FRONT_TEST(test_stream_of_small_pieces_stays_with_the_library),
        FRONT_TEST(test_stream_is_no_body_that_a_tap_wants_to_see),
    };

    return cmocka_run_group_tests(tests, stream_group_setup, NULL);
}
