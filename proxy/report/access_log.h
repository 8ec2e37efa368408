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

#include "config/log_fields.h"
#include "proxy/base/line_memo.h"
#include "proxy/base/log.h"
#include "proxy/base/output.h"
#include "proxy/report/metrics.h"
#include "proxy/report/record.h"

#define ACCESS_LOG_BYTES 65536

/* What the lines before said, for each field that tends to stay the same. Zeroed: nothing. */
struct record_memo {
    struct line_time_memo time;
    struct line_memo fields[N_LOG_FIELDS];
};

struct access_log {
    struct output *output; /* a reference; shared by the workers */
    enum log_format format;
    struct log_choice choice;
    uint32_t n_unsampled; /* of what does not fail, the next so many have no line */
    bool takes;           /* the end that access_log_wants was asked of last has a line */
    size_t length;
    uint64_t n_dropped;      /* that it has not told of */
    struct counter *dropped; /* borrowed; all that were, in this log and others; NULL: they are not counted */
    struct record_memo memo;
    char data[ACCESS_LOG_BYTES];
};

/* `to`: see output_open. Lines that are lost count in `dropped`, which may be NULL. NULL with the error set. */
struct access_log *access_log_new(const char *to, enum log_format format, struct counter *dropped, struct error *error);
/* What it tells from now on; at first everything of everybody. Takes NULL. */
void access_log_choose(struct access_log *log, const struct log_choice *choice);
/* Flushes. Takes NULL. */
void access_log_free(struct access_log *log);
/* Its line there, if it has one, and none in the error log. Takes NULL. */
void access_log_add(struct access_log *log, const struct record *record);
/* Takes NULL. */
void access_log_flush(struct access_log *log);

/* Whether an end is worth a line, to be asked once of each: the access log (NULL: there is none) has one for those that
 * were chosen, and what failed has another in the error log, with all fields: at error when it was our fault, at warn
 * when it was the target's or the rules refused it, at info when it was the client's. `status`: as a record's. */
bool access_log_wants(struct access_log *log, enum outcome outcome, unsigned status);
/* Puts the fields of an end into a line, all of them. `memo`, of this log's lines, may be NULL. */
void access_log_put(struct line *line, const struct record *record, struct record_memo *memo);
/* The line in the error log alone, whatever the outcome. */
void access_log_tell_error(const struct record *record);
/* Writes these lines. */
void access_log_report(struct access_log *log, const struct record *record);

#endif
