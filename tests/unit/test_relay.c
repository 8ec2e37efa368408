/* Answers that are relayed past the library while the client is still sending: both directions at once, and each way in
 * which either of them can stop. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/client_rig.h"

#define SIZED "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10000000\r\n\r\n"
#define CHUNKED "POST /a HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n"
#define PIECE_BYTES 50000

static char piece[PIECE_BYTES + 1];

static int relay_group_setup(void **state)
{
    (void)state;
    memset(piece, 'x', PIECE_BYTES);
    return 0;
}

/* Lets the rest of the request have its moment; then the answer is relayed. */
static void await_relay(struct front *front)
{
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);

    while (front_phase(front) != CLIENT_RELAY) {
        front_round(front, 5);
        assert_true(instant_before(instant_now(), end));
    }
    front_settle(front);
}

/* A target that streams its answer while the client has only begun to send. */
static void begin_relay(struct front *front, const char *request, const char *answer)
{
    front_open(front);
    front_reach_target(front, request);
    front_target_say(front, answer);
    await_relay(front);
}

/* The client has got exactly this since the last look. */
static void expect_got(struct front *front, const char *data)
{
    front_settle(front);
    front_receive(front);
    assert_string_equal(front->data, data);
    front->n_data = 0;
}

static void expect_head(struct front *front, const char *field, const char *body)
{
    front_expect(front, "HTTP/1.1 200 OK\r\n", body);
    assert_non_null(strstr(front->data, field));
    assert_null(strstr(front->data, "Connection: close"));
}

static void expect_last_head(struct front *front, const char *field, const char *body)
{
    front_expect(front, "HTTP/1.1 200 OK\r\nConnection: close\r\n", body);
    assert_non_null(strstr(front->data, field));
}

/* All of it has been sent, and our end is shut. */
static void expect_end(struct front *front)
{
    char byte;

    front_settle(front);
    assert_int_equal(recv(front->fd, &byte, 1, 0), 0);
}

/* The client takes its leave after the answer. */
static void close_and_expect(struct front *front, enum outcome outcome)
{
    close(front->fd);
    front->fd = -1;
    front_await(front, outcome);
    assert_int_equal(front->n_closed, 1);
    for (int i = 0; i < N_OUTCOMES; i++)
        assert_int_equal(rig_count(front->rig, (enum outcome)i), i == (int)outcome);
    assert_int_equal(target_n_open(front->rig->target), rig_n_idle(front->rig));
}

/* ---- both directions at once ---- */

static void test_relay_chunked_answer_and_upload_go_on_together(void **state)
{
    struct front *front = *state;

    begin_relay(front, CHUNKED "3\r\nabc\r\n",
                "HTTP/1.1 200 OK\r\nX: y\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    expect_head(front, "Transfer-Encoding: chunked\r\nX: y\r\n\r\n", "\r\n\r\n2\r\nok\r\n");
    assert_null(strstr(front->data, "Content-Length"));
    for (int i = 0; i < 3; i++) {
        front_say(front, "4\r\nmore\r\n");
        rig_expect_request(front->rig, "4\r\nmore\r\n", "more\r\n");
        front_target_say(front, "5;x=y\r\necho!\r\n");
        expect_got(front, "5\r\necho!\r\n");
    }
    front_say(front, "0\r\n\r\n");
    rig_expect_request(front->rig, "0\r\n\r\n", "\r\n");
    front_target_say(front, "3\r\nend\r\n0\r\n\r\n");
    expect_got(front, "3\r\nend\r\n0\r\n\r\n");
    assert_int_equal(rig_n_idle(front->rig), 1);
    assert_int_equal(counter_read(&front->rig->metrics.received_bytes), 3 + 3 * 4);
    assert_int_equal(counter_read(&front->rig->metrics.sent_bytes), 2 + 3 * 5 + 3);
    front_exchange_again(front, false);
}

static void test_relay_sized_answer_has_its_length_and_no_chunks(void **state)
{
    struct front *front = *state;

    begin_relay(front, SIZED "abc", "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\nfirst");
    expect_head(front, "\r\nContent-Length: 100000\r\n", "\r\n\r\nfirst");
    assert_null(strstr(front->data, "chunked"));
    for (int n = 5; n < 100000 - 7;) {
        int length = 100000 - 7 - n < PIECE_BYTES ? 100000 - 7 - n : PIECE_BYTES;
        ssize_t sent = send(front->rig->target_fd, piece, (size_t)length, MSG_NOSIGNAL);

        assert_true(sent > 0);
        n += (int)sent;
        front_settle(front);
        front_receive(front);
    }
    assert_int_equal(front->n_data, 100000 - 7 - 5);
    front->n_data = 0;
    front_target_say(front, " it is.");
    expect_got(front, " it is.");
    expect_end(front);
    close_and_expect(front, OUTCOME_FORWARDED);
}

/* A client of HTTP/1.0 knows no chunks: the connection's end is the body's. */
static void test_relay_answer_to_http_1_0_ends_with_the_connection(void **state)
{
    struct front *front = *state;

    begin_relay(front, "POST /a HTTP/1.0\r\nHost: a\r\nContent-Length: 1000\r\n\r\nabc",
                "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    expect_last_head(front, "\r\n\r\nok", "\r\n\r\nok");
    assert_null(strstr(front->data, "Content-Length"));
    assert_null(strstr(front->data, "chunked"));
    front_target_say(front, "3\r\nend\r\n0\r\n\r\n");
    expect_got(front, "end");
    expect_end(front);
    close_and_expect(front, OUTCOME_FORWARDED);
}

static void test_relay_answer_until_close_becomes_chunks(void **state)
{
    struct front *front = *state;

    begin_relay(front, SIZED "abc", "HTTP/1.1 200 OK\r\n\r\nok");
    expect_head(front, "Transfer-Encoding: chunked\r\n", "\r\n\r\n2\r\nok\r\n");
    rig_receive(front->rig);
    assert_int_equal(shutdown(front->rig->target_fd, SHUT_WR), 0);
    expect_got(front, "0\r\n\r\n");
    expect_end(front);
    close_and_expect(front, OUTCOME_FORWARDED);
}

#define WITH_TRAILERS "HTTP/1.1 200 OK\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n"
#define TRAILERS "0\r\nT: u\r\nContent-Length: 7\r\nSet-Cookie: a\r\nV:\r\n\r\n"

static void test_relay_trailers_go_to_a_client_that_wants_them(void **state)
{
    struct front *front = *state;

    begin_relay(front, "POST /a HTTP/1.1\r\nHost: a\r\nTE: trailers\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
                WITH_TRAILERS);
    expect_head(front, "\r\nTrailer: T\r\n", "2\r\nok\r\n");
    front_target_say(front, TRAILERS);
    expect_got(front, "0\r\nT: u\r\nV: \r\n\r\n");
    assert_int_equal(front_phase(front), CLIENT_REST);
    front_say(front, "0\r\n\r\n");
    assert_int_equal(front_phase(front), CLIENT_IDLE);
    close_and_expect(front, OUTCOME_FORWARDED);
}

static void test_relay_trailers_go_to_a_client_that_did_not_ask(void **state)
{
    struct front *front = *state;

    begin_relay(front, CHUNKED "3\r\nabc\r\n", WITH_TRAILERS);
    expect_head(front, "\r\nTrailer: T\r\n", "2\r\nok\r\n");
    front_target_say(front, TRAILERS);
    expect_got(front, "0\r\nT: u\r\nV: \r\n\r\n");
    front_say(front, "0\r\n\r\n");
    close_and_expect(front, OUTCOME_FORWARDED);
}

/* Larger than what is taken of a body that nobody reads: the target reads all of it. */
static void test_relay_upload_that_is_read_whole_may_be_large(void **state)
{
    struct front *front = *state;

    begin_relay(front, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 2000000\r\n\r\n",
                "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nok");
    expect_head(front, "\r\nContent-Length: 4\r\n", "\r\n\r\nok");
    for (int i = 0; i < 2000000 / PIECE_BYTES; i++) {
        front_say(front, piece);
        rig_receive(front->rig);
    }
    front_target_say(front, "ok");
    expect_got(front, "ok");
    assert_int_equal(rig_n_idle(front->rig), 1);
    front_exchange_again(front, false);
}

/* ---- ends that stop ---- */

#define ENDLESS "HTTP/1.1 200 OK\r\nContent-Length: 100000000\r\n\r\nok"

/* The target sends until the client's socket, we, and its own socket are full. Returns how much. */
static size_t fill_client(struct front *front)
{
    size_t n = 0;
    ssize_t r;

    while ((r = send(front->rig->target_fd, piece, PIECE_BYTES, MSG_NOSIGNAL)) > 0) {
        n += (size_t)r;
        front_settle(front);
    }
    return n;
}

/* The client sends until we are full. */
static size_t fill_target(struct front *front)
{
    size_t n = 0;
    ssize_t r;

    while ((r = send(front->fd, piece, PIECE_BYTES, MSG_NOSIGNAL)) > 0) {
        n += (size_t)r;
        front_settle(front);
    }
    return n;
}

static void test_relay_client_that_stops_reading_and_goes_on_gets_everything(void **state)
{
    struct front *front = *state;
    size_t n, n_got = 0;

    begin_relay(front, SIZED "abc", ENDLESS);
    expect_head(front, "", "\r\n\r\nok");
    n = fill_client(front);
    assert_true(n > 2 * PIECE_BYTES);
    assert_int_equal(front_phase(front), CLIENT_RELAY);
    assert_false(frontend_is_busy(front->frontend));
    /* The other direction does not mind. */
    rig_receive(front->rig);
    front_say(front, "still sending");
    rig_expect_request(front->rig, "still sending", "sending");
    for (int i = 0; n_got < n; i++) {
        assert_true(i < 10000);
        front_receive(front);
        n_got += front->n_data;
        assert_int_equal(strspn(front->data, "x"), front->n_data);
        front->n_data = 0;
        front_settle(front);
    }
    assert_int_equal(n_got, n);
    front_target_say(front, "!");
    expect_got(front, "!");
    close_and_expect(front, OUTCOME_CLIENT_GONE);
}

static void test_relay_client_that_stops_reading_for_too_long_is_cut(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_body_ms = 400;
    begin_relay(front, SIZED "abc", ENDLESS);
    fill_client(front);
    front_await(front, OUTCOME_CLIENT_STALLED);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

static void test_relay_neither_direction_moves_for_too_long(void **state)
{
    struct front *front = *state;

    front->rig->listener.timeout_body_ms = 400;
    begin_relay(front, SIZED "abc", ENDLESS);
    expect_head(front, "", "\r\n\r\nok");
    front_await(front, OUTCOME_BODY_TIMEOUT);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

/* One direction is enough. */
static void test_relay_direction_that_moves_keeps_the_other_alive(void **state)
{
    struct front *front = *state;
    struct instant end;

    front->rig->listener.timeout_body_ms = 3000;
    for (int by_target = 0; by_target < 2; by_target++) {
        if (by_target) {
            front_connect(front);
            front_reach_target(front, SIZED "abc");
            front_target_say(front, ENDLESS);
            await_relay(front);
        } else {
            begin_relay(front, SIZED "abc", ENDLESS);
        }
        end = instant_add_ms(instant_now(), 4000);
        while (instant_before(instant_now(), end)) {
            if (by_target)
                front_target_say(front, "x");
            else
                front_say(front, "x");
            front_receive(front);
            front_round(front, 50);
        }
        assert_int_equal(front_phase(front), CLIENT_RELAY);
        close(front->fd);
        front->fd = -1;
        for (int i = 0; i < RIG_PATIENCE_MS && (int)front->n_closed <= by_target; i++)
            front_round(front, 1);
        assert_int_equal(rig_count(front->rig, OUTCOME_CLIENT_GONE), by_target + 1);
    }
}

/* The client cannot mistake what it got for the whole. */
static void test_relay_truncated_answer_is_cut_before_its_end(void **state)
{
    struct front *front = *state;

    begin_relay(front, CHUNKED "3\r\nabc\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    rig_receive(front->rig);
    rig_close(front->rig);
    front_await(front, OUTCOME_TARGET_TRUNCATED);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "2\r\nok\r\n");
    assert_int_equal(front->n_closed, 1);
}

static void test_relay_silent_target_is_cut_after_its_own_time(void **state)
{
    struct front *front = *state;

    front->rig->target_config.times.idle_ms = 100;
    begin_relay(front, CHUNKED "3\r\nabc\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    front_await(front, OUTCOME_TARGET_STALLED);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "2\r\nok\r\n");
}

/* The client's last piece is no reason to wait for the target for ever. */
static void test_relay_silent_target_is_cut_although_the_client_went_on(void **state)
{
    struct front *front = *state;

    front->rig->target_config.times.idle_ms = 1000;
    front->rig->listener.timeout_body_ms = 300000;
    begin_relay(front, CHUNKED "3\r\nabc\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    front_say(front, "4\r\nmore\r\n");
    front_say(front, "0\r\n\r\n");
    assert_int_equal(front_phase(front), CLIENT_RELAY);
    front_await(front, OUTCOME_TARGET_STALLED);
}

static void test_relay_client_that_leaves_frees_the_target(void **state)
{
    struct front *front = *state;

    begin_relay(front, SIZED "abc", ENDLESS);
    close_and_expect(front, OUTCOME_CLIENT_GONE);
    rig_receive(front->rig);
    assert_int_equal(rig_receive(front->rig), -1);
}

static void test_relay_client_that_leaves_with_its_answer_untaken_is_gone(void **state)
{
    struct front *front = *state;

    begin_relay(front, SIZED "abc", ENDLESS);
    fill_client(front);
    close_and_expect(front, OUTCOME_CLIENT_GONE);
}

/* The target has said everything and the client has sent everything: only the last piece is left to be taken. */
static void test_relay_client_that_leaves_before_the_last_piece_is_gone(void **state)
{
    struct front *front = *state;
    struct client *client;
    int bytes = 1; /* the kernel's least */

    begin_relay(front, CHUNKED "3\r\nabc\r\n", "HTTP/1.1 200 OK\r\nContent-Length: 50002\r\n\r\nok");
    client = front_client(front);
    assert_int_equal(setsockopt(client->fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)), 0);
    front_say(front, "0\r\n\r\n");
    front_target_say(front, piece);
    assert_int_equal(rig_n_idle(front->rig), 1);
    assert_int_equal(front_phase(front), CLIENT_RELAY);
    close_and_expect(front, OUTCOME_CLIENT_GONE);
}

/* ---- uploads that stop ---- */

static void test_relay_upload_waits_for_a_full_target(void **state)
{
    struct front *front = *state;
    size_t n, n_received = 0;

    begin_relay(front, SIZED "abc", ENDLESS);
    rig_receive(front->rig);
    n = fill_target(front);
    assert_true(n > 2 * PIECE_BYTES);
    assert_int_equal(front_phase(front), CLIENT_RELAY);
    assert_false(frontend_is_busy(front->frontend));
    /* The answer does not mind. */
    expect_head(front, "", "\r\n\r\nok");
    front_target_say(front, "and on");
    expect_got(front, "and on");
    while (rig_receive(front->rig) > 0) {
        n_received += front->rig->n_received;
        front_settle(front);
    }
    assert_int_equal(n_received, n);
    front_say(front, "done");
    rig_expect_request(front->rig, "done", "done");
    close_and_expect(front, OUTCOME_CLIENT_GONE);
}

static void test_relay_target_that_stops_reading_and_speaking_is_cut(void **state)
{
    struct front *front = *state;

    front->rig->target_config.times.idle_ms = 1000;
    begin_relay(front, SIZED "abc", ENDLESS);
    fill_target(front);
    front_await(front, OUTCOME_TARGET_STALLED);
    assert_int_equal(front->n_closed, 1);
}

/* It has heard enough but still speaks; the rest of the upload is for nobody. */
static void test_relay_target_that_closes_its_ears_still_answers(void **state)
{
    struct front *front = *state;

    begin_relay(front, SIZED "abc", "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nok");
    expect_head(front, "", "\r\n\r\nok");
    rig_receive(front->rig);
    assert_int_equal(shutdown(front->rig->target_fd, SHUT_RD), 0);
    for (int i = 0; i < 5; i++)
        front_say(front, "who listens?");
    assert_int_equal(front_phase(front), CLIENT_RELAY);
    front_target_say(front, "not I...");
    expect_got(front, "not I...");
    expect_end(front);
    close_and_expect(front, OUTCOME_FORWARDED);
}

static void test_relay_upload_that_gets_too_large_is_cut(void **state)
{
    struct front *front = *state;

    front->rig->listener.limit_body_bytes = 10;
    begin_relay(front, CHUNKED "3\r\nabc\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    front_say(front, "9\r\ntoo large\r\n");
    front_settle(front);
    front_await(front, OUTCOME_BODY_TOO_LARGE);
    assert_int_equal(front->n_closed, 1);
    front_receive(front);
    assert_null(strstr(front->data, "0\r\n\r\n"));
}

static void test_relay_upload_that_ends_badly_is_cut(void **state)
{
    struct front *front = *state;

    begin_relay(front, CHUNKED "3\r\nabc\r\n", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n");
    front_say(front, "0\r\nB ad: x\r\n\r\n");
    front_await(front, OUTCOME_MALFORMED);
    assert_int_equal(front->n_closed, 1);
    rig_receive(front->rig);
    assert_null(strstr(front->rig->received, "0\r\n")); /* the target was not told that this is all */
}

/* The answer lies in memory, which goes when the exchange fails: what has not left by then is not read any more. */
static void test_relay_of_an_answer_in_memory_breaks_off_with_a_bad_upload(void **state)
{
    struct front *front = *state;
    char *answer = malloc(30000);
    size_t length, n_got = 0;
    int n;

    assert_non_null(answer);
    front->rig->listener.limit_body_bytes = 10;
    front_open(front);
    front_make_slow(front);
    front_reach_target(front, CHUNKED "3\r\nabc\r\n");
    n = snprintf(answer, 30000, "HTTP/1.1 200 OK\r\nContent-Length: 3000\r\nX: %017000d\r\n\r\n%03000d", 0, 0);
    length = (size_t)n;
    rig_send_bytes(front->rig, answer, length);
    await_relay(front);
    front_say(front, "9\r\ntoo large\r\n");
    for (int i = 0; i < 1000 && front->n_closed == 0; i++) {
        front_receive(front);
        n_got += front->n_data;
        front->n_data = 0;
        front_round(front, 1);
    }
    front_await(front, OUTCOME_BODY_TOO_LARGE);
    assert_int_equal(front->n_closed, 1);
    assert_true(n_got < length);
    free(answer);
}

static void test_relay_is_stopped_with_all_clients(void **state)
{
    struct front *front = *state;

    begin_relay(front, SIZED "abc", ENDLESS);
    fill_client(front);
    clients_cut_all(frontend_clients(front->frontend));
    front_await(front, OUTCOME_STOPPED);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

/* ---- answers that are told whole ---- */

static void test_relay_early_answer_in_memory_is_told_whole(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, SIZED "abc");
    front_target_say(front, "HTTP/1.1 403 Forbidden\r\n" DATE "Content-Length: 3\r\nX: y\r\n\r\nno\n");
    front_await(front, OUTCOME_FORWARDED);
    front_expect(front, "HTTP/1.1 403 Forbidden\r\nConnection: close\r\n" DATE "Content-Length: 3\r\n", "\r\n\r\nno\n");
    assert_non_null(strstr(front->data, "\r\nX: y\r\n"));
}

/* The rest comes in time: the library answers, and the connection goes on. */
static void test_relay_is_not_needed_when_the_upload_ends_soon(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_reach_target(front, "POST /a HTTP/1.1\r\nHost: a\r\nContent-Length: 5\r\n\r\nabc");
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n");
    assert_int_equal(front_phase(front), CLIENT_EARLY);
    front_say(front, "de");
    front_target_say(front, "ok");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_null(strstr(front->data, "Connection: close"));
    assert_int_equal(front->n_closed, 0);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_relay_chunked_answer_and_upload_go_on_together),
        FRONT_TEST(test_relay_sized_answer_has_its_length_and_no_chunks),
        FRONT_TEST(test_relay_answer_to_http_1_0_ends_with_the_connection),
        FRONT_TEST(test_relay_answer_until_close_becomes_chunks),
        FRONT_TEST(test_relay_trailers_go_to_a_client_that_wants_them),
        FRONT_TEST(test_relay_trailers_go_to_a_client_that_did_not_ask),
        FRONT_TEST(test_relay_upload_that_is_read_whole_may_be_large),
        FRONT_TEST(test_relay_client_that_stops_reading_and_goes_on_gets_everything),
        FRONT_TEST(test_relay_client_that_stops_reading_for_too_long_is_cut),
        FRONT_TEST(test_relay_neither_direction_moves_for_too_long),
        FRONT_TEST(test_relay_direction_that_moves_keeps_the_other_alive),
        FRONT_TEST(test_relay_truncated_answer_is_cut_before_its_end),
        FRONT_TEST(test_relay_silent_target_is_cut_after_its_own_time),
        FRONT_TEST(test_relay_silent_target_is_cut_although_the_client_went_on),
        FRONT_TEST(test_relay_client_that_leaves_frees_the_target),
        FRONT_TEST(test_relay_client_that_leaves_with_its_answer_untaken_is_gone),
        FRONT_TEST(test_relay_client_that_leaves_before_the_last_piece_is_gone),
        FRONT_TEST(test_relay_upload_waits_for_a_full_target),
        FRONT_TEST(test_relay_target_that_stops_reading_and_speaking_is_cut),
        FRONT_TEST(test_relay_target_that_closes_its_ears_still_answers),
        FRONT_TEST(test_relay_upload_that_gets_too_large_is_cut),
        FRONT_TEST(test_relay_upload_that_ends_badly_is_cut),
        FRONT_TEST(test_relay_of_an_answer_in_memory_breaks_off_with_a_bad_upload),
        FRONT_TEST(test_relay_is_stopped_with_all_clients),
        FRONT_TEST(test_relay_early_answer_in_memory_is_told_whole),
        FRONT_TEST(test_relay_is_not_needed_when_the_upload_ends_soon),
    };

    return cmocka_run_group_tests(tests, relay_group_setup, NULL);
}
