/* What a porthole and its successor say: what is written is read, and nothing else. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/listen/handover_message.h"

static void test_handover_message_written_is_read(void **state)
{
    (void)state;
    for (int word = 0; word < HANDOVER_OTHER; word++) {
        char packet[HANDOVER_MESSAGE_BYTES];
        size_t n = handover_format((enum handover_word)word, "tcp:[::1]:80", packet);
        struct handover_message message = {.version = 0};

        assert_int_equal(handover_parse((struct text){packet, n}, &message), 0);
        assert_int_equal(message.version, HANDOVER_VERSION);
        assert_int_equal(message.word, word);
        assert_true(text_equal(message.address, text_of(word == HANDOVER_TAKE ? "tcp:[::1]:80" : "")));
    }
}

static void test_handover_message_longest_address_fits(void **state)
{
    char address[HANDOVER_ADDRESS_BYTES], packet[HANDOVER_MESSAGE_BYTES];
    struct handover_message message;

    (void)state;
    memset(address, 'x', sizeof(address));
    assert_false(handover_fits_address((struct text){address, sizeof(address)}));
    address[sizeof(address) - 1] = '\0';
    assert_true(handover_fits_address(text_of(address)));
    assert_int_equal(handover_parse((struct text){packet, handover_format(HANDOVER_TAKE, address, packet)}, &message),
                     0);
    assert_true(text_equal(message.address, text_of(address)));
}

static void test_handover_message_of_another_version_is_known_as_one(void **state)
{
    static const char *const packets[] = {"porthole-takeover/2 take tcp:127.0.0.1:80", "porthole-takeover/999",
                                          "porthole-takeover/3 here "};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(packets); i++) {
        struct handover_message message;

        assert_int_equal(handover_parse(text_of(packets[i]), &message), 0);
        assert_int_equal(message.word, HANDOVER_OTHER);
        assert_int_not_equal(message.version, HANDOVER_VERSION);
    }
}

static void test_handover_message_anything_else_is_refused(void **state)
{
    static const char *const packets[] = {
        "",
        "GET / HTTP/1.1",
        "porthole-takeover",
        "porthole-takeover/",
        "porthole-takeover/ here",
        "porthole-takeover/0 here",
        "porthole-takeover/01 here",
        "porthole-takeover/1000 here",
        "porthole-takeover/1x here",
        "porthole-takeover/-1 here",
        "porthole-takeover/1",
        "porthole-takeover/1 ",
        "porthole-takeover/1  here",
        "porthole-takeover/1 here ",
        "porthole-takeover/1 here tcp:127.0.0.1:80",
        "porthole-takeover/1 HERE",
        "porthole-takeover/1 there",
        "porthole-takeover/1 take",
        "porthole-takeover/1 take ",
        "porthole-takeover/1 take a\nb",
        "porthole-takeover/1 take a\x7f",
        "Porthole-takeover/1 here",
    };
    struct handover_message message;
    char packet[HANDOVER_MESSAGE_BYTES + 1];

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(packets); i++)
        if (handover_parse(text_of(packets[i]), &message) != -EPROTO)
            fail_msg("'%s' is a message", packets[i]);
    snprintf(packet, sizeof(packet), "porthole-takeover/2 %0*d", HANDOVER_MESSAGE_BYTES - 20, 0);
    assert_int_equal(strlen(packet), HANDOVER_MESSAGE_BYTES);
    assert_int_equal(handover_parse(text_of(packet), &message), -EPROTO);
    assert_int_equal(handover_parse((struct text){"porthole-takeover/1 take a\0b", 28}, &message), -EPROTO);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_handover_message_written_is_read),
        cmocka_unit_test(test_handover_message_longest_address_fits),
        cmocka_unit_test(test_handover_message_of_another_version_is_known_as_one),
        cmocka_unit_test(test_handover_message_anything_else_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
