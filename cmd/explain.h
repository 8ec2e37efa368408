/* What would become of a request, and why: by the same code that serves. */
#ifndef PORTHOLE_CMD_EXPLAIN_H
#define PORTHOLE_CMD_EXPLAIN_H

#include <sys/types.h>

#include "config/snapshot.h"

#define EXPLAIN_MOST_FIELDS 100
#define EXPLAIN_MOST_GROUPS 64

/* The request, and who asks. All is borrowed. */
struct explain_ask {
    const char *line;     /* "METHOD TARGET" */
    const char *listener; /* its name; NULL: the first that has routes */
    uid_t uid;
    gid_t gids[EXPLAIN_MOST_GROUPS]; /* the first is the primary one */
    size_t n_gids;
    const char *fields[EXPLAIN_MOST_FIELDS]; /* "Name: value" */
    size_t n_fields;
};

/* Prints what becomes of it. CMD_OK when it would be answered as asked for (forwarded, responded), CMD_FAILED when it
 * would be refused, CMD_USAGE when it cannot be asked so. */
int explain(const struct snapshot *snapshot, const struct explain_ask *ask);

#endif
