#include "proxy/report/access_log.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/http/request.h"

/* What a pipe takes in one piece (PIPE_BUF), so that lines of several writers never mix. */
#define LINE_BYTES 4096
/* Of that: keys, numbers, time and outcome; the id, whole; six escaped texts, cut; and the request-target, cut. */
#define OTHER_BYTES 640
#define ID_BYTES (2 * REQUEST_ID_MOST_BYTES + 1)
#define TEXT_BYTES 240
#define TARGET_BYTES (LINE_BYTES - OTHER_BYTES - ID_BYTES - 6 * TEXT_BYTES)

/* A line being written: never more than size - 1 bytes, so that there is always room for a newline. */
struct line {
    char *out;
    size_t size, length;
    bool json;
};

static void line_put(struct line *line, const char *s, size_t n)
{
    if (n > line->size - 1 - line->length)
        n = line->size - 1 - line->length;
    memcpy(line->out + line->length, s, n);
    line->length += n;
}

static void line_key(struct line *line, const char *key)
{
    if (line->json) {
        line_put(line, line->length > 1 ? ",\"" : "\"", line->length > 1 ? 2 : 1);
        line_put(line, key, strlen(key));
        line_put(line, "\":", 2);
    } else {
        line_put(line, " ", 1);
        line_put(line, key, strlen(key));
        line_put(line, "=", 1);
    }
}

static void line_quoted(struct line *line, struct text value, size_t most_bytes)
{
    char escaped[TARGET_BYTES];
    size_t n = log_escape(escaped, most_bytes, value.data ? value.data : "", value.length);

    line_put(line, "\"", 1);
    line_put(line, escaped, n);
    line_put(line, "\"", 1);
}

static void line_text(struct line *line, const char *key, struct text value)
{
    line_key(line, key);
    line_quoted(line, value, TEXT_BYTES);
}

static void line_number(struct line *line, const char *key, uint64_t value)
{
    char digits[24];
    int n = snprintf(digits, sizeof(digits), "%" PRIu64, value);

    line_key(line, key);
    line_put(line, digits, (size_t)n);
}

static void line_time(struct line *line, struct wall_time at)
{
    time_t seconds = (time_t)(at.ns / 1000000000u);
    char text[48];
    struct tm tm;
    size_t n;

    gmtime_r(&seconds, &tm);
    n = strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%S", &tm);
    n += (size_t)snprintf(text + n, sizeof(text) - n, ".%03uZ", (unsigned)(at.ns / 1000000u % 1000u));
    if (line->json)
        line_text(line, "time", (struct text){text, n});
    else
        line_put(line, text, n);
}

static void line_record(struct line *line, const struct record *record)
{
    line_key(line, "id");
    line_quoted(line, record->request_id, ID_BYTES);
    line_text(line, "listener", record->listener);
    line_text(line, "peer", record->peer);
    line_text(line, "method", record->method);
    line_key(line, "request");
    line_quoted(line, record->target, TARGET_BYTES);
    line_number(line, "status", record->status);
    line_text(line, "outcome", text_of(outcome_info(record->outcome)->name));
    if (record->reason)
        line_text(line, "reason", text_of(record->reason));
    if (record->route.length)
        line_text(line, "route", record->route);
    if (record->upstream.length)
        line_text(line, "target", record->upstream);
    line_number(line, "bytes_in", record->received_bytes);
    line_number(line, "bytes_out", record->sent_bytes);
    line_number(line, "total_us", record->total_us);
    if (record->connect_us >= 0)
        line_number(line, "connect_us", (uint64_t)record->connect_us);
    if (record->first_byte_us >= 0)
        line_number(line, "first_byte_us", (uint64_t)record->first_byte_us);
}

void access_record_log(enum log_level level, const struct record *record)
{
    log_write(level, "%s: %.*s %.*s from %.*s on %.*s, target %.*s%s%s, status %u, id %.*s",
              outcome_info(record->outcome)->name, (int)record->method.length,
              record->method.data ? record->method.data : "", (int)record->target.length, record->target.data,
              (int)record->peer.length, record->peer.data, (int)record->listener.length, record->listener.data,
              record->upstream.length ? (int)record->upstream.length : 1,
              record->upstream.length ? record->upstream.data : "-", record->reason ? ": " : "",
              record->reason ? record->reason : "", record->status, (int)record->request_id.length,
              record->request_id.data ? record->request_id.data : "");
}

static enum log_level access_level(enum outcome outcome)
{
    return outcome_info(outcome)->fault == FAULT_CLIENT ? LOG_LEVEL_INFO : LOG_LEVEL_WARN;
}

static size_t access_record_format(const struct record *record, enum log_format format, char *out, size_t size)
{
    struct line line = {.out = out, .size = size, .json = format == LOG_FORMAT_JSON};

    if (line.json)
        line_put(&line, "{", 1);
    line_time(&line, record->time);
    line_record(&line, record);
    if (line.json)
        line_put(&line, "}", 1);
    out[line.length] = '\0';
    return line.length;
}

static int access_log_open(const char *to)
{
    int fd;

    if (strcmp(to, "stdout") == 0)
        return log_open_output(STDOUT_FILENO);
    if (strcmp(to, "stderr") == 0)
        return log_open_output(STDERR_FILENO);
    fd = open(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC | O_NONBLOCK | O_NOCTTY, 0640);
    return fd < 0 ? -errno : fd;
}

struct access_log *access_log_new(const char *to, enum log_format format, struct error *error)
{
    struct access_log *log = malloc(sizeof(*log));
    int fd;

    if (!log) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    fd = access_log_open(to);
    if (fd < 0) {
        error_set(error, fd, "cannot open the access log %s: %s", to, strerror(-fd));
        free(log);
        return NULL;
    }
    log->fd = fd;
    log->format = format;
    log->length = 0;
    log->n_dropped = 0;
    return log;
}

/* Says that lines are missing, once there is room again. */
static void access_log_confess(struct access_log *log)
{
    struct line line = {.out = log->data + log->length,
                        .size = sizeof(log->data) - log->length,
                        .json = log->format == LOG_FORMAT_JSON};

    if (log->n_dropped == 0 || line.size < 128)
        return;
    if (line.json)
        line_put(&line, "{", 1);
    line_time(&line, wall_time_now());
    line_number(&line, "dropped_lines", log->n_dropped);
    line_put(&line, line.json ? "}\n" : "\n", line.json ? 2 : 1);
    log->length += line.length;
    log->n_dropped = 0;
}

/* How much of `lines` is whole lines that fit one write. */
static size_t access_log_whole_lines(const char *lines, size_t length)
{
    const char *end = memrchr(lines, '\n', length < LINE_BYTES ? length : LINE_BYTES);

    return end ? (size_t)(end - lines) + 1 : length;
}

void access_log_flush(struct access_log *log)
{
    size_t done = 0;

    while (done < log->length) {
        size_t n = access_log_whole_lines(log->data + done, log->length - done);
        int r = log_write_output(log->fd, log->data + done, n);

        if (r == -EAGAIN || r == -EINTR)
            break;
        /* Any other failure (a full disk, a reader that left) loses these lines; the proxy goes on. */
        done += n;
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
    close(log->fd);
    free(log);
}

void access_log_add(struct access_log *log, const struct record *record)
{
    size_t n;

    if (sizeof(log->data) - log->length < LINE_BYTES)
        access_log_flush(log);
    if (sizeof(log->data) - log->length < LINE_BYTES) {
        log->n_dropped++;
        return;
    }
    n = access_record_format(record, log->format, log->data + log->length, LINE_BYTES);
    log->data[log->length + n] = '\n';
    log->length += n + 1;
}

bool access_log_wants(const struct access_log *log, enum outcome outcome)
{
    return log || (outcome_info(outcome)->fault != FAULT_NONE && log_wants(access_level(outcome)));
}

void access_log_report(struct access_log *log, const struct record *record)
{
    if (!access_log_wants(log, record->outcome))
        return;
    if (log)
        access_log_add(log, record);
    else
        access_record_log(access_level(record->outcome), record);
}
