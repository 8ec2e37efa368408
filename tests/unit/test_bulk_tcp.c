/* Bodies that are moved beside the library where a client comes over TCP, both ways. */
#include <linux/tcp.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/serve/bulk.h"
#include "tests/unit/client_rig.h"

#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define PUT "PUT /a HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n"
#define TEN "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#define LARGE_BYTES 900000
#define SHORT "HTTP/1.1 200 OK\r\nContent-Length: 40000\r\n\r\n"
#define SHORT_BYTES 40000

static char large[LARGE_BYTES];

static int tcp_group_setup(void **state)
{
    (void)state;
    signal(SIGPIPE, SIG_IGN); /* as the server does: splice(2) has no flag for it */
    front_fill(large, LARGE_BYTES);
    return 0;
}

static void open_tcp(struct front *front)
{
    front->is_tcp = true;
    front_open_moving(front);
}

static bool answer_moves(struct front *front)
{
    return bulk_splices(front_client(front));
}

static bool upload_moves(struct front *front)
{
    return front_client(front)->request.upload != NULL;
}

static void expect_next_request(struct front *front)
{
    front_say(front, "GET /next HTTP/1.1\r\nHost: a\r\n\r\n");
    rig_expect_request(front->rig, "GET /next HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_int_equal(front->n_closed, 0);
}

static void test_tcp_answer_moves_and_both_connections_go_on(void **state)
{
    struct front *front = *state;

    open_tcp(front);
    front_reach_target(front, GET);
    front_target_say(front, TEN "abc");
    assert_true(answer_moves(front));
    front_target_say(front, "defghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    expect_next_request(front);
}

static void test_tcp_upload_moves_and_both_connections_go_on(void **state)
{
    struct front *front = *state;

    open_tcp(front);
    front_reach_target(front, PUT "abc");
    assert_true(upload_moves(front));
    front_say(front, "defghij");
    rig_receive(front->rig);
    assert_string_equal(front->rig->received, "defghij");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    expect_next_request(front);
}

static void test_tcp_has_a_threshold_of_its_own(void **state)
{
    struct front *front = *state;

    front->is_tcp = true;
    front->rig->env.bulk_bytes = 1;
    front->rig->env.bulk_tcp_bytes = 8;
    front_open(front);
    front_reach_target(front, GET);
    front_target_say(front, TEN "abc");
    assert_false(answer_moves(front));
    front_target_say(front, "defghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    front_say(front, PUT "abc");
    assert_false(upload_moves(front));
    front_say(front, "defghij");
    rig_receive(front->rig);
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    front_say(front, PUT "ab");
    assert_true(upload_moves(front));
    front_say(front, "cdefghij");
    rig_receive(front->rig);
    front_target_say(front, TEN "ab");
    assert_true(answer_moves(front));
    front_target_say(front, "cdefghij");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
}

/* Segments with data that the client has got; on this machine each holds all of one write. */
static unsigned n_pieces(struct front *front)
{
    struct tcp_info info = {0};
    socklen_t length = sizeof(info);

    assert_int_equal(getsockopt(front->fd, IPPROTO_TCP, TCP_INFO, &info, &length), 0);
    return info.tcpi_data_segs_in;
}

/* Longer than what is received with a head. */
static void test_tcp_short_answer_that_is_there_leaves_in_one_piece(void **state)
{
    struct front *front = *state;
    char *answer = malloc(sizeof(SHORT) + SHORT_BYTES);
    unsigned n_before = 0;

    assert_non_null(answer);
    memcpy(answer, SHORT, sizeof(SHORT) - 1);
    memcpy(answer + sizeof(SHORT) - 1, large, SHORT_BYTES);
    front->is_tcp = true;
    front->rig->env.bulk_bytes = front->rig->env.bulk_tcp_bytes = LARGE_BYTES;
    front_open(front);
    for (int i = 0; i < 3; i++) {
        if (i == 0)
            front_reach_target(front, GET);
        else
            front_say(front, GET);
        rig_receive(front->rig);
        rig_send_bytes(front->rig, answer, sizeof(SHORT) - 1 + SHORT_BYTES);
        front_settle(front);
        front->n_data = 0;
        front_receive(front);
        assert_true(front->n_data > SHORT_BYTES);
        assert_memory_equal(front->data + front->n_data - SHORT_BYTES, large, SHORT_BYTES);
        /* The first one fills the window that a connection begins with. */
        if (i > 0)
            assert_int_equal(n_pieces(front), n_before + 1);
        n_before = n_pieces(front);
    }
    free(answer);
    front->n_data = 0;
    expect_next_request(front);
}

static void test_tcp_large_answer_waits_for_a_slow_client(void **state)
{
    struct front *front = *state;
    size_t n = 0, n_got = 0;

    open_tcp(front);
    front_reach_target(front, GET);
    front_target_say(front, "HTTP/1.1 200 OK\r\nContent-Length: 900000\r\n\r\n");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\n");
    for (int i = 0; n_got < LARGE_BYTES; i++) {
        ssize_t r = send(front->rig->target_fd, large + n, LARGE_BYTES - n, MSG_NOSIGNAL | MSG_DONTWAIT);

        assert_true(i < 100000);
        n += r > 0 ? (size_t)r : 0;
        front_settle(front);
        if (r > 0 && n < LARGE_BYTES)
            continue;
        front_receive(front);
        assert_true(n_got + front->n_data <= LARGE_BYTES);
        assert_memory_equal(front->data, large + n_got, front->n_data);
        n_got += front->n_data;
        front->n_data = 0;
    }
    expect_next_request(front);
}

/* The client has closed its side behind its request, and may still read. */
static void test_tcp_half_closed_client_gets_all(void **state)
{
    struct front *front = *state;

    open_tcp(front);
    front_reach_target(front, GET);
    front_target_say(front, TEN "abc");
    assert_true(answer_moves(front));
    shutdown(front->fd, SHUT_WR);
    front_settle(front);
    front_target_say(front, "defghij");
    front_await(front, OUTCOME_FORWARDED);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nabcdefghij");
    front_expect_closed(front);
}

static void test_tcp_client_that_is_gone_frees_the_target(void **state)
{
    struct linger linger = {.l_onoff = 1};
    struct front *front = *state;

    open_tcp(front);
    front_reach_target(front, GET);
    front_target_say(front, TEN "abc");
    setsockopt(front->fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger));
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_CLIENT_GONE);
    assert_int_equal(front->n_closed, 1);
    assert_int_equal(target_n_open(front->rig->target), 0);
}

static void test_tcp_upload_that_breaks_off_is_no_whole_one(void **state)
{
    struct front *front = *state;

    open_tcp(front);
    front_reach_target(front, PUT "abc");
    front_say(front, "defghi");
    close(front->fd);
    front->fd = -1;
    front_await(front, OUTCOME_CLIENT_GONE);
    rig_receive(front->rig);
    assert_string_equal(front->rig->received, "defghi");
    assert_int_equal(rig_receive(front->rig), -1);
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_tcp_answer_moves_and_both_connections_go_on),
        FRONT_TEST(test_tcp_upload_moves_and_both_connections_go_on),
        FRONT_TEST(test_tcp_has_a_threshold_of_its_own),
        FRONT_TEST(test_tcp_short_answer_that_is_there_leaves_in_one_piece),
        FRONT_TEST(test_tcp_large_answer_waits_for_a_slow_client),
        FRONT_TEST(test_tcp_half_closed_client_gets_all),
        FRONT_TEST(test_tcp_client_that_is_gone_frees_the_target),
        FRONT_TEST(test_tcp_upload_that_breaks_off_is_no_whole_one),
    };

    return cmocka_run_group_tests(tests, tcp_group_setup, NULL);
}
