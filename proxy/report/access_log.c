#include "proxy/report/access_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/request.h"

/* Of a line: keys, numbers, time, level, outcome and its sentence; the id, whole; seven escaped texts, cut; and the
 * request-target, cut. */
#define OTHER_BYTES 768
#define ID_BYTES (2 * REQUEST_ID_MOST_BYTES + 1)
#define TEXT_BYTES 240
#define TARGET_BYTES (LOG_LINE_BYTES - OTHER_BYTES - ID_BYTES - 7 * TEXT_BYTES)

#define CONFESSION_BYTES 128

static void record_put_some(struct line *line, const char *key, struct text value)
{
    if (value.length > 0)
        line_put_text(line, key, value, TEXT_BYTES);
}

/* The fields of an end, in the access log and in the error log. */
static void record_put(struct line *line, const struct record *record)
{
    line_put_text(line, "id", record->request_id, ID_BYTES);
    line_put_text(line, "listener", record->listener, TEXT_BYTES);
    line_put_text(line, "peer", record->peer, TEXT_BYTES);
    line_put_text(line, "method", record->method, TEXT_BYTES);
    line_put_text(line, "request", record->target, TARGET_BYTES);
    line_put_number(line, "status", record->status);
    line_put_text(line, "outcome", text_of(outcome_info(record->outcome)->name), TEXT_BYTES);
    record_put_some(line, "reason", text_of(record->reason));
    record_put_some(line, "route", record->route);
    record_put_some(line, "target", record->upstream);
    record_put_some(line, "endpoint", record->endpoint);
    line_put_number(line, "bytes_in", record->received_bytes);
    line_put_number(line, "bytes_out", record->sent_bytes);
    line_put_number(line, "total_us", record->total_us);
    if (record->n_retries > 0)
        line_put_number(line, "retries", record->n_retries);
    if (record->connect_us >= 0)
        line_put_number(line, "connect_us", (uint64_t)record->connect_us);
    if (record->first_byte_us >= 0)
        line_put_number(line, "first_byte_us", (uint64_t)record->first_byte_us);
}

/* ---- the error log ---- */

static enum log_level failure_level(enum outcome outcome)
{
    switch (outcome_info(outcome)->fault) {
    case FAULT_CLIENT:
        return LOG_LEVEL_INFO;
    case FAULT_SELF:
        return outcome == OUTCOME_STOPPED ? LOG_LEVEL_WARN : LOG_LEVEL_ERROR;
    default:
        return LOG_LEVEL_WARN;
    }
}

static bool failure_is_told(enum outcome outcome)
{
    return outcome_info(outcome)->fault != FAULT_NONE && log_wants(failure_level(outcome));
}

void access_log_tell_error(const struct record *record)
{
    struct log_line line;

    if (!log_begin(&line, failure_level(record->outcome), outcome_info(record->outcome)->sentence))
        return;
    record_put(&line.line, record);
    if (record->untold > 0)
        line_put_number(&line.line, "untold", record->untold);
    log_end(&line);
}

/* ---- the access log ---- */

struct access_log *access_log_new(const char *to, enum log_format format, struct error *error)
{
    struct access_log *log = malloc(sizeof(*log));
    int r;

    if (!log) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    r = output_open(to, &log->output);
    if (r < 0) {
        error_set(error, r, "cannot open the access log %s: %s", to, output_explain(r));
        free(log);
        return NULL;
    }
    log->format = format;
    log->length = 0;
    log->n_dropped = 0;
    return log;
}

/* Says that lines are missing, once there is room again. */
static void access_log_confess(struct access_log *log)
{
    struct line line;

    if (log->n_dropped == 0 || sizeof(log->data) - log->length < CONFESSION_BYTES)
        return;
    line_begin(&line, log->format, wall_time_now(), log->data + log->length, CONFESSION_BYTES);
    line_put_number(&line, "dropped_lines", log->n_dropped);
    log->length += line_end(&line);
    log->n_dropped = 0;
}

/* How much of `lines` is whole lines that fit one write. */
static size_t access_log_whole_lines(const char *lines, size_t length)
{
    const char *end = memrchr(lines, '\n', length < OUTPUT_WRITE_BYTES ? length : OUTPUT_WRITE_BYTES);

    return (size_t)(end - lines) + 1;
}

/* Whatever keeps lines from being written (a full pipe, a full disk, a reader that left), they wait for better times,
 * and what finds no room behind them is dropped. */
void access_log_flush(struct access_log *log)
{
    size_t done = 0;

    while (done < log->length) {
        size_t n = access_log_whole_lines(log->data + done, log->length - done);
        ssize_t taken = output_write(log->output, log->data + done, n);

        if (taken < 0)
            break;
        done += (size_t)taken;
    }
    log->length -= done;
    memmove(log->data, log->data + done, log->length);
    if (done > 0)
        access_log_confess(log);
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    access_log_flush(log);
    access_log_flush(log); /* a confession */
    output_unref(log->output);
    free(log);
}

void access_log_add(struct access_log *log, const struct record *record)
{
    struct line line;

    if (!log)
        return;
    if (sizeof(log->data) - log->length < LOG_LINE_BYTES)
        access_log_flush(log);
    if (sizeof(log->data) - log->length < LOG_LINE_BYTES) {
        log->n_dropped++;
        return;
    }
    line_begin(&line, log->format, record->time, log->data + log->length, LOG_LINE_BYTES);
    record_put(&line, record);
    log->length += line_end(&line);
}

bool access_log_wants(const struct access_log *log, enum outcome outcome)
{
    return log || failure_is_told(outcome);
}

void access_log_report(struct access_log *log, const struct record *record)
{
    access_log_add(log, record);
    if (failure_is_told(record->outcome))
        access_log_tell_error(record);
}
