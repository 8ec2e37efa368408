/* Tunnels between a socket pair and a target that is the test: every byte arrives once and in order, every end is told
 * to the other end, and each tunnel is counted as one outcome. */
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

#define BULK_BYTES 900000

/* Sends as much as there is room for; returns how much. */
static size_t send_some(int fd, const char *data, size_t length)
{
    size_t n = 0;
    ssize_t r;

    while (n < length && (r = send(fd, data + n, length - n, MSG_NOSIGNAL)) > 0)
        n += (size_t)r;
    return n;
}

/* ---- bytes and ends ---- */

static void test_tunnel_bytes_go_both_ways(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    end_say(rig, rig->client_fd, "ping");
    end_expect(rig->target_fd, "ping");
    end_say(rig, rig->target_fd, "pong!");
    end_expect(rig->client_fd, "pong!");
    end_say(rig, rig->client_fd, "more");
    end_expect(rig->target_fd, "more");
    tunnel_expect_moved(rig, 8, 5);
    tunnel_expect_open(rig);
    end_finish(rig, rig->client_fd);
    end_finish(rig, rig->target_fd);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
    end_expect_end(rig->client_fd);
    end_expect_end(rig->target_fd);
}

/* What was said before the target had been connected to is not lost. */
static void test_tunnel_takes_what_was_said_before_it_was_open(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);

    assert_int_equal(send(rig->client_fd, "first", 5, 0), 5);
    assert_int_equal(shutdown(rig->client_fd, SHUT_WR), 0);
    assert_int_equal(tunnel_open(&rig->env.tunnels, &client, rig->target, &tunnel_record), 0);
    rig_turn(rig);
    rig_accept(rig);
    assert_int_equal(rig_receive(rig), 5);
    assert_string_equal(rig->received, "first");
    end_expect_end(rig->target_fd);
    tunnel_expect_open(rig);
    end_say(rig, rig->target_fd, "answer");
    rig_close(rig);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
    assert_int_equal(end_receive(rig->client_fd, rig->body, 100), 6);
}

/* One direction is over; the other one lives as long as it likes. In both orders. */
static void test_tunnel_end_of_one_side_leaves_the_other_direction(void **state)
{
    struct rig *rig = *state;

    for (int first_is_client = 0; first_is_client < 2; first_is_client++) {
        int first, second;

        memset(&rig->metrics, 0, sizeof(rig->metrics));
        rig->n_left = 0;
        tunnel_begin_open(rig);
        first = first_is_client ? rig->client_fd : rig->target_fd;
        second = first_is_client ? rig->target_fd : rig->client_fd;
        end_say(rig, first, "last words");
        end_finish(rig, first);
        assert_int_equal(end_receive(second, rig->body, 10), 10);
        end_expect_end(second);
        for (int i = 0; i < 3; i++) {
            tunnel_expect_open(rig);
            end_say(rig, second, "still here");
            end_expect(first, "still here");
        }
        end_finish(rig, second);
        end_expect_end(first);
        tunnel_expect_over(rig, OUTCOME_TUNNELED);
        tunnel_expect_moved(rig, first_is_client ? 10 : 30, first_is_client ? 30 : 10);
    }
}

static void test_tunnel_end_together_with_bytes_in_both_directions(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    assert_int_equal(send(rig->client_fd, "c", 1, 0), 1);
    assert_int_equal(send(rig->target_fd, "tt", 2, 0), 2);
    assert_int_equal(shutdown(rig->client_fd, SHUT_WR), 0);
    end_finish(rig, rig->target_fd);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
    tunnel_expect_moved(rig, 1, 2);
    assert_int_equal(end_receive(rig->client_fd, rig->body, 100), 2);
    assert_int_equal(rig_receive(rig), 1);
}

static void test_tunnel_nothing_is_said_at_all(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    end_finish(rig, rig->target_fd);
    end_expect_end(rig->client_fd);
    end_finish(rig, rig->client_fd);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
    tunnel_expect_moved(rig, 0, 0);
}

/* ---- ends that take little ---- */

static struct tunnel_half *half_of(struct rig *rig, enum tunnel_side side)
{
    return &tunnel_only(rig)->pair.halves[side];
}

/* Every byte arrives once and in order through a socket that takes a little at a time, and so does the end. */
static void move_in_bulk(struct rig *rig, int from, int to, enum tunnel_side side)
{
    char *data = end_pattern(BULK_BYTES), *got = malloc(BULK_BYTES + 1);
    size_t n_sent = 0, n_got = 0;
    bool held = false;

    assert_non_null(got);
    for (int i = 0; n_got < BULK_BYTES; i++) {
        assert_true(i < 100000);
        n_sent += send_some(from, data + n_sent, BULK_BYTES - n_sent);
        if (n_sent == BULK_BYTES)
            shutdown(from, SHUT_WR);
        rig_turn(rig);
        held = held || (rig->env.tunnels.n_tunnels > 0 && half_holds(half_of(rig, side)));
        n_got += end_receive(to, got + n_got, BULK_BYTES + 1 - n_got);
    }
    assert_true(held);
    assert_memory_equal(got, data, BULK_BYTES);
    rig_turn(rig);
    end_expect_end(to);
    free(data);
    free(got);
}

static void test_tunnel_client_that_takes_little_gets_all_of_it(void **state)
{
    struct rig *rig = *state;
    struct tunnel_client client = rig_make_client(rig);

    end_make_tiny(client.fd);
    assert_int_equal(tunnel_open(&rig->env.tunnels, &client, rig->target, &tunnel_record), 0);
    rig_turn(rig);
    rig_accept(rig);
    move_in_bulk(rig, rig->target_fd, rig->client_fd, TUNNEL_TARGET);
    tunnel_expect_moved(rig, 0, BULK_BYTES);
    end_finish(rig, rig->client_fd);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_tunnel_target_that_takes_little_gets_all_of_it(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    end_make_tiny(tunnel_only(rig)->pair.connection->channel.fd);
    move_in_bulk(rig, rig->client_fd, rig->target_fd, TUNNEL_CLIENT);
    tunnel_expect_moved(rig, BULK_BYTES, 0);
    end_finish(rig, rig->target_fd);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

/* The same without splice(2), where an end is on TCP. */
static void test_tunnel_copied_bytes_are_the_same(void **state)
{
    struct rig *rig = *state;

    rig->listener.bind.kind = ADDRESS_TCP;
    tunnel_begin_open(rig);
    assert_false(tunnel_only(rig)->pair.spliceable);
    end_make_tiny(tunnel_only(rig)->pair.connection->channel.fd);
    end_make_tiny(tunnel_only(rig)->client.fd);
    move_in_bulk(rig, rig->client_fd, rig->target_fd, TUNNEL_CLIENT);
    move_in_bulk(rig, rig->target_fd, rig->client_fd, TUNNEL_TARGET);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
    tunnel_expect_moved(rig, BULK_BYTES, BULK_BYTES);
}

/* What has just moved may have an event still; after that a round calls nobody. */
static void rig_rest(struct rig *rig)
{
    for (int n = 0; loop_run_once(rig->loop, 0) > 0; n++)
        assert_true(n < 10);
}

/* An end that takes nothing holds the other one back, and costs the tunnel one block. The other direction moves. */
static void test_tunnel_full_end_holds_the_other_back_in_one_direction(void **state)
{
    struct rig *rig = *state;
    char *data = end_pattern(BULK_BYTES);
    size_t n = 0, before;

    tunnel_begin_open(rig);
    do {
        before = n;
        n += send_some(rig->target_fd, data, BULK_BYTES);
        rig_turn(rig);
        assert_true(n < 10 * BULK_BYTES);
    } while (n > before);
    assert_false(tunnel_only(rig)->pair.ends[TUNNEL_CLIENT].writable);
    assert_false(tunnels_are_ready(&rig->env.tunnels));
    end_say(rig, rig->client_fd, "hello?");
    end_expect(rig->target_fd, "hello?");
    rig_rest(rig);
    while (end_receive(rig->client_fd, data, BULK_BYTES) > 0)
        rig_turn(rig);
    tunnel_expect_moved(rig, 6, n);
    end_say(rig, rig->target_fd, "and on");
    end_expect(rig->client_fd, "and on");
    free(data);
}

static void test_tunnel_holds_no_memory_while_nothing_moves(void **state)
{
    struct rig *rig = *state;
    struct tunnel *tunnel;

    tunnel_begin_open(rig);
    tunnel = tunnel_only(rig);
    for (int i = 0; i < 3; i++) {
        end_say(rig, rig->client_fd, "ping");
        end_expect(rig->target_fd, "ping");
        end_say(rig, rig->target_fd, "pong");
        end_expect(rig->client_fd, "pong");
        assert_false(half_holds(&tunnel->pair.halves[TUNNEL_CLIENT]));
        assert_false(half_holds(&tunnel->pair.halves[TUNNEL_TARGET]));
        assert_int_equal(rig->env.tunnels.blocks.n_spare, 1);
        assert_int_equal(rig->env.tunnels.pipes.n_pipes, rig->env.tunnels.pipes.n_spare);
        assert_false(tunnels_are_ready(&rig->env.tunnels));
    }
}

/* ---- turns ---- */

/* A tunnel with very much to do goes to the end of the line, again and again. */
static void test_tunnel_with_much_to_do_has_its_turn_and_no_more(void **state)
{
    struct rig *rig = *state;
    size_t n = 0, n_turns = 0;

    tunnel_begin_open(rig);
    for (int i = 0; i < 60; i++)
        rig_send_with_descriptor(rig->client_fd, "x", 1);
    assert_int_equal(shutdown(rig->client_fd, SHUT_WR), 0);
    assert_true(loop_run_once(rig->loop, 0) > 0);
    while (tunnels_are_ready(&rig->env.tunnels)) {
        size_t got;

        tunnels_turn(&rig->env.tunnels);
        got = end_receive(rig->target_fd, rig->received, 100);
        assert_true(got < 60);
        n += got;
        assert_true(++n_turns < 100);
    }
    assert_int_equal(n, 60);
    assert_true(n_turns > 2);
    end_expect_end(rig->target_fd);
}

/* The descriptors are not for the target, but what comes behind them is. */
static void test_tunnel_bytes_behind_a_passed_descriptor_arrive(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    rig_send_with_descriptor(rig->client_fd, "a", 1);
    assert_int_equal(send(rig->client_fd, "bc", 2, 0), 2);
    rig_send_with_descriptor(rig->target_fd, "1", 1);
    assert_int_equal(send(rig->target_fd, "23", 2, 0), 2);
    rig_turn(rig);
    end_expect(rig->target_fd, "abc");
    end_expect(rig->client_fd, "123");
}

/* ---- ends that break off ---- */

/* What a client that has left had said is delivered; what was said to it is for nobody. */
static void test_tunnel_client_that_left_is_heard_out(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    assert_int_equal(send(rig->client_fd, "goodbye", 7, 0), 7);
    close(rig->client_fd);
    rig->client_fd = -1;
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
    assert_int_equal(rig_receive(rig), 7);
    assert_string_equal(rig->received, "goodbye");
    end_expect_end(rig->target_fd);
}

static void test_tunnel_target_that_left_is_heard_out(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    assert_int_equal(send(rig->target_fd, "goodbye", 7, 0), 7);
    rig_close(rig);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
    assert_int_equal(end_receive(rig->client_fd, rig->body, 100), 7);
    end_expect_end(rig->client_fd);
}

/* Nobody is left to hear it, and the target is not held up any longer. */
static void test_tunnel_client_that_left_with_bytes_untaken_is_gone(void **state)
{
    struct rig *rig = *state;
    char *data = end_pattern(BULK_BYTES);

    tunnel_begin_open(rig);
    for (int i = 0; i < 10; i++) {
        send_some(rig->target_fd, data, BULK_BYTES);
        rig_turn(rig);
    }
    close(rig->client_fd);
    rig->client_fd = -1;
    tunnel_expect_over(rig, OUTCOME_CLIENT_GONE);
    free(data);
}

/* To close with bytes unread is a reset. */
static void test_tunnel_resets_are_blamed_on_who_did_it(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    end_say(rig, rig->target_fd, "unread");
    close(rig->client_fd);
    rig->client_fd = -1;
    tunnel_expect_over(rig, OUTCOME_CLIENT_GONE);
    end_expect_end(rig->target_fd);
    memset(&rig->metrics, 0, sizeof(rig->metrics));
    rig->n_left = 0;
    tunnel_begin_open(rig);
    end_say(rig, rig->client_fd, "unread");
    rig_close(rig);
    tunnel_expect_over(rig, OUTCOME_TARGET_RESET);
    end_expect_end(rig->client_fd);
}

/* An end that will take no more is found out when something is for it. Its own words still count. */
static void test_tunnel_end_that_closes_its_ears_still_speaks(void **state)
{
    struct rig *rig = *state;

    for (int side = 0; side < 2; side++) {
        int deaf, other;

        memset(&rig->metrics, 0, sizeof(rig->metrics));
        rig->n_left = 0;
        tunnel_begin_open(rig);
        deaf = side == TUNNEL_CLIENT ? rig->client_fd : rig->target_fd;
        other = side == TUNNEL_CLIENT ? rig->target_fd : rig->client_fd;
        assert_int_equal(shutdown(deaf, SHUT_RD), 0);
        end_say(rig, other, "can you hear me?");
        tunnel_expect_open(rig);
        end_say(rig, deaf, "no");
        end_expect(other, "no");
        end_finish(rig, deaf);
        end_expect_end(other);
        tunnel_expect_over(rig, side == TUNNEL_CLIENT ? OUTCOME_CLIENT_GONE : OUTCOME_TARGET_RESET);
    }
}

static void test_tunnel_first_fault_is_the_one_that_counts(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    assert_int_equal(shutdown(rig->client_fd, SHUT_RD), 0);
    end_say(rig, rig->target_fd, "for nobody");
    tunnel_expect_open(rig);
    tunnels_cut_all(&rig->env.tunnels);
    tunnel_expect_over(rig, OUTCOME_CLIENT_GONE);
}

/* ---- time ---- */

static void test_tunnel_in_which_nothing_moves_is_cut(void **state)
{
    struct rig *rig = *state;
    struct instant begun = instant_now();

    rig->target_config.times.tunnel_ms = 60;
    tunnel_begin_open(rig);
    rig_await_outcome(rig, OUTCOME_TUNNEL_IDLE);
    assert_true(instant_elapsed_us(begun, instant_now()) >= 50000);
    tunnel_expect_over(rig, OUTCOME_TUNNEL_IDLE);
    end_expect_end(rig->client_fd);
    end_expect_end(rig->target_fd);
}

/* Either direction keeps it alive. */
static void test_tunnel_in_which_something_moves_is_not_idle(void **state)
{
    struct rig *rig = *state;
    struct instant end;

    rig->target_config.times.tunnel_ms = 3000;
    tunnel_begin_open(rig);
    end = instant_add_ms(instant_now(), 4000);
    for (int i = 0; instant_before(instant_now(), end); i++) {
        end_say(rig, i % 2 ? rig->client_fd : rig->target_fd, "x");
        end_expect(i % 2 ? rig->target_fd : rig->client_fd, "x");
        rig_pass_ms(rig, 100);
    }
    tunnel_expect_open(rig);
    rig_await_outcome(rig, OUTCOME_TUNNEL_IDLE);
}

/* An end that does not take what is held for it moves nothing. */
static void test_tunnel_of_an_end_that_takes_nothing_is_idle(void **state)
{
    struct rig *rig = *state;
    char *data = end_pattern(BULK_BYTES);

    rig->target_config.times.tunnel_ms = 60;
    tunnel_begin_open(rig);
    while (rig_count(rig, OUTCOME_TUNNEL_IDLE) == 0) {
        send_some(rig->target_fd, data, BULK_BYTES);
        rig_pass_ms(rig, 5);
        assert_int_equal(rig->n_left, rig_count(rig, OUTCOME_TUNNEL_IDLE));
    }
    tunnel_expect_over(rig, OUTCOME_TUNNEL_IDLE);
    free(data);
}

static void test_tunnels_cut_all_are_stopped(void **state)
{
    struct rig *rig = *state;
    int first;

    tunnel_begin_open(rig);
    first = fcntl(rig->client_fd, F_DUPFD_CLOEXEC, 0);
    tunnel_begin_open(rig);
    assert_int_equal(send(rig->client_fd, "x", 1, 0), 1);
    assert_true(loop_run_once(rig->loop, 0) > 0); /* it waits for its turn */
    assert_int_equal(rig->env.tunnels.n_tunnels, 2);
    tunnels_cut_all(&rig->env.tunnels);
    assert_int_equal(rig->env.tunnels.n_tunnels, 0);
    assert_false(tunnels_are_ready(&rig->env.tunnels));
    assert_int_equal(rig->n_left, 2);
    assert_int_equal(rig_count(rig, OUTCOME_STOPPED), 2);
    assert_int_equal(target_n_open(rig->target), 0);
    end_expect_end(first);
    close(first);
    tunnels_cut_all(&rig->env.tunnels);
    assert_int_equal(rig_count(rig, OUTCOME_STOPPED), 2);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_tunnel_bytes_go_both_ways),
        RIG_TEST(test_tunnel_takes_what_was_said_before_it_was_open),
        RIG_TEST(test_tunnel_end_of_one_side_leaves_the_other_direction),
        RIG_TEST(test_tunnel_end_together_with_bytes_in_both_directions),
        RIG_TEST(test_tunnel_nothing_is_said_at_all),
        RIG_TEST(test_tunnel_client_that_takes_little_gets_all_of_it),
        RIG_TEST(test_tunnel_target_that_takes_little_gets_all_of_it),
        RIG_TEST(test_tunnel_copied_bytes_are_the_same),
        RIG_TEST(test_tunnel_full_end_holds_the_other_back_in_one_direction),
        RIG_TEST(test_tunnel_holds_no_memory_while_nothing_moves),
        RIG_TEST(test_tunnel_with_much_to_do_has_its_turn_and_no_more),
        RIG_TEST(test_tunnel_bytes_behind_a_passed_descriptor_arrive),
        RIG_TEST(test_tunnel_client_that_left_is_heard_out),
        RIG_TEST(test_tunnel_target_that_left_is_heard_out),
        RIG_TEST(test_tunnel_client_that_left_with_bytes_untaken_is_gone),
        RIG_TEST(test_tunnel_resets_are_blamed_on_who_did_it),
        RIG_TEST(test_tunnel_end_that_closes_its_ears_still_speaks),
        RIG_TEST(test_tunnel_first_fault_is_the_one_that_counts),
        RIG_TEST(test_tunnel_in_which_nothing_moves_is_cut),
        RIG_TEST(test_tunnel_in_which_something_moves_is_not_idle),
        RIG_TEST(test_tunnel_of_an_end_that_takes_nothing_is_idle),
        RIG_TEST(test_tunnels_cut_all_are_stopped),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
