#include "proxy/base/log.h"

#include <assert.h>
#include <errno.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/output.h"

#define LOG_MESSAGE_BYTES 3072

static_assert(LOG_LINE_BYTES <= OUTPUT_WRITE_BYTES, "a line must be written in one piece");

/* Settings and counters of the process, shared by all threads. The output is opened once and stays. */
static atomic_int log_level_now = LOG_LEVEL_INFO;
static atomic_int log_format_now = LOG_FORMAT_PLAIN;
static struct output *_Atomic log_output;  /* NULL until log_configure: standard error itself */
static atomic_uint_fast64_t log_n_dropped; /* since the start */
static atomic_uint_fast64_t log_n_told;    /* of these, how many the log has reported */

void log_configure(enum log_level level, enum log_format format)
{
    struct output *output = NULL;

    atomic_store(&log_level_now, (int)level);
    atomic_store(&log_format_now, (int)format);
    if (!atomic_load(&log_output) && output_open("stderr", &output) == 0)
        atomic_store(&log_output, output);
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

const char *const log_level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
    NULL,
};
const char *const log_format_names[] = {[LOG_FORMAT_PLAIN] = "plain", [LOG_FORMAT_JSON] = "json", NULL};

static void log_line_begin(struct log_line *line, enum log_level level, struct text message)
{
    enum log_format format = (enum log_format)atomic_load_explicit(&log_format_now, memory_order_relaxed);

    line_begin(&line->line, format, wall_time_now(), line->data, sizeof(line->data));
    line_put_message(&line->line, log_level_names[level], message);
}

/* 0 or a negative errno. */
static int log_put(struct log_line *line)
{
    struct output *output = atomic_load(&log_output);
    size_t n = line_end(&line->line);
    ssize_t taken = output ? output_write(output, line->data, n) : write(STDERR_FILENO, line->data, n);

    return taken < 0 ? (int)taken : 0;
}

/* Tells how many lines were dropped since it was last told. False when there is no room for that either. */
static bool log_tell_dropped(void)
{
    uint_fast64_t dropped = atomic_load(&log_n_dropped);
    uint_fast64_t told = atomic_load(&log_n_told);
    struct log_line line;

    /* One thread wins and tells; it takes its claim back when it could not. */
    if (dropped <= told || !atomic_compare_exchange_strong(&log_n_told, &told, dropped))
        return true;
    log_line_begin(&line, LOG_LEVEL_WARN, TEXT_LITERAL("log lines were dropped"));
    line_put_number(&line.line, "dropped_lines", dropped - told);
    if (log_put(&line) == 0)
        return true;
    atomic_fetch_sub(&log_n_told, dropped - told);
    return false;
}

bool log_begin(struct log_line *line, enum log_level level, const char *message)
{
    if (!log_wants(level))
        return false;
    log_line_begin(line, level, text_of(message));
    return true;
}

void log_end(struct log_line *line)
{
    int saved_errno = errno;

    if (!log_tell_dropped() || log_put(line) < 0)
        atomic_fetch_add(&log_n_dropped, 1);
    errno = saved_errno;
}

void log_event(enum log_level level, const char *message, const struct log_field *fields, size_t n_fields)
{
    struct log_line line;

    if (!log_begin(&line, level, message))
        return;
    for (size_t i = 0; i < n_fields; i++) {
        if (fields[i].is_number)
            line_put_number(&line.line, fields[i].key, fields[i].number);
        else if (fields[i].text.data)
            line_put_text(&line.line, fields[i].key, fields[i].text, SIZE_MAX);
    }
    log_end(&line);
}

void log_write(enum log_level level, const char *format, ...)
{
    int saved_errno = errno;
    char message[LOG_MESSAGE_BYTES];
    struct log_line line;
    va_list args;

    if (!log_wants(level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    errno = saved_errno;
    if (log_begin(&line, level, message))
        log_end(&line);
}

uint64_t log_dropped(void)
{
    return atomic_load(&log_n_dropped);
}
