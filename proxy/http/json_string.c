/* Two ways for everything: strings of plain ASCII are what nearly all are, and are compared and hashed as they stand;
 * the others go character by character (json_cursor). */
#include "proxy/http/json_string.h"

#include <endian.h>

#include "proxy/base/utf8.h"
#include "proxy/http/bytes.h"

/* In a string that was found good. */
struct json_cursor {
    const char *at, *end;
};

static struct json_cursor json_cursor_of(const struct json_tape *tape, const struct json_token *string)
{
    struct text text = json_tape_text(tape, string);

    return (struct json_cursor){text.data, text.data + text.length};
}

static bool json_string_is_plain(const struct json_token *string)
{
    return !string->escaped && !string->wide;
}

static uint32_t json_cursor_unit(struct json_cursor *cursor)
{
    uint32_t unit = 0;

    for (int i = 0; i < 4; i++)
        unit = unit << 4 | (uint32_t)byte_hex(*cursor->at++);
    return unit;
}

/* Behind the backslash. */
static uint32_t json_cursor_escape(struct json_cursor *cursor)
{
    static const char letters[] = "bfnrt", meanings[] = "\b\f\n\r\t";
    char c = *cursor->at++;
    const char *letter;
    uint32_t unit;

    if (c != 'u') {
        letter = strchr(letters, c);
        return (unsigned char)(letter ? meanings[letter - letters] : c);
    }
    unit = json_cursor_unit(cursor);
    if (unit < 0xd800 || unit > 0xdfff)
        return unit;
    cursor->at += 2;
    return 0x10000 + ((unit & 0x3ff) << 10 | (json_cursor_unit(cursor) & 0x3ff));
}

/* The next character. False at the end. */
static bool json_cursor_next(struct json_cursor *cursor, uint32_t *ret_character)
{
    const unsigned char *bytes = (const unsigned char *)cursor->at;
    size_t length;

    if (cursor->at >= cursor->end)
        return false;
    if (*cursor->at == '\\') {
        cursor->at++;
        *ret_character = json_cursor_escape(cursor);
        return true;
    }
    length = utf8_length(bytes, (size_t)(cursor->end - cursor->at));
    *ret_character = utf8_code_point(bytes, length);
    cursor->at += length;
    return true;
}

/* ---- as it is ---- */

/* RFC 3629 3. */
static size_t json_write_character(uint32_t c, char *out)
{
    size_t n = c < 0x80 ? 1 : c < 0x800 ? 2 : c < 0x10000 ? 3 : 4;
    static const unsigned char first[] = {0, 0, 0xc0, 0xe0, 0xf0};

    for (size_t i = n; i-- > 1; c >>= 6)
        out[i] = (char)(0x80 | (c & 0x3f));
    out[0] = (char)(first[n] | c);
    return n;
}

size_t json_string_write(const struct json_tape *tape, const struct json_token *string, char *out)
{
    struct json_cursor cursor = json_cursor_of(tape, string);
    size_t n = 0;
    uint32_t c;

    if (!string->escaped) {
        memcpy(out, cursor.at, string->length);
        return string->length;
    }
    while (json_cursor_next(&cursor, &c))
        n += json_write_character(c, out + n);
    return n;
}

bool json_string_equals(const struct json_tape *tape, const struct json_token *string, struct text text)
{
    struct json_cursor cursor = json_cursor_of(tape, string);
    char bytes[UTF8_MOST_BYTES];
    size_t at = 0;
    uint32_t c;

    if (!string->escaped)
        return text_equal(json_tape_text(tape, string), text);
    while (json_cursor_next(&cursor, &c)) {
        size_t n = json_write_character(c, bytes);

        if (text.length - at < n || memcmp(text.data + at, bytes, n) != 0)
            return false;
        at += n;
    }
    return at == text.length;
}

/* ---- folded ---- */

static uint32_t json_fold(uint32_t c)
{
    if (c >= 'A' && c <= 'Z')
        return c | 0x20;
    switch (c) {
    case 0x17f:
        return 's';
    case 0x212a:
        return 'k';
    case 0x130:
    case 0x131:
        return 'i';
    default:
        return c;
    }
}

static bool json_cursors_fold_alike(struct json_cursor a, struct json_cursor b)
{
    uint32_t of_a, of_b;

    while (json_cursor_next(&a, &of_a))
        if (!json_cursor_next(&b, &of_b) || json_fold(of_a) != json_fold(of_b))
            return false;
    return !json_cursor_next(&b, &of_b);
}

bool json_string_folds_alike(const struct json_tape *tape, const struct json_token *a, const struct json_token *b)
{
    if (json_string_is_plain(a) && json_string_is_plain(b))
        return text_equal_nocase(json_tape_text(tape, a), json_tape_text(tape, b));
    return json_cursors_fold_alike(json_cursor_of(tape, a), json_cursor_of(tape, b));
}

bool json_string_folds_to(const struct json_tape *tape, const struct json_token *string, struct text text)
{
    struct json_cursor cursor = json_cursor_of(tape, string);
    uint32_t c;

    if (json_string_is_plain(string))
        return text_equal_nocase(json_tape_text(tape, string), text);
    for (size_t i = 0; i < text.length; i++)
        if (!json_cursor_next(&cursor, &c) || json_fold(c) != json_fold((unsigned char)text.data[i]))
            return false;
    return !json_cursor_next(&cursor, &c);
}

/* ---- hashes ---- */

/* Of eight bytes at a time, whoever hands them over. */
struct json_hash {
    uint64_t state, word;
    unsigned n_bytes; /* of the word */
};

static uint64_t json_hash_mix(uint64_t state, uint64_t word)
{
    state = (state ^ word) * UINT64_C(0x9e3779b97f4a7c15);
    return state ^ state >> 32;
}

static uint32_t json_hash_end(uint64_t state, uint64_t word)
{
    state = json_hash_mix(json_hash_mix(state, word), 0);
    return (uint32_t)(state ^ state >> 32);
}

static void json_hash_put(struct json_hash *hash, unsigned char byte)
{
    hash->word |= (uint64_t)byte << (8 * hash->n_bytes);
    if (++hash->n_bytes < 8)
        return;
    hash->state = json_hash_mix(hash->state, hash->word);
    hash->word = 0;
    hash->n_bytes = 0;
}

/* The letters of eight bytes of ASCII in lower case. */
static uint64_t json_fold_word(uint64_t word)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7;
    uint64_t from_a = word + ones * (0x80 - 'A'), behind_z = word + ones * (0x80 - 'Z' - 1);

    return word | (from_a & ~behind_z & high) >> 2;
}

static uint64_t json_load_8(const char *at)
{
    uint64_t word;

    memcpy(&word, at, sizeof(word));
    return le64toh(word);
}

static uint64_t json_load_4(const char *at)
{
    uint32_t word;

    memcpy(&word, at, sizeof(word));
    return le32toh(word);
}

/* Fewer than eight bytes, the first one lowest. What is loaded twice is so to the same place. */
static uint64_t json_load_few(const char *at, size_t n)
{
    if (n >= 4)
        return json_load_4(at) | json_load_4(at + n - 4) << (8 * (n - 4));
    if (n == 0)
        return 0;
    return (uint64_t)(unsigned char)at[0] | (uint64_t)(unsigned char)at[n / 2] << (8 * (n / 2)) |
           (uint64_t)(unsigned char)at[n - 1] << (8 * (n - 1));
}

uint32_t json_text_hash(struct text text)
{
    uint64_t state = 0;
    size_t i = 0;

    for (; text.length - i >= 8; i += 8)
        state = json_hash_mix(state, json_fold_word(json_load_8(text.data + i)));
    return json_hash_end(state, json_fold_word(json_load_few(text.data + i, text.length - i)));
}

uint32_t json_string_hash(const struct json_tape *tape, const struct json_token *string)
{
    struct json_cursor cursor = json_cursor_of(tape, string);
    struct json_hash hash = {0};
    uint32_t c;

    if (json_string_is_plain(string))
        return json_text_hash(json_tape_text(tape, string));
    while (json_cursor_next(&cursor, &c)) {
        c = json_fold(c);
        json_hash_put(&hash, (unsigned char)c);
        for (uint32_t rest = c >> 7; c >= 0x80 && rest > 0; rest >>= 7)
            json_hash_put(&hash, (unsigned char)(0x80 | (rest & 0x7f)));
    }
    return json_hash_end(hash.state, hash.word);
}

/* ---- numbers ---- */

bool json_number_integer(const struct json_tape *tape, const struct json_token *number, int64_t *ret_n)
{
    struct text digits = json_tape_text(tape, number);
    bool negative = digits.data[0] == '-';
    uint64_t n = 0, most = (uint64_t)INT64_MAX + negative;

    if (negative)
        digits = text_skip(digits, 1);
    if (digits.data[0] == '0' && (digits.length > 1 || negative))
        return false;
    for (size_t i = 0; i < digits.length; i++) {
        unsigned digit = (unsigned char)digits.data[i] - '0';

        if (digit > 9 || n > (most - digit) / 10)
            return false;
        n = n * 10 + digit;
    }
    *ret_n = negative ? (int64_t)(0 - n) : (int64_t)n;
    return true;
}
