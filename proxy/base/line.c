#include "proxy/base/line.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/utf8.h"

#define LINE_MS_AT 20    /* in a time */
#define LINE_END_BYTES 2 /* what line_end puts: always kept free */

/* What is no visible character of its own: controls, which terminals obey, spaces and separators that readers split at
 * or take for the one between two fields, and what is invisible or turns the direction of writing. In order. */
static const struct {
    uint32_t first, last;
} line_hidden[] = {
    {0x0000, 0x001f},   /* C0 */
    {0x007f, 0x00a0},   /* DEL, C1, no-break space */
    {0x00ad, 0x00ad},   /* soft hyphen */
    {0x034f, 0x034f},   /* combining grapheme joiner */
    {0x061c, 0x061c},   /* Arabic letter mark */
    {0x115f, 0x1160},   /* Hangul fillers */
    {0x1680, 0x1680},   /* Ogham space */
    {0x17b4, 0x17b5},   /* Khmer vowels that are not seen */
    {0x180b, 0x180f},   /* Mongolian variation selectors and vowel separator */
    {0x2000, 0x200f},   /* spaces of all widths, zero-width ones, marks of direction */
    {0x2028, 0x202f},   /* line and paragraph separator, embeddings and overrides, narrow no-break space */
    {0x205f, 0x206f},   /* mathematical space, word joiner, invisible operators, isolates */
    {0x2800, 0x2800},   /* Braille blank */
    {0x3000, 0x3000},   /* ideographic space */
    {0x3164, 0x3164},   /* Hangul filler */
    {0xfe00, 0xfe0f},   /* variation selectors */
    {0xfeff, 0xfeff},   /* zero-width no-break space */
    {0xffa0, 0xffa0},   /* halfwidth Hangul filler */
    {0xfff0, 0xfffb},   /* interlinear annotation */
    {0x1d173, 0x1d17a}, /* of musical notation */
    {0xe0000, 0xe0fff}, /* tags, variation selectors */
};

static bool line_is_hidden(uint32_t code_point)
{
    for (size_t i = 0; i < sizeof(line_hidden) / sizeof(line_hidden[0]) && code_point >= line_hidden[i].first; i++)
        if (code_point <= line_hidden[i].last)
            return true;
    return false;
}

#define LINE_ESCAPE_BYTES 16 /* more than "\\ud834\\udd73" has, terminated */

/* Escapes a character that is not shown, or a byte that is none. */
static size_t line_escape_code(char out[LINE_ESCAPE_BYTES], uint32_t code_point, enum log_format format)
{
    if (code_point < 0x100 && format == LOG_FORMAT_PLAIN)
        return (size_t)snprintf(out, LINE_ESCAPE_BYTES, "\\x%02x", (unsigned)code_point);
    if (code_point < 0x10000)
        return (size_t)snprintf(out, LINE_ESCAPE_BYTES, "\\u%04x", (unsigned)code_point);
    code_point -= 0x10000; /* as JSON has it, RFC 8259 7 */
    return (size_t)snprintf(out, LINE_ESCAPE_BYTES, "\\u%04x\\u%04x", (unsigned)(0xd800 | code_point >> 10),
                            (unsigned)(0xdc00 | (code_point & 0x3ff)));
}

/* Escapes one character, of `length` bytes when it is UTF-8, else one byte (0). Returns the escape's length. */
static size_t line_escape_one(char out[LINE_ESCAPE_BYTES], const unsigned char *s, size_t length,
                              enum log_format format)
{
    uint32_t code_point = length > 0 ? utf8_code_point(s, length) : s[0];

    if (s[0] == '"' && format == LOG_FORMAT_JSON)
        return (size_t)snprintf(out, LINE_ESCAPE_BYTES, "\\\"");
    if (s[0] == '\\')
        return (size_t)snprintf(out, LINE_ESCAPE_BYTES, format == LOG_FORMAT_JSON ? "\\\\" : "\\x5c");
    if (length == 0 || line_is_hidden(code_point))
        return line_escape_code(out, code_point, format);
    memcpy(out, s, length);
    return length;
}

#define LINE_EACH(byte) (UINT64_C(0x0101010101010101) * (byte))

/* Whether each of eight bytes stands for itself: it is 0x20 to 0x7e, and neither a quote nor a backslash. Such a byte
 * has its highest bit in none of these differences; one that is wrong has it in one of them at least. */
static bool line_is_plain_word(uint64_t word)
{
    uint64_t quote = word ^ LINE_EACH('"');
    uint64_t slash = word ^ LINE_EACH('\\');
    uint64_t del = word ^ LINE_EACH(0x7f);

    return ((word | (word - LINE_EACH(0x20)) | (quote - LINE_EACH(1)) | (slash - LINE_EACH(1)) | (del - LINE_EACH(1))) &
            LINE_EACH(0x80)) == 0;
}

static uint64_t line_load(const unsigned char *s)
{
    uint64_t word;

    memcpy(&word, s, sizeof(word));
    return word;
}

/* The bytes of a text of less than eight, some of them twice, and spaces. */
static uint64_t line_load_short(const unsigned char *s, size_t n)
{
    uint32_t first, last;

    if (n >= sizeof(first)) {
        memcpy(&first, s, sizeof(first));
        memcpy(&last, s + n - sizeof(last), sizeof(last));
        return (uint64_t)last << 32 | first;
    }
    if (n == 0)
        return LINE_EACH(' ');
    return (LINE_EACH(' ') << 24) | (uint64_t)s[n - 1] << 16 | (uint64_t)s[n / 2] << 8 | s[0];
}

/* How many bytes stand for themselves: most of what is written. */
static size_t line_plain_run(const unsigned char *s, size_t n, enum log_format format)
{
    size_t i = 0;

    while (n - i >= sizeof(uint64_t) && line_is_plain_word(line_load(s + i)))
        i += sizeof(uint64_t);
    if (n - i < sizeof(uint64_t) && line_is_plain_word(line_load_short(s + i, n - i)))
        return n;
    while (i < n && s[i] >= 0x20 && s[i] < 0x7f && s[i] != '\\' && (s[i] != '"' || format == LOG_FORMAT_PLAIN))
        i++;
    return i;
}

static size_t line_escape_as(char *out, size_t size, const char *s, size_t n, enum log_format format)
{
    const unsigned char *bytes = (const unsigned char *)s;
    size_t used = 0;

    if (size == 0)
        return 0;
    for (size_t i = 0; i < n;) {
        size_t room = size - used - 1, length;
        size_t run = line_plain_run(bytes + i, n - i < room ? n - i : room, format), n_escaped;
        char escaped[LINE_ESCAPE_BYTES];

        memcpy(out + used, bytes + i, run);
        used += run;
        i += run;
        if (i == n)
            break;
        length = utf8_length(bytes + i, n - i);
        n_escaped = line_escape_one(escaped, bytes + i, length, format);
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
    bool is_json = line->format == LOG_FORMAT_JSON;
    char *to = line->out + line->length;

    if (n + sizeof(",\"\":") - 1 + value_bytes > line_room(line))
        return false;
    memcpy(to, is_json ? ",\"" : " ", 2);
    to += is_json ? 2 : 1;
    memcpy(to, key, n);
    memcpy(to + n, is_json ? "\":" : "=", 2);
    line->length = (size_t)(to - line->out) + n + (is_json ? 2 : 1);
    return true;
}

/* Writes so many digits. */
static void line_put_digits(char *to, unsigned n_digits, uint64_t value)
{
    for (unsigned i = n_digits; i > 0; value /= 10)
        to[--i] = (char)('0' + value % 10);
}

/* Dates as the Gregorian calendar has them, counted in years that begin in March, so that the day that leap years add
 * is the last: what gmtime_r(3) and strftime(3) make of them takes longer than the rest of a line. */
static void line_put_date(char to[LINE_TIME_BYTES], uint64_t days)
{
    uint64_t since = days + 719468; /* since 0000-03-01 */
    uint64_t era = since / 146097, day_of_era = since % 146097;
    uint64_t year = (day_of_era - day_of_era / 1460 + day_of_era / 36524 - day_of_era / 146096) / 365;
    uint64_t day_of_year = day_of_era - (365 * year + year / 4 - year / 100);
    uint64_t month = (5 * day_of_year + 2) / 153;

    line_put_digits(to + 8, 2, day_of_year - (153 * month + 2) / 5 + 1);
    line_put_digits(to + 5, 2, month < 10 ? month + 3 : month - 9);
    line_put_digits(to, 4, year + era * 400 + (month >= 10));
}

void line_write_time(char to[LINE_TIME_BYTES], struct wall_time time)
{
    uint64_t ms = time.ns / 1000000u, seconds = ms / 1000u;

    memcpy(to, "0000-00-00T00:00:00.000Z", LINE_TIME_BYTES);
    line_put_date(to, seconds / 86400u);
    line_put_digits(to + 11, 2, seconds / 3600u % 24u);
    line_put_digits(to + 14, 2, seconds / 60u % 60u);
    line_put_digits(to + 17, 2, seconds % 60u);
    line_put_digits(to + LINE_MS_AT, 3, ms % 1000u);
}

#define LINE_JSON_TIME "{\"time\":\""

/* Returns where the time is. */
static char *line_begin_time(struct line *line, enum log_format format, const char time[LINE_TIME_BYTES], char *out,
                             size_t size)
{
    *line = (struct line){.out = out, .size = size, .format = format};
    if (format == LOG_FORMAT_JSON)
        line_put(line, LINE_JSON_TIME, sizeof(LINE_JSON_TIME) - 1);
    line_put(line, time, LINE_TIME_BYTES);
    if (format == LOG_FORMAT_JSON)
        line_put(line, "\"", 1);
    return out + (format == LOG_FORMAT_JSON ? sizeof(LINE_JSON_TIME) - 1 : 0);
}

void line_begin(struct line *line, enum log_format format, struct wall_time time, char *out, size_t size)
{
    char text[LINE_TIME_BYTES];

    line_write_time(text, time);
    line_begin_time(line, format, text, out, size);
}

void line_begin_at(struct line *line, enum log_format format, const char time[LINE_TIME_BYTES], unsigned ms, char *out,
                   size_t size)
{
    line_put_digits(line_begin_time(line, format, time, out, size) + LINE_MS_AT, 3, ms);
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
    char digits[20];
    size_t at = sizeof(digits);

    do
        digits[--at] = (char)('0' + value % 10);
    while ((value /= 10) > 0);
    if (line_put_key(line, key, sizeof(digits) - at))
        line_put(line, digits + at, sizeof(digits) - at);
}

size_t line_end(struct line *line)
{
    if (line->format == LOG_FORMAT_JSON)
        line->out[line->length++] = '}';
    line->out[line->length++] = '\n';
    return line->length;
}
