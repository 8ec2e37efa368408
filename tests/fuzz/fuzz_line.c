/* A line says what was put into it: its fields can be read back, as many and with the same keys, whatever their texts
 * are, and no text has a byte in it that a reader could take for the end of a line or of a field.
 *
 * Input: the format's byte, a byte for the room, then texts that are separated by 0xff 0x00. */
#include <assert.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/line.h"
#include "proxy/base/utf8.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static const char *const keys[] = {"a", "request", "peer", "x"};

/* The length of the quoted text at the start of s, quotes included; what is in it is checked. */
static size_t quoted_length(const char *s, size_t n)
{
    size_t i = 1;

    assert(n >= 2 && s[0] == '"');
    while (i < n && s[i] != '"') {
        size_t length = utf8_length((const unsigned char *)s + i, n - i);
        uint32_t c;

        assert(length > 0);
        c = utf8_code_point((const unsigned char *)s + i, length);
        assert(c >= ' ' && !(c >= 0x7f && c <= 0xa0) && c != 0x3000 && !(c >= 0x2000 && c <= 0x200f));
        assert(!(c >= 0x2028 && c <= 0x202f) && c != 0xfeff && c != 0x1680 && c != 0x61c &&
               !(c >= 0xe0000 && c < 0xe1000));
        i += s[i] == '\\' ? 2 : length;
    }
    assert(i < n);
    return i + 1;
}

static bool take(const char **s, size_t *n, const char *expected)
{
    size_t length = strlen(expected);

    if (*n < length || memcmp(*s, expected, length) != 0)
        return false;
    *s += length;
    *n -= length;
    return true;
}

/* The fields behind the time: each key in its turn, or left out for want of room. */
static void check_fields(const char *s, size_t n, bool json, size_t n_texts)
{
    for (size_t i = 0; i < n_texts; i++) {
        char key[32];
        size_t length;

        snprintf(key, sizeof(key), json ? ",\"%s\":" : " %s=", keys[i % 4]);
        if (!take(&s, &n, key))
            continue;
        length = quoted_length(s, n);
        s += length;
        n -= length;
    }
    assert(take(&s, &n, json ? "}\n" : "\n") && n == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct line line;
    char out[2048];
    size_t room, length, n_texts = 0, begun;
    bool json;

    if (size < 2)
        return 0;
    json = bytes[0] & 1;
    room = 128 + bytes[1] * (size_t)7;
    line_begin(&line, json ? LOG_FORMAT_JSON : LOG_FORMAT_PLAIN, (struct wall_time){0}, out, room);
    begun = line.length;
    bytes += 2;
    size -= 2;
    for (; n_texts < 12 && (size > 0 || n_texts == 0); n_texts++) {
        const uint8_t *end = memmem(bytes, size, "\xff\x00", 2);
        size_t n = end ? (size_t)(end - bytes) : size;

        line_put_text(&line, keys[n_texts % 4], (struct text){(const char *)bytes, n}, n_texts % 3 ? SIZE_MAX : 40);
        n += end ? 2 : 0;
        bytes += n;
        size -= n;
    }
    length = line_end(&line);
    assert(length <= room);
    check_fields(out + begun, length - begun, json, n_texts);
    return 0;
}
