/* What a byte may be part of: one table of 256 rows, made from the grammar at compile time. */
#ifndef PORTHOLE_HTTP_BYTES_H
#define PORTHOLE_HTTP_BYTES_H

#include <endian.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/text.h"

enum byte_class {
    BYTE_TOKEN = 1,    /* tchar, RFC 9110 5.6.2 */
    BYTE_VALUE = 2,    /* of a field value, RFC 9110 5.5: HTAB, SP, VCHAR, obs-text */
    BYTE_TARGET = 4,   /* of a request-target: no control byte, no space, no fragment; bytes >= 0x80 are tolerated */
    BYTE_REG_NAME = 8, /* unreserved and sub-delims, RFC 3986 3.2.2 */
    BYTE_PLAIN = 16,   /* in a path it says nothing but itself, so its escape says the same */
    BYTE_UNRESERVED = 32,
    BYTE_VISIBLE = 64, /* VCHAR, RFC 5234 B.1 */
    BYTE_NAME = 128,   /* what names of fields are made of but for odd ones: letters, digits, "-" */
};

#define BYTE_IN_ALNUM(c) (((c) >= '0' && (c) <= '9') || ((c) >= 'A' && (c) <= 'Z') || ((c) >= 'a' && (c) <= 'z'))
#define BYTE_IN_TOKEN(c)                                                                                        \
    (BYTE_IN_ALNUM(c) || (c) == '!' || ((c) >= '#' && (c) <= '\'') || (c) == '*' || (c) == '+' || (c) == '-' || \
     (c) == '.' || ((c) >= '^' && (c) <= '`') || (c) == '|' || (c) == '~')
#define BYTE_IN_VALUE(c) ((c) == '\t' || ((c) >= ' ' && (c) != 0x7f))
#define BYTE_IN_TARGET(c) ((c) > ' ' && (c) != 0x7f && (c) != '#')
#define BYTE_IN_UNRESERVED(c) (BYTE_IN_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define BYTE_IN_REG_NAME(c) \
    (BYTE_IN_UNRESERVED(c) || (c) == '!' || (c) == '$' || ((c) >= '&' && (c) <= ',') || (c) == ';' || (c) == '=')
#define BYTE_IN_PLAIN(c) \
    ((c) > ' ' && (c) < 0x7f && (c) != '/' && (c) != '\\' && (c) != '%' && (c) != '?' && (c) != '#')
#define BYTE_IN_VISIBLE(c) ((c) > ' ' && (c) < 0x7f)

#define BYTE_IN_NAME(c) (BYTE_IN_ALNUM(c) || (c) == '-')

#define BYTE_ROW(c)                                                                           \
    (BYTE_IN_TOKEN(c) ? BYTE_TOKEN : 0) | (BYTE_IN_VALUE(c) ? BYTE_VALUE : 0) |               \
        (BYTE_IN_TARGET(c) ? BYTE_TARGET : 0) | (BYTE_IN_REG_NAME(c) ? BYTE_REG_NAME : 0) |   \
        (BYTE_IN_PLAIN(c) ? BYTE_PLAIN : 0) | (BYTE_IN_UNRESERVED(c) ? BYTE_UNRESERVED : 0) | \
        (BYTE_IN_VISIBLE(c) ? BYTE_VISIBLE : 0) | (BYTE_IN_NAME(c) ? BYTE_NAME : 0)
#define BYTE_ROWS_4(c) BYTE_ROW(c), BYTE_ROW((c) + 1), BYTE_ROW((c) + 2), BYTE_ROW((c) + 3)
#define BYTE_ROWS_16(c) BYTE_ROWS_4(c), BYTE_ROWS_4((c) + 4), BYTE_ROWS_4((c) + 8), BYTE_ROWS_4((c) + 12)
#define BYTE_ROWS_64(c) BYTE_ROWS_16(c), BYTE_ROWS_16((c) + 16), BYTE_ROWS_16((c) + 32), BYTE_ROWS_16((c) + 48)

static const unsigned char byte_table[256] = {BYTE_ROWS_64(0), BYTE_ROWS_64(64), BYTE_ROWS_64(128), BYTE_ROWS_64(192)};

static inline bool byte_is(char c, enum byte_class class)
{
    return byte_table[(unsigned char)c] & class;
}

/* How many bytes at the start of s are of this class. */
static inline size_t text_span(struct text s, enum byte_class class)
{
    size_t n = 0;

    while (n < s.length && byte_is(s.data[n], class))
        n++;
    return n;
}

/* The same where a byte of another class is known to follow. */
static inline size_t bytes_span(const char *s, enum byte_class class)
{
    size_t n = 0;

    while (byte_is(s[n], class))
        n++;
    return n;
}

/* The high bit of the first byte of a word that is below SP or DEL, and perhaps of bytes behind it; 0: there is none.
 */
static inline uint64_t word_controls(uint64_t word)
{
    const uint64_t ones = UINT64_MAX / 255, high = ones << 7, del = word ^ ones * 0x7f;

    return (((word - ones * ' ') & ~word) | ((del - ones) & ~del)) & high;
}

/* text_span for BYTE_VALUE, eight bytes at a time: most of a head are values. */
static inline size_t text_span_value(struct text s)
{
    size_t n = 0;
    uint64_t word;

    while (n + sizeof(word) <= s.length) {
        uint64_t controls;

        memcpy(&word, s.data + n, sizeof(word));
        controls = word_controls(le64toh(word));
        if (controls == 0) {
            n += sizeof(word);
            continue;
        }
        n += (size_t)__builtin_ctzll(controls) / 8;
        if (s.data[n] != '\t')
            return n;
        n++;
    }
    while (n < s.length && byte_is(s.data[n], BYTE_VALUE))
        n++;
    return n;
}

/* 0..15, or -1. */
static inline int byte_hex(char c)
{
    if (c >= '0' && c <= '9')
        return c - '0';
    if (c >= 'A' && c <= 'F')
        return c - 'A' + 10;
    if (c >= 'a' && c <= 'f')
        return c - 'a' + 10;
    return -1;
}

/* The byte that the "%XX" at the start of s means, or -1 when that is not an escape. */
static inline int text_unescape(struct text s)
{
    if (s.length < 3 || byte_hex(s.data[1]) < 0 || byte_hex(s.data[2]) < 0)
        return -1;
    return byte_hex(s.data[1]) * 16 + byte_hex(s.data[2]);
}

static inline struct text text_skip(struct text s, size_t n)
{
    return (struct text){s.data + n, s.length - n};
}

#endif
