/* A generation: a snapshot as one worker serves it, with its targets and what was derived from it.
 *
 * A reload gives each worker a new one. Clients move to it between two requests; exchanges and tunnels end on the one
 * they began on, and the last holder takes a generation away. One thread, so that the count is a plain one. */
#ifndef PORTHOLE_REACH_GENERATION_H
#define PORTHOLE_REACH_GENERATION_H

#include "config/snapshot.h"
#include "proxy/base/secret.h"
#include "proxy/reach/target.h"

struct generation {
    unsigned n_holders;
    struct snapshot *snapshot; /* a reference */
    struct target *targets;    /* owned; by target_config.index; of a worker that reaches none there are none */
    size_t n_targets;
    char **addresses;       /* owned; of listeners, in the spelling they share, by listener_config.index */
    size_t header_bytes;    /* the largest limits.header of all listeners */
    size_t edit_bytes;      /* what routes may add to a request's head at most; 0: nothing */
    struct secret *secrets; /* owned; by the index in snapshot.secrets */
};

/* The caller is the first holder; the endpoints are borrowed, and shared with other generations; NULL: its worker
 * reaches no target. NULL when out of memory. */
struct generation *generation_new(struct snapshot *snapshot, struct endpoints *endpoints) WARN_UNUSED;
/* One holder more; returns the same pointer. */
static inline struct generation *generation_ref(struct generation *generation)
{
    generation->n_holders++;
    return generation;
}
/* One less. The last one lets go of the targets, of which nothing may be busy or asked for: not to be called from where
 * a target answers. Takes NULL. Always returns NULL. */
struct generation *generation_unref(struct generation *generation);

/* It is the one that requests come to from now on: what its targets share with those of others is as its snapshot says.
 * Before that, it changes nothing for anybody. */
void generation_take_effect(struct generation *generation);

/* The target of one of its snapshot's target_config. Borrowed. */
struct target *generation_target(const struct generation *generation, const struct target_config *config);
/* What this generation says of the socket that is `listener` in `other`: NULL when it is not served any more, or is a
 * stream's now, or not one any more. Borrowed. */
const struct listener_config *generation_listener(const struct generation *generation, const struct generation *other,
                                                  const struct listener_config *listener);

#endif
