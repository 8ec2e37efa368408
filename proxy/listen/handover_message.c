#include "proxy/listen/handover_message.h"

#include <assert.h>
#include <errno.h>
#include <stdio.h>

#define HANDOVER_MAGIC "porthole-takeover/"
#define HANDOVER_MOST_DIGITS 3 /* of a version */

static const char *const handover_words[N_HANDOVER_WORDS] = {
    [HANDOVER_TAKE] = "take",         [HANDOVER_HERE] = "here",       [HANDOVER_BUSY] = "busy",
    [HANDOVER_DRAINING] = "draining", [HANDOVER_UNKNOWN] = "unknown", [HANDOVER_SERVING] = "serving",
    [HANDOVER_LEFT] = "left",         [HANDOVER_LATE] = "late",       [HANDOVER_OTHER] = NULL, /* never written */
};

static_assert(sizeof(HANDOVER_MAGIC) + HANDOVER_MOST_DIGITS + sizeof(" draining ") + HANDOVER_ADDRESS_BYTES <=
                  HANDOVER_MESSAGE_BYTES,
              "the longest message must fit");

bool handover_fits_address(struct text address)
{
    if (address.length == 0 || address.length >= HANDOVER_ADDRESS_BYTES)
        return false;
    for (size_t i = 0; i < address.length; i++)
        if ((unsigned char)address.data[i] < 0x20 || address.data[i] == 0x7f)
            return false;
    return true;
}

/* Takes what stands before the first `end` off the front of *rest; all of it when there is none. */
static struct text handover_take_word(struct text *rest, char end)
{
    const char *at = rest->length > 0 ? memchr(rest->data, end, rest->length) : NULL;
    struct text word = {rest->data, at ? (size_t)(at - rest->data) : rest->length};
    size_t taken = word.length + (at ? 1 : 0);

    rest->data += taken;
    rest->length -= taken;
    return word;
}

/* 0 when it is no version: one is written without leading zeros. */
static uint32_t handover_parse_version(struct text digits)
{
    uint32_t version = 0;

    if (digits.length == 0 || digits.length > HANDOVER_MOST_DIGITS || digits.data[0] == '0')
        return 0;
    for (size_t i = 0; i < digits.length; i++) {
        if (digits.data[i] < '0' || digits.data[i] > '9')
            return 0;
        version = version * 10 + (uint32_t)(digits.data[i] - '0');
    }
    return version;
}

static enum handover_word handover_find_word(struct text word)
{
    for (int i = 0; i < HANDOVER_OTHER; i++)
        if (text_equal(word, text_of(handover_words[i])))
            return (enum handover_word)i;
    return HANDOVER_OTHER;
}

/* Behind the version, which is ours. */
static int handover_parse_rest(struct text rest, struct handover_message *message)
{
    size_t length = rest.length;
    struct text word = handover_take_word(&rest, ' ');
    bool alone = word.length == length;

    message->word = handover_find_word(word);
    message->address = rest;
    if (message->word == HANDOVER_TAKE)
        return handover_fits_address(rest) ? 0 : -EPROTO;
    return message->word != HANDOVER_OTHER && alone ? 0 : -EPROTO;
}

int handover_parse(struct text packet, struct handover_message *ret_message)
{
    static const struct text magic = {HANDOVER_MAGIC, sizeof(HANDOVER_MAGIC) - 1};
    struct handover_message message = {.word = HANDOVER_OTHER};
    struct text rest;

    if (packet.length < magic.length || packet.length >= HANDOVER_MESSAGE_BYTES ||
        memcmp(packet.data, magic.data, magic.length) != 0)
        return -EPROTO;
    rest = (struct text){packet.data + magic.length, packet.length - magic.length};
    message.version = handover_parse_version(handover_take_word(&rest, ' '));
    if (message.version == 0)
        return -EPROTO;
    if (message.version == HANDOVER_VERSION && handover_parse_rest(rest, &message) < 0)
        return -EPROTO;
    *ret_message = message;
    return 0;
}

size_t handover_format(enum handover_word word, const char *address, char out[HANDOVER_MESSAGE_BYTES])
{
    int n = snprintf(out, HANDOVER_MESSAGE_BYTES, "%s%d %s%s%s", HANDOVER_MAGIC, HANDOVER_VERSION, handover_words[word],
                     word == HANDOVER_TAKE ? " " : "", word == HANDOVER_TAKE ? address : "");

    assert(n > 0 && n < HANDOVER_MESSAGE_BYTES);
    return (size_t)n;
}
