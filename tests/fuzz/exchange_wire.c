#include "tests/fuzz/exchange_wire.h"

#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* The fuzzer looks for new ways through the proxy, not through its judge. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

#define ARENA_BYTES (64u << 20)
#define LINES_MOST 2048

static char arena[ARENA_BYTES];
static size_t arena_used;

void wire_reset(void)
{
    arena_used = 0;
}

/* An input is bounded, so it always fits. */
static void *arena_take(size_t n)
{
    void *at = arena + arena_used;

    if (n > ARENA_BYTES - arena_used)
        abort();
    arena_used += (n + 15) & ~(size_t)15;
    return at;
}

bool wire_equal(struct text a, struct text b)
{
    return a.length == b.length && (a.length == 0 || memcmp(a.data, b.data, a.length) == 0);
}

bool wire_is(struct text text, const char *lower)
{
    return text.length == strlen(lower) && (text.length == 0 || strncasecmp(text.data, lower, text.length) == 0);
}

/* ---- small things ---- */

static bool is_token(struct text s)
{
    for (size_t i = 0; i < s.length; i++) {
        unsigned char c = (unsigned char)s.data[i];

        if (c <= ' ' || c >= 0x7f || strchr("\"(),/:;<=>?@[\\]{}", c))
            return false;
    }
    return s.length > 0;
}

/* Visible, white space or obs-text (RFC 9110 5.5). */
static bool is_value(struct text s)
{
    for (size_t i = 0; i < s.length; i++) {
        unsigned char c = (unsigned char)s.data[i];

        if ((c < ' ' && c != '\t') || c == 0x7f)
            return false;
    }
    return true;
}

static bool is_blank(char c)
{
    return c == ' ' || c == '\t';
}

static struct text trim(struct text s)
{
    while (s.length > 0 && is_blank(s.data[0]))
        s = (struct text){s.data + 1, s.length - 1};
    while (s.length > 0 && is_blank(s.data[s.length - 1]))
        s.length--;
    return s;
}

/* 1*DIGIT below 2^63 (RFC 9110 8.6). */
static bool to_number(struct text s, uint64_t *ret_n)
{
    uint64_t n = 0;

    if (s.length == 0)
        return false;
    for (size_t i = 0; i < s.length; i++) {
        if (s.data[i] < '0' || s.data[i] > '9' || n > (uint64_t)INT64_MAX / 10)
            return false;
        n = n * 10 + (uint64_t)(s.data[i] - '0');
        if (n > INT64_MAX)
            return false;
    }
    *ret_n = n;
    return true;
}

const struct wire_line *wire_find(const struct wire_message *message, const char *name, size_t n)
{
    for (size_t i = 0; i < message->n_lines; i++)
        if (wire_is(message->lines[i].name, name) && n-- == 0)
            return &message->lines[i];
    return NULL;
}

bool wire_lists(const struct wire_message *message, const char *name, const char *element)
{
    const struct wire_line *line;

    for (size_t n = 0; (line = wire_find(message, name, n)); n++) {
        struct text rest = line->value;

        while (rest.length > 0) {
            const char *comma = memchr(rest.data, ',', rest.length);
            size_t length = comma ? (size_t)(comma - rest.data) : rest.length;

            if (wire_is(trim((struct text){rest.data, length}), element))
                return true;
            length += comma != NULL;
            rest = (struct text){rest.data + length, rest.length - length};
        }
    }
    return false;
}

/* ---- lines ---- */

/* Reading one message. */
struct cursor {
    struct text said;
    size_t at;
    enum wire_reader reader;
    struct wire_message *message;
};

static bool cursor_stop(struct cursor *cursor, enum wire_state state, const char *why)
{
    cursor->message->state = state;
    cursor->message->why = why;
    cursor->message->end = cursor->at;
    return false;
}

/* A line that ends at the first LF, whatever is in it. */
static bool cursor_lax_line(struct cursor *cursor, struct text *ret_line)
{
    const char *begin = cursor->said.data + cursor->at;
    const char *lf = memchr(begin, '\n', cursor->said.length - cursor->at);

    if (!lf)
        return cursor_stop(cursor, WIRE_PARTIAL, NULL);
    cursor->at += (size_t)(lf - begin) + 1;
    *ret_line = (struct text){begin, (size_t)(lf - begin) - (lf > begin && lf[-1] == '\r')};
    return true;
}

/* Whether a line ends here; its end is two bytes long. To libmicrohttpd 0.9.75 a line ends at its LF, and a head at a
 * line that begins with a NUL or a colon; it overwrites line ends and colons with NULs, so that nobody can tell such an
 * end from CR LF where it is as long. */
static bool cursor_ends_line(const struct cursor *cursor, const char *at, size_t left, bool at_start)
{
    if (left < 2)
        return false;
    if (at[1] == '\n' && at[0] == '\r')
        return true;
    if (cursor->reader == WIRE_STRICT)
        return false;
    if (at[1] == '\n' && (at[0] == '\0' || (at_start && at[0] == ':')))
        return true;
    /* A NUL, CR LF, and LF by itself: as long as two line ends. */
    if (at_start ? cursor->at >= 2 && memcmp(at - 2, "\0\r\n\n", 4) == 0 : left >= 4 && memcmp(at, "\0\r\n\n", 4) == 0)
        return true;
    return left >= 4 && at[0] == '\n' && (at[1] == '\0' || at[1] == ':') && (at[2] == '\0' || at[2] == '\r') &&
           at[3] == '\n';
}

/* The next line without its CR LF. False when it is not there whole, or has a CR, LF or, unless `nuls`, NUL of its own.
 */
static bool cursor_line_with(struct cursor *cursor, bool nuls, struct text *ret_line)
{
    const char *begin = cursor->said.data + cursor->at;
    size_t left = cursor->said.length - cursor->at, n = 0;
    bool empty = cursor_ends_line(cursor, begin, left, true);

    while (!empty && n < left && begin[n] != '\r' && begin[n] != '\n' && (nuls || begin[n] != '\0'))
        n++;
    if (n == left || (begin[n] == '\r' && n + 1 == left))
        return cursor_stop(cursor, WIRE_PARTIAL, NULL);
    if (!empty && !cursor_ends_line(cursor, begin + n, left - n, false))
        return cursor_stop(cursor, WIRE_BROKEN, "CR, LF or NUL in a line");
    *ret_line = (struct text){begin, n};
    cursor->at += n + 2;
    return true;
}

static bool cursor_line(struct cursor *cursor, struct text *ret_line)
{
    return cursor_line_with(cursor, false, ret_line);
}

/* Field lines to the empty one. */
static bool cursor_lines(struct cursor *cursor, struct wire_line **ret_lines, size_t *ret_n)
{
    struct wire_line *lines = arena_take(0);
    struct text line;
    size_t n = 0;

    while (cursor_line(cursor, &line)) {
        const char *colon = memchr(line.data, ':', line.length);
        size_t name = colon ? (size_t)(colon - line.data) : 0;

        if (line.length == 0) {
            *ret_lines = lines;
            *ret_n = n;
            return true;
        }
        if (!colon || !is_token((struct text){line.data, name}))
            return cursor_stop(cursor, WIRE_BROKEN, "a field line without a name");
        if (!is_value((struct text){colon + 1, line.length - name - 1}))
            return cursor_stop(cursor, WIRE_BROKEN, "a control byte in a value");
        if (n == LINES_MOST)
            return cursor_stop(cursor, WIRE_BROKEN, "too many lines");
        arena_take(sizeof(*lines));
        lines[n++] = (struct wire_line){{line.data, name}, trim((struct text){colon + 1, line.length - name - 1})};
    }
    return false;
}

/* "HTTP/1." and a digit. */
static bool read_version(struct text s, unsigned *ret_minor)
{
    if (s.length != 8 || memcmp(s.data, "HTTP/1.", 7) != 0 || s.data[7] < '0' || s.data[7] > '9')
        return false;
    *ret_minor = (unsigned)(s.data[7] - '0');
    return true;
}

static bool read_request_line(struct text line, struct wire_message *message)
{
    const char *first = memchr(line.data, ' ', line.length), *last = memrchr(line.data, ' ', line.length);

    if (!first || first == last)
        return false;
    message->method = (struct text){line.data, (size_t)(first - line.data)};
    message->target = (struct text){first + 1, (size_t)(last - first) - 1};
    for (size_t i = 0; i < message->target.length; i++)
        if ((unsigned char)message->target.data[i] <= ' ' || message->target.data[i] == 0x7f)
            return false;
    return is_token(message->method) && message->target.length > 0 &&
           read_version((struct text){last + 1, (size_t)(line.data + line.length - last) - 1}, &message->minor);
}

static bool read_status_line(struct text line, struct wire_message *message)
{
    if (line.length < 12 || !read_version((struct text){line.data, 8}, &message->minor) || line.data[8] != ' ')
        return false;
    message->status = 0;
    for (size_t i = 9; i < 12; i++) {
        if (line.data[i] < '0' || line.data[i] > '9')
            return false;
        message->status = message->status * 10 + (unsigned)(line.data[i] - '0');
    }
    return message->status >= 100 && (line.length == 12 || line.data[12] == ' ') && is_value(line);
}

/* ---- bodies ---- */

/* Content-Length and Transfer-Encoding; equal lengths are one (RFC 9112 6.3). */
static bool cursor_framing(struct cursor *cursor, enum wire_body otherwise)
{
    struct wire_message *message = cursor->message;
    const struct wire_line *coding = wire_find(message, "transfer-encoding", 0), *line;

    message->framing = otherwise;
    for (size_t n = 0; (line = wire_find(message, "content-length", n)); n++) {
        uint64_t length;

        if (!to_number(line->value, &length) || (n > 0 && length != message->length))
            return cursor_stop(cursor, WIRE_BROKEN, "Content-Length");
        message->framing = WIRE_LENGTH;
        message->has_length = true;
        message->length = length;
    }
    if (!coding)
        return true;
    if (message->has_length || message->minor == 0 || !wire_is(coding->value, "chunked") ||
        wire_find(message, "transfer-encoding", 1))
        return cursor_stop(cursor, WIRE_BROKEN, "Transfer-Encoding");
    message->framing = WIRE_CHUNKED;
    return true;
}

/* The end is an empty line; to the library also one that begins with a NUL or, but for the first, with a colon. */
static bool cursor_lax_trailers(struct cursor *cursor)
{
    struct wire_message *message = cursor->message;
    struct wire_line *lines = arena_take(0);
    struct text line;
    size_t n = 0;

    while (cursor_lax_line(cursor, &line)) {
        const char *colon = memchr(line.data, ':', line.length);

        if (line.length == 0 || line.data[0] == '\0' || (n > 0 && line.data[0] == ':')) {
            message->trailers = lines;
            message->n_trailers = n;
            return true;
        }
        if (n > 0 && is_blank(line.data[0]))
            continue;
        if (!colon)
            return cursor_stop(cursor, WIRE_BROKEN, "a trailer without a colon");
        arena_take(sizeof(*lines));
        lines[n].name = (struct text){line.data, (size_t)(colon - line.data)};
        /* A value ends at a NUL. */
        lines[n].value = (struct text){colon + 1, line.length - lines[n].name.length - 1};
        lines[n].value = trim((struct text){colon + 1, strnlen(colon + 1, lines[n].value.length)});
        n++;
    }
    return false;
}

/* A chunk's first line: digits, and perhaps an extension. */
static bool cursor_chunk_size(struct cursor *cursor, uint64_t *ret_n)
{
    struct text line;
    uint64_t n = 0;
    size_t i;

    if (cursor->reader == WIRE_LAX ? !cursor_lax_line(cursor, &line)
                                   : !cursor_line_with(cursor, cursor->reader != WIRE_STRICT, &line))
        return false;
    for (i = 0; i < line.length; i++) {
        const char *digits = "0123456789abcdef",
                   *digit = strchr(digits, line.data[i] | ('A' <= line.data[i] && line.data[i] <= 'F' ? 32 : 0));

        if (!digit || *digit == '\0')
            break;
        if (n > (uint64_t)INT64_MAX / 16)
            return cursor_stop(cursor, WIRE_BROKEN, "a chunk size out of range");
        n = n * 16 + (uint64_t)(digit - digits);
    }
    /* Control bytes in an extension do not move its end, and libmicrohttpd skips them; nobody else may get any. */
    if (i == 0 || (cursor->reader == WIRE_STRICT && !is_value(line)))
        return cursor_stop(cursor, WIRE_BROKEN, "a chunk without a size");
    while (i < line.length && is_blank(line.data[i]))
        i++;
    if (i < line.length && line.data[i] != ';')
        return cursor_stop(cursor, WIRE_BROKEN, "rubbish behind a chunk size");
    *ret_n = n;
    return true;
}

/* As many of n bytes as there are. */
static size_t cursor_take(struct cursor *cursor, uint64_t n)
{
    size_t left = cursor->said.length - cursor->at;

    if (n < left)
        left = (size_t)n;
    cursor->at += left;
    return left;
}

static bool cursor_chunks(struct cursor *cursor)
{
    struct wire_message *message = cursor->message;
    char *body = arena_take(cursor->said.length - cursor->at);
    uint64_t n;

    message->body = (struct text){body, 0};
    while (cursor_chunk_size(cursor, &n)) {
        const char *from = cursor->said.data + cursor->at;
        size_t got = cursor_take(cursor, n);
        struct text empty;

        if (n == 0) {
            /* Gives the rest of the room back. */
            arena_used = (size_t)(body - arena);
            arena_take(message->body.length);
            if (cursor->reader == WIRE_LAX)
                return cursor_lax_trailers(cursor);
            return cursor_lines(cursor, &message->trailers, &message->n_trailers);
        }
        memcpy(body + message->body.length, from, got);
        message->body.length += got;
        if (got < n)
            return cursor_stop(cursor, WIRE_PARTIAL, NULL);
        if (!(cursor->reader == WIRE_LAX ? cursor_lax_line : cursor_line)(cursor, &empty))
            return false;
        if (empty.length > 0)
            return cursor_stop(cursor, WIRE_BROKEN, "a chunk longer than its size");
    }
    return false;
}

static void cursor_body(struct cursor *cursor, bool ended)
{
    struct wire_message *message = cursor->message;
    const char *from = cursor->said.data + cursor->at;

    switch (message->framing) {
    case WIRE_NONE:
        break;
    case WIRE_LENGTH:
        message->body = (struct text){from, cursor_take(cursor, message->length)};
        if (message->body.length < message->length) {
            cursor_stop(cursor, WIRE_PARTIAL, NULL);
            return;
        }
        break;
    case WIRE_CHUNKED:
        if (!cursor_chunks(cursor))
            return;
        break;
    case WIRE_TO_THE_END:
        message->body = (struct text){from, cursor_take(cursor, UINT64_MAX)};
        if (!ended) {
            cursor_stop(cursor, WIRE_PARTIAL, NULL);
            return;
        }
        break;
    }
    cursor_stop(cursor, WIRE_WHOLE, NULL);
}

/* ---- messages ---- */

static bool cursor_head(struct cursor *cursor, bool (*read_line)(struct text, struct wire_message *))
{
    struct wire_message *message = cursor->message;
    struct text line;

    if (!cursor_line(cursor, &line))
        return false;
    if (!read_line(line, message))
        return cursor_stop(cursor, WIRE_BROKEN, "the first line");
    if (!cursor_lines(cursor, &message->lines, &message->n_lines))
        return false;
    message->head_end = cursor->at;
    return true;
}

/* RFC 9112 2.2. To libmicrohttpd 0.9.75 a line that begins with a NUL is empty as well, whatever follows in it. */
static size_t skip_empty_lines(struct text said, size_t at)
{
    while (at < said.length && strchr("\r\n", said.data[at])) {
        if (said.data[at] == '\0')
            while (at < said.length && said.data[at] != '\n')
                at++;
        else
            at++;
    }
    return at;
}

void wire_read_request(struct text said, size_t at, enum wire_reader reader, struct wire_message *ret_message)
{
    struct cursor cursor = {said, at, reader, ret_message};

    *ret_message = (struct wire_message){.start = at};
    if (reader != WIRE_STRICT)
        cursor.at = skip_empty_lines(said, at);
    ret_message->start = cursor.at;
    if (!cursor_head(&cursor, read_request_line) || !cursor_framing(&cursor, WIRE_NONE))
        return;
    ret_message->has_head = true;
    cursor_body(&cursor, false);
}

void wire_read_response(struct text said, size_t at, bool to_head, bool ended, struct wire_message *ret_message)
{
    struct cursor cursor = {said, at, WIRE_STRICT, ret_message};
    unsigned status;

    *ret_message = (struct wire_message){.start = at};
    if (!cursor_head(&cursor, read_status_line) || !cursor_framing(&cursor, WIRE_TO_THE_END))
        return;
    ret_message->has_head = true;
    status = ret_message->status;
    if (to_head || status < 200 || status == 204 || status == 304)
        ret_message->framing = WIRE_NONE;
    cursor_body(&cursor, ended);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
