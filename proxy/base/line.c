#include "proxy/base/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "proxy/base/utf8.h"

#define LINE_END_BYTES 2 /* what line_end puts: always kept free */

/* C0, DEL, and C1 (two bytes in UTF-8), which terminals obey too. */
static bool line_is_control(const unsigned char *s, size_t length)
{
    return s[0] < 0x20 || s[0] == 0x7f || (length == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

/* Line and paragraph separator, at which many readers end a line, and what turns the direction of writing. */
static bool line_is_layout(uint32_t code_point)
{
    return (code_point >= 0x2028 && code_point <= 0x202e) || (code_point >= 0x2066 && code_point <= 0x2069) ||
           code_point == 0x200e || code_point == 0x200f || code_point == 0xfeff;
}

/* Escapes one character, of `length` bytes when it is UTF-8, else one byte (0). Returns the escape's length. */
static size_t line_escape_one(char out[8], const unsigned char *s, size_t length, enum log_format format)
{
    bool quoted = s[0] == '\\' || (s[0] == '"' && format == LOG_FORMAT_JSON);
    uint32_t code_point = length > 0 ? utf8_code_point(s, length) : s[0];

    if (length == 3 && line_is_layout(code_point))
        return (size_t)snprintf(out, 8, "\\u%04x", code_point);
    if (length > 0 && !quoted && !line_is_control(s, length)) {
        memcpy(out, s, length);
        return length;
    }
    if (quoted && format == LOG_FORMAT_JSON)
        return (size_t)snprintf(out, 8, "\\%c", s[0]);
    if (format == LOG_FORMAT_JSON)
        return (size_t)snprintf(out, 8, "\\u00%02x", length == 2 ? s[1] : s[0]);
    return (size_t)snprintf(out, 8, "\\x%02x", length == 2 ? s[1] : s[0]);
}

static size_t line_escape_as(char *out, size_t size, const char *s, size_t n, enum log_format format)
{
    const unsigned char *bytes = (const unsigned char *)s;
    size_t used = 0;

    if (size == 0)
        return 0;
    for (size_t i = 0; i < n;) {
        size_t length = utf8_length(bytes + i, n - i);
        char escaped[8];
        size_t n_escaped = line_escape_one(escaped, bytes + i, length, format);

        if (n_escaped >= size - used)
            break;
        memcpy(out + used, escaped, n_escaped);
        used += n_escaped;
        i += length > 0 ? length : 1;
    }
    out[used] = '\0';
    return used;
}

size_t line_escape(char *out, size_t size, const char *s, size_t n)
{
    return line_escape_as(out, size, s, n, LOG_FORMAT_JSON);
}

/* ---- pieces ---- */

static size_t line_room(const struct line *line)
{
    return line->size - LINE_END_BYTES - line->length;
}

static void line_put(struct line *line, const char *s, size_t n)
{
    memcpy(line->out + line->length, s, n);
    line->length += n;
}

/* Puts what comes before a value, when that and `value_bytes` more fit. */
static bool line_put_key(struct line *line, const char *key, size_t value_bytes)
{
    size_t n = strlen(key);

    if (n + sizeof(",\"\":") - 1 + value_bytes > line_room(line))
        return false;
    if (line->format == LOG_FORMAT_JSON) {
        line_put(line, ",\"", 2);
        line_put(line, key, n);
        line_put(line, "\":", 2);
    } else {
        line_put(line, " ", 1);
        line_put(line, key, n);
        line_put(line, "=", 1);
    }
    return true;
}

void line_begin(struct line *line, enum log_format format, struct wall_time time, char *out, size_t size)
{
    time_t seconds = (time_t)(time.ns / 1000000000u);
    char text[48];
    struct tm tm;
    size_t n;

    *line = (struct line){.out = out, .size = size, .format = format};
    gmtime_r(&seconds, &tm);
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(time.ns / 1000000u % 1000u));
    if (format == LOG_FORMAT_PLAIN) {
        line_put(line, text, n);
        return;
    }
    line_put(line, "{\"time\":\"", sizeof("{\"time\":\"") - 1);
    line_put(line, text, n);
    line_put(line, "\"", 1);
}

void line_put_message(struct line *line, const char *level, struct text message)
{
    if (line->format == LOG_FORMAT_JSON) {
        line_put_text(line, "level", text_of(level), SIZE_MAX);
        line_put_text(line, "message", message, SIZE_MAX);
        return;
    }
    line_put(line, " ", 1);
    line_put(line, level, strlen(level));
    line_put(line, " ", 1);
    line->length +=
        line_escape_as(line->out + line->length, line_room(line), message.data, message.length, LOG_FORMAT_PLAIN);
}

void line_put_text(struct line *line, const char *key, struct text value, size_t most_bytes)
{
    size_t room;

    if (!line_put_key(line, key, sizeof("\"\"")))
        return;
    room = line_room(line) - 1; /* for the second quote */
    line_put(line, "\"", 1);
    room--;
    line->length += line_escape(line->out + line->length, room < most_bytes ? room : most_bytes,
                                value.data ? value.data : "", value.length);
    line_put(line, "\"", 1);
}

void line_put_number(struct line *line, const char *key, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);

    if (line_put_key(line, key, (size_t)n))
        line_put(line, digits, (size_t)n);
}

size_t line_end(struct line *line)
{
    if (line->format == LOG_FORMAT_JSON)
        line->out[line->length++] = '}';
    line->out[line->length++] = '\n';
    return line->length;
}
