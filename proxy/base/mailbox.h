/* A mailbox: what other threads ask of a thread that has a loop.
 *
 *   another thread                         the owner
 *   mailbox_post(message) --- in order --> mailbox_take(), once per round of its loop
 *                              closed: the message is dropped
 *
 * A message is owned: by its sender until it is posted, then by the mailbox, then by who took it. What it carries
 * (memory, descriptors) goes with it: a message that nobody will take any more is dropped, which gives all of that
 * back. Who wants to know when it was done is told by a message back, or by a counter in the message. */
#ifndef PORTHOLE_BASE_MAILBOX_H
#define PORTHOLE_BASE_MAILBOX_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

#include "proxy/base/loop.h"

/* The beginning of a message; the rest is its kind's. Either allocated, or embedded in something that outlives the
 * mailbox and posted again only after it was taken. */
struct message {
    struct message *next;                  /* while in a mailbox */
    void (*drop)(struct message *message); /* gives back the message and all that it carries; by any thread */
    void (*run)(struct message *message);  /* what to do with it, by the owner's thread, instead of `drop`. NULL: the
                                              owner knows its kind */
};

/* Embedded in the owner; from mailbox_init to mailbox_deinit, which may be long after its thread has ended. */
struct mailbox {
    struct loop *loop;    /* borrowed: woken by a post */
    atomic_bool waiting;  /* a hint: something is in it */
    pthread_mutex_t lock; /* of what follows */
    struct message *first, **end;
    bool closed;
};

void mailbox_init(struct mailbox *mailbox, struct loop *loop);
/* Closes; nobody may post any more. Harmless on one of zeros. */
void mailbox_deinit(struct mailbox *mailbox);

/* Any thread, before and after the owner's life, too: takes the message over. It comes behind those posted before. */
void mailbox_post(struct mailbox *mailbox, struct message *message);
/* The owner's thread: the next message, which is the caller's now, or NULL. Without one it costs a look. */
struct message *mailbox_take(struct mailbox *mailbox);
/* Drops what is left, and whatever is posted from now on. Harmless twice, and on one of zeros. */
void mailbox_close(struct mailbox *mailbox);

#endif
