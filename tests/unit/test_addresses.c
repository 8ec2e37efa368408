/* Lists of addresses: what getaddrinfo tells, as we keep it and as libcurl wants to be told. */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/reach/addresses.h"

/* What getaddrinfo would have found; the last text is NULL. */
struct finding {
    struct addrinfo info[ADDRESSES_MOST + 8];
    union address_of address[ADDRESSES_MOST + 8];
};

static void find(struct finding *finding, size_t at, const char *text)
{
    union address_of *address = &finding->address[at];
    struct addrinfo *info = &finding->info[at];
    bool is_six = strchr(text, ':');

    *address = (union address_of){.any.sa_family = is_six ? AF_INET6 : AF_INET};
    assert_int_equal(inet_pton(address->any.sa_family, text,
                               is_six ? (void *)&address->six.sin6_addr : (void *)&address->four.sin_addr),
                     1);
    *info = (struct addrinfo){.ai_family = address->any.sa_family,
                              .ai_addrlen = is_six ? sizeof(address->six) : sizeof(address->four),
                              .ai_addr = &address->any};
    if (at > 0)
        finding->info[at - 1].ai_next = info;
}

static struct addresses *of(const char *const *texts)
{
    struct finding finding;

    for (size_t i = 0; texts[i]; i++)
        find(&finding, i, texts[i]);
    return addresses_new(finding.info);
}

#define OF(...) of((const char *const[]){__VA_ARGS__, NULL})

static void assert_told(struct addresses *addresses, const char *expected)
{
    char *text = addresses_for_libcurl(addresses, "a.example", 8080);

    assert_string_equal(text, expected);
    free(text);
    addresses_unref(addresses);
}

static void test_addresses_are_told_in_their_order(void **state)
{
    (void)state;
    assert_told(OF("192.0.2.1"), "a.example:8080:192.0.2.1");
    assert_told(OF("2001:db8::1", "192.0.2.1", "192.0.2.2"), "a.example:8080:[2001:db8::1],192.0.2.1,192.0.2.2");
}

static void test_addresses_are_kept_once(void **state)
{
    (void)state;
    assert_told(OF("192.0.2.1", "::1", "192.0.2.1", "::1"), "a.example:8080:192.0.2.1,[::1]");
}

static void test_addresses_of_greatest_length_fit(void **state)
{
    struct finding finding;
    struct addresses *addresses;
    char text[64], *told;

    (void)state;
    for (size_t i = 0; i < ADDRESSES_MOST + 8; i++) {
        snprintf(text, sizeof(text), "1111:2222:3333:4444:5555:6666:7777:%zx", 0x1000 + i);
        find(&finding, i, text);
    }
    addresses = addresses_new(finding.info);
    assert_int_equal(addresses->n, ADDRESSES_MOST);
    told = addresses_for_libcurl(addresses, "a", 65535);
    assert_int_equal(strlen(told), strlen("a:65535:") + ADDRESSES_MOST * (39 + 2) + ADDRESSES_MOST - 1);
    assert_string_equal(told + strlen(told) - 6, ":103f]");
    free(told);
    addresses_unref(addresses);
}

static void test_addresses_of_no_family_that_we_know_are_none(void **state)
{
    struct finding finding;

    (void)state;
    find(&finding, 0, "192.0.2.1");
    finding.info[0].ai_family = AF_UNIX;
    errno = EINVAL;
    assert_null(addresses_new(finding.info));
    assert_int_equal(errno, 0);
}

static void test_addresses_are_equal_in_any_order(void **state)
{
    struct addresses *a = OF("192.0.2.1", "::1"), *b = OF("::1", "192.0.2.1"), *c = OF("::1", "192.0.2.2");
    struct addresses *d = OF("::1");

    (void)state;
    assert_true(addresses_equal(a, a));
    assert_true(addresses_equal(a, b));
    assert_false(addresses_equal(a, c));
    assert_false(addresses_equal(a, d));
    assert_false(addresses_equal(d, a));
    assert_ptr_equal(addresses_ref(a), a);
    addresses_unref(a);
    addresses_unref(a);
    addresses_unref(b);
    addresses_unref(c);
    assert_null(addresses_unref(d));
    assert_null(addresses_unref(addresses_ref(NULL)));
}

static void test_addresses_find_one_whatever_its_port(void **state)
{
    struct addresses *addresses = OF("192.0.2.1", "::1");
    struct finding finding;

    (void)state;
    find(&finding, 0, "::1");
    finding.address[0].six.sin6_port = htons(80);
    assert_ptr_equal(addresses_find(addresses, &finding.address[0].any), &addresses->list[1]);
    find(&finding, 0, "192.0.2.2");
    assert_null(addresses_find(addresses, &finding.address[0].any));
    addresses_unref(addresses);
}

static void test_addresses_and_this_machine_are_not_asked_for(void **state)
{
    static const char *const here[] = {"127.0.0.1", "127.1",     "0x7f.1",    "::1",
                                       "fe80::1%1", "localhost", "LocalHost", "a.localhost"};
    static const char *const there[] = {"a",   "localhost.example", "notlocalhost", "1.2.3.4.example", "1.2.3.4.5",
                                        "host"};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(here); i++)
        if (addresses_are_asked_for(here[i]))
            fail_msg("%s", here[i]);
    for (size_t i = 0; i < ARRAY_LENGTH(there); i++)
        if (!addresses_are_asked_for(there[i]))
            fail_msg("%s", there[i]);
}

static void test_addresses_are_looked_up(void **state)
{
    struct addresses *addresses = NULL, *expected = OF("192.0.2.1");

    (void)state;
    /* An address needs no name server; a label above 63 bytes is no question that one is asked. */
    assert_int_equal(addresses_look_up("192.0.2.1", &addresses), 0);
    assert_true(addresses_equal(addresses, expected));
    addresses_unref(addresses);
    addresses_unref(expected);
    assert_int_not_equal(
        addresses_look_up("xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx.invalid",
                          &addresses),
        0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_addresses_are_told_in_their_order),
        cmocka_unit_test(test_addresses_are_kept_once),
        cmocka_unit_test(test_addresses_of_greatest_length_fit),
        cmocka_unit_test(test_addresses_of_no_family_that_we_know_are_none),
        cmocka_unit_test(test_addresses_are_equal_in_any_order),
        cmocka_unit_test(test_addresses_find_one_whatever_its_port),
        cmocka_unit_test(test_addresses_and_this_machine_are_not_asked_for),
        cmocka_unit_test(test_addresses_are_looked_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
