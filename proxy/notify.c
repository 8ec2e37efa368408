#include "proxy/notify.h"

#include <errno.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "proxy/base/log.h"

#define MESSAGE_BYTES 512

/* ---- the environment ---- */

static const char *notify_variable(const char *name)
{
    return getenv(name); // NOLINT(concurrency-mt-unsafe): there is one thread
}

/* Digits only; 0 where there is no number. */
static uint64_t notify_number(const char *text)
{
    char *end = NULL;
    unsigned long long number;

    if (!text || text[0] < '0' || text[0] > '9')
        return 0;
    errno = 0;
    number = strtoull(text, &end, 10);
    return errno == 0 && *end == '\0' ? number : 0;
}

/* A path, or an abstract name behind an '@'. */
static bool notify_read_address(struct notify *notify, const char *text)
{
    size_t length = text ? strlen(text) : 0;

    if (length < 2 || length > sizeof(notify->address.sun_path) - 1 || (text[0] != '/' && text[0] != '@'))
        return false;
    notify->address.sun_family = AF_UNIX;
    memcpy(notify->address.sun_path, text, length);
    if (text[0] == '@')
        notify->address.sun_path[0] = '\0';
    notify->address_bytes = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (text[0] == '/'));
    return true;
}

/* sd_watchdog_enabled(3): without WATCHDOG_PID it is for whoever reads it. */
static uint64_t notify_read_watchdog(void)
{
    const char *pid = notify_variable("WATCHDOG_PID");

    if (pid && notify_number(pid) != (uint64_t)getpid())
        return 0;
    return notify_number(notify_variable("WATCHDOG_USEC"));
}

/* Now, while we may still reach it: a sandbox may keep us from that later. */
static bool notify_connect(const struct notify *notify)
{
    return connect(notify->fd, (const struct sockaddr *)&notify->address, notify->address_bytes) == 0;
}

void notify_init(struct notify *notify)
{
    static const char *const names[] = {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"};

    *notify = (struct notify)NOTIFY_INIT;
    if (notify_read_address(notify, notify_variable("NOTIFY_SOCKET")))
        notify->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (notify->fd >= 0) {
        notify->watchdog_us = notify_read_watchdog();
        if (!notify_connect(notify))
            LOG_EVENT(LOG_LEVEL_WARN, "the service manager cannot be told anything: trying on",
                      LOG_STRING("error", strerror(errno)));
    }
    for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
        unsetenv(names[i]); // NOLINT(concurrency-mt-unsafe): there is one thread
}

void notify_deinit(struct notify *notify)
{
    if (notify->fd >= 0)
        close(notify->fd);
    *notify = (struct notify)NOTIFY_INIT;
}

/* ---- telling ---- */

/* A manager that was started anew has another socket at its address. */
static void notify_send(const struct notify *notify, const char *format, ...) PRINTF_LIKE(2, 3);
static void notify_send(const struct notify *notify, const char *format, ...)
{
    char text[MESSAGE_BYTES];
    va_list arguments;
    int n;

    if (notify->fd < 0)
        return;
    va_start(arguments, format);
    n = vsnprintf(text, sizeof(text), format, arguments);
    va_end(arguments);
    if (n < 0 || (size_t)n >= sizeof(text))
        return;
    if (send(notify->fd, text, (size_t)n, MSG_NOSIGNAL) < 0 && errno != EAGAIN && notify_connect(notify) &&
        send(notify->fd, text, (size_t)n, MSG_NOSIGNAL) < 0)
        log_debug("the service manager does not hear: %s", strerror(errno));
}

void notify_ready(struct notify *notify, const char *status)
{
    notify_send(notify, "READY=1\nMAINPID=%ld\nSTATUS=%s", (long)getpid(), status);
}

/* Without the moment, Type=notify-reload (systemd 253) would take an earlier answer for that to its signal. */
void notify_reloading(struct notify *notify)
{
    struct timespec now = {0};

    clock_gettime(CLOCK_MONOTONIC, &now);
    notify_send(notify, "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading",
                (unsigned long long)now.tv_sec * 1000000 + (unsigned long long)now.tv_nsec / 1000);
}

void notify_stopping(struct notify *notify, const char *status)
{
    notify_send(notify, "STOPPING=1\nSTATUS=%s", status);
}

void notify_status(struct notify *notify, const char *status)
{
    notify_send(notify, "STATUS=%s", status);
}

void notify_watchdog(struct notify *notify)
{
    notify_send(notify, "WATCHDOG=1");
}
