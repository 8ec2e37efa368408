/* Endpoints outlive generations, are shared by those who mean the same, and chosen among by their load. */
#include "proxy/reach/endpoint.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/reach/generation.h"
#include "tests/unit/exchange_rig.h"

#define CA "/etc/ca.pem"

static struct endpoint *find(struct rig *rig, enum address_kind kind, const char *name, const struct tls_config *tls)
{
    static const struct tls_config none = {.verify = true};
    const struct address address = {.kind = kind, .text = (char *)name, .name = (char *)name, .port = 443};
    struct endpoint *endpoint = endpoints_find(&rig->endpoints, &address, tls ? tls : &none);

    assert_non_null(endpoint);
    return endpoint;
}

/* Whether both are one endpoint. */
static bool same(struct rig *rig, enum address_kind kind, const char *name, const struct tls_config *tls,
                 enum address_kind other_kind, const char *other_name, const struct tls_config *other_tls)
{
    struct endpoint *a = find(rig, kind, name, tls), *b = find(rig, other_kind, other_name, other_tls);
    bool is_same = a == b;

    endpoint_unref(b);
    endpoint_unref(a);
    return is_same;
}

static void test_endpoint_is_found_in_every_spelling(void **state)
{
    struct rig *rig = *state;

    assert_true(same(rig, ADDRESS_UNIX, "/run//a/./b.sock", NULL, ADDRESS_UNIX, "/run/a/b.sock", NULL));
    assert_false(same(rig, ADDRESS_UNIX, "/run/a.sock", NULL, ADDRESS_UNIX, "/run/b.sock", NULL));
    assert_false(same(rig, ADDRESS_UNIX, "@a", NULL, ADDRESS_ABSTRACT, "a", NULL));
    assert_false(same(rig, ADDRESS_HTTP, "h", NULL, ADDRESS_HTTPS, "h", NULL));
}

static void test_endpoint_is_shared_by_one_tls_identity_only(void **state)
{
    struct rig *rig = *state;
    const struct tls_config base = {.verify = true, .ca = (char *)CA};
    const struct tls_config others[] = {
        {.verify = false, .ca = (char *)CA},
        {.verify = true},
        {.verify = true, .ca = (char *)"/etc/other.pem"},
        {.verify = true, .ca = (char *)CA, .cert = (char *)"c", .key = (char *)"k"},
        {.verify = true, .ca = (char *)CA, .server_name = (char *)"example.org"},
    };
    char ca[] = CA; /* equal, elsewhere */
    const struct tls_config equal = {.verify = true, .ca = ca};

    assert_true(same(rig, ADDRESS_HTTPS, "h", &base, ADDRESS_HTTPS, "h", &equal));
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        assert_false(same(rig, ADDRESS_HTTPS, "h", &base, ADDRESS_HTTPS, "h", &others[i]));
    /* What is not secured has no identity. */
    assert_true(same(rig, ADDRESS_HTTP, "h", &base, ADDRESS_HTTP, "h", &others[0]));
}

/* The snapshot that named it may go first. */
static void test_endpoint_owns_what_it_was_found_by(void **state)
{
    struct rig *rig = *state;
    char name[] = "host", ca[] = CA;
    const struct tls_config tls = {.verify = true, .ca = ca};
    struct endpoint *endpoint = find(rig, ADDRESS_HTTPS, name, &tls), *again;

    name[0] = ca[0] = 'x';
    assert_string_equal(endpoint->address.name, "host");
    assert_string_equal(endpoint->tls.ca, CA);
    again = find(rig, ADDRESS_HTTPS, "host", &(struct tls_config){.verify = true, .ca = (char *)CA});
    assert_ptr_equal(again, endpoint);
    endpoint_unref(again);
    endpoint_unref(endpoint);
}

/* A reload: the next generation begins before the last one ends, and finds its connection warm. */
static void test_endpoint_keeps_warm_connections_across_generations(void **state)
{
    struct rig *rig = *state;

    rig_one_exchange(rig);
    assert_int_equal(rig_n_idle(rig), 1);
    rig_renew(rig);
    assert_int_equal(rig_n_idle(rig), 1);
    rig_one_exchange(rig);
    assert_false(rig_has_connection(rig));
    assert_int_equal(rig_n_idle(rig), 1);
}

static void test_endpoint_of_the_last_target_closes_what_is_idle(void **state)
{
    struct rig *rig = *state;
    struct generation *first = generation_new(&rig->snapshot, &rig->endpoints), *second;

    assert_non_null(first);
    rig_one_exchange(rig);
    second = generation_new(&rig->snapshot, &rig->endpoints);
    assert_non_null(second);
    assert_int_equal(target_n_open(&second->targets[0]), 1);
    target_deinit(rig->target);
    generation_unref(first);
    assert_int_equal(rig_receive(rig), 0); /* open */
    generation_unref(second);
    assert_int_equal(rig_receive(rig), -1); /* an end */
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(test_endpoint_is_found_in_every_spelling),
        RIG_TEST(test_endpoint_is_shared_by_one_tls_identity_only),
        RIG_TEST(test_endpoint_owns_what_it_was_found_by),
        RIG_TEST(test_endpoint_keeps_warm_connections_across_generations),
        RIG_TEST(test_endpoint_of_the_last_target_closes_what_is_idle),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
