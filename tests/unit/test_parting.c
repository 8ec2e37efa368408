/* Tunnels of which an end over TCP may still be sending when everything has been said: it is closed in stages. (The
 * sockets are pairs: what matters is what they are taken for.) */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/tunnel_rig.h"

static int parting_setup(void **state)
{
    int r = rig_setup(state);
    struct rig *rig = *state;

    rig->listener.bind.kind = ADDRESS_TCP;
    return r;
}

/* The target has said something and left, which the client has not read yet; it says more. */
static void begin_to_part(struct rig *rig)
{
    tunnel_begin_open(rig);
    assert_int_equal(send(rig->target_fd, "goodbye", 7, 0), 7);
    rig_close(rig);
    rig_turn(rig);
    end_say(rig, rig->client_fd, "are you still there?");
}

/* It has been recorded, its client is counted, and the target has its place back. */
static void expect_parting(struct rig *rig)
{
    tunnel_expect_open(rig);
    assert_int_equal(tunnel_only(rig)->state, TUNNEL_PARTING);
    assert_int_equal(rig_count(rig, OUTCOME_TUNNELED), 1);
    assert_int_equal(target_n_open(rig->target), 0);
}

static void test_parting_waits_for_the_end_of_who_still_speaks(void **state)
{
    struct rig *rig = *state;

    begin_to_part(rig);
    for (int i = 0; i < 3; i++) {
        expect_parting(rig);
        end_say(rig, rig->client_fd, "hello?");
    }
    expect_parting(rig);
    close(rig->client_fd);
    rig->client_fd = -1;
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_parting_is_over_when_all_has_been_taken(void **state)
{
    struct rig *rig = *state;

    begin_to_part(rig);
    expect_parting(rig);
    assert_int_equal(end_receive(rig->client_fd, rig->body, 100), 7);
    end_expect_end(rig->client_fd);
    end_say(rig, rig->client_fd, "and now?");
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

/* Who is stuck in sending need not wait for a look. */
static void test_parting_is_none_where_nothing_is_on_its_way(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    assert_int_equal(send(rig->target_fd, "goodbye", 7, 0), 7);
    rig_turn(rig);
    assert_int_equal(end_receive(rig->client_fd, rig->body, 100), 7);
    rig_close(rig);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_parting_waits_for_one_end_of_file(void **state)
{
    struct rig *rig = *state;

    begin_to_part(rig);
    end_finish(rig, rig->client_fd);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_parting_is_none_from_who_has_ended(void **state)
{
    struct rig *rig = *state;

    tunnel_begin_open(rig);
    end_finish(rig, rig->client_fd);
    rig_close(rig);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_parting_ends_when_nothing_is_taken(void **state)
{
    struct rig *rig = *state;
    struct instant begun = instant_now();

    begin_to_part(rig);
    while (rig->n_left == 0) {
        assert_true(instant_elapsed_us(begun, instant_now()) < 20000000);
        rig_pass_ms(rig, 20);
    }
    assert_true(instant_elapsed_us(begun, instant_now()) >= PARTING_LOOK_MS * 900u);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_parting_is_cut_with_all_tunnels(void **state)
{
    struct rig *rig = *state;

    begin_to_part(rig);
    expect_parting(rig);
    tunnels_cut_all(&rig->env.tunnels);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_parting_is_cut_with_its_listener(void **state)
{
    struct rig *rig = *state;

    begin_to_part(rig);
    expect_parting(rig);
    tunnels_cut_of(&rig->env.tunnels, tunnel_only(rig)->client.pass.desk);
    tunnel_expect_over(rig, OUTCOME_TUNNELED);
}

static void test_parting_looks_whether_something_is_taken(void **state)
{
    struct parting parting = PARTING_INIT;
    char data[100];
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[0], "abc", 3, 0), 3);
    assert_int_equal(send(ends[0], "def", 3, 0), 3);
    parting_begin(&parting, ends[0]);
    assert_true(parting_is_on(&parting));
    assert_false(parting_is_taken(&parting));
    assert_int_equal(recv(ends[1], data, 3, 0), 3);
    assert_true(parting_is_taken(&parting));
    assert_false(parting_is_taken(&parting));
    assert_int_equal(parting_drop(&parting), PARTING_WAIT);
    assert_int_equal(recv(ends[1], data, sizeof(data), 0), 3);
    assert_false(parting_is_taken(&parting));
    assert_int_equal(parting_drop(&parting), PARTING_OVER);
    close(ends[0]);
    close(ends[1]);
}

static void test_parting_drops_so_much_and_no_more(void **state)
{
    struct parting parting = PARTING_INIT;
    char data[4096] = "";
    uint64_t sent = 0;
    int ends[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(send(ends[0], "abc", 3, 0), 3);
    parting_begin(&parting, ends[0]);
    assert_int_equal(parting_drop(&parting), PARTING_WAIT);
    while (parting.dropped_bytes < PARTING_MOST_BYTES) {
        ssize_t n = send(ends[1], data, sizeof(data), MSG_NOSIGNAL);

        sent += n > 0 ? (uint64_t)n : 0;
        if (n < 0)
            assert_int_not_equal(parting_drop(&parting), PARTING_OVER);
    }
    assert_true(sent < PARTING_MOST_BYTES + 1000000);
    assert_int_equal(parting_drop(&parting), PARTING_WAIT);
    close(ends[1]);
    close(ends[0]);
}

#define PARTING_TEST(name) cmocka_unit_test_setup_teardown(name, parting_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        PARTING_TEST(test_parting_waits_for_the_end_of_who_still_speaks),
        PARTING_TEST(test_parting_is_over_when_all_has_been_taken),
        PARTING_TEST(test_parting_is_none_where_nothing_is_on_its_way),
        PARTING_TEST(test_parting_waits_for_one_end_of_file),
        PARTING_TEST(test_parting_is_none_from_who_has_ended),
        PARTING_TEST(test_parting_ends_when_nothing_is_taken),
        PARTING_TEST(test_parting_is_cut_with_all_tunnels),
        PARTING_TEST(test_parting_is_cut_with_its_listener),
        cmocka_unit_test(test_parting_looks_whether_something_is_taken),
        cmocka_unit_test(test_parting_drops_so_much_and_no_more),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
