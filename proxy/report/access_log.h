/* The access log: one line per exchange, plain or JSON. One writer per worker; the descriptor is shared.
 *
 * Lines are gathered and written when the worker is about to sleep. A reader that blocks never blocks the worker:
 * what cannot be written when the buffer is full is dropped, and the log says how many lines. */
#ifndef PORTHOLE_REPORT_ACCESS_LOG_H
#define PORTHOLE_REPORT_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/log.h"
#include "proxy/report/record.h"

#define ACCESS_LOG_BYTES 65536

struct access_log {
    int fd; /* owned */
    enum log_format format;
    size_t length;
    uint64_t n_dropped;
    char data[ACCESS_LOG_BYTES];
};

/* Opens "stdout", "stderr" or a file for appending. NULL with the error set. */
struct access_log *access_log_new(const char *to, enum log_format format, struct error *error);
/* Flushes. Takes NULL. */
void access_log_free(struct access_log *log);
void access_log_add(struct access_log *log, const struct record *record);
void access_log_flush(struct access_log *log);

/* One sentence about an exchange in the error log. */
void access_record_log(enum log_level level, const struct record *record);

/* With an access log every exchange has its line there; without one (NULL), those that failed have theirs in the error
 * log. Whether an outcome is worth a line, and its writing. */
bool access_log_wants(const struct access_log *log, enum outcome outcome);
void access_log_report(struct access_log *log, const struct record *record);

#endif
