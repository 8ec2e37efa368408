/* One check of one endpoint: whether it can be connected to and, if there is something to ask, what it answers.
 *
 * It connects as exchanges do, over a connection of its own each time, asks with one short request, and reads no more
 * of the answer than its status. All of that has one deadline. */
#ifndef PORTHOLE_REACH_HEALTH_H
#define PORTHOLE_REACH_HEALTH_H

#include "proxy/reach/connect.h"

#define HEALTH_REQUEST_BYTES 4096
#define HEALTH_HEAD_BYTES 1024 /* of an answer, in which its status must be */

/* Embedded in its owner, which sets what comes first; the rest is all zero, but for what health_check_init does. */
struct health_check {
    struct connector *connector; /* borrowed */
    struct destination to;
    const struct health_config *config; /* borrowed */
    unsigned least, most;               /* statuses that are good */
    /* Called once for each health_check_begin: `why` it did not go well, NULL if it did. Borrowed until it returns. */
    void (*done)(struct health_check *check, const char *why);

    struct attempt *attempt;      /* while connecting */
    struct channel channel;       /* while asking */
    struct channel_tls_facts tls; /* of the last connection; all zero where it is plain */
    struct source source;
    struct timer timer; /* while at work */
    size_t sent, got;
    char request[HEALTH_REQUEST_BYTES]; /* terminated; "": a connection will do */
    char head[HEALTH_HEAD_BYTES];
};

/* 0; or -ENOSPC when there is no room for the request. */
int health_check_init(struct health_check *check) WARN_UNUSED;
/* Begins; `done` may be called before this returns. */
void health_check_begin(struct health_check *check);
/* Stops without `done`. Harmless when not at work. */
void health_check_end(struct health_check *check);

#endif
