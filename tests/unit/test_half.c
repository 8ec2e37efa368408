/* The halves of an upstream, each by itself: what their steps return, over one end of a socket pair. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/reach/request_half.h"
#include "proxy/reach/response_half.h"
#include "tests/unit/state_walk.h"

#define OUT_BYTES (4096 + REQUEST_HALF_GATHER_BYTES)

struct bench {
    struct loop *loop;
    struct pool pool;
    struct connection *connection;
    int other; /* the target's end, -1 when closed */
    struct buffer_store store;
    struct failure failure;
    struct request request;
    struct field field;
    struct forward forward;
    struct request_half sending;
    struct response_half receiving;
};

static int bench_setup(void **state)
{
    struct bench *bench = calloc(1, sizeof(*bench));
    struct channel channel = CHANNEL_INIT;
    int ends[2];

    assert_non_null(bench);
    bench->loop = loop_new();
    assert_non_null(bench->loop);
    pool_init(&bench->pool, bench->loop);
    buffer_store_init(&bench->store, OUT_BYTES, 4);
    failure_init(&bench->failure);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    channel.fd = ends[0];
    bench->other = ends[1];
    bench->connection = pool_adopt(&bench->pool, &channel);
    assert_non_null(bench->connection);
    bench->request = (struct request){.method = TEXT_LITERAL("GET"),
                                      .target = TEXT_LITERAL("/"),
                                      .origin = TEXT_LITERAL("/"),
                                      .minor = 1,
                                      .authority = TEXT_LITERAL("a")};
    bench->request.fields.items = &bench->field;
    bench->forward.client_node = TEXT_LITERAL("_uid-1");
    bench->sending.store = bench->receiving.store = &bench->store;
    bench->sending.failure = bench->receiving.failure = &bench->failure;
    *state = bench;
    return 0;
}

static int bench_teardown(void **state)
{
    struct bench *bench = *state;

    request_half_drop(&bench->sending);
    response_half_drop(&bench->receiving);
    pool_give(bench->connection, false);
    pool_deinit(&bench->pool);
    if (bench->other >= 0)
        close(bench->other);
    buffer_store_deinit(&bench->store);
    loop_free(bench->loop);
    free(bench);
    return 0;
}

static void tell(struct bench *bench, const char *text)
{
    assert_int_equal(send(bench->other, text, strlen(text), MSG_NOSIGNAL), strlen(text));
}

static enum half_result receive(struct bench *bench)
{
    return response_half_receive(&bench->receiving, &bench->connection->channel);
}

static void begin_receiving(struct bench *bench)
{
    response_half_start(&bench->receiving, &bench->request, &bench->forward);
    response_half_await(&bench->receiving);
}

static void begin_sending(struct bench *bench)
{
    request_half_start(&bench->sending, &bench->request, &bench->forward);
    assert_int_equal(request_half_begin(&bench->sending), HALF_MORE);
}

static void test_half_machines_move_as_their_tables_say(void **state)
{
    (void)state;
    state_walk(&request_half_machine, NULL,
               "IDLE: HEAD\nHEAD: HEAD BODY ABANDONED\nBODY: HEAD SENT ABANDONED\nSENT: HEAD\n");
    state_walk(&response_half_machine, NULL,
               "IDLE: AWAITED\nAWAITED: IDLE BODY SWITCHED\nBODY: IDLE COMPLETE\nCOMPLETE: IDLE\n");
}

/* ---- requests ---- */

static void test_request_half_without_a_body_is_sent_with_its_head(void **state)
{
    struct bench *bench = *state;
    char received[OUT_BYTES];

    begin_sending(bench);
    assert_false(request_half_takes_body(&bench->sending, false));
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_DONE);
    assert_int_equal(bench->sending.state, REQUEST_HALF_SENT);
    assert_int_equal(recv(bench->other, received, sizeof(received), 0), bench->sending.head_bytes);
    assert_memory_equal(received, "GET / HTTP/1.1\r\n", 16);
}

/* A dead connection: the head is made anew for the next one, whatever had become of it. */
static void test_request_half_begins_again_from_every_state_of_sending(void **state)
{
    struct bench *bench = *state;

    begin_sending(bench);
    assert_int_equal(request_half_begin(&bench->sending), HALF_MORE);
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_DONE);
    assert_int_equal(request_half_begin(&bench->sending), HALF_MORE);
    assert_true(request_half_is_unsent(&bench->sending));
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_DONE);
}

static void test_request_half_waits_for_a_full_target_and_goes_on(void **state)
{
    static char piece[1024];
    struct bench *bench = *state;
    enum half_result result = HALF_MORE;
    char sink[8192];

    bench->request.method = (struct text)TEXT_LITERAL("POST");
    bench->request.body = BODY_LENGTH;
    bench->request.content_length = 1u << 30;
    begin_sending(bench);
    assert_true(request_half_takes_body(&bench->sending, true));
    while (result == HALF_MORE) {
        assert_true(request_half_takes_body(&bench->sending, true));
        result = request_half_send(&bench->sending, bench->connection, piece, sizeof(piece), 0);
    }
    assert_int_equal(result, HALF_WAIT);
    assert_false(request_half_takes_body(&bench->sending, true));
    while (recv(bench->other, sink, sizeof(sink), 0) > 0)
        ;
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_MORE);
    assert_int_equal(bench->sending.state, REQUEST_HALF_BODY);
    assert_int_equal(request_half_end(&bench->sending, NULL), HALF_MORE);
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_DONE);
}

/* Who waits for a connection holds a head, and not the memory that others could write theirs in. */
static void test_request_half_rests_in_little_memory(void **state)
{
    struct bench *bench = *state;
    char received[OUT_BYTES];

    bench->request.method = (struct text)TEXT_LITERAL("POST");
    bench->request.body = BODY_LENGTH;
    bench->request.content_length = 3;
    begin_sending(bench);
    request_half_rest(&bench->sending);
    assert_int_equal(bench->sending.out->size, bench->sending.head_bytes);
    assert_int_equal(bench->store.n_spare, 1);
    /* As long as the head is not sent, the body goes behind it. */
    assert_int_equal(request_half_send(&bench->sending, bench->connection, "abc", 3, 0), HALF_MORE);
    assert_int_equal(request_half_end(&bench->sending, NULL), HALF_MORE);
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_DONE);
    assert_int_equal(recv(bench->other, received, sizeof(received), 0), bench->sending.head_bytes + 3);
    assert_memory_equal(received, "POST / HTTP/1.1\r\n", 17);
    assert_memory_equal(received + bench->sending.head_bytes, "abc", 3);
}

/* In place of the connection's socket one that keeps what is sent at once apart, so that it can be counted. */
static void connect_by_record(struct bench *bench)
{
    int ends[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_true(dup2(ends[0], bench->connection->channel.fd) >= 0);
    assert_true(dup2(ends[1], bench->other) >= 0);
    close(ends[0]);
    close(ends[1]);
    bench->request.method = (struct text)TEXT_LITERAL("POST");
    bench->request.body = BODY_CHUNKED;
}

static void expect_record(struct bench *bench, size_t from, const char *expected, size_t length)
{
    char received[OUT_BYTES];

    assert_int_equal(recv(bench->other, received, sizeof(received), 0), from + length);
    assert_memory_equal(received + from, expected, length);
}

/* Whatever the sizes of the pieces, of which some make the size of the chunk a digit longer. */
static void test_request_half_makes_one_chunk_and_one_send_of_many_small_pieces(void **state)
{
    static const size_t sizes[] = {1, 1, 13, 1, 1, 240, 1, 700, 3, 3000, 150, 4000};
    static char content[9000], expected[9100];
    struct bench *bench = *state;
    size_t n = 0;

    connect_by_record(bench);
    begin_sending(bench);
    for (size_t i = 0; i < sizeof(content); i++)
        content[i] = (char)('a' + i % 26);
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); n += sizes[i++]) {
        assert_true(request_half_takes_body(&bench->sending, true));
        assert_int_equal(request_half_send(&bench->sending, bench->connection, content + n, sizes[i], 0), HALF_MORE);
        assert_true(request_half_keeps_back(&bench->sending));
    }
    assert_int_equal(recv(bench->other, expected, 1, 0), -1);
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_MORE);
    assert_false(request_half_keeps_back(&bench->sending));
    snprintf(expected, sizeof(expected), "%zx\r\n%.*s\r\n", n, (int)n, content);
    expect_record(bench, bench->sending.head_bytes, expected, strlen(expected));
    /* The next one is a chunk of its own, and has company in the end. */
    assert_int_equal(request_half_send(&bench->sending, bench->connection, "x", 1, 0), HALF_MORE);
    assert_int_equal(request_half_end(&bench->sending, NULL), HALF_MORE);
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_DONE);
    expect_record(bench, 0, "1\r\nx\r\n0\r\n\r\n", 11);
}

static void test_request_half_sends_at_once_what_is_enough(void **state)
{
    static char piece[REQUEST_HALF_GATHER_BYTES / 16], expected[6 + REQUEST_HALF_GATHER_BYTES + 2] = "4000\r\n";
    struct bench *bench = *state;

    connect_by_record(bench);
    begin_sending(bench);
    for (int i = 0; i < 15; i++)
        assert_int_equal(request_half_send(&bench->sending, bench->connection, piece, sizeof(piece), 0), HALF_MORE);
    assert_true(request_half_keeps_back(&bench->sending));
    assert_int_equal(request_half_send(&bench->sending, bench->connection, piece, sizeof(piece), 0), HALF_MORE);
    assert_false(request_half_keeps_back(&bench->sending));
    memcpy(expected + sizeof(expected) - 2, "\r\n", 2);
    expect_record(bench, bench->sending.head_bytes, expected, sizeof(expected));
}

/* What was gathered behind a head that could not be sent goes with it over another connection. */
static void test_request_half_begins_again_with_what_it_has_gathered(void **state)
{
    struct bench *bench = *state;

    connect_by_record(bench);
    begin_sending(bench);
    request_half_send(&bench->sending, bench->connection, "ab", 2, 0);
    request_half_send(&bench->sending, bench->connection, "c", 1, 0);
    assert_int_equal(request_half_begin(&bench->sending), HALF_MORE);
    request_half_send(&bench->sending, bench->connection, "d", 1, 0);
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_MORE);
    expect_record(bench, bench->sending.head_bytes, "4\r\nabcd\r\n", 9);
}

static void test_request_half_tells_of_a_lost_connection(void **state)
{
    struct bench *bench = *state;

    begin_sending(bench);
    close(bench->other);
    bench->other = -1;
    assert_int_equal(request_half_flush(&bench->sending, bench->connection), HALF_LOST);
    assert_int_equal(bench->sending.error_number, EPIPE);
    assert_false(failure_is_set(&bench->failure));
    request_half_abandon(&bench->sending);
    assert_true(request_half_is_abandoned(&bench->sending));
    assert_true(request_half_takes_body(&bench->sending, false)); /* to be discarded */
    request_half_abandon(&bench->sending);
}

static void test_request_half_without_room_for_its_head_fails(void **state)
{
    static char long_target[2 * OUT_BYTES];
    struct bench *bench = *state;

    memset(long_target, '/', sizeof(long_target));
    bench->request.origin = (struct text){long_target, sizeof(long_target)};
    request_half_start(&bench->sending, &bench->request, &bench->forward);
    assert_int_equal(request_half_begin(&bench->sending), HALF_FAILED);
    assert_int_equal(bench->failure.outcome, OUTCOME_HEADER_TOO_LARGE);
}

/* ---- responses ---- */

/* In pieces of one byte, a bit of a head or of what frames a body, a target gets no more than its share of a turn. */
static void test_response_half_gives_others_their_turn(void **state)
{
    static const char head[] = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
    static const char chunk[] = "1;extension=0123456789abcdefghijklmnopqrstuvwxyz\r\nx\r\n";
    struct bench *bench = *state;
    char body[16];
    int n_turns = 0;
    ssize_t n;

    connect_by_record(bench);
    begin_receiving(bench);
    for (size_t i = 0; i < sizeof(head) - 1; i++)
        assert_int_equal(send(bench->other, head + i, 1, MSG_NOSIGNAL), 1);
    while (receive(bench) == HALF_WAIT) {
        assert_true(bench->receiving.more);
        n_turns++;
    }
    assert_int_equal(bench->receiving.state, RESPONSE_HALF_BODY);
    assert_false(bench->receiving.more);
    assert_true(n_turns >= 2);
    for (size_t i = 0; i < sizeof(chunk) - 1; i++)
        assert_int_equal(send(bench->other, chunk + i, 1, MSG_NOSIGNAL), 1);
    for (n_turns = 0; (n = response_half_read(&bench->receiving, &bench->connection->channel, body, sizeof(body))) == 0;
         n_turns++) {
        assert_true(bench->receiving.more);
        bench->receiving.more = false;
    }
    assert_int_equal(n, 1);
    assert_true(n_turns >= 2);
}

/* Of endless tiny chunks, or of chunks that are little but extension, a turn is given less than there is room for. */
static void test_response_half_is_given_less_of_what_is_mostly_framing(void **state)
{
    static const char *const chunks[] = {"1\r\nx\r\n", "1;extension=0123456789abcdefghijklmnopqrstuvwxyz\r\nx\r\n"};
    struct bench *bench = *state;
    char sent[8192], body[sizeof(sent)];

    begin_receiving(bench);
    tell(bench, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    assert_int_equal(receive(bench), HALF_DONE);
    for (size_t i = 0; i < ARRAY_LENGTH(chunks); i++) {
        size_t n = 0, length = strlen(chunks[i]);
        ssize_t got = 1, turns = 0;

        for (; n + length < sizeof(sent); n += length)
            memcpy(sent + n, chunks[i], length);
        for (int j = 0; j < 4; j++)
            assert_int_equal(send(bench->other, sent, n, MSG_NOSIGNAL), n);
        for (size_t in_all = 0; in_all < 4 * n / length; in_all += (size_t)got, turns++) {
            got = response_half_read(&bench->receiving, &bench->connection->channel, body, sizeof(body));
            assert_true(got > 0 || (got == RESPONSE_HALF_WAIT && bench->receiving.more));
            assert_true(turns == 0 || (size_t)got * (length - 1) < 3000);
        }
        assert_true(turns > 8);
    }
}

static void test_response_half_waits_then_has_interim_and_final_heads(void **state)
{
    struct bench *bench = *state;
    char body[16];

    begin_receiving(bench);
    assert_int_equal(receive(bench), HALF_WAIT);
    tell(bench, "HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\nHTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 O");
    assert_int_equal(receive(bench), HALF_MORE);
    assert_int_equal(bench->receiving.response.status, 103);
    assert_int_equal(receive(bench), HALF_MORE);
    assert_true(bench->receiving.continue_seen);
    assert_int_equal(receive(bench), HALF_WAIT);
    tell(bench, "K\r\nContent-Length: 70000\r\n\r\nabc");
    assert_int_equal(receive(bench), HALF_DONE);
    assert_int_equal(bench->receiving.state, RESPONSE_HALF_BODY);
    assert_int_equal(response_half_read(&bench->receiving, &bench->connection->channel, body, sizeof(body)), 3);
    assert_int_equal(response_half_read(&bench->receiving, &bench->connection->channel, body, sizeof(body)),
                     RESPONSE_HALF_WAIT);
    shutdown(bench->other, SHUT_WR);
    assert_int_equal(response_half_read(&bench->receiving, &bench->connection->channel, body, sizeof(body)),
                     RESPONSE_HALF_CUT);
    assert_int_equal(bench->failure.outcome, OUTCOME_TARGET_TRUNCATED);
}

static void test_response_half_with_a_short_body_is_complete_at_once(void **state)
{
    struct bench *bench = *state;

    begin_receiving(bench);
    tell(bench, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    assert_int_equal(receive(bench), HALF_DONE);
    assert_int_equal(bench->receiving.state, RESPONSE_HALF_COMPLETE);
    assert_true(bench->receiving.body_in_buffer);
    assert_true(bench->receiving.response.reusable);
}

static void test_response_half_that_was_left_may_be_awaited_again(void **state)
{
    struct bench *bench = *state;

    begin_receiving(bench);
    response_half_leave(&bench->receiving);
    response_half_await(&bench->receiving);
    shutdown(bench->other, SHUT_WR);
    assert_int_equal(receive(bench), HALF_LOST);
    assert_int_equal(bench->receiving.error_number, 0);
    assert_false(failure_is_set(&bench->failure));
}

static void test_response_half_fails_on_what_is_no_response(void **state)
{
    static const char *const bad[] = {"rubbish\r\n\r\n", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
                                      "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"};
    struct bench *bench = *state;

    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        response_half_drop(&bench->receiving);
        memset(&bench->receiving, 0, offsetof(struct response_half, room.few));
        bench->receiving.store = &bench->store;
        bench->receiving.failure = &bench->failure;
        failure_init(&bench->failure);
        begin_receiving(bench);
        tell(bench, bad[i]);
        assert_int_equal(receive(bench), HALF_FAILED);
        assert_int_equal(bench->failure.outcome, OUTCOME_BAD_RESPONSE);
        assert_non_null(failure_reason(&bench->failure));
    }
}

#define BENCH_TEST(name) cmocka_unit_test_setup_teardown(name, bench_setup, bench_teardown)

static void test_response_half_has_room_for_many_fields(void **state)
{
    static const size_t counts[] = {FIELD_ROOM_FEW - 1, FIELD_ROOM_FEW, FIELD_ROOM_MOST - 1};
    struct bench *bench = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        const struct fields *fields = &bench->receiving.response.fields;
        char head[4096];
        size_t length = (size_t)sprintf(head, "HTTP/1.1 204 No\r\nFirst: 1\r\n");

        for (size_t j = 0; j < counts[i]; j++)
            length += (size_t)sprintf(head + length, "X-%zu: %zu\r\n", j, j);
        sprintf(head + length, "\r\n");
        begin_receiving(bench);
        tell(bench, head);
        assert_int_equal(receive(bench), HALF_DONE);
        assert_int_equal(fields->n_items, counts[i] + 1);
        assert_memory_equal(fields->items[0].name.data, "First", 5);
        assert_memory_equal(fields->items[counts[i]].name.data, "X-", 2);
        response_half_drop(&bench->receiving);
        assert_null(bench->receiving.room.many);
        response_half_leave(&bench->receiving);
    }
}

static void test_response_half_has_room_for_many_trailers(void **state)
{
    struct bench *bench = *state;
    char text[4096], body[4096];
    size_t length =
        (size_t)sprintf(text, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nX: y\r\n\r\n3\r\nabc\r\n0\r\n");

    for (size_t i = 0; i < FIELD_ROOM_MOST; i++)
        length += (size_t)sprintf(text + length, "T-%zu: %zu\r\n", i, i);
    sprintf(text + length, "\r\n");
    begin_receiving(bench);
    tell(bench, text);
    assert_int_equal(receive(bench), HALF_DONE);
    assert_int_equal(bench->receiving.response.fields.n_items, 2);
    assert_memory_equal(bench->receiving.response.fields.items[1].name.data, "X", 1);
    assert_int_equal(field_room_fields(&bench->receiving.room).capacity, FIELD_ROOM_MOST);
    assert_int_equal(response_half_read(&bench->receiving, &bench->connection->channel, body, sizeof(body)), 3);
    assert_true(response_half_trailers(&bench->receiving).length > FIELD_ROOM_MOST);
}

/* Whoever waits for an answer, and whoever has a short one, holds no buffer that others could use. */
static void test_response_half_holds_no_more_than_a_short_answer_needs(void **state)
{
    struct bench *bench = *state;
    const struct response *response = &bench->receiving.response;

    begin_receiving(bench);
    assert_int_equal(receive(bench), HALF_WAIT);
    assert_null(bench->receiving.in);
    tell(bench, "HTTP/1.1 200 Just so\r\nContent-Length: 5\r\nX-One: two\r\nX-Empty:\r\n\r\nthree");
    assert_int_equal(receive(bench), HALF_DONE);
    assert_int_equal(buffer_room(bench->receiving.in), 0);
    assert_int_equal(bench->store.n_spare, 1);
    /* The next one has that buffer. */
    memset(bench->store.spare->data, 'x', bench->store.size);
    assert_int_equal(response->reason.length, 7);
    assert_memory_equal(response->reason.data, "Just so", 7);
    assert_int_equal(response->fields.n_items, 3);
    assert_int_equal(response->fields.items[1].name.length, 5);
    assert_memory_equal(response->fields.items[1].name.data, "X-One", 5);
    assert_memory_equal(response->fields.items[1].value.data, "two", 3);
    assert_int_equal(response->fields.items[2].value.length, 0);
    assert_int_equal(buffer_length(bench->receiving.in), 5);
    assert_memory_equal(bench->receiving.in->data + bench->receiving.in->start, "three", 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_half_machines_move_as_their_tables_say),
        BENCH_TEST(test_request_half_without_a_body_is_sent_with_its_head),
        BENCH_TEST(test_request_half_begins_again_from_every_state_of_sending),
        BENCH_TEST(test_request_half_waits_for_a_full_target_and_goes_on),
        BENCH_TEST(test_request_half_rests_in_little_memory),
        BENCH_TEST(test_request_half_makes_one_chunk_and_one_send_of_many_small_pieces),
        BENCH_TEST(test_request_half_sends_at_once_what_is_enough),
        BENCH_TEST(test_request_half_begins_again_with_what_it_has_gathered),
        BENCH_TEST(test_request_half_tells_of_a_lost_connection),
        BENCH_TEST(test_request_half_without_room_for_its_head_fails),
        BENCH_TEST(test_response_half_gives_others_their_turn),
        BENCH_TEST(test_response_half_is_given_less_of_what_is_mostly_framing),
        BENCH_TEST(test_response_half_waits_then_has_interim_and_final_heads),
        BENCH_TEST(test_response_half_with_a_short_body_is_complete_at_once),
        BENCH_TEST(test_response_half_that_was_left_may_be_awaited_again),
        BENCH_TEST(test_response_half_fails_on_what_is_no_response),
        BENCH_TEST(test_response_half_has_room_for_many_fields),
        BENCH_TEST(test_response_half_has_room_for_many_trailers),
        BENCH_TEST(test_response_half_holds_no_more_than_a_short_answer_needs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
