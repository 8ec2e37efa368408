/* The reader is a loop over values. What is open is a chain: as long as an array or object is, its `next` is the one
 * around it. */
#include "proxy/http/json_tape.h"

#include <assert.h>
#include <endian.h>
#include <stdbool.h>

#include "proxy/base/utf8.h"
#include "proxy/http/bytes.h"

#define JSON_TAPE_NONE UINT32_MAX

static_assert(sizeof(struct json_token) == 16, "a tape is four to eight times as large as its text at most");
static_assert(JSON_TAPE_MOST_BYTES < (size_t)1 << 27, "as many as a token can count");

struct json_reader {
    struct json_tape *tape;
    const char *at, *end;
    uint32_t open; /* the innermost array or object that is; JSON_TAPE_NONE */
    unsigned depth;
    const char *wrong; /* NULL: nothing so far */
};

static bool json_reader_fail(struct json_reader *reader, const char *wrong)
{
    reader->wrong = wrong;
    return false;
}

static void json_reader_skip_space(struct json_reader *reader)
{
    while (reader->at < reader->end &&
           (*reader->at == ' ' || *reader->at == '\n' || *reader->at == '\r' || *reader->at == '\t'))
        reader->at++;
}

/* The next byte that is no white space, '\0' at the end: a NUL is nothing that anybody expects. */
static char json_reader_peek(struct json_reader *reader)
{
    json_reader_skip_space(reader);
    return (char)(reader->at < reader->end ? *reader->at : '\0');
}

/* NULL when there is no room for another. */
static struct json_token *json_reader_add(struct json_reader *reader, enum json_token_kind kind)
{
    struct json_tape *tape = reader->tape;
    struct json_token *token;

    if (tape->n_tokens == tape->capacity) {
        reader->wrong = "too many values";
        return NULL;
    }
    token = &tape->tokens[tape->n_tokens++];
    *token = (struct json_token){
        .at = (uint32_t)(reader->at - tape->text.data), .next = (uint32_t)tape->n_tokens, .kind = kind};
    return token;
}

/* ---- strings ---- */

/* The four digits at s, or -1. */
static int json_reader_unit(const char *s, const char *end)
{
    int unit = 0;

    if (end - s < 4)
        return -1;
    for (int i = 0; i < 4; i++) {
        int digit = byte_hex(s[i]);

        if (digit < 0)
            return -1;
        unit = unit << 4 | digit;
    }
    return unit;
}

/* Behind "\u". A character beyond U+FFFF is a pair of surrogates (RFC 8259 7). */
static bool json_reader_unicode(struct json_reader *reader)
{
    int unit = json_reader_unit(reader->at, reader->end), low = -1;

    if (unit < 0)
        return json_reader_fail(reader, "an escape that is none");
    if (unit == 0)
        return json_reader_fail(reader, "a NUL in a string");
    reader->at += 4;
    if (unit < 0xd800 || unit > 0xdfff)
        return true;
    if (unit < 0xdc00 && reader->end - reader->at >= 2 && reader->at[0] == '\\' && reader->at[1] == 'u')
        low = json_reader_unit(reader->at + 2, reader->end);
    if (low < 0xdc00 || low > 0xdfff)
        return json_reader_fail(reader, "half of a surrogate pair");
    reader->at += 6;
    return true;
}

static bool json_reader_escape(struct json_reader *reader)
{
    char c = (char)(reader->end - reader->at > 1 ? reader->at[1] : '\0');

    if (c == '\0' || !strchr("\"\\/bfnrtu", c))
        return json_reader_fail(reader, "an escape that is none");
    reader->at += 2;
    return c != 'u' || json_reader_unicode(reader);
}

/* The high bit of each of eight bytes that ends a plain piece of a string: a quote, a backslash, a control byte or no
 * ASCII. Bytes above the lowest of these may have it, too. */
static uint64_t json_reader_stops(uint64_t word)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7;
    uint64_t quote = word ^ ones * '"', backslash = word ^ ones * '\\';

    return (word | (word - ones * ' ') | (quote - ones) | (backslash - ones)) & high;
}

static void json_reader_skip_plain(struct json_reader *reader)
{
    uint64_t word;

    while ((size_t)(reader->end - reader->at) >= sizeof(word)) {
        memcpy(&word, reader->at, sizeof(word));
        word = json_reader_stops(le64toh(word));
        if (word) {
            reader->at += (unsigned)__builtin_ctzll(word) / 8;
            return;
        }
        reader->at += sizeof(word);
    }
    while (reader->at < reader->end && (unsigned char)*reader->at >= ' ' && (unsigned char)*reader->at < 0x80 &&
           *reader->at != '"' && *reader->at != '\\')
        reader->at++;
}

/* At its opening quote. */
static bool json_reader_string(struct json_reader *reader)
{
    struct json_token *token;

    reader->at++;
    token = json_reader_add(reader, JSON_TOKEN_STRING);
    if (!token)
        return false;
    for (;;) {
        size_t length;

        json_reader_skip_plain(reader);
        if (reader->at == reader->end)
            return json_reader_fail(reader, "a string without an end");
        if (*reader->at == '"')
            break;
        if (*reader->at == '\\') {
            token->escaped = 1;
            if (!json_reader_escape(reader))
                return false;
            continue;
        }
        if ((unsigned char)*reader->at < ' ')
            return json_reader_fail(reader, "a control character in a string");
        length = utf8_length((const unsigned char *)reader->at, (size_t)(reader->end - reader->at));
        if (length == 0)
            return json_reader_fail(reader, "bytes that are no UTF-8");
        token->wide = 1;
        reader->at += length;
    }
    token->length = (uint32_t)(reader->at - reader->tape->text.data) - token->at;
    reader->at++;
    return true;
}

/* ---- other scalars ---- */

static size_t json_reader_digits(struct json_reader *reader)
{
    const char *first = reader->at;

    while (reader->at < reader->end && *reader->at >= '0' && *reader->at <= '9')
        reader->at++;
    return (size_t)(reader->at - first);
}

static bool json_reader_skip_byte(struct json_reader *reader, char a, char b)
{
    if (reader->at == reader->end || (*reader->at != a && *reader->at != b))
        return false;
    reader->at++;
    return true;
}

/* RFC 8259 6. What stands behind it is looked at by whoever reads on. */
static bool json_reader_number(struct json_reader *reader)
{
    struct json_token *token = json_reader_add(reader, JSON_TOKEN_NUMBER);
    bool good;

    if (!token)
        return false;
    json_reader_skip_byte(reader, '-', '-');
    good = json_reader_skip_byte(reader, '0', '0') || json_reader_digits(reader) > 0;
    if (good && json_reader_skip_byte(reader, '.', '.'))
        good = json_reader_digits(reader) > 0;
    if (good && json_reader_skip_byte(reader, 'e', 'E')) {
        json_reader_skip_byte(reader, '+', '-');
        good = json_reader_digits(reader) > 0;
    }
    token->length = (uint32_t)(reader->at - reader->tape->text.data) - token->at;
    return good || json_reader_fail(reader, "a number that is none");
}

static bool json_reader_word(struct json_reader *reader, enum json_token_kind kind, struct text word)
{
    struct json_token *token;

    if ((size_t)(reader->end - reader->at) < word.length || memcmp(reader->at, word.data, word.length) != 0)
        return json_reader_fail(reader, "something that is no value");
    token = json_reader_add(reader, kind);
    if (!token)
        return false;
    token->length = (uint32_t)word.length;
    reader->at += word.length;
    return true;
}

/* ---- arrays and objects ---- */

static bool json_reader_is_in_object(const struct json_reader *reader)
{
    return reader->tape->tokens[reader->open].kind == JSON_TOKEN_OBJECT;
}

/* A key and its colon. */
static bool json_reader_key(struct json_reader *reader)
{
    if (json_reader_peek(reader) != '"')
        return json_reader_fail(reader, "something else where a key should be");
    if (!json_reader_string(reader))
        return false;
    if (json_reader_peek(reader) != ':')
        return json_reader_fail(reader, "no colon behind a key");
    reader->at++;
    return true;
}

static void json_reader_close(struct json_reader *reader)
{
    struct json_tape *tape = reader->tape;
    struct json_token *token = &tape->tokens[reader->open];

    reader->at++;
    reader->open = token->next;
    reader->depth--;
    token->next = (uint32_t)tape->n_tokens;
    token->length = (uint32_t)(reader->at - tape->text.data) - token->at;
}

/* Sets *ret_whole when it is empty. */
static bool json_reader_enter(struct json_reader *reader, enum json_token_kind kind, bool *ret_whole)
{
    struct json_token *token;

    if (reader->depth == JSON_TAPE_MOST_DEPTH)
        return json_reader_fail(reader, "arrays and objects too deep in each other");
    token = json_reader_add(reader, kind);
    if (!token)
        return false;
    token->next = reader->open;
    reader->open = (uint32_t)(token - reader->tape->tokens);
    reader->depth++;
    reader->at++;
    *ret_whole = json_reader_peek(reader) == (kind == JSON_TOKEN_OBJECT ? '}' : ']');
    if (*ret_whole)
        json_reader_close(reader);
    return *ret_whole || kind == JSON_TOKEN_ARRAY || json_reader_key(reader);
}

/* A value, or the beginning of one: then *ret_whole is false, and another is next. */
static bool json_reader_value(struct json_reader *reader, bool *ret_whole)
{
    char c = json_reader_peek(reader);

    *ret_whole = true;
    if (reader->open != JSON_TAPE_NONE)
        reader->tape->tokens[reader->open].count++;
    switch (c) {
    case '"':
        return json_reader_string(reader);
    case '{':
        return json_reader_enter(reader, JSON_TOKEN_OBJECT, ret_whole);
    case '[':
        return json_reader_enter(reader, JSON_TOKEN_ARRAY, ret_whole);
    case 't':
        return json_reader_word(reader, JSON_TOKEN_TRUE, TEXT_LITERAL("true"));
    case 'f':
        return json_reader_word(reader, JSON_TOKEN_FALSE, TEXT_LITERAL("false"));
    case 'n':
        return json_reader_word(reader, JSON_TOKEN_NULL, TEXT_LITERAL("null"));
    default:
        if (c == '-' || (c >= '0' && c <= '9'))
            return json_reader_number(reader);
        return json_reader_fail(reader, reader->at == reader->end ? "no end" : "something that is no value");
    }
}

/* Behind a value that is whole: what ends with it, up to where another is next. */
static bool json_reader_go_on(struct json_reader *reader)
{
    while (reader->open != JSON_TAPE_NONE) {
        bool in_object = json_reader_is_in_object(reader);
        char c = json_reader_peek(reader);

        if (c == ',') {
            reader->at++;
            return !in_object || json_reader_key(reader);
        }
        if (c != (in_object ? '}' : ']'))
            return json_reader_fail(reader, reader->at == reader->end ? "no end" : "something between two values");
        json_reader_close(reader);
    }
    return true;
}

static const char *json_reader_run(struct json_reader *reader)
{
    bool whole;

    do {
        if (!json_reader_value(reader, &whole) || (whole && !json_reader_go_on(reader)))
            return reader->wrong;
    } while (reader->open != JSON_TAPE_NONE);
    json_reader_skip_space(reader);
    return reader->at == reader->end ? NULL : "something behind its end";
}

const char *json_tape_read(struct json_tape *tape, size_t *ret_at)
{
    struct json_reader reader = {.tape = tape, .open = JSON_TAPE_NONE};
    const char *wrong;

    tape->n_tokens = 0;
    *ret_at = 0;
    if (tape->text.length > JSON_TAPE_MOST_BYTES)
        return "too many bytes";
    if (tape->text.length == 0)
        return "nothing in it";
    if (tape->text.length >= 3 && memcmp(tape->text.data, "\xef\xbb\xbf", 3) == 0)
        return "a byte order mark";
    reader.at = tape->text.data;
    reader.end = tape->text.data + tape->text.length;
    wrong = json_reader_run(&reader);
    *ret_at = (size_t)(reader.at - tape->text.data);
    return wrong;
}
