/* The pulse: whether the loops of all workers go round. Each is asked through its mailbox, and answers in its next
 * round; one that hangs does not. Main thread.
 *
 * With it the service manager learns that porthole serves, once all have answered for the first time, and then, if it
 * has a watchdog, that it still does: twice in the watchdog's time, as long as all of them answer. */
#ifndef PORTHOLE_PULSE_H
#define PORTHOLE_PULSE_H

#include <stdatomic.h>

#include "proxy/base/loop.h"
#include "proxy/base/mailbox.h"
#include "proxy/notify.h"

/* One worker's. */
struct pulse_beat {
    struct message message;  /* in the mailbox while `asked` */
    atomic_bool asked;       /* and not answered yet */
    atomic_bool gone;        /* nobody takes it any more */
    struct mailbox *mailbox; /* borrowed: the worker's */
};

/* Embedded; from before the mailboxes' owners start until they have been freed. */
struct pulse {
    struct notify *notify;    /* borrowed */
    struct loop *loop;        /* borrowed */
    struct pulse_beat *beats; /* owned; NULL: nobody wants to know */
    size_t n_beats, n_made;
    const char *status; /* borrowed; for the first time */
    bool ready, ending;
    struct timer timer;
};

/* For so many workers, unless the manager does not want to know. 0 or -ENOMEM. */
int pulse_init(struct pulse *pulse, struct loop *loop, struct notify *notify, size_t n_workers) WARN_UNUSED;
void pulse_add(struct pulse *pulse, struct mailbox *mailbox);
/* Their threads have been started. `status` is told when all of them serve. */
void pulse_start(struct pulse *pulse, const char *status);
/* From now on workers end, and need not answer any more. */
void pulse_end(struct pulse *pulse);
/* When no worker has a mailbox any more. Takes one of zeros. */
void pulse_deinit(struct pulse *pulse);

#endif
