/* The response's way: however its bytes are cut, the client gets the same; and a connection whose target says more than
 * its message is never used again. */
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/exchange_rig.h"

#define IN_BYTES 16384 /* what an upstream's buffer holds */

static void begin(struct rig *rig, const char *head)
{
    assert_int_equal(rig_begin(rig, head), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    if (rig->target_fd < 0 || rig_has_connection(rig))
        rig_accept(rig);
    assert_true(rig_receive(rig) > 0);
}

static void begin_get(struct rig *rig)
{
    begin(rig, "GET / 1\nHost: a");
}

struct framing {
    const char *response;
    const char *body;
    bool closes; /* the end of the connection ends the body */
    bool reusable;
};

static const struct framing framings[] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world", "hello world", false, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: u\r\n\r\n",
     "hello world", false, true},
    {"HTTP/1.1 200 OK\r\n\r\nhello world", "hello world", true, false},
    {"HTTP/1.0 200 OK\r\nContent-Length: 11\r\n\r\nhello world", "hello world", false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 11\r\nConnection: close\r\n\r\nhello world", "hello world", false, false},
    {"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", "", false, true},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "", false, true},
    {"HTTP/1.1 204 No Content\r\n\r\n", "", false, true},
    {"HTTP/1.1 304 Not Modified\r\nContent-Length: 11\r\n\r\n", "", false, true},
    {"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi",
     "hi", false, true},
};

/* Takes answer and body, which may come late. */
static void take_all(struct rig *rig, const struct framing *framing, size_t piece)
{
    ssize_t end;

    rig_take_answer(rig);
    end = rig_take_body(rig, piece);
    if (framing->closes) {
        assert_int_equal(end, UPSTREAM_WAIT);
        rig_close(rig);
        rig_turn(rig);
        end = rig_take_body(rig, piece);
    }
    assert_int_equal(end, UPSTREAM_END);
    assert_string_equal(rig->body, framing->body);
    assert_int_equal(rig_n_idle(rig), framing->reusable);
    assert_int_equal(target_n_open(rig->target), framing->reusable);
    rig_end(rig, true, OUTCOME_FORWARDED);
    if (!framing->reusable)
        rig_close(rig);
}

static void test_response_cut_anywhere_is_the_same(void **state)
{
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(framings); i++) {
        size_t length = strlen(framings[i].response);

        for (size_t cut = 1; cut <= length; cut++) {
            begin_get(rig);
            rig_send_bytes(rig, framings[i].response, cut);
            if (cut < length)
                rig_send_bytes(rig, framings[i].response + cut, length - cut);
            take_all(rig, &framings[i], cut);
        }
    }
}

/* The client asks as soon as it can, so that whatever has not come yet is streamed. */
static void test_response_cut_anywhere_and_asked_for_early_is_the_same(void **state)
{
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(framings); i++) {
        size_t length = strlen(framings[i].response);

        for (size_t cut = 1; cut < length; cut++) {
            begin_get(rig);
            rig_send_bytes(rig, framings[i].response, cut);
            rig->n_body = 0;
            rig->body[0] = '\0';
            if (exchange_answer(rig->exchange, &rig->answer)) {
                ssize_t end = rig_take_body(rig, 3);

                assert_int_equal(end, UPSTREAM_WAIT);
                rig_send_bytes(rig, framings[i].response + cut, length - cut);
                assert_int_equal(rig_take_body(rig, 3), framings[i].closes ? UPSTREAM_WAIT : UPSTREAM_END);
                assert_string_equal(rig->body, framings[i].body);
                if (framings[i].closes) {
                    rig_close(rig);
                    rig_turn(rig);
                    assert_int_equal(rig_take_body(rig, 3), UPSTREAM_END);
                }
                assert_int_equal(rig_n_idle(rig), framings[i].reusable);
                rig_end(rig, true, OUTCOME_FORWARDED);
                if (!framings[i].reusable)
                    rig_close(rig);
            } else {
                rig_send_bytes(rig, framings[i].response + cut, length - cut);
                take_all(rig, &framings[i], 3);
            }
        }
    }
}

static void test_response_in_single_bytes_is_the_same(void **state)
{
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(framings); i++) {
        begin_get(rig);
        for (const char *at = framings[i].response; *at; at++)
            rig_send_bytes(rig, at, 1);
        take_all(rig, &framings[i], 1);
    }
}

static void test_response_short_chunked_body_leaves_with_its_length(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_send(
        rig,
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: T\r\n\r\n5\r\nhello\r\n6\r\n world\r\n0\r\n\r\n");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_BUFFER);
    assert_null(rig_field(rig, "trailer")); /* there is nothing to announce */
    assert_true(rig->answer.has_length);
    assert_int_equal(rig->answer.length, 11);
    assert_null(rig_field(rig, "transfer-encoding"));
    assert_null(rig_field(rig, "content-length"));
    rig_end(rig, true, OUTCOME_FORWARDED);
}

static void test_response_to_head_has_no_body_but_its_length(void **state)
{
    struct rig *rig = *state;

    begin(rig, "HEAD / 1\nHost: a");
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_NONE);
    assert_true(rig->answer.has_length);
    assert_int_equal(rig->answer.length, 1234);
    assert_int_equal(rig_n_idle(rig), 1);
    rig_end(rig, true, OUTCOME_FORWARDED);
    begin(rig, "HEAD / 1\nHost: a");
    rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig_take_answer(rig);
    assert_false(rig->answer.has_length);
    assert_int_equal(rig_n_idle(rig), 1);
    rig_end(rig, true, OUTCOME_FORWARDED);
}

static void test_response_long_body_is_streamed_whole(void **state)
{
    struct rig *rig = *state;
    char *long_body = malloc(100001);
    char head[80];

    assert_non_null(long_body);
    for (int i = 0; i < 100000; i++)
        long_body[i] = (char)('a' + i % 23);
    long_body[100000] = '\0';
    for (size_t piece = 100; piece <= 100000; piece *= 10) {
        begin_get(rig);
        snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n");
        rig_send(rig, head);
        rig_send(rig, long_body);
        rig_take_answer(rig);
        assert_int_equal(rig->answer.body, ANSWER_STREAM);
        assert_int_equal(rig->answer.length, 100000);
        assert_int_equal(rig_take_body(rig, piece), UPSTREAM_END);
        assert_string_equal(rig->body, long_body);
        assert_int_equal(rig_n_idle(rig), 1);
        rig_end(rig, true, OUTCOME_FORWARDED);
    }
    assert_int_equal(counter_read(&rig->metrics.sent_bytes), 400000);
    free(long_body);
}

/* ---- a target that says too much ---- */

static void expect_not_reused(struct rig *rig)
{
    assert_int_equal(rig_n_idle(rig), 0);
    assert_int_equal(target_n_open(rig->target), 0);
    rig_end(rig, true, OUTCOME_FORWARDED);
    rig_close(rig);
}

static void test_response_with_bytes_after_its_end_is_not_reused(void **state)
{
    static const char *const responses[] = {
        "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!",
        "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n!",
        "HTTP/1.1 204 No Content\r\n\r\n!",
        "HTTP/1.1 304 Not Modified\r\n\r\n!",
        "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil",
    };
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(responses); i++) {
        begin_get(rig);
        rig_send(rig, responses[i]);
        rig_take_answer(rig);
        rig_take_body(rig, 100);
        expect_not_reused(rig);
    }
}

static void test_response_streamed_with_bytes_after_its_end_is_not_reused(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nhi");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_STREAM);
    rig_send(rig, "hi!");
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_END);
    assert_string_equal(rig->body, "hihi");
    expect_not_reused(rig);
    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhi");
    rig_take_answer(rig);
    rig_send(rig, "hi\r\n0\r\n\r\n!");
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_END);
    assert_string_equal(rig->body, "hihi");
    expect_not_reused(rig);
}

static void test_response_bytes_while_idle_close_the_connection(void **state)
{
    struct rig *rig = *state;

    rig_one_exchange(rig);
    rig_send(rig, "!");
    assert_int_equal(target_n_open(rig->target), 0);
    rig_one_exchange(rig);
}

/* The message ends exactly where our buffer does; what follows is still in the socket. The next client must not get it.
 */
static void test_response_that_fills_the_buffer_with_bytes_after_its_end_is_not_reused(void **state)
{
    static const char *const heads[] = {"GET / 1\nHost: a", "HEAD / 1\nHost: a"};
    struct rig *rig = *state;
    char *response = malloc(2 * IN_BYTES);

    assert_non_null(response);
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        int n = snprintf(response, IN_BYTES, "HTTP/1.1 200 OK\r\nContent-Length: %d\r\nX: ", i == 0 ? 9 : 5);

        memset(response + n, 'x', 2 * IN_BYTES - (size_t)n);
        memcpy(response + IN_BYTES - (i == 0 ? 13 : 4), "\r\n\r\n", 4);
        snprintf(response + IN_BYTES, IN_BYTES, "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
        begin(rig, heads[i]);
        rig_send(rig, response);
        rig_take_answer(rig);
        rig_take_body(rig, 100);
        rig_end(rig, true, OUTCOME_FORWARDED);
        rig_turn(rig);
        assert_int_equal(rig_n_idle(rig), 0);
        rig_close(rig);
    }
    free(response);
}

static void test_response_chunked_that_fills_a_piece_with_bytes_after_its_end_is_not_reused(void **state)
{
    struct rig *rig = *state;

    begin_get(rig);
    rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n");
    rig_take_answer(rig);
    rig_send(rig, "4\r\nhihi\r\n0\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
    assert_int_equal(rig_take_body(rig, sizeof("4\r\nhihi\r\n0\r\n\r\n") - 1), UPSTREAM_END);
    assert_string_equal(rig->body, "hihi");
    rig_end(rig, true, OUTCOME_FORWARDED);
    rig_turn(rig);
    assert_int_equal(rig_n_idle(rig), 0);
}

/* Receiving stops behind bytes with which a descriptor is passed; the next client must not get what is left. */
static void test_response_with_bytes_behind_a_passed_descriptor_is_not_reused(void **state)
{
    static char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    static const char more[] = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil";
    struct rig *rig = *state;

    begin_get(rig);
    rig_send_with_descriptor(rig->target_fd, answer, sizeof(answer) - 1);
    rig_send(rig, more);
    rig_take_answer(rig);
    rig_take_body(rig, 100);
    assert_string_equal(rig->body, "hi");
    rig_end(rig, true, OUTCOME_FORWARDED);
    rig_turn(rig);
    assert_int_equal(rig_n_idle(rig), 0);
}

/* ---- trailers ---- */

#define GET_TE "GET / 1\nHost: a\nTE: trailers"

/* What the client is told behind the body, as lines; "" for none. */
static const char *trailers_of(struct rig *rig)
{
    static char lines[4096];
    const struct fields *fields = exchange_trailers(rig->exchange);
    size_t n = 0;

    lines[0] = '\0';
    for (size_t i = 0; fields && i < fields->n_items; i++)
        if (!fields->items[i].drop)
            n += (size_t)snprintf(lines + n, sizeof(lines) - n, "%s=%s\n", fields->items[i].name.data,
                                  fields->items[i].value.data);
    return lines;
}

#define TRAILED                                                                           \
    "HTTP/1.1 200 OK\r\nTrailer: T\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n" \
    "T: u \r\nContent-Length: 5\r\nCookie: a\r\nEmpty:\r\nT: again\r\n\r\n"

static void test_response_trailers_are_kept_for_who_knows_them(void **state)
{
    static const char *const heads[] = {GET_TE, "GET / 1\nHost: a", "GET / 1\nHost: a\nTE: gzip", "GET / 0\nHost: a",
                                        "GET / 0\nHost: a\nTE: trailers"};
    struct rig *rig = *state;

    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        begin(rig, heads[i]);
        rig_send(rig, TRAILED);
        rig_take_answer(rig);
        /* With trailers a body cannot leave by its length, however short it is. */
        assert_int_equal(rig->answer.body, i < 3 ? ANSWER_STREAM : ANSWER_BUFFER);
        if (i < 3)
            assert_string_equal(rig_field(rig, "trailer"), "T");
        else
            assert_null(rig_field(rig, "trailer"));
        assert_int_equal(rig_take_body(rig, 100), UPSTREAM_END);
        assert_string_equal(rig->body, "hi");
        assert_string_equal(trailers_of(rig), i < 3 ? "T=u\nEmpty=\nT=again\n" : "");
        assert_int_equal(rig_n_idle(rig), 1);
        rig_end(rig, true, OUTCOME_FORWARDED);
    }
}

static void test_response_trailers_cut_anywhere_are_the_same(void **state)
{
    static const char trailed[] = TRAILED;
    struct rig *rig = *state;
    size_t length = strlen(trailed);

    for (size_t cut = 1; cut < length; cut++) {
        begin(rig, GET_TE);
        rig_send_bytes(rig, trailed, cut);
        rig->n_body = 0;
        if (exchange_answer(rig->exchange, &rig->answer)) {
            assert_int_equal(rig_take_body(rig, 7), UPSTREAM_WAIT);
            rig_send_bytes(rig, &trailed[cut], length - cut);
        } else {
            rig_send_bytes(rig, &trailed[cut], length - cut);
            rig_take_answer(rig);
        }
        assert_int_equal(rig_take_body(rig, 7), UPSTREAM_END);
        assert_string_equal(rig->body, "hi");
        assert_string_equal(trailers_of(rig), "T=u\nEmpty=\nT=again\n");
        assert_int_equal(rig_n_idle(rig), 1);
        rig_end(rig, true, OUTCOME_FORWARDED);
    }
}

static void test_response_empty_trailer_section_leaves_the_body_short(void **state)
{
    struct rig *rig = *state;

    begin(rig, GET_TE);
    rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n0\r\n\r\n");
    rig_take_answer(rig);
    assert_int_equal(rig->answer.body, ANSWER_BUFFER);
    assert_string_equal(trailers_of(rig), "");
    rig_end(rig, true, OUTCOME_FORWARDED);
}

/* Over the ceiling the body is as good as cut off, whether the client wants its trailers or not. */
static void test_response_trailers_over_their_ceiling_cut_the_body(void **state)
{
    static const char *const heads[] = {GET_TE, "GET / 1\nHost: a"};
    struct rig *rig = *state;
    char *trailers = malloc(20000);

    assert_non_null(trailers);
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        begin(rig, heads[i]);
        rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
        rig_take_answer(rig);
        assert_int_equal(rig_take_body(rig, 100), UPSTREAM_WAIT);
        snprintf(trailers, 20000, "0\r\nT: %017000d\r\n\r\n", 0);
        rig_send(rig, trailers);
        assert_int_equal(rig_take_body(rig, 10000), UPSTREAM_CUT);
        rig_end(rig, false, OUTCOME_TARGET_TRUNCATED);
        assert_int_equal(target_n_open(rig->target), 0);
        rig_close(rig);
    }
    free(trailers);
}

static void test_response_trailers_just_below_their_ceiling_arrive(void **state)
{
    struct rig *rig = *state;
    char *trailers = malloc(20000);
    const struct fields *fields;

    assert_non_null(trailers);
    begin(rig, GET_TE);
    rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
    rig_take_answer(rig);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_WAIT);
    snprintf(trailers, 20000, "0\r\nT: %016300d\r\n\r\n", 0);
    rig_send(rig, trailers);
    assert_int_equal(rig_take_body(rig, 1000), UPSTREAM_END);
    fields = exchange_trailers(rig->exchange);
    assert_non_null(fields);
    assert_int_equal(fields->n_items, 1);
    assert_int_equal(fields->items[0].value.length, 16300);
    rig_end(rig, true, OUTCOME_FORWARDED);
    free(trailers);
}

/* The same section is good for both, or for neither. */
static void test_response_many_small_trailers_do_not_depend_on_who_asks(void **state)
{
    static const char *const heads[] = {"GET / 1\nHost: a", GET_TE};
    struct rig *rig = *state;
    char *trailers = malloc(40000);
    ssize_t ends[2];
    int n = snprintf(trailers, 40000, "0\r\n");

    assert_non_null(trailers);
    for (int i = 0; i < 4000; i++)
        n += snprintf(trailers + n, 40000 - (size_t)n, "a:b\r\n");
    snprintf(trailers + n, 40000 - (size_t)n, "\r\n");
    for (size_t i = 0; i < ARRAY_LENGTH(heads); i++) {
        begin(rig, heads[i]);
        rig_send(rig, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
        rig_take_answer(rig);
        assert_int_equal(rig_take_body(rig, 100), UPSTREAM_WAIT);
        rig_send(rig, trailers);
        ends[i] = rig_take_body(rig, 1000);
        rig_end(rig, ends[i] == UPSTREAM_END, ends[i] == UPSTREAM_END ? OUTCOME_FORWARDED : OUTCOME_TARGET_TRUNCATED);
        if (ends[i] != UPSTREAM_END)
            rig_close(rig);
    }
    free(trailers);
    assert_int_equal(ends[0], ends[1]);
}

/* ---- endless news ---- */

#define NEWS "HTTP/1.1 102 On it\r\n\r\n"

/* All of them, but a few in each turn. */
static void test_response_of_many_interim_heads_takes_several_turns(void **state)
{
    static const char last[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
    struct rig *rig = *state;
    unsigned n_turns = 0;

    begin_get(rig);
    for (int i = 0; i < 50; i++)
        assert_true(send(rig->target_fd, NEWS, sizeof(NEWS) - 1, MSG_NOSIGNAL) > 0);
    assert_true(send(rig->target_fd, last, sizeof(last) - 1, MSG_NOSIGNAL) > 0);
    assert_true(loop_run_once(rig->loop, 1000) > 0);
    for (; exchanges_are_ready(&rig->env); n_turns++)
        exchanges_turn(&rig->env);
    assert_true(n_turns >= 5);
    take_all(rig, &(struct framing){.body = "hi", .reusable = true}, 100);
}

/* Sends interim responses from a child of ours until somebody takes the connection away. */
static pid_t flood(struct rig *rig)
{
    pid_t pid = fork();
    static char news[1000 * (sizeof(NEWS) - 1)];

    assert_true(pid >= 0);
    if (pid > 0)
        return pid;
    alarm(60);
    fcntl(rig->target_fd, F_SETFL, 0);
    for (size_t i = 0; i < sizeof(news); i += sizeof(NEWS) - 1)
        memcpy(news + i, NEWS, sizeof(NEWS) - 1);
    while (send(rig->target_fd, news, sizeof(news), MSG_NOSIGNAL) > 0)
        ;
    _exit(0);
}

static uint64_t cpu_us(void)
{
    struct timespec ts;

    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
    return (uint64_t)ts.tv_sec * 1000000 + (uint64_t)ts.tv_nsec / 1000;
}

static void test_response_flood_of_interim_responses_does_not_hold_the_loop(void **state)
{
    struct rig *rig = *state;
    uint64_t longest_us = 0;
    pid_t pid;

    rig->target_config.times.response_ms = 200;
    assert_int_equal(rig_begin(rig, "GET /a 1\nHost: a"), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    rig_accept(rig);
    pid = flood(rig);
    alarm(60); /* if the loop never returns */
    while (!exchange_failed(rig->exchange)) {
        uint64_t begin_us = cpu_us(), us;

        assert_true(loop_run_once(rig->loop, 10) >= 0);
        us = cpu_us() - begin_us;
        longest_us = us > longest_us ? us : longest_us;
    }
    alarm(0);
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
    exchange_end(rig->exchange, false);
    rig->exchange = NULL;
    if (longest_us > 50000)
        fail_msg("one turn of the loop took %llu us of CPU", (unsigned long long)longest_us);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_response_cut_anywhere_is_the_same),
        RIG_TEST(test_response_cut_anywhere_and_asked_for_early_is_the_same),
        RIG_TEST(test_response_in_single_bytes_is_the_same),
        RIG_TEST(test_response_short_chunked_body_leaves_with_its_length),
        RIG_TEST(test_response_to_head_has_no_body_but_its_length),
        RIG_TEST(test_response_long_body_is_streamed_whole),
        RIG_TEST(test_response_with_bytes_after_its_end_is_not_reused),
        RIG_TEST(test_response_streamed_with_bytes_after_its_end_is_not_reused),
        RIG_TEST(test_response_bytes_while_idle_close_the_connection),
        RIG_TEST(test_response_that_fills_the_buffer_with_bytes_after_its_end_is_not_reused),
        RIG_TEST(test_response_chunked_that_fills_a_piece_with_bytes_after_its_end_is_not_reused),
        RIG_TEST(test_response_of_many_interim_heads_takes_several_turns),
        RIG_TEST(test_response_flood_of_interim_responses_does_not_hold_the_loop),
        RIG_TEST(test_response_with_bytes_behind_a_passed_descriptor_is_not_reused),
        RIG_TEST(test_response_trailers_are_kept_for_who_knows_them),
        RIG_TEST(test_response_trailers_cut_anywhere_are_the_same),
        RIG_TEST(test_response_empty_trailer_section_leaves_the_body_short),
        RIG_TEST(test_response_trailers_over_their_ceiling_cut_the_body),
        RIG_TEST(test_response_trailers_just_below_their_ceiling_arrive),
        RIG_TEST(test_response_many_small_trailers_do_not_depend_on_who_asks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
