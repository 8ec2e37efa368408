/* The error log: one line per event, plain or JSON, to standard error. Thread-safe.
 *
 * Peers' strings are always passed through %s and escaped as a whole: every message is escaped when it
 * is written (control bytes, backslash and invalid UTF-8 become \xHH in plain lines, \u00HH in JSON), so
 * that no byte of a peer can forge a line. A line has at most 4096 bytes, a longer message is cut. A reader
 * that blocks never blocks us: lines that cannot be written at once are dropped and counted, and the count
 * is written before the first line for which there is room again. Writing to a closed pipe raises SIGPIPE
 * unless the program ignores it. */
#ifndef PORTHOLE_BASE_LOG_H
#define PORTHOLE_BASE_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"

enum log_level { LOG_LEVEL_ERROR, LOG_LEVEL_WARN, LOG_LEVEL_INFO, LOG_LEVEL_DEBUG };
enum log_format { LOG_FORMAT_PLAIN, LOG_FORMAT_JSON };

/* Call before threads start, and again on a reload. Until then: info, plain. */
void log_configure(enum log_level level, enum log_format format);
/* True when a message of this level would be written. */
bool log_wants(enum log_level level);
/* How people write them: by enum, NULL at the end. */
extern const char *const log_level_names[];
extern const char *const log_format_names[];

/* Writes one line: time, level, message. */
void log_write(enum log_level level, const char *format, ...) PRINTF_LIKE(2, 3);

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

/* Escapes n bytes of s for a JSON string (without the quotes) into out of `size` bytes, terminated, cut
 * at a whole escape where it does not fit. Valid UTF-8 stays, anything else becomes \u00HH. Returns the
 * length written. */
size_t log_escape(char *out, size_t size, const char *s, size_t n);

/* Opens a second description of an already open output so that O_NONBLOCK is ours alone; falls back to
 * a dup where that is not possible (a socket, or a pipe of another user). Returns a descriptor the caller
 * owns, or a negative errno. */
int log_open_output(int fd) WARN_UNUSED;

/* Writes one or more whole lines to an output with one write(2), without ever blocking, whichever kind of
 * descriptor log_open_output could give. At most 4096 bytes, so that a pipe takes all or nothing. Returns 0,
 * -EAGAIN when there is no room now, or another negative errno. */
int log_write_output(int fd, const char *lines, size_t n) WARN_UNUSED;

#endif
