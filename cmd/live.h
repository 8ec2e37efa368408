/* What a start would meet on this machine, and in which state targets are: looked at, and left as it is. */
#ifndef PORTHOLE_CMD_LIVE_H
#define PORTHOLE_CMD_LIVE_H

#include "config/snapshot.h"

/* Prints a line for each listener, endpoint and log. CMD_OK, or CMD_FAILED when something would end a start; a target
 * that is not there does not. */
int live(const struct snapshot *snapshot);

#endif
