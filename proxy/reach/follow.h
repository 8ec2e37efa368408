/* Following a host name for as long as somebody uses what it leads to: connections that are kept do not ask where they
 * lead, although the name may have moved. */
#ifndef PORTHOLE_REACH_FOLLOW_H
#define PORTHOLE_REACH_FOLLOW_H

#include "proxy/base/loop.h"
#include "proxy/reach/resolver.h"

/* Looks so often in the time that an answer holds: it is renewed when three quarters of that are over, and found then.
 */
#define FOLLOW_LOOKS 8

struct follow;

/* The name leads elsewhere than it did, or anywhere at all: follow->known. */
typedef void follow_fn(struct follow *follow);

/* One name, in one worker. Embedded in its owner; all zero follows nothing. */
struct follow {
    const char *host;                   /* borrowed; NULL: there is nothing to follow */
    struct resolver_desk desk;          /* borrowed */
    struct loop *loop;                  /* borrowed */
    uint64_t every_ms;                  /* 0: not yet */
    struct instant due;                 /* when to look next */
    struct addresses *known;            /* owned; NULL: nothing */
    struct resolver_question *question; /* NULL: nothing is asked */
    follow_fn *changed;
};

/* Nothing is asked until it is told how often. A host that nobody has to be asked for is not followed, nor is any
 * without a desk (NULL). */
void follow_init(struct follow *follow, const struct resolver_desk *desk, struct loop *loop, const char *host,
                 follow_fn *changed);
/* From the loop's thread. Harmless twice, and on one of zeros. */
void follow_deinit(struct follow *follow);
/* For how long what is known holds; looks for the first time. */
void follow_every(struct follow *follow, uint64_t every_ms);

/* Looks now. */
void follow_ask(struct follow *follow);

/* A new connection has been made: what was known to it is known here. */
static inline void follow_catch_up(struct follow *follow)
{
    if (follow->host)
        follow_ask(follow);
}

/* Somebody is about to use what the name leads to. */
static inline void follow_look(struct follow *follow)
{
    if (follow->host && !instant_before(loop_now(follow->loop), follow->due))
        follow_ask(follow);
}

#endif
