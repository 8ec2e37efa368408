/* Whom a target may ask, above all the addresses of a name, which come and go. */
#include "proxy/reach/roster.h"

#include <arpa/inet.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/exchange_rig.h"
#include "tests/unit/name_service.h"

#define EVERY_MS 1000 /* the least that makes sense, with RESOLVER_PAUSE_MS */
#define MOST 4

/* A target's configuration, by its endpoints: "unix:a", "http:app.test", "https:1.2.3.4". */
struct bench {
    struct endpoint_config endpoints[MOST];
    struct target_config config;
    struct roster roster;
};

static void bench_add(struct bench *bench, enum address_kind kind, const char *name, uint32_t weight)
{
    bench->endpoints[bench->config.n_endpoints++] = (struct endpoint_config){
        .address = {.kind = kind, .text = (char *)(uintptr_t)name, .name = (char *)(uintptr_t)name, .port = 8080},
        .weight = weight};
    bench->config.endpoints = bench->endpoints;
}

static void bench_open(struct bench *bench, struct rig *rig, bool all)
{
    bench->config.resolve_all = all;
    bench->config.resolve_every_ms = EVERY_MS;
    bench->config.connections_idle = 8;
    bench->config.connections_idle_timeout_ms = RIG_PATIENCE_MS;
    bench->config.connections_max_age_ms = RIG_PATIENCE_MS;
    assert_int_equal(roster_init(&bench->roster, &bench->config, &rig->endpoints, NULL), 0);
    if (!bench->roster.endpoints)
        abort(); /* the analyzer does not know that the line before has ended the test then */
}

/* Who is chosen in n turns, none of which has failed: "a b a". */
static const char *bench_turns(struct bench *bench, size_t n)
{
    static char text[256];
    size_t used = 0;

    text[0] = '\0';
    for (size_t i = 0; i < n; i++) {
        size_t index = roster_choose(&bench->roster, 0);

        assert_int_not_equal(index, ROSTER_NOBODY);
        used += (size_t)snprintf(text + used, sizeof(text) - used, "%s%s", i ? " " : "",
                                 bench->roster.endpoints[index]->address.name);
    }
    return text;
}

/* Lets time pass until the choice is this. */
static void bench_await_turns(struct bench *bench, struct rig *rig, size_t n, const char *expected)
{
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);
    const char *turns;

    do {
        rig_pass_ms(rig, 5);
        roster_look(&bench->roster);
        turns = bench_turns(bench, n);
    } while (strcmp(turns, expected) != 0 && instant_before(instant_now(), end));
    assert_string_equal(turns, expected);
}

static size_t bench_find(const struct bench *bench, const char *name)
{
    for (size_t i = 0; i < bench->roster.n; i++)
        if (bench->roster.endpoints[i] && strcmp(bench->roster.endpoints[i]->address.name, name) == 0)
            return i;
    fail_msg("%s has no place", name);
    return 0;
}

static void test_roster_without_all_has_what_is_configured(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};

    bench_add(&bench, ADDRESS_HTTP, "app.test", 1);
    bench_add(&bench, ADDRESS_UNIX, "/run/a.sock", 1);
    name_service_set("192.0.2.1,192.0.2.2", 0, false);
    bench_open(&bench, rig, false);
    assert_int_equal(bench.roster.n, 2);
    rig_pass_ms(rig, 20);
    assert_string_equal(bench_turns(&bench, 4), "app.test /run/a.sock app.test /run/a.sock");
    assert_int_equal(roster_choose(&bench.roster, 3), ROSTER_NOBODY);
    roster_deinit(&bench.roster);
    roster_deinit(&bench.roster);
}

static void test_roster_of_one_needs_no_choice(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};

    bench_add(&bench, ADDRESS_HTTP, "192.0.2.1", 1);
    bench_open(&bench, rig, true);
    assert_int_equal(bench.roster.n, 1);
    assert_null(bench.roster.items);
    assert_int_equal(roster_choose(&bench.roster, 0), 0);
    assert_int_equal(roster_choose(&bench.roster, 1), ROSTER_NOBODY);
    roster_deinit(&bench.roster);
}

static void test_roster_asks_the_name_until_its_addresses_are_known(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};

    bench_add(&bench, ADDRESS_HTTP, "silent.test", 1);
    name_service_set("192.0.2.1,2001:db8::1", 0, true);
    bench_open(&bench, rig, true);
    assert_string_equal(bench_turns(&bench, 2), "silent.test silent.test");
    name_service_set("192.0.2.1,2001:db8::1", 0, false);
    bench_await_turns(&bench, rig, 2, "192.0.2.1 2001:db8::1");
    assert_string_equal(bench.roster.endpoints[1]->address.text, "http://192.0.2.1:8080");
    assert_string_equal(bench.roster.endpoints[2]->address.text, "http://[2001:db8::1]:8080");
    /* When none of them can be connected to, the name may have moved. */
    assert_int_equal(roster_choose(&bench.roster, 0x6), 0);
    assert_int_equal(roster_choose(&bench.roster, 0x7), ROSTER_NOBODY);
    roster_deinit(&bench.roster);
}

static void test_roster_addresses_come_and_go(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};
    struct endpoint *gone;

    bench_add(&bench, ADDRESS_HTTP, "app.test", 1);
    name_service_set("192.0.2.1,192.0.2.2", 0, false);
    bench_open(&bench, rig, true);
    bench_await_turns(&bench, rig, 2, "192.0.2.1 192.0.2.2");
    gone = endpoint_ref(bench.roster.endpoints[bench_find(&bench, "192.0.2.1")]);
    name_service_set("192.0.2.2,192.0.2.3", 0, false);
    bench_await_turns(&bench, rig, 3, "192.0.2.3 192.0.2.2 192.0.2.3");
    /* Whoever used the one that has gone still does. */
    assert_string_equal(gone->address.name, "192.0.2.1");
    assert_int_equal(gone->n_references, 1);
    endpoint_unref(gone);
    name_service_set("192.0.2.3", 0, false);
    bench_await_turns(&bench, rig, 2, "192.0.2.3 192.0.2.3");
    roster_deinit(&bench.roster);
}

static void test_roster_keeps_the_addresses_while_the_name_service_fails(void **state)
{
    static const int codes[] = {EAI_AGAIN, EAI_NONAME};
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};

    bench_add(&bench, ADDRESS_HTTP, "app.test", 1);
    name_service_set("192.0.2.1,192.0.2.2", 0, false);
    bench_open(&bench, rig, true);
    bench_await_turns(&bench, rig, 2, "192.0.2.1 192.0.2.2");
    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++) {
        unsigned n = name_service_count(&name_service.n_ended);

        name_service_set(NULL, codes[i], false);
        while (name_service_count(&name_service.n_ended) == n) {
            rig_pass_ms(rig, 1);
            roster_look(&bench.roster);
        }
        rig_pass_ms(rig, 20);
        bench_await_turns(&bench, rig, 2, "192.0.2.1 192.0.2.2");
    }
    roster_deinit(&bench.roster);
}

static void test_roster_doubt_looks_at_once(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};

    bench_add(&bench, ADDRESS_HTTP, "app.test", 1);
    name_service_set("192.0.2.1", 0, false);
    bench_open(&bench, rig, true);
    bench_await_turns(&bench, rig, 1, "192.0.2.1");
    bench.roster.names[0].follow.every_ms = 60000;
    rig_pass_ms(rig, RESOLVER_PAUSE_MS + 20);
    name_service_set("192.0.2.2", 0, false);
    roster_doubt(&bench.roster, bench_find(&bench, "192.0.2.1"));
    bench_await_turns(&bench, rig, 1, "192.0.2.2");
    roster_deinit(&bench.roster);
}

static void test_roster_names_keep_their_order_and_their_weight(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config = {.name = (char *)"t", .balance = BALANCE_FAILOVER}};
    size_t name, second;

    bench_add(&bench, ADDRESS_HTTP, "app.test", 3);
    bench_add(&bench, ADDRESS_UNIX, "/run/a.sock", 2);
    bench_add(&bench, ADDRESS_HTTP, "silent.test", 1);
    name_service_set("192.0.2.1,192.0.2.2", 0, true);
    bench_open(&bench, rig, true);
    bench_await_turns(&bench, rig, 1, "192.0.2.1");
    name = bench_find(&bench, "app.test");
    assert_int_equal(bench.roster.items[name + 1].weight, 3);
    assert_int_equal(bench.roster.items[name + 2].weight, 3);
    second = bench_find(&bench, "/run/a.sock");
    assert_int_equal(roster_choose(&bench.roster, UINT64_C(7) << name), second);
    assert_int_equal(roster_choose(&bench.roster, UINT64_C(7) << name | UINT64_C(1) << second), second + 1);
    assert_string_equal(bench.roster.endpoints[second + 1]->address.name, "silent.test");
    name_service_set("192.0.2.1,192.0.2.2", 0, false);
    roster_deinit(&bench.roster);
}

static void test_roster_addresses_are_who_the_name_is(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};

    bench_add(&bench, ADDRESS_HTTPS, "app.test", 1);
    bench.config.tls.verify = true;
    bench_open(&bench, rig, true);
    bench_await_turns(&bench, rig, 1, "127.0.0.1");
    assert_string_equal(bench.roster.endpoints[1]->tls.server_name, "app.test");
    assert_string_equal(bench.roster.endpoints[1]->address.text, "https://127.0.0.1:8080");
    assert_true(bench.roster.endpoints[1]->tls.verify);
    roster_deinit(&bench.roster);
}

static void test_roster_has_places_for_so_many_addresses(void **state)
{
    struct rig *rig = *state;
    struct bench bench = {.config.name = (char *)"t"};
    static char many[(ADDRESSES_MOST + 8) * 16];
    size_t used = 0, n = 0;

    for (int i = 0; i < ADDRESSES_MOST + 8; i++)
        used += (size_t)snprintf(many + used, sizeof(many) - used, "%s192.0.2.%d", i ? "," : "", i);
    bench_add(&bench, ADDRESS_HTTP, "app.test", 1);
    bench_add(&bench, ADDRESS_HTTP, "other.test", 1);
    name_service_set(many, 0, false);
    bench_open(&bench, rig, true);
    bench_await_turns(&bench, rig, 1, "192.0.2.0");
    for (size_t i = 0; i < bench.roster.n; i++)
        n += bench.roster.endpoints[i] != NULL;
    assert_int_equal(n, TARGET_MOST_ENDPOINTS);
    roster_deinit(&bench.roster);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_roster_without_all_has_what_is_configured),
        RIG_TEST(test_roster_of_one_needs_no_choice),
        RIG_TEST(test_roster_asks_the_name_until_its_addresses_are_known),
        RIG_TEST(test_roster_addresses_come_and_go),
        RIG_TEST(test_roster_keeps_the_addresses_while_the_name_service_fails),
        RIG_TEST(test_roster_doubt_looks_at_once),
        RIG_TEST(test_roster_names_keep_their_order_and_their_weight),
        RIG_TEST(test_roster_addresses_are_who_the_name_is),
        RIG_TEST(test_roster_has_places_for_so_many_addresses),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
