/* Two configurations, one after the other: what the second cannot have while the process runs, and what it keeps. */
#ifndef PORTHOLE_CONFIG_COMPARE_H
#define PORTHOLE_CONFIG_COMPARE_H

#include "config/problem.h"
#include "config/snapshot.h"
#include "proxy/base/error.h"

/* Whether `next` can be had by a process that was started with `now`: 0. If not, 1 with a problem for each setting that
 * would need another start, which names both values; -ENOMEM otherwise. */
int config_compare(const struct snapshot *now, const struct snapshot *next, struct problems *problems) WARN_UNUSED;

/* How many routes of listeners that stay, and how many targets, are other ones in `next` than in `now`: changed, new or
 * gone. Routes that have only changed their order count where they stand. */
struct config_changes {
    size_t n_routes, n_targets;
};

/* 0 or -ENOMEM. */
int config_count_changes(const struct snapshot *now, const struct snapshot *next,
                         struct config_changes *ret_changes) WARN_UNUSED;

/* What `next` keeps of `now`, which it follows: what rates have counted, of routes of the same name and rate at the
 * same listener; and the number of workers, where the system was asked for it. Before anybody else knows `next`. */
void config_inherit(struct snapshot *next, const struct snapshot *now);

#endif
