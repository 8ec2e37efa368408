/* Signals: which ones porthole takes, and what each asks for. Main thread. */
#ifndef PORTHOLE_SIGNALS_H
#define PORTHOLE_SIGNALS_H

#include "proxy/base/clock.h"
#include "proxy/base/error.h"
#include "proxy/base/loop.h"

struct signals;

/* What they ask for, but SIGUSR1, upon which log files are opened again; called from the loop that they are watched in.
 * `name` is the signal's, for logs, and static until the next signal. */
struct signals_host {
    void (*stop)(struct signals *signals, const char *name); /* SIGTERM, SIGINT, SIGQUIT; again: somebody means it */
    void (*reload)(struct signals *signals);                 /* SIGHUP */
};

/* Embedded. */
struct signals {
    const struct signals_host *host; /* borrowed */
    struct loop *loop;               /* borrowed */
    struct source source;
    int fd;                    /* owned, -1 */
    struct instant stop_heard; /* the last that was a wish of its own; 0: none was */
};

#define SIGNALS_INIT                    \
    {                                   \
        .source = SOURCE_INIT, .fd = -1 \
    }

/* Blocks them for the calling thread, and for threads that it starts later, and receives them in its loop from now on:
 * those above, those that would end the process without need, and SIGCHLD as the first process of a container. Writing
 * to a closed socket or to a full file is an error from now on, and no signal. 0 or a negative errno with the error
 * set. */
int signals_watch(struct signals *signals, struct loop *loop, const struct signals_host *host,
                  struct error *error) WARN_UNUSED;
/* They stay blocked. */
void signals_deinit(struct signals *signals);

#endif
