/* What would become of a request, and why: by the same code that serves. */
#ifndef PORTHOLE_CMD_EXPLAIN_H
#define PORTHOLE_CMD_EXPLAIN_H

#include "cmd/explanation.h"

/* Prints what becomes of it. CMD_OK when it would be answered as asked for (forwarded, responded), CMD_FAILED when it
 * would be refused, CMD_USAGE when it cannot be asked so. */
int explain(const struct snapshot *snapshot, const struct explain_ask *ask);

#endif
