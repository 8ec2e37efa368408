/* The commons: what all workers share of targets and endpoints. One for the process.
 *
 *   commons            what there is, by name; changed with a lock held, when generations come and go
 *     commons_target   one target: its places, its budget of retries, and how its endpoints do
 *       commons_desk   one worker's part: the struct targets of its generations
 *     site             one endpoint: how much each worker has open
 *
 * Both outlive a reload as long as somebody has a reference: a limit holds over the generations, too. */
#ifndef PORTHOLE_REACH_COMMONS_H
#define PORTHOLE_REACH_COMMONS_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"
#include "proxy/base/list.h"
#include "proxy/reach/inbox.h"
#include "proxy/reach/places.h"
#include "proxy/reach/retry.h"
#include "proxy/reach/standing.h"

struct commons {
    size_t n_workers;
    bool is_shared;        /* several of them ask targets */
    struct inbox *inboxes; /* owned; by worker */
    pthread_mutex_t lock;  /* of the trees, and of what is in them that is not atomic */
    void *targets, *sites; /* owned; tsearch(3), by name and by key */
};

/* One worker's part of a target. */
struct commons_desk {
    struct list link;    /* in the worker's inbox while there is something to look at */
    bool is_open;        /* the worker has such targets, and so a reference; guarded by the inbox's lock */
    struct list targets; /* of struct target, by desk_link; of the worker's thread */
};

struct commons_target {
    char *name; /* owned; key */
    struct commons *commons;
    unsigned n_references;
    struct places places;
    struct retry_budget budget;
    struct standings standings; /* of its endpoints, where there are several or they are checked */
    atomic_uint n_held;         /* who wait for an endpoint to appear */
    struct commons_desk *desks; /* owned; by worker */
};

/* What one worker has open to an endpoint; written by it alone, read by all. */
struct site_part {
    atomic_uint n_idle, n_busy;
};

/* One endpoint, by its canonical address and TLS identity. */
struct site {
    char *key; /* owned */
    struct commons *commons;
    unsigned n_references;
    struct site_part *parts; /* owned; by worker */
};

/* Of so many workers, all those that reach targets: one that is alone takes no locks. 0 or -ENOMEM. */
int commons_init(struct commons *commons, size_t n_workers) WARN_UNUSED;
/* All references have been given back. Harmless on one of zeros. */
void commons_deinit(struct commons *commons);

/* A reference to what is shared of this target: as it is, or, when nobody has one, made with these limits. NULL when
 * out of memory. Any thread. */
struct commons_target *commons_target(struct commons *commons, const struct target_config *config,
                                      bool first_come) WARN_UNUSED;
/* It has these limits from now on. What is beyond them stays until it ends by itself. Any thread that has a reference.
 */
void commons_configure(struct commons_target *target, const struct target_config *config, bool first_come);
/* Takes NULL. */
void commons_target_unref(struct commons_target *target);
/* Calls fn for the target of this name, if there is one, with the lock held: it may only look. Any thread, seldom. */
void commons_look(struct commons *commons, const char *name, void (*fn)(void *closure, struct commons_target *target),
                  void *closure);
/* A struct target of a worker comes, whose thread this is, and goes. */
void commons_join(struct commons_target *target, size_t worker, struct list *link);
void commons_leave(struct commons_target *target, size_t worker, struct list *link);
/* All workers but this one (SIZE_MAX: all) are to look at the target (targets_attend). Any thread that has a reference.
 */
void commons_tell(struct commons_target *target, size_t but_worker);

/* The same of an endpoint (commons_target), by its site_key, which is copied. */
struct site *commons_site(struct commons *commons, const char *key) WARN_UNUSED;
void site_unref(struct site *site);

/* How many connections all workers have there, at about the same time. */
uint32_t site_n_idle(const struct site *site);
uint32_t site_n_busy(const struct site *site);

/* What a site is found by: where it is, and whom it is taken for. Two who show different certificates, or believe
 * different authorities, never share a connection. `canonical`: as address_canonical spells it. The caller frees it;
 * NULL when out of memory. */
char *site_key(enum address_kind kind, const char *canonical, const struct tls_config *tls) WARN_UNUSED;
/* Calls fn for the site of this key, if there is one, with the lock held: it may only look. Any thread, seldom. */
void commons_look_at_site(struct commons *commons, const char *key, void (*fn)(void *closure, const struct site *site),
                          void *closure);
/* Calls fn for each target, by name, with the lock held: it may only look. Any thread. */
void commons_visit(struct commons *commons, void (*fn)(void *closure, const struct commons_target *target),
                   void *closure);

#endif
