/* Generations: a worker gets another one while clients, exchanges and tunnels are under way. Who has begun ends on the
 * one it began on, who begins does so on the newest, and the one before goes with its last holder.
 *
 * The rig's own generation is the first one; the others are made here from files, live on the heap alone and so are
 * really gone when they are freed. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/load.h"
#include "proxy/tunnel/tunnel_half.h"
#include "tests/unit/client_rig.h"
#include "tests/unit/publish_fixture.h"

#define GET "GET /a HTTP/1.1\r\nHost: a\r\n\r\n"
#define OK "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"

static const char *idle_timeout = "1m"; /* of all that are made */

/* One listener at the rig's address whose route gives this answer, or forwards to the rig's target (NULL). The caller
 * holds it. */
static struct generation *make_generation(struct rig *rig, const char *bind, const char *respond, unsigned header_bytes)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    struct generation *generation;
    char route[256], text[1024];

    if (respond)
        snprintf(route, sizeof(route), "\"respond\":{\"status\":200,\"body\":\"%s\"}", respond);
    else
        snprintf(route, sizeof(route), "\"target\":\"unix:%s\"", rig->path);
    snprintf(text, sizeof(text),
             "{\"listeners\":[{\"bind\":\"unix:/elsewhere\",\"routes\":[{\"respond\":{\"status\":500}}]},"
             "{\"bind\":\"%s\",\"limits\":{\"header\":\"%uB\"},\"timeouts\":{\"idle\":\"%s\"},"
             "\"routes\":[{\"match\":{\"path_prefix\":\"/\"},%s}]}]}",
             bind, header_bytes, idle_timeout, route);
    if (config_parse(text, strlen(text), "test", &snapshot, &problems))
        problems_print(&problems, "test", "", stderr);
    problems_deinit(&problems);
    assert_non_null(snapshot);
    generation = generation_new(snapshot, &rig->endpoints);
    assert_non_null(generation);
    snapshot_unref(snapshot);
    return generation;
}

/* Serves it as a worker does; only who uses it holds it from now on. */
static struct generation *serve(struct front *front, struct generation *generation)
{
    assert_int_equal(exchange_env_grow(&front->rig->env, generation), 0);
    exchange_env_renew(&front->rig->env, generation);
    if (front->frontend) {
        struct error error = ERROR_INIT;

        assert_int_equal(frontend_prepare(front->frontend, generation, &error), 0);
        frontend_renew(front->frontend);
    }
    generation_unref(generation);
    return generation;
}

/* ---- sizes and addresses ---- */

static void test_generation_finds_a_listener_by_the_socket_it_is(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;
    struct generation *same = make_generation(rig, "unix:/./front", "new", 2048);
    struct generation *other = make_generation(rig, "unix:/other", "new", 2048);

    assert_ptr_equal(generation_listener(same, rig->generation, &rig->listener), &same->snapshot->listeners[1]);
    assert_null(generation_listener(other, rig->generation, &rig->listener));
    generation_unref(other);
    generation_unref(same);
}

/* The lock of what workers share of targets is for those that reach them: an admin listener's must leave it alone. */
static void test_generation_of_a_worker_that_reaches_nobody_holds_no_target(void **state)
{
    struct front *front = *state;
    struct generation *generation = generation_new(front->rig->generation->snapshot, NULL);

    assert_non_null(generation);
    assert_true(generation->snapshot->n_targets > 0);
    assert_int_equal(generation->n_targets, 0);
    generation_take_effect(generation);
    generation_unref(generation);
}

static void test_generation_with_larger_limits_finds_room(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;
    size_t out = rig->env.store.out.size, block = rig->env.tunnels.blocks.size, scratch = rig->env.path_scratch_bytes;
    struct buffer *before = buffer_take(&rig->env.store.out), *after;

    serve(front, make_generation(rig, "unix:/front", NULL, 65536));
    assert_true(rig->env.store.out.size >= out + 65536);
    assert_true(rig->env.tunnels.blocks.size >= block && rig->env.tunnels.blocks.size >= 2 * 65536);
    assert_true(rig->env.path_scratch_bytes >= 65536);
    /* What was taken before is smaller, and is not handed out again. */
    buffer_give(&rig->env.store.out, before);
    after = buffer_take(&rig->env.store.out);
    assert_int_equal(after->size, rig->env.store.out.size);
    buffer_give(&rig->env.store.out, after);
    /* Exchanges of a generation with larger limits may still be under way. */
    serve(front, make_generation(rig, "unix:/front", NULL, 1024));
    assert_true(rig->env.store.out.size >= out + 65536);
    assert_true(rig->env.path_scratch_bytes >= 65536 && rig->env.path_scratch_bytes > scratch);
}

/* ---- exchanges ---- */

static void test_generation_of_an_exchange_stays_with_it(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;

    assert_int_equal(rig_begin(rig, "GET /before 1\nHost: a"), EXCHANGE_FORWARD);
    serve(front, make_generation(rig, "unix:/front", "new", 2048));
    rig_finish_request(rig);
    rig_accept(rig);
    rig_expect_request(rig, "GET /before HTTP/1.1\r\n", "\r\n\r\n");
    rig_send(rig, OK);
    rig_take_answer(rig);
    assert_int_equal(rig_take_body(rig, 100), UPSTREAM_END);
    assert_string_equal(rig->body, "ok");
    assert_int_equal(rig->generation->n_holders, 2); /* the rig and the exchange */
    rig_end(rig, true, OUTCOME_FORWARDED);
    assert_int_equal(rig->generation->n_holders, 1);
}

/* ---- clients ---- */

static void test_generation_is_the_newest_for_the_next_request(void **state)
{
    struct front *front = *state;

    front_open(front);
    front_say(front, GET);
    rig_accept(front->rig);
    rig_expect_request(front->rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
    serve(front, make_generation(front->rig, "unix:/front", "new", 2048));
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    assert_int_equal(front->rig->generation->n_holders, 1);
    front_say(front, GET);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nnew");
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 1);
    assert_int_equal(rig_count(front->rig, OUTCOME_RESPONDED), 1);
    assert_int_equal(front->n_closed, 0);
}

/* One that has just connected, one between two requests, one in the middle of a head. */
static void test_generation_is_given_up_by_those_who_do_nothing(void **state)
{
    struct front *front = *state;

    front_open(front);
    for (int i = 0; i < 6; i++) {
        char body[16];

        snprintf(body, sizeof(body), "new-%d", i);
        assert_int_equal(front->rig->env.generation->n_holders, i == 0 ? 3 : 2); /* the rig holds the first */
        serve(front, make_generation(front->rig, "unix:/front", body, 2048));
        assert_int_equal(front->rig->env.generation->n_holders, 2);
        if (i % 2) {
            front_say(front, "GET /a HT");
            serve(front, make_generation(front->rig, "unix:/front", body, 2048));
            front_say(front, "TP/1.1\r\nHost: a\r\n\r\n");
        } else {
            front_say(front, GET);
        }
        front_expect(front, "HTTP/1.1 200 OK\r\n", body);
    }
    assert_int_equal(front->rig->generation->n_holders, 1);
    assert_int_equal(rig_count(front->rig, OUTCOME_RESPONDED), 6);
}

/* A head of which the library has shown the first line belongs to the generation it began on. */
static void test_generation_of_a_request_is_that_of_its_first_line(void **state)
{
    struct front *front = *state;

    front_open(front);
    serve(front, make_generation(front->rig, "unix:/front", "old", 2048));
    front_say(front, "GET /a HTTP/1.1\r\nHost: ");
    serve(front, make_generation(front->rig, "unix:/front", "new", 2048));
    front_say(front, "a\r\n\r\n");
    front_expect(front, "HTTP/1.1 200 OK\r\n", "old");
    front_say(front, GET);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "new");
}

static void test_generation_without_the_listener_lets_its_clients_go(void **state)
{
    struct front *front = *state;
    struct instant end;

    front_open(front);
    front_say(front, GET);
    rig_accept(front->rig);
    rig_expect_request(front->rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
    serve(front, make_generation(front->rig, "unix:/other", "new", 2048));
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    /* A request that crosses the news is still served, with the last answer of the connection. */
    front_say(front, GET);
    rig_expect_request(front->rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);
    while (front->n_closed == 0 && instant_before(instant_now(), end))
        front_round(front, 1);
    front_receive(front);
    assert_non_null(strstr(front->data, "Connection: close\r\n"));
    front_expect_closed(front);
    assert_int_equal(rig_count(front->rig, OUTCOME_FORWARDED), 2);
    assert_int_equal(front->rig->generation->n_holders, 1);
}

static void test_generation_without_the_listener_lets_idle_clients_go(void **state)
{
    struct front *front = *state;
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);

    front->rig->listener.timeout_head_ms = front->rig->listener.timeout_idle_ms = 10 * RIG_PATIENCE_MS;
    front_open(front);
    serve(front, make_generation(front->rig, "unix:/other", "new", 2048));
    while (front->n_closed == 0 && instant_before(instant_now(), end))
        front_round(front, 1);
    front_expect_closed(front);
    assert_int_equal(front->rig->generation->n_holders, 1);
}

static void test_generation_with_another_idle_timeout_has_it_for_who_idles(void **state)
{
    struct front *front = *state;
    struct instant end;

    front_open(front);
    serve(front, make_generation(front->rig, "unix:/front", "ok", 2048));
    front_say(front, GET);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "ok");
    end = instant_add_ms(instant_now(), 1200); /* it has been looked into, and found silent */
    while (instant_before(instant_now(), end))
        front_round(front, 1);
    assert_int_equal(front->n_closed, 0);
    idle_timeout = "200ms";
    serve(front, make_generation(front->rig, "unix:/front", "ok", 2048));
    idle_timeout = "1m";
    end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);
    while (front->n_closed == 0 && instant_before(instant_now(), end))
        front_round(front, 1);
    front_expect_closed(front);
}

/* ---- how large heads may be ---- */

static char *large_request(size_t bytes)
{
    char *text = malloc(bytes + 64);
    size_t n = (size_t)snprintf(text, 64, "GET /a HTTP/1.1\r\nHost: a\r\nX: ");

    memset(text + n, 'x', bytes - n);
    memcpy(text + bytes, "\r\n\r\n", 5);
    return text;
}

static void say_large(struct front *front, size_t bytes)
{
    char *text = large_request(bytes);

    front_say(front, text);
    free(text);
}

/* A client of the newest generation. */
static void connect_anew(struct front *front)
{
    struct peer peer = {.is_unix = true, .uid = 7, .gid = 8};
    int ends[2];

    close(front->fd);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    front->fd = ends[1];
    front->n_data = 0;
    assert_int_equal(frontend_add(front->frontend, ends[0], front->rig->env.generation,
                                  &front->rig->env.generation->snapshot->listeners[1], &peer, rig_pass(front->rig)),
                     0);
    front_settle(front);
}

static size_t memory_of_client(struct front *front)
{
    return CONTAINER_OF(frontend_clients(front->frontend)->list.previous, struct client, link)->pool_bytes;
}

/* Who came before has no memory for them: it is served what it can be, and sent to come again. */
static void test_generation_with_larger_heads_takes_them_from_new_clients(void **state)
{
    struct front *front = *state;

    front_open(front);
    serve(front, make_generation(front->rig, "unix:/front", "old", 2048));
    front_say(front, GET);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "old");
    serve(front, make_generation(front->rig, "unix:/front", "new", 65536));
    say_large(front, 2000);
    front_receive(front);
    assert_non_null(strstr(front->data, "Connection: close\r\n"));
    front_expect(front, "HTTP/1.1 200 OK\r\n", "new");
    connect_anew(front);
    say_large(front, 65000);
    front_receive(front);
    assert_null(strstr(front->data, "Connection: close\r\n"));
    front_expect(front, "HTTP/1.1 200 OK\r\n", "new");
    say_large(front, 65000);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "new");
}

/* A request of the largest size that there was is served as it began; the next one is held to the new limit, and new
 * clients have less memory. */
static void test_generation_with_smaller_heads_lets_larger_ones_end(void **state)
{
    struct front *front = *state;
    char *text = large_request(65000);

    front_open(front);
    serve(front, make_generation(front->rig, "unix:/front", NULL, 65536));
    connect_anew(front);
    assert_true(memory_of_client(front) >= 2 * 65536);
    front_say(front, text);
    rig_accept(front->rig);
    serve(front, make_generation(front->rig, "unix:/front", "new", 1024));
    rig_expect_request(front->rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    front_receive(front);
    assert_null(strstr(front->data, "Connection: close\r\n"));
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    front_say(front, text);
    front_receive(front);
    assert_memory_equal(front->data, "HTTP/1.1 431 ", 13);
    free(text);
    connect_anew(front);
    front_say(front, GET);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "new");
    assert_true(memory_of_client(front) < 65536);
}

/* However often it changes, there is memory for those sizes only that somebody has. */
static void test_generation_sizes_come_and_go(void **state)
{
    struct front *front = *state;
    int before = -1;

    front_open(front);
    for (unsigned i = 0; i < 40; i++) {
        serve(front, make_generation(front->rig, "unix:/front", "new", i % 2 ? 2048 : 30000 + 1000 * i / 2));
        connect_anew(front);
        front_say(front, GET);
        front_expect(front, "HTTP/1.1 200 OK\r\n", "new");
        if (i == 3)
            before = fixture_count_descriptors();
    }
    assert_true(fixture_count_descriptors() <= before);
}

/* ---- tunnels ---- */

static struct tunnel_client client_of(struct rig *rig, struct generation *generation)
{
    struct tunnel_client client = rig_make_client(rig);

    client.generation = generation;
    client.listener = &generation->snapshot->listeners[1];
    return client;
}

static void open_on(struct rig *rig, struct generation *generation)
{
    static const struct record entry = {.connect_us = -1, .first_byte_us = -1};
    struct tunnel_client client = client_of(rig, generation);

    assert_int_equal(tunnel_open(&rig->env.tunnels, &client, &generation->targets[0], &entry), 0);
}

/* A generation that a newer one has replaced while a tunnel of it is open. */
static struct generation *outlived_by_a_tunnel(struct front *front)
{
    struct rig *rig = front->rig;
    struct generation *old = serve(front, make_generation(rig, "unix:/front", NULL, 2048));

    open_on(rig, old);
    rig_turn(rig);
    rig_accept(rig);
    serve(front, make_generation(rig, "unix:/front", "new", 2048));
    return old;
}

/* The tunnel is the last to hold anything of its generation, listener and target included. */
static void test_generation_of_a_tunnel_ends_with_it(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;
    struct generation *old = outlived_by_a_tunnel(front);

    assert_int_equal(old->n_holders, 1);
    assert_int_equal(send(rig->client_fd, "ping", 4, 0), 4);
    rig_turn(rig);
    assert_int_equal(rig_receive(rig), 4);
    rig_close(rig);
    rig_turn(rig);
    assert_int_equal(rig->n_left, 1);
    assert_int_equal(rig_count(rig, OUTCOME_TUNNELED), 1);
}

/* The target's own answer ends the tunnel, and with it the target. */
static void test_generation_of_a_tunnel_to_nobody_ends_with_it(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;
    struct generation *old;
    int first;

    /* One place, which the first tunnel has: the second waits in the queue. */
    old = serve(front, make_generation(rig, "unix:/front", NULL, 2048));
    old->targets[0].commons->places.most = 1;
    open_on(rig, old);
    rig_turn(rig);
    rig_accept(rig);
    first = rig->client_fd;
    rig->client_fd = -1;
    open_on(rig, old);
    serve(front, make_generation(rig, "unix:/front", "new", 2048));
    assert_int_equal(old->n_holders, 2);
    rig_stop_listening(rig);
    rig_close(rig);
    rig_turn(rig);
    rig_await_outcome(rig, OUTCOME_TARGET_ABSENT);
    assert_int_equal(rig->n_left, 2);
    close(first);
}

static void test_generation_of_tunnels_that_are_cut_ends_with_them(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;

    outlived_by_a_tunnel(front);
    tunnels_cut_all(&rig->env.tunnels);
    assert_int_equal(rig_count(rig, OUTCOME_STOPPED), 1);
}

/* ---- all at once ---- */

/* A tunnel, an exchange and a client, each on a generation of its own. */
static void test_generation_of_each_is_its_own(void **state)
{
    struct front *front = *state;
    struct rig *rig = front->rig;
    struct generation *first, *second;

    front_open(front);
    first = serve(front, make_generation(rig, "unix:/front", NULL, 2048));
    open_on(rig, first);
    rig_turn(rig);
    rig_accept(rig);
    second = serve(front, make_generation(rig, "unix:/front", NULL, 2048));
    assert_int_equal(first->n_holders, 1); /* the tunnel */
    front_say(front, GET);
    serve(front, make_generation(rig, "unix:/front", "third", 2048));
    assert_int_equal(second->n_holders, 2); /* the client and its exchange */
    assert_int_equal(send(rig->client_fd, "ping", 4, 0), 4);
    front_settle(front);
    assert_int_equal(rig_receive(rig), 4);
    rig_accept(rig); /* which ends the tunnel: its target has left */
    front_settle(front);
    rig_expect_request(rig, "GET /a HTTP/1.1\r\n", "\r\n\r\n");
    front_target_say(front, OK);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nok");
    front_say(front, GET);
    front_expect(front, "HTTP/1.1 200 OK\r\n", "\r\n\r\nthird");
    assert_int_equal(rig->env.generation->n_holders, 2);
}

#define FRONT_TEST(name) cmocka_unit_test_setup_teardown(name, front_setup, front_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        FRONT_TEST(test_generation_finds_a_listener_by_the_socket_it_is),
        FRONT_TEST(test_generation_of_a_worker_that_reaches_nobody_holds_no_target),
        FRONT_TEST(test_generation_with_larger_limits_finds_room),
        FRONT_TEST(test_generation_of_an_exchange_stays_with_it),
        FRONT_TEST(test_generation_is_the_newest_for_the_next_request),
        FRONT_TEST(test_generation_is_given_up_by_those_who_do_nothing),
        FRONT_TEST(test_generation_of_a_request_is_that_of_its_first_line),
        FRONT_TEST(test_generation_without_the_listener_lets_its_clients_go),
        FRONT_TEST(test_generation_without_the_listener_lets_idle_clients_go),
        FRONT_TEST(test_generation_with_another_idle_timeout_has_it_for_who_idles),
        FRONT_TEST(test_generation_with_larger_heads_takes_them_from_new_clients),
        FRONT_TEST(test_generation_with_smaller_heads_lets_larger_ones_end),
        FRONT_TEST(test_generation_sizes_come_and_go),
        FRONT_TEST(test_generation_of_a_tunnel_ends_with_it),
        FRONT_TEST(test_generation_of_a_tunnel_to_nobody_ends_with_it),
        FRONT_TEST(test_generation_of_tunnels_that_are_cut_ends_with_them),
        FRONT_TEST(test_generation_of_each_is_its_own),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
