/* The access log: one line per exchange, plain or JSON. One writer per worker.
 *
 * Lines are gathered and written when the worker is about to sleep. A reader that blocks or a full disk never holds the
 * worker up: what cannot be written waits in the buffer, what finds that full is dropped, and the log says how many
 * lines, once there is room. */
#ifndef PORTHOLE_REPORT_ACCESS_LOG_H
#define PORTHOLE_REPORT_ACCESS_LOG_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/log.h"
#include "proxy/base/output.h"
#include "proxy/report/record.h"

#define ACCESS_LOG_BYTES 65536

struct access_log {
    struct output *output; /* a reference; shared by the workers */
    enum log_format format;
    size_t length;
    uint64_t n_dropped;
    char data[ACCESS_LOG_BYTES];
};

/* `to`: see output_open. NULL with the error set. */
struct access_log *access_log_new(const char *to, enum log_format format, struct error *error);
/* Flushes. Takes NULL. */
void access_log_free(struct access_log *log);
/* Its line there, and none in the error log. Takes NULL. */
void access_log_add(struct access_log *log, const struct record *record);
void access_log_flush(struct access_log *log);

/* Whether an outcome is worth a line: every one has its line in the access log (NULL: there is none), and what failed
 * has another in the error log, with the same fields: at error when it was our fault, at warn when it was the target's
 * or the rules refused it, at info when it was the client's. */
bool access_log_wants(const struct access_log *log, enum outcome outcome);
/* The line in the error log alone, whatever the outcome. */
void access_log_tell_error(const struct record *record);
/* Writes these lines. */
void access_log_report(struct access_log *log, const struct record *record);

#endif
