/* Holding: exchanges whose target is not there wait for it to appear.
 *
 *   hold            one target's, in one worker
 *     hold_guest    one that waits, until its time is over
 *
 * One guest at a time goes to see: when a lookout tells that something has changed, and now and then in any case. When
 * somebody has found the target there, all go. */
#ifndef PORTHOLE_REACH_HOLD_H
#define PORTHOLE_REACH_HOLD_H

#include "config/snapshot.h"
#include "proxy/base/error.h"
#include "proxy/reach/lookout.h"
#include "proxy/report/failure.h"

/* Embedded in whoever waits; all zero at first. */
struct hold_guest {
    struct list link;     /* in hold->guests while it waits */
    struct instant until; /* 0: it has never waited */
    struct timer timer;   /* armed while it waits; at other times its holder may use it */
    struct hold *hold;    /* while it waits; borrowed */
    struct failure *why;  /* owned while it waits; what it found last. Large, and seldom needed */
};

struct hold_config {
    struct loop *loop; /* borrowed, like all others */
    struct lookout *lookout;
    void (*again)(struct hold_guest *guest); /* it waits no more, and is to see; it may come back */
    void (*over)(struct hold_guest *guest, const struct failure *why); /* it waits no more: this is its answer */
};

struct hold {
    struct hold_config config;
    struct list guests; /* of hold_guest, first come first */
    uint32_t n_guests;
    bool is_open;       /* the target has been found: all are to go */
    bool is_called;     /* something has changed that nobody has been to see yet */
    bool is_sending;    /* who goes may come back at once */
    bool is_watching;   /* the posts are taken */
    struct timer timer; /* when the next is to see */
    uint64_t pause_ms;
    struct lookout_post
        *posts; /* owned; of the Unix sockets among the endpoints, in their places while there is a guest */
    size_t n_posts;
};

/* 0 or -ENOMEM. Deinit takes one of zeros; there must be no guest. */
int hold_init(struct hold *hold, const struct hold_config *config, const struct endpoint_config *endpoints,
              size_t n_endpoints) WARN_UNUSED;
void hold_deinit(struct hold *hold);

/* Waits for at most hold_ms after the first time that it came. False when that is over, or when out of memory: it does
 * not wait. */
bool hold_receive(struct hold *hold, struct hold_guest *guest, uint64_t hold_ms, const struct failure *why);
/* It waits no more. Harmless when it does not. */
void hold_dismiss(struct hold_guest *guest);
/* Somebody has a connection to the target. */
void hold_open(struct hold *hold);

static inline bool hold_has_guests(const struct hold *hold)
{
    return hold->n_guests > 0;
}

#endif
