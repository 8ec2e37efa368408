/* The error log: one line per event, plain or JSON, to standard error. Thread-safe.
 *
 * A line has a message and, where there is more to say than a sentence, fields (proxy/base/line.h). Peers' strings are
 * always passed through %s or as fields: both are escaped when they are written, so that no byte of a peer can forge a
 * line. A line has at most 4096 bytes, a longer message is cut. What cannot be written at once (a reader that blocks, a
 * full disk) never holds us up: lines are dropped and counted, and the count is written before the first line for which
 * there is room again. Writing to a closed pipe raises SIGPIPE unless the program ignores it. */
#ifndef PORTHOLE_BASE_LOG_H
#define PORTHOLE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"
#include "proxy/base/line.h"

#define LOG_LINE_BYTES 4096

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };

/* Call before threads start, and again on a reload. Until then: info, plain. */
void log_configure(enum log_level level, enum log_format format);
/* True when a message of this level would be written. */
bool log_wants(enum log_level level);
/* How people write them: by enum, NULL at the end. */
extern const char *const log_level_names[];
extern const char *const log_format_names[];

/* Writes one line: time, level, message. */
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

/* A key with its value; a text without data is left out. */
struct log_field {
    const char *key; /* needs no escapes */
    struct text text;
    uint64_t number;
    bool is_number;
};

#define LOG_TEXT(key, value) ((struct log_field){(key), (value), 0, false})
#define LOG_STRING(key, terminated) LOG_TEXT((key), text_of(terminated))
#define LOG_NUMBER(key, value) ((struct log_field){(key), {NULL, 0}, (value), true})

/* Writes one line: time, level, message, fields. */
void log_event(enum log_level level, const char *message, const struct log_field *fields, size_t n_fields);

#define LOG_EVENT(level, message, ...)                                     \
    log_event((level), (message), (const struct log_field[]){__VA_ARGS__}, \
              ARRAY_LENGTH(((const struct log_field[]){__VA_ARGS__})))

/* The same for a line whose fields another module puts: between the two, into .line. */
struct log_line {
    struct line line;
    char data[LOG_LINE_BYTES];
};

/* False when a message of this level would not be written: then the line is not to be used. */
bool log_begin(struct log_line *line, enum log_level level, const char *message) WARN_UNUSED;
void log_end(struct log_line *line);

/* How many lines have been dropped since the start. */
uint64_t log_dropped(void);

#define log_error(...) log_write(LOG_LEVEL_ERROR, __VA_ARGS__)
#define log_warn(...) log_write(LOG_LEVEL_WARN, __VA_ARGS__)
#define log_info(...) log_write(LOG_LEVEL_INFO, __VA_ARGS__)
#define log_debug(...)                               \
    do {                                             \
        if (log_wants(LOG_LEVEL_DEBUG))              \
            log_write(LOG_LEVEL_DEBUG, __VA_ARGS__); \
    } while (0)

#endif
