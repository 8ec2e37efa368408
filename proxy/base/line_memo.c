#include "proxy/base/line_memo.h"

#include <stdbool.h>
#include <string.h>

/* With so much room nothing is cut that a memo holds. */
#define ROOM_BYTES (LINE_MEMO_PUT_BYTES + 32u)

static bool line_memo_has(const struct line_memo *memo, const void *value, size_t n)
{
    return memo->n_put > 0 && memo->n_value == n && memcmp(memo->value, value, n) == 0;
}

static void line_memo_put(struct line *line, const struct line_memo *memo)
{
    char *to = line->out + line->length;

    /* There is room for all of it, and a copy of a fixed length takes no loop. */
    memcpy(to, memo->put, 64);
    if (memo->n_put > 64)
        memcpy(to + 64, memo->put + 64, sizeof(memo->put) - 64);
    line->length += memo->n_put;
}

/* What was put since `begin`. */
static void line_memo_keep(struct line_memo *memo, const struct line *line, size_t begin, const void *value, size_t n)
{
    size_t n_put = line->length - begin;

    memo->n_put = 0;
    if (n_put > sizeof(memo->put))
        return;
    memcpy(memo->value, value, n);
    memcpy(memo->put, line->out + begin, n_put);
    memo->n_value = (uint16_t)n;
    memo->n_put = (uint16_t)n_put;
}

static bool line_memo_serves(const struct line *line, const struct line_memo *memo, size_t n)
{
    return memo && n > 0 && n <= sizeof(memo->value) && line->size - line->length >= ROOM_BYTES;
}

void line_put_text_again(struct line *line, struct line_memo *memo, const char *key, struct text value,
                         size_t most_bytes)
{
    size_t begin = line->length;

    if (!line_memo_serves(line, memo, value.length)) {
        line_put_text(line, key, value, most_bytes);
        return;
    }
    if (line_memo_has(memo, value.data, value.length)) {
        line_memo_put(line, memo);
        return;
    }
    line_put_text(line, key, value, most_bytes);
    line_memo_keep(memo, line, begin, value.data, value.length);
}

void line_put_number_again(struct line *line, struct line_memo *memo, const char *key, uint64_t value)
{
    size_t begin = line->length;

    if (!line_memo_serves(line, memo, sizeof(value))) {
        line_put_number(line, key, value);
        return;
    }
    if (line_memo_has(memo, &value, sizeof(value))) {
        line_memo_put(line, memo);
        return;
    }
    line_put_number(line, key, value);
    line_memo_keep(memo, line, begin, &value, sizeof(value));
}

void line_begin_again(struct line *line, struct line_time_memo *memo, enum log_format format, struct wall_time time,
                      char *out, size_t size)
{
    uint64_t ms = time.ns / 1000000u, second = ms / 1000u;

    if (!memo || second == 0) {
        line_begin(line, format, time, out, size);
        return;
    }
    if (memo->second != second) {
        line_write_time(memo->put, time);
        memo->second = second;
    }
    line_begin_at(line, format, memo->put, (unsigned)(ms % 1000u), out, size);
}
