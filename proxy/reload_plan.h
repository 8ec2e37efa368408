/* What a reload is going to do to the listeners, and what it has to undo if it cannot.
 *
 * New listeners are in the list of those that are served from the beginning, but without a socket until all workers are
 * ready. Everything else stays as it was until the reload is certain. */
#ifndef PORTHOLE_RELOAD_PLAN_H
#define PORTHOLE_RELOAD_PLAN_H

#include "config/compare.h"
#include "config/snapshot.h"
#include "proxy/base/error.h"
#include "proxy/listen/amend.h"
#include "proxy/listeners.h"
#include "proxy/reload_names.h"
#include "proxy/worker.h"

/* One reload under way. */
struct reload_plan {
    struct snapshot *snapshot;   /* a reference */
    struct listeners *listeners; /* borrowed */
    size_t n_workers;
    struct served **served;          /* owned; by listener_config.index */
    bool *is_new;                    /* owned; the same */
    struct amendment *amendments;    /* owned; the same */
    struct admission **admissions;   /* owned; those of `served` */
    struct served **removed;         /* owned; those that the snapshot does not have */
    struct admission **removed_from; /* owned; theirs */
    bool *late;                      /* owned; the same: shut, and somebody may be about to get into the backlog */
    size_t n_new, n_removed, n_amended, n_late;
    struct config_changes config;  /* what else is another */
    struct worker_change *changes; /* owned; by worker */
    struct reload_names names;     /* hosts of new listeners */
    size_t n_answers;              /* of workers, and of all the names together, still to come */
    struct error error;            /* the first */
};

/* Finds out which listeners come, stay and go, and reserves descriptors. `change` is what all changes of workers have
 * in common. NULL with the error set, and nothing left behind. */
struct reload_plan *reload_plan_new(struct snapshot *snapshot, struct listeners *listeners, size_t n_workers,
                                    const struct worker_change *change, struct error *error);
/* No worker has a part of it any more. Takes NULL. */
void reload_plan_free(struct reload_plan *plan);

/* Makes listeners that stay what the snapshot says, and publishes new ones. 0 or a negative errno with the error set;
 * then reload_plan_undo is to follow, as after anything else that fails. */
int reload_plan_publish(struct reload_plan *plan, struct error *error) WARN_UNUSED;
/* Gives the workers their descriptors of what was published, in the places that were reserved. Cannot fail. */
void reload_plan_give_descriptors(struct reload_plan *plan);
/* Takes away what the plan has brought. */
void reload_plan_undo(struct reload_plan *plan);

#endif
