/* What is right in every part, but probably not meant: said of a configuration in which nothing is wrong. */
#ifndef PORTHOLE_CONFIG_REVIEW_H
#define PORTHOLE_CONFIG_REVIEW_H

#include "config/problem.h"
#include "config/snapshot.h"

/* Adds warnings for the snapshot that `text` became; or, where something is so wrong that it must not be served (a
 * denial that cannot be reached), 1 and only that. 0 or 1, or -ENOMEM. */
int config_review(const struct snapshot *snapshot, const char *text, size_t length,
                  struct problems *problems) WARN_UNUSED;

#endif
