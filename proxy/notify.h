/* What porthole tells a service manager: sd_notify(3), without its library. Main thread.
 *
 * Whatever fails here is nobody's concern: porthole serves, heard or not. */
#ifndef PORTHOLE_NOTIFY_H
#define PORTHOLE_NOTIFY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/un.h>

/* Embedded. */
struct notify {
    int fd; /* owned; connected while it can be; -1: nobody wants to know */
    struct sockaddr_un address;
    socklen_t address_bytes;
    uint64_t watchdog_us; /* how often the manager wants a sign of life; 0: it does not */
};

#define NOTIFY_INIT \
    {               \
        .fd = -1    \
    }

/* Reads what the manager has left in the environment, and takes it away: whatever is started by us is another's. Before
 * other threads start. */
void notify_init(struct notify *notify);
void notify_deinit(struct notify *notify);

static inline bool notify_is_wanted(const struct notify *notify)
{
    return notify->fd >= 0;
}

/* Everything is published and served: after the start, and after each reload. `status` is a line for people. */
void notify_ready(struct notify *notify, const char *status);
/* A reload begins; its end is told by notify_ready, whether anything has changed or not. */
void notify_reloading(struct notify *notify);
void notify_stopping(struct notify *notify, const char *status);
void notify_status(struct notify *notify, const char *status);
/* A sign of life. */
void notify_watchdog(struct notify *notify);

#endif
