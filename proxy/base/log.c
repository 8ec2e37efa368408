#include "proxy/base/log.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/clock.h"

/* A pipe takes up to this much in one piece, so lines of several threads never mix. */
#define LOG_LINE_BYTES 4096
#define LOG_MESSAGE_BYTES 3072
#define LOG_TIME_BYTES sizeof("2026-11-23T15:04:05.123Z")

static_assert(LOG_LINE_BYTES <= PIPE_BUF, "a line must be written in one piece");

/* Settings and counters of the process, shared by all threads. The descriptor is opened once and stays. */
static atomic_int log_level_now = LOG_LEVEL_INFO;
static atomic_int log_format_now = LOG_FORMAT_PLAIN;
static atomic_int log_fd = -1;             /* -1 until log_configure: standard error itself */
static atomic_uint_fast64_t log_n_dropped; /* since the start */
static atomic_uint_fast64_t log_n_told;    /* of these, how many the log has reported */

const char *const log_level_names[] = {
    [LOG_LEVEL_ERROR] = "error",
    [LOG_LEVEL_WARN] = "warn",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_DEBUG] = "debug",
    NULL,
};
const char *const log_format_names[] = {[LOG_FORMAT_PLAIN] = "plain", [LOG_FORMAT_JSON] = "json", NULL};

void log_configure(enum log_level level, enum log_format format)
{
    atomic_store(&log_level_now, (int)level);
    atomic_store(&log_format_now, (int)format);
    if (atomic_load(&log_fd) < 0) {
        int fd = log_open_output(STDERR_FILENO);

        atomic_store(&log_fd, fd < 0 ? -1 : fd);
    }
}

bool log_wants(enum log_level level)
{
    return (int)level <= atomic_load_explicit(&log_level_now, memory_order_relaxed);
}

/* The length of the valid UTF-8 sequence at s (RFC 3629 4), 0 when there is none. */
static size_t log_utf8_length(const unsigned char *s, size_t n)
{
    size_t length = s[0] < 0x80 ? 1 : s[0] < 0xc2 ? 0 : s[0] < 0xe0 ? 2 : s[0] < 0xf0 ? 3 : s[0] < 0xf5 ? 4 : 0;

    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    /* Overlong forms, surrogates, and what lies beyond U+10FFFF. */
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

/* C0, DEL, and C1 (two bytes in UTF-8), which terminals obey too. */
static bool log_is_control(const unsigned char *s, size_t length)
{
    return s[0] < 0x20 || s[0] == 0x7f || (length == 2 && s[0] == 0xc2 && s[1] < 0xa0);
}

static unsigned log_code_point(const unsigned char *s, size_t length)
{
    if (length == 2)
        return (unsigned)(s[0] & 0x1f) << 6 | (s[1] & 0x3f);
    if (length == 3)
        return (unsigned)(s[0] & 0x0f) << 12 | (unsigned)(s[1] & 0x3f) << 6 | (s[2] & 0x3f);
    return s[0];
}

/* Line and paragraph separator, at which many readers end a line, and what turns the direction of writing. */
static bool log_is_layout(unsigned code_point)
{
    return (code_point >= 0x2028 && code_point <= 0x202e) || (code_point >= 0x2066 && code_point <= 0x2069) ||
           code_point == 0x200e || code_point == 0x200f || code_point == 0xfeff;
}

/* Escapes one character, of `length` bytes when it is UTF-8, else one byte (0). Returns the escape's length. */
static size_t log_escape_one(char out[8], const unsigned char *s, size_t length, enum log_format format)
{
    bool quoted = s[0] == '\\' || (s[0] == '"' && format == LOG_FORMAT_JSON);
    unsigned code_point = log_code_point(s, length);

    if (length == 3 && log_is_layout(code_point))
        return (size_t)snprintf(out, 8, "\\u%04x", code_point);
    if (length > 0 && !quoted && !log_is_control(s, length)) {
        memcpy(out, s, length);
        return length;
    }
    if (quoted && format == LOG_FORMAT_JSON)
        return (size_t)snprintf(out, 8, "\\%c", s[0]);
    if (format == LOG_FORMAT_JSON)
        return (size_t)snprintf(out, 8, "\\u00%02x", length == 2 ? s[1] : s[0]);
    return (size_t)snprintf(out, 8, "\\x%02x", length == 2 ? s[1] : s[0]);
}

static size_t log_escape_as(char *out, size_t size, const char *s, size_t n, enum log_format format)
{
    const unsigned char *bytes = (const unsigned char *)s;
    size_t used = 0;

    if (size == 0)
        return 0;
    for (size_t i = 0; i < n;) {
        size_t length = log_utf8_length(bytes + i, n - i);
        char escaped[8];
        size_t n_escaped = log_escape_one(escaped, bytes + i, length, format);

        if (n_escaped >= size - used)
            break;
        memcpy(out + used, escaped, n_escaped);
        used += n_escaped;
        i += length > 0 ? length : 1;
    }
    out[used] = '\0';
    return used;
}

size_t log_escape(char *out, size_t size, const char *s, size_t n)
{
    return log_escape_as(out, size, s, n, LOG_FORMAT_JSON);
}

static void log_format_time(char out[LOG_TIME_BYTES])
{
    uint64_t ms = wall_time_now().ns / 1000000;
    time_t seconds = (time_t)(ms / 1000);
    struct tm tm;

    gmtime_r(&seconds, &tm);
    strftime(out, LOG_TIME_BYTES, "%Y-%m-%dT%H:%M:%S", &tm);
    snprintf(out + strlen("2026-11-23T15:04:05"), sizeof(".123Z"), ".%03uZ", (unsigned)(ms % 1000));
}

int log_open_output(int fd)
{
    char path[sizeof("/proc/self/fd/-2147483648")];
    int opened;

    snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
    opened = open(path, O_WRONLY | O_APPEND | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
    if (opened < 0)
        opened = fcntl(fd, F_DUPFD_CLOEXEC, 3);
    return opened < 0 ? -errno : opened;
}

int log_write_output(int fd, const char *lines, size_t n)
{
    struct pollfd room = {.fd = fd, .events = POLLOUT};

    /* A description that others share must not become non-blocking for them, so ask first: with room for
     * anything a pipe has room for a page. */
    if (poll(&room, 1, 0) == 0)
        return -EAGAIN;
    return write(fd, lines, n) < 0 ? -errno : 0;
}

/* Makes a line of the message and writes it. 0 or a negative errno. */
static int log_put(enum log_level level, const char *message)
{
    enum log_format format = (enum log_format)atomic_load_explicit(&log_format_now, memory_order_relaxed);
    const char *end = format == LOG_FORMAT_JSON ? "\"}\n" : "\n";
    int fd = atomic_load(&log_fd);
    char time[LOG_TIME_BYTES];
    char line[LOG_LINE_BYTES];
    size_t used;

    log_format_time(time);
    used = (size_t)snprintf(line, sizeof(line),
                            format == LOG_FORMAT_JSON ? "{\"time\":\"%s\",\"level\":\"%s\",\"message\":\"" : "%s %s ",
                            time, log_level_names[level]);
    used += log_escape_as(line + used, sizeof(line) - used - strlen(end), message, strlen(message), format);
    memcpy(line + used, end, strlen(end));
    return log_write_output(fd < 0 ? STDERR_FILENO : fd, line, used + strlen(end));
}

/* Tells how many lines were dropped since it was last told. False when there is no room for that either. */
static bool log_tell_dropped(void)
{
    uint_fast64_t dropped = atomic_load(&log_n_dropped);
    uint_fast64_t told = atomic_load(&log_n_told);
    char message[64];

    /* One thread wins and tells; it takes its claim back when it could not. */
    if (dropped <= told || !atomic_compare_exchange_strong(&log_n_told, &told, dropped))
        return true;
    snprintf(message, sizeof(message), "%llu log lines were dropped", (unsigned long long)(dropped - told));
    if (log_put(LOG_LEVEL_WARN, message) == 0)
        return true;
    atomic_fetch_sub(&log_n_told, dropped - told);
    return false;
}

void log_write(enum log_level level, const char *format, ...)
{
    int saved_errno = errno;
    char message[LOG_MESSAGE_BYTES];
    va_list args;

    if (!log_wants(level))
        return;
    va_start(args, format);
    vsnprintf(message, sizeof(message), format, args);
    va_end(args);
    if (!log_tell_dropped() || log_put(level, message) < 0)
        atomic_fetch_add(&log_n_dropped, 1);
    errno = saved_errno;
}

uint64_t log_dropped(void)
{
    return atomic_load(&log_n_dropped);
}
