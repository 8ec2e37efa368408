/* What one key of a log's lines was last put with, and what that became: most lines of a log say the same of who asked
 * whom, and to copy that takes a quarter of the time that escaping it anew does. The line is the same, byte for byte,
 * with a memo and without. Pure. */
#ifndef PORTHOLE_BASE_LINE_MEMO_H
#define PORTHOLE_BASE_LINE_MEMO_H

#include <stdint.h>

#include "proxy/base/line.h"

#define LINE_MEMO_VALUE_BYTES 112 /* what is longer is put anew each time */
#define LINE_MEMO_PUT_BYTES 160

/* Zeroed: it remembers nothing. For one key, in lines of one format and one choice of `most_bytes`. */
struct line_memo {
    uint16_t n_value, n_put; /* n_put 0: nothing is remembered */
    char value[LINE_MEMO_VALUE_BYTES], put[LINE_MEMO_PUT_BYTES];
};

/* As line_put_text and line_put_number. `memo` may be NULL. */
void line_put_text_again(struct line *line, struct line_memo *memo, const char *key, struct text value,
                         size_t most_bytes);
void line_put_number_again(struct line *line, struct line_memo *memo, const char *key, uint64_t value);

/* The second that the last line was of. Zeroed: of none. */
struct line_time_memo {
    uint64_t second;
    char put[LINE_TIME_BYTES];
};

/* As line_begin. `memo` may be NULL. */
void line_begin_again(struct line *line, struct line_time_memo *memo, enum log_format format, struct wall_time time,
                      char *out, size_t size);

#endif
