#include "proxy/report/access_log.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/request.h"
#include "proxy/http/trace.h"

/* Of a line: keys, numbers, time, level, outcome and its sentence; the id, whole; seven escaped texts, what is
 * offered and the version of TLS, cut; and the request-target, cut. */
#define OTHER_BYTES 896
#define ID_BYTES (2 * REQUEST_ID_MOST_BYTES + 1)
#define TEXT_BYTES 240
#define UPGRADE_BYTES 64
#define TLS_BYTES 16
#define TARGET_BYTES (LOG_LINE_BYTES - OTHER_BYTES - ID_BYTES - 7 * TEXT_BYTES - UPGRADE_BYTES - TLS_BYTES)

#define CONFESSION_BYTES 128

static struct text record_text(const struct record *record, enum log_field_id field)
{
    switch (field) {
    case LOG_FIELD_ID:
        return record->request_id;
    case LOG_FIELD_TRACE_ID:
        return record->trace.length > 0 ? trace_id(record->trace.data) : (struct text){NULL, 0};
    case LOG_FIELD_SPAN_ID:
        return record->trace.length > 0 ? trace_span(record->trace.data) : (struct text){NULL, 0};
    case LOG_FIELD_LISTENER:
        return record->listener;
    case LOG_FIELD_PEER:
        return record->peer;
    case LOG_FIELD_METHOD:
        return record->method;
    case LOG_FIELD_REQUEST:
        return record->target;
    case LOG_FIELD_UPGRADE:
        return record->upgrade;
    case LOG_FIELD_OUTCOME:
        return text_of(outcome_info(record->outcome)->name);
    case LOG_FIELD_REASON:
        return text_of(record->reason);
    case LOG_FIELD_ROUTE:
        return record->route;
    case LOG_FIELD_TARGET:
        return record->upstream;
    case LOG_FIELD_ENDPOINT:
        return record->endpoint;
    case LOG_FIELD_TLS:
        return text_of(tls_labels[record->tls]);
    default:
        return (struct text){NULL, 0};
    }
}

static uint64_t record_number(const struct record *record, enum log_field_id field)
{
    switch (field) {
    case LOG_FIELD_STATUS:
        return record->status;
    case LOG_FIELD_BYTES_IN:
        return record->received_bytes;
    case LOG_FIELD_BYTES_OUT:
        return record->sent_bytes;
    case LOG_FIELD_TOTAL_US:
        return record->total_us;
    case LOG_FIELD_RETRIES:
        return record->n_retries;
    case LOG_FIELD_QUEUE_MS:
        return record->queue_ms;
    case LOG_FIELD_HELD_MS:
        return record->held_ms;
    case LOG_FIELD_CONNECT_US:
        return (uint64_t)record->connect_us;
    default:
        return (uint64_t)record->first_byte_us;
    }
}

#define BIT(field) (1u << LOG_FIELD_##field)
#define RECORD_NUMBERS                                                                                            \
    (BIT(STATUS) | BIT(BYTES_IN) | BIT(BYTES_OUT) | BIT(TOTAL_US) | BIT(RETRIES) | BIT(QUEUE_MS) | BIT(HELD_MS) | \
     BIT(CONNECT_US) | BIT(FIRST_BYTE_US))
/* Those that every line has; the others where there is something to tell. */
#define RECORD_ALWAYS                                                                                                \
    (BIT(ID) | BIT(LISTENER) | BIT(PEER) | BIT(METHOD) | BIT(REQUEST) | BIT(STATUS) | BIT(OUTCOME) | BIT(BYTES_IN) | \
     BIT(BYTES_OUT) | BIT(TOTAL_US))

/* What line after line often says the same of. */
#define RECORD_REPEATS                                                                                                 \
    (BIT(LISTENER) | BIT(PEER) | BIT(METHOD) | BIT(REQUEST) | BIT(UPGRADE) | BIT(STATUS) | BIT(OUTCOME) | BIT(ROUTE) | \
     BIT(TARGET) | BIT(ENDPOINT) | BIT(TLS) | BIT(BYTES_IN) | BIT(BYTES_OUT))

static size_t record_most_bytes(enum log_field_id field)
{
    switch (field) {
    case LOG_FIELD_ID:
        return ID_BYTES;
    case LOG_FIELD_REQUEST:
        return TARGET_BYTES;
    case LOG_FIELD_TLS:
        return TLS_BYTES;
    case LOG_FIELD_UPGRADE:
        return UPGRADE_BYTES;
    default:
        return TEXT_BYTES;
    }
}

/* What an end has to say. */
static unsigned record_has(const struct record *record)
{
    unsigned has = RECORD_ALWAYS;

    has |= record->trace.length > 0 ? BIT(TRACE_ID) | BIT(SPAN_ID) : 0;
    has |= record->reason ? BIT(REASON) : 0;
    has |= record->route.length > 0 ? BIT(ROUTE) : 0;
    has |= record->upstream.length > 0 ? BIT(TARGET) : 0;
    has |= record->endpoint.length > 0 ? BIT(ENDPOINT) : 0;
    has |= record->tls > 0 ? BIT(TLS) : 0;
    has |= record->upgrade.length > 0 ? BIT(UPGRADE) : 0;
    has |= record->n_retries > 0 ? BIT(RETRIES) : 0;
    has |= record->queue_ms > 0 ? BIT(QUEUE_MS) : 0;
    has |= record->held_ms > 0 ? BIT(HELD_MS) : 0;
    has |= record->connect_us >= 0 ? BIT(CONNECT_US) : 0;
    return has | (record->first_byte_us >= 0 ? BIT(FIRST_BYTE_US) : 0);
}

/* The fields of an end, in the access log and in the error log. */
static void record_put(struct line *line, const struct record *record, unsigned fields, struct record_memo *memos)
{
    for (unsigned left = fields & record_has(record); left != 0; left &= left - 1) {
        enum log_field_id field = (enum log_field_id)__builtin_ctz(left);
        const char *name = log_field_names[field];
        struct line_memo *memo = memos && RECORD_REPEATS & 1u << field ? &memos->fields[field] : NULL;

        if (RECORD_NUMBERS & 1u << field)
            line_put_number_again(line, memo, name, record_number(record, field));
        else
            line_put_text_again(line, memo, name, record_text(record, field), record_most_bytes(field));
    }
}

void access_log_put(struct line *line, const struct record *record, struct record_memo *memo)
{
    record_put(line, record, LOG_FIELDS_ALL, memo);
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
    record_put(&line.line, record, LOG_FIELDS_ALL, NULL);
    if (record->untold > 0)
        line_put_number(&line.line, "untold", record->untold);
    log_end(&line);
}

/* ---- the access log ---- */

struct access_log *access_log_new(const char *to, enum log_format format, struct counter *dropped, struct error *error)
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
    log->choice = (struct log_choice){.fields = LOG_FIELDS_ALL, .sample = 1};
    log->n_unsampled = 0;
    log->takes = true;
    log->length = 0;
    log->n_dropped = 0;
    log->dropped = dropped;
    memset(&log->memo, 0, sizeof(log->memo));
    return log;
}

void access_log_choose(struct access_log *log, const struct log_choice *choice)
{
    if (!log)
        return;
    log->choice = *choice;
    log->n_unsampled = 0;
    log->takes = true;
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

    if (!log)
        return;
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

static void access_log_count_dropped(struct access_log *log, uint64_t n)
{
    if (log->dropped)
        counter_add(log->dropped, n);
}

/* Lines that nobody takes any more. */
static uint64_t access_log_n_left(const struct access_log *log)
{
    uint64_t n = 0;

    for (size_t i = 0; i < log->length; i++)
        n += log->data[i] == '\n';
    return n;
}

void access_log_free(struct access_log *log)
{
    if (!log)
        return;
    access_log_flush(log);
    access_log_flush(log); /* a confession */
    access_log_count_dropped(log, access_log_n_left(log));
    output_unref(log->output);
    free(log);
}

void access_log_add(struct access_log *log, const struct record *record)
{
    struct line line;

    if (!log || !log->takes)
        return;
    if (sizeof(log->data) - log->length < LOG_LINE_BYTES)
        access_log_flush(log);
    if (sizeof(log->data) - log->length < LOG_LINE_BYTES) {
        log->n_dropped++;
        access_log_count_dropped(log, 1);
        return;
    }
    line_begin_again(&line, &log->memo.time, log->format, record->time, log->data + log->length, LOG_LINE_BYTES);
    record_put(&line, record, log->choice.fields, &log->memo);
    log->length += line_end(&line);
}

/* The first has a line, then each that comes `sample` later. */
static bool access_log_takes(struct access_log *log, enum outcome outcome, unsigned status)
{
    if (outcome_info(outcome)->fault != FAULT_NONE || status >= 500)
        return true;
    if (log->choice.only == LOG_ONLY_FAILURES)
        return false;
    if (log->n_unsampled > 0) {
        log->n_unsampled--;
        return false;
    }
    log->n_unsampled = log->choice.sample - 1;
    return true;
}

bool access_log_wants(struct access_log *log, enum outcome outcome, unsigned status)
{
    if (log)
        log->takes = access_log_takes(log, outcome, status);
    return (log && log->takes) || failure_is_told(outcome);
}

void access_log_report(struct access_log *log, const struct record *record)
{
    access_log_add(log, record);
    if (failure_is_told(record->outcome))
        access_log_tell_error(record);
}
