/* From a JSON file to a snapshot. */
#ifndef PORTHOLE_CONFIG_LOAD_H
#define PORTHOLE_CONFIG_LOAD_H

#include <stddef.h>
#include <stdio.h>

#include "config/problem.h"
#include "config/snapshot.h"
#include "proxy/base/error.h"

struct json_t;

#define CONFIG_MOST_BYTES ((size_t)16 << 20) /* of a file */

/* Reads, expands and validates. The file is a regular one of at most CONFIG_MOST_BYTES: whatever else would block, has
 * no end or cannot be read again. On success stores a snapshot with one reference and returns 0; problems, if there are
 * any, are warnings then (config/review.h). When the file has problems, returns 1 with at least one of them (all that
 * can be found) and leaves *ret_snapshot untouched. -ENOMEM otherwise. */
int config_load(const char *file, struct snapshot **ret_snapshot, struct problems *problems) WARN_UNUSED;

/* The same from memory; `source` is the name used in messages. */
int config_parse(const char *text, size_t length, const char *source, struct snapshot **ret_snapshot,
                 struct problems *problems) WARN_UNUSED;

/* Prints the configuration in effect, every default filled in, as JSON that config_parse accepts. Values that may be
 * secrets are as they are written (config/written.h). */
int config_print(const struct snapshot *snapshot, FILE *to) WARN_UNUSED;
/* The same as a document, for whom secrets are not: "[redacted]" stands for what comes from a variable or a file, and
 * for keys (config/secret_name.h). The caller owns it. NULL when out of memory. */
struct json_t *config_redacted(const struct snapshot *snapshot) WARN_UNUSED;

#endif
