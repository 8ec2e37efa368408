/* The sections of the document, one file each. All are for config_parse. */
#ifndef PORTHOLE_CONFIG_SECTIONS_H
#define PORTHOLE_CONFIG_SECTIONS_H

#include "config/reader.h"

/* log.c: the keys of "log", whose fields are in struct snapshot. */
extern const struct key log_config_keys[];
void log_config_defaults(struct reader *reader, struct log_config *log);

/* target.c: everything below "targets", NULL when there is none. `n_inline_max` more can be added later. */
void target_config_read_all(struct reader *reader, const json_t *targets, size_t n_inline_max);
/* Who sends to a target: routes speak HTTP to it, streams carry bytes. */
enum target_use { TARGET_FOR_ROUTE, TARGET_FOR_STREAM };
/* The target that a route or a stream names, or that it spells as an address; NULL with a problem. A target that is
 * not for this use is a problem at `at`. */
const struct target_config *target_config_resolve(struct reader *reader, const struct place *at, const char *text,
                                                  enum target_use use);

/* listener.c: everything below "listeners". Targets have been read. */
void listener_config_read_all(struct reader *reader, const json_t *listeners);

/* route.c: the routes of one listener. */
void route_config_read_all(struct reader *reader, const struct place *at, const json_t *routes,
                           struct listener_config *listener);
/* Gives routes without a name theirs; the listener has one. */
void route_config_complete_names(struct reader *reader, struct listener_config *listener);

#endif
