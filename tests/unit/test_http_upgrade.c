/* Upgrade: what is offered of what a client asks for, and which answers to it are agreements. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/http/upgrade.h"
#include "tests/unit/http_text.h"

static char websocket[] = "websocket", h2c[] = "h2c", tls[] = "tls";
static char *const some[] = {websocket, tls, NULL};
static char *const with_h2c[] = {h2c, NULL};
static char *const none[] = {NULL};

/* A good request with these Upgrade fields, separated by '|'. */
static void request_with_upgrade(struct request_text *ret, char *buffer, size_t size, const char *upgrade)
{
    struct text rest = text_of(upgrade);
    unsigned status;
    int length = snprintf(buffer, size, "GET / 1\nHost: h\nConnection: upgrade");

    do {
        struct text value = http_text_cut(&rest, '|');

        length += snprintf(buffer + length, size - (size_t)length, "\nUpgrade:%.*s", (int)value.length, value.data);
    } while (rest.length > 0);
    assert_true((size_t)length < size);
    assert_true(request_from_text(ret, text_of(buffer)));
    assert_null(request_check(&ret->request, &status));
}

static void test_upgrade_next_offer_allowed_and_well_formed_only(void **state)
{
    static const struct {
        const char *upgrade;
        char *const *allowed;
        const char *offers; /* each followed by a space */
    } rows[] = {
        {"websocket", NULL, "websocket "},
        {"WebSocket", some, "WebSocket "},
        {"tcp", some, ""},
        {"tcp", none, ""},
        {"websocket", none, ""},
        {"websockets, websocke, websocket", some, "websocket "},
        {"TLS/1.0,tcp , websocket/13", some, "TLS/1.0 websocket/13 "},
        {"a, b|c||d/1, a", NULL, "a b c d/1 a "},
        {"h2c", NULL, ""},
        {"H2C", NULL, ""},
        {"h2c/1, h2, H2c-14, HTTP/2.0, TLS/1.0, http, tls, hottp, tlss", NULL, "hottp tlss "},
        {"h2c", some, ""},
        {"H2c, a", with_h2c, "H2c "},
        {"", NULL, ""},
        {", ,", NULL, ""},
        {"a b, c", NULL, "c "},
        {"/1, a/, a//1, a/1/2, a/b c, a /1, a/ 1, (a), \xff, a@1, d", NULL, "d "},
        {"\"a, b\", c", NULL, "c "},
        {"\"websocket\"", some, ""},
        {"\"a, b|c", NULL, "c "},
        {"websocket\t", some, "websocket "},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct request_text text;
        char buffer[256], offered[128] = "";
        struct upgrade_offers offers = {&text.request, rows[i].allowed, 0, {NULL, 0}};
        struct text protocol;
        size_t length = 0;

        request_with_upgrade(&text, buffer, sizeof(buffer), rows[i].upgrade);
        assert_true(text.request.upgrade);
        while (upgrade_next_offer(&offers, &protocol))
            length += (size_t)snprintf(offered + length, sizeof(offered) - length, "%.*s ", (int)protocol.length,
                                       protocol.data);
        if (strcmp(offered, rows[i].offers) != 0)
            fail_msg("row %zu, %s: %s, expected %s", i, rows[i].upgrade, offered, rows[i].offers);
        assert_int_equal(upgrade_is_offered(&text.request, rows[i].allowed), rows[i].offers[0] != '\0');
        assert_false(upgrade_next_offer(&offers, &protocol));
    }
}

static void test_upgrade_is_offered_not_asked_for_nothing(void **state)
{
    static const char *const requests[] = {
        "GET / 1\nHost: h\nUpgrade: a",
        "GET / 1\nHost: h\nConnection: upgrade",
        "GET / 0\nHost: h\nConnection: upgrade\nUpgrade: a",
        "GET / 1\nHost: h",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(requests) / sizeof(requests[0]); i++) {
        struct field item = {.name = TEXT_LITERAL("Upgrade"), .value = TEXT_LITERAL("a"), .id = FIELD_UPGRADE};
        struct fields response = {&item, 1, 1};
        struct request_text text;
        unsigned status;

        assert_true(request_from_text(&text, text_of(requests[i])));
        assert_null(request_check(&text.request, &status));
        assert_false(upgrade_is_offered(&text.request, NULL));
        assert_false(upgrade_is_agreed(&text.request, NULL, &response));
    }
}

static void test_upgrade_is_agreed_only_what_was_offered(void **state)
{
    static const struct {
        const char *upgrade, *answer; /* NULL: no Upgrade field */
        char *const *allowed;
        bool agreed;
    } rows[] = {
        {"websocket", "websocket", NULL, true},
        {"websocket", "WebSocket", some, true},
        {"WEBSOCKET", "websocket", some, true},
        {"websocket", NULL, NULL, false},
        {"websocket", "", NULL, false},
        {"websocket", " , ", NULL, false},
        {"websocket", "tcp", NULL, false},
        {"websocket", "websocket, tcp", NULL, false},
        {"tcp, websocket", "websocket", some, true},
        {"tcp, websocket", "tcp", some, false},
        {"tcp, websocket", "tcp", NULL, true},
        {"tcp|websocket", "websocket, tcp", NULL, true},
        {"tcp|websocket", "tcp, websocket", some, false},
        {"irc/1.0, http/1.1", "IRC/1.0, HTTP/1.1", NULL, false},
        {"tls/1.0, websocket", "TLS/1.0, WEBSOCKET", some, true},
        {"irc/1.0", "irc/1.1", NULL, false},
        {"irc/1.0", "irc", NULL, false},
        {"irc", "irc/1.0", NULL, true},
        {"irc/1.0, irc", "irc/1.1", NULL, true},
        {"irc/1.0, irc/1.1", "irc/1.1", NULL, true},
        {"spdy/A", "spdy/a", NULL, false},
        {"websocket", "web socket", NULL, false},
        {"websocket", "websocket/", NULL, false},
        {"websocket", "\"websocket\"", NULL, false},
        {"web socket, a", "web socket", NULL, false},
        {"h2c, a", "h2c", NULL, false},
        {"h2c, a", "h2c", with_h2c, true},
        {"websocket", "websocket", none, false},
        {"a", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", NULL, true},
        {"a", "a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a,a", NULL, false},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct field items[] = {{.name = TEXT_LITERAL("A"), .value = TEXT_LITERAL("websocket"), .id = FIELD_OTHER},
                                {.name = TEXT_LITERAL("Upgrade"), .id = FIELD_UPGRADE, .drop = true}};
        struct fields response = {items, rows[i].answer ? 2 : 1, 2};
        struct request_text text;
        char buffer[256];

        items[1].value = text_of(rows[i].answer);
        request_with_upgrade(&text, buffer, sizeof(buffer), rows[i].upgrade);
        if (upgrade_is_agreed(&text.request, rows[i].allowed, &response) != rows[i].agreed)
            fail_msg("row %zu: %s to %s", i, rows[i].answer ? rows[i].answer : "nothing", rows[i].upgrade);
    }
}

/* Each field counts, not only the first. */
static void test_upgrade_is_agreed_several_fields_all_looked_at(void **state)
{
    struct field items[] = {{.name = TEXT_LITERAL("Upgrade"), .value = TEXT_LITERAL("a"), .id = FIELD_UPGRADE},
                            {.name = TEXT_LITERAL("Upgrade"), .value = TEXT_LITERAL("b"), .id = FIELD_UPGRADE}};
    struct fields response = {items, 2, 2};
    struct request_text text;
    char buffer[256];

    (void)state;
    request_with_upgrade(&text, buffer, sizeof(buffer), "b, a");
    assert_true(upgrade_is_agreed(&text.request, NULL, &response));
    items[1].value = TEXT_LITERAL("c");
    assert_false(upgrade_is_agreed(&text.request, NULL, &response));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_upgrade_next_offer_allowed_and_well_formed_only),
        cmocka_unit_test(test_upgrade_is_offered_not_asked_for_nothing),
        cmocka_unit_test(test_upgrade_is_agreed_only_what_was_offered),
        cmocka_unit_test(test_upgrade_is_agreed_several_fields_all_looked_at),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
