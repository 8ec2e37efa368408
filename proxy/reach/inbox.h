/* An inbox: what other threads have for one worker's targets. Places that were given to somebody who waits in this
 * worker, and targets to look at, because something that all workers share has changed.
 *
 * Links of two lists; whoever puts one in wakes the worker, once. The worker takes them out in its own time. */
#ifndef PORTHOLE_REACH_INBOX_H
#define PORTHOLE_REACH_INBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "proxy/base/list.h"

enum inbox_kind {
    INBOX_PLACES,  /* struct place, by link */
    INBOX_TARGETS, /* struct commons_desk, by link */
    N_INBOX_KINDS
};

/* One worker's. Outlives every target; others may put something in until all workers have been joined. */
struct inbox {
    pthread_mutex_t lock; /* of the lists */
    struct list lists[N_INBOX_KINDS];
    atomic_bool told;          /* and has not looked since */
    void (*fn)(void *closure); /* tells the worker; by any thread */
    void *closure;
};

void inbox_init(struct inbox *inbox);
/* Before the first thread: how its worker is told. Without this it is not: of a worker that is alone. */
void inbox_listen(struct inbox *inbox, void (*fn)(void *closure), void *closure);
/* Both lists are empty. */
void inbox_deinit(struct inbox *inbox);

/* Any thread: puts a link in, unless it is there, and tells the worker. Not when *is_open is false (NULL: it is true).
 */
void inbox_put(struct inbox *inbox, enum inbox_kind kind, struct list *link, const bool *is_open);
/* The worker's thread: is about to look; what comes from now on is told again. */
void inbox_open(struct inbox *inbox);
/* The worker's thread: the first link, taken out; NULL when there is none. */
struct list *inbox_take(struct inbox *inbox, enum inbox_kind kind);
/* The worker's thread: something may be put in from now on; and not any more, and what is in comes out. */
void inbox_admit(struct inbox *inbox, bool *is_open);
void inbox_shut(struct inbox *inbox, bool *is_open, struct list *link);
/* The worker's thread: takes a link out, if it is in. */
void inbox_forget(struct inbox *inbox, struct list *link);

#endif
