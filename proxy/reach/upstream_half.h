/* What the two halves of an upstream ask of each other. Private to upstream*.c. */
#ifndef PORTHOLE_REACH_UPSTREAM_HALF_H
#define PORTHOLE_REACH_UPSTREAM_HALF_H

#include "proxy/reach/upstream.h"

/* Ends the upstream with a failure: the first one counts. Closes the connection. */
void upstream_fail(struct upstream *upstream, enum outcome outcome, int error_number, const char *reason);
/* The connection broke before any byte of a response: tries once more on a fresh one where nothing of the request can
 * have been processed, else fails. */
void upstream_lost(struct upstream *upstream, int error_number);
/* Gives the connection back when both halves have ended. */
void upstream_finish(struct upstream *upstream);
/* (Re)arms the target's deadline after progress: while a body is sent, a response awaited or a body read. */
void upstream_watch(struct upstream *upstream, uint64_t ms);

/* Response half: receives and parses while a head is awaited. */
void upstream_receive_head(struct upstream *upstream);

#endif
