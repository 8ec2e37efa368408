/* Connections to a host name that moves. */
#include "proxy/reach/follow.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/exchange_rig.h"
#include "tests/unit/name_service.h"

#define EVERY_MS 1000 /* the least that makes sense, with RESOLVER_PAUSE_MS */

/* An endpoint with two connections, which the test holds. */
struct bench {
    struct endpoint *endpoint;
    int listen_fds[2]; /* owned; at 127.0.0.1 and 127.0.0.2 */
    int port;
};

static void bench_listen(struct bench *bench, int which)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)bench->port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK + (uint32_t)which)}};
    socklen_t length = sizeof(address);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_int_equal(bind(fd, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &length), 0);
    bench->port = ntohs(address.sin_port);
    bench->listen_fds[which] = fd;
}

static void bench_open(struct bench *bench, struct rig *rig)
{
    static const struct tls_config none = {.verify = true};
    struct address address = {.kind = ADDRESS_HTTP, .text = (char *)"http://app.test", .name = (char *)"app.test"};

    *bench = (struct bench){.port = 0};
    bench_listen(bench, 0);
    bench_listen(bench, 1);
    address.port = (uint16_t)bench->port;
    bench->endpoint = endpoints_find(&rig->endpoints, &address, &none);
    assert_non_null(bench->endpoint);
    pool_configure(&bench->endpoint->pool, 8, RIG_PATIENCE_MS, RIG_PATIENCE_MS);
}

static void bench_close(struct bench *bench)
{
    endpoint_unref(bench->endpoint);
    close(bench->listen_fds[0]);
    close(bench->listen_fds[1]);
}

static struct connection *bench_connect(struct bench *bench, int which)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)bench->port),
                                  .sin_addr = {htonl(INADDR_LOOPBACK + (uint32_t)which)}};
    struct channel channel = {.fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    struct connection *connection;

    assert_int_equal(connect(channel.fd, (struct sockaddr *)&address, sizeof(address)), 0);
    connection = pool_adopt(&bench->endpoint->pool, &channel);
    assert_non_null(connection);
    return connection;
}

/* Lets the loop run, and looks, until the name is known to be there. */
static void bench_await(struct bench *bench, struct rig *rig, const char *addresses)
{
    struct addresses *expected = name_service_addresses(addresses);
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);
    struct follow *follow = &bench->endpoint->follow;

    while (!follow->known || !addresses_equal(follow->known, expected)) {
        rig_pass_ms(rig, 1);
        follow_look(follow);
        assert_true(instant_before(instant_now(), end));
    }
    addresses_unref(expected);
}

static void test_follow_looks_as_soon_as_it_is_told_how_often(void **state)
{
    struct rig *rig = *state;
    struct bench bench;

    bench_open(&bench, rig);
    follow_look(&bench.endpoint->follow);
    follow_deinit(&bench.endpoint->follow);
    bench_close(&bench);
    bench_open(&bench, rig);
    follow_every(&bench.endpoint->follow, EVERY_MS);
    bench_await(&bench, rig, "127.0.0.1");
    bench_close(&bench);
}

static void test_follow_addresses_and_sockets_are_not_followed(void **state)
{
    static const struct tls_config none = {.verify = true};
    struct rig *rig = *state;
    const struct address addresses[] = {
        {.kind = ADDRESS_UNIX, .text = (char *)"app", .name = (char *)"app"},
        {.kind = ADDRESS_HTTP, .text = (char *)"app", .name = (char *)"127.0.0.1", .port = 80},
        {.kind = ADDRESS_TCP, .text = (char *)"app", .name = (char *)"::1", .port = 80},
        {.kind = ADDRESS_HTTPS, .text = (char *)"app", .name = (char *)"localhost", .port = 80},
    };

    for (size_t i = 0; i < ARRAY_LENGTH(addresses); i++) {
        struct endpoint *endpoint = endpoints_find(&rig->endpoints, &addresses[i], &none);

        follow_every(&endpoint->follow, EVERY_MS);
        follow_look(&endpoint->follow);
        follow_catch_up(&endpoint->follow);
        assert_null(endpoint->follow.host);
        endpoint_unref(endpoint);
    }
    assert_int_equal(name_service_count(&name_service.n_begun), 0);
}

static void test_follow_ends_connections_to_where_the_name_was(void **state)
{
    struct rig *rig = *state;
    struct bench bench;
    struct connection *idle, *busy, *late, *new;
    uint32_t epoch;

    bench_open(&bench, rig);
    follow_every(&bench.endpoint->follow, EVERY_MS);
    bench_await(&bench, rig, "127.0.0.1");
    idle = bench_connect(&bench, 0);
    busy = bench_connect(&bench, 0);
    pool_give(idle, true);
    assert_int_equal(bench.endpoint->pool.n_idle, 1);
    epoch = bench.endpoint->pool.epoch;
    name_service_set("127.0.0.2", 0, false);
    bench_await(&bench, rig, "127.0.0.2");
    assert_int_equal(bench.endpoint->pool.n_idle, 0);
    late = bench_connect(&bench, 0); /* it was being made meanwhile */
    late->epoch = epoch;
    new = bench_connect(&bench, 1);
    pool_give(late, true);
    pool_give(busy, true);
    assert_int_equal(bench.endpoint->pool.n_idle, 0);
    pool_give(new, true);
    assert_int_equal(bench.endpoint->pool.n_idle, 1);
    bench_close(&bench);
}

static void test_follow_keeps_connections_that_the_name_leads_to_still(void **state)
{
    struct rig *rig = *state;
    struct bench bench;
    struct connection *first, *second;

    bench_open(&bench, rig);
    follow_every(&bench.endpoint->follow, EVERY_MS);
    bench_await(&bench, rig, "127.0.0.1");
    first = bench_connect(&bench, 0);
    second = bench_connect(&bench, 0);
    pool_give(first, true);
    name_service_set("127.0.0.2,127.0.0.1", 0, false);
    bench_await(&bench, rig, "127.0.0.2,127.0.0.1");
    pool_give(second, true);
    assert_int_equal(bench.endpoint->pool.n_idle, 2);
    bench_close(&bench);
}

static void test_follow_keeps_connections_while_the_name_service_fails(void **state)
{
    static const int codes[] = {EAI_AGAIN, EAI_NONAME};
    struct rig *rig = *state;
    struct bench bench;

    bench_open(&bench, rig);
    follow_every(&bench.endpoint->follow, EVERY_MS);
    bench_await(&bench, rig, "127.0.0.1");
    pool_give(bench_connect(&bench, 0), true);
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++) {
        unsigned n = name_service_count(&name_service.n_ended);

        name_service_set(NULL, codes[i], false);
        while (name_service_count(&name_service.n_ended) == n) {
            rig_pass_ms(rig, 1);
            follow_look(&bench.endpoint->follow);
        }
        rig_pass_ms(rig, 20);
        follow_ask(&bench.endpoint->follow);
        assert_int_equal(bench.endpoint->pool.n_idle, 1);
    }
    bench_close(&bench);
}

static void test_follow_can_be_left_while_a_lookup_hangs(void **state)
{
    static const struct tls_config none = {.verify = true};
    const struct address address = {
        .kind = ADDRESS_HTTP, .text = (char *)"silent", .name = (char *)"silent.test", .port = 80};
    struct rig *rig = *state;
    struct endpoint *endpoint = endpoints_find(&rig->endpoints, &address, &none);

    name_service_set("127.0.0.1", 0, true);
    follow_every(&endpoint->follow, EVERY_MS);
    name_service_await(&name_service.n_begun, 1);
    endpoint_unref(endpoint);
    name_service_set("127.0.0.1", 0, false);
    rig_pass_ms(rig, 20);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_follow_looks_as_soon_as_it_is_told_how_often),
        RIG_TEST(test_follow_addresses_and_sockets_are_not_followed),
        RIG_TEST(test_follow_ends_connections_to_where_the_name_was),
        RIG_TEST(test_follow_keeps_connections_that_the_name_leads_to_still),
        RIG_TEST(test_follow_keeps_connections_while_the_name_service_fails),
        RIG_TEST(test_follow_can_be_left_while_a_lookup_hangs),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
