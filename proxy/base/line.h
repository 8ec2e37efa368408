/* A line of a log, plain or JSON, on its way into a buffer: time, then keys with their values.
 *
 *   plain  2026-11-27T05:53:43.123Z warn a message key="text" number=7
 *   json   {"time":"2026-11-27T05:53:43.123Z","level":"warn","message":"a message","key":"text","number":7}
 *
 * Peers' bytes are escaped wherever they are put: what is no visible character of UTF-8, or a space other than U+0020,
 * becomes an escape, and a text stands in quotes, so that nobody can forge a line or a field. What does not fit is cut,
 * or left out, so that a line is a line, whatever it was made of. Pure. */
#ifndef PORTHOLE_BASE_LINE_H
#define PORTHOLE_BASE_LINE_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/clock.h"
#include "proxy/base/text.h"

#define LINE_TIME_BYTES (sizeof("2026-11-27T05:53:43.123Z") - 1)

enum log_format { LOG_FORMAT_PLAIN, LOG_FORMAT_JSON };

/* On its writer's stack; begun with line_begin. */
struct line {
    char *out; /* borrowed */
    size_t size, length;
    enum log_format format;
};

/* Begins a line in `out`, of at least 128 bytes, with its time. */
void line_begin(struct line *line, enum log_format format, struct wall_time time, char *out, size_t size);
/* The same, with a time as line_write_time writes it, whose milliseconds are these. */
void line_begin_at(struct line *line, enum log_format format, const char time[LINE_TIME_BYTES], unsigned ms, char *out,
                   size_t size);
/* Puts "level" and "message" where they belong. */
void line_put_message(struct line *line, const char *level, struct text message);
/* Puts a key, which needs no escapes, with a text, of which `most_bytes` at most are shown, escaped. */
void line_put_text(struct line *line, const char *key, struct text value, size_t most_bytes);
void line_put_number(struct line *line, const char *key, uint64_t value);
/* Puts what ends the line. Returns its length. */
size_t line_end(struct line *line);

/* Writes a time as lines have it (RFC 3339, UTC, with milliseconds), without an end. */
void line_write_time(char to[LINE_TIME_BYTES], struct wall_time time);

/* Escapes n bytes of s for a JSON string (without the quotes) into out of `size` bytes, terminated, cut
 * at a whole escape where it does not fit. Visible UTF-8 and U+0020 stay, what is hidden becomes \uHHHH, a byte that is
 * no UTF-8 \u00HH. Returns the length written. */
size_t line_escape(char *out, size_t size, const char *s, size_t n);

#endif
