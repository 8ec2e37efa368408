/* Whom a target may ask: its endpoints in one worker, and the choice among them.
 *
 * What is configured has a place each, in its order. A host name whose addresses are to be endpoints of their own
 * (resolve.all) has more: the first is the name itself, which is asked while no address is known, and when none of
 * those that are known could be connected to; the others are its addresses, which come and go. Whoever uses one that
 * has gone holds a reference to it. */
#ifndef PORTHOLE_REACH_ROSTER_H
#define PORTHOLE_REACH_ROSTER_H

#include "config/snapshot.h"
#include "proxy/base/lots.h"
#include "proxy/reach/balance.h"
#include "proxy/reach/endpoint.h"
#include "proxy/reach/standing.h"
#include "proxy/report/series.h"

#define ROSTER_NOBODY BALANCE_NOBODY

struct roster;

/* The places of a name with its addresses. */
struct roster_name {
    struct follow follow;
    struct roster *roster;
    const struct endpoint_config *config; /* borrowed */
    size_t first, n;                      /* the name's place, and how many there are with it */
    bool is_known;                        /* some address is */
};

/* Embedded in its target, where it stays: it is called back. */
struct roster {
    const struct target_config *config; /* borrowed, like the next */
    struct endpoints *table;
    struct endpoint **endpoints; /* owned; references; NULL where a place is free */
    struct balance_item *items;  /* owned; the same, as the choice sees them; NULL: there is one and always will be */
    struct standings *all;       /* borrowed; of all workers; NULL: nobody asks how endpoints do */
    struct standing **standings; /* owned; references; by endpoint, NULL where it is of no interest; NULL as `all` */
    struct series **series;      /* owned; by endpoint: where it is counted, or NULL */
    size_t n;
    struct roster_name *names; /* owned; those of resolve.all */
    size_t n_names;
    struct lots lots;
    uint64_t order; /* of those that are in effect in this worker; 0: it is not */
};

/* 0 or -ENOMEM; then there is nothing to undo. The standings are the target's. */
int roster_init(struct roster *roster, const struct target_config *config, struct endpoints *table,
                struct standings *standings) WARN_UNUSED;
/* It is the one that is asked from now on: has the say about how connections of its endpoints are kept, and about which
 * of those of its target are counted. */
void roster_take_effect(struct roster *roster);
/* Another one of its target has: it has no say any more. */
static inline void roster_retire(struct roster *roster)
{
    roster->order = 0;
}
/* Harmless twice, and when all is zero. */
void roster_deinit(struct roster *roster);

/* Somebody is about to choose: looks whether names lead elsewhere by now. */
static inline void roster_look(struct roster *roster)
{
    for (size_t i = 0; i < roster->n_names; i++)
        follow_look(&roster->names[i].follow);
}

/* For roster_choose, where there may be several. */
size_t roster_choose_of_several(struct roster *roster, uint64_t tried);

/* Who is next, but for those that were `tried` (by a bit for each); ROSTER_NOBODY when there is no other. */
static inline size_t roster_choose(struct roster *roster, uint64_t tried)
{
    if (roster->items)
        return roster_choose_of_several(roster, tried);
    return tried & 1 ? ROSTER_NOBODY : 0;
}
/* How the endpoint does; NULL: nobody asks. */
static inline struct standing *roster_standing(const struct roster *roster, size_t index)
{
    return roster->standings ? roster->standings[index] : NULL;
}
/* No connection could be made there. */
void roster_doubt(struct roster *roster, size_t index);

#endif
