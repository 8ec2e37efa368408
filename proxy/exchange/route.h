/* Routes: which one a request takes. Pure, on the snapshot. */
#ifndef PORTHOLE_EXCHANGE_ROUTE_H
#define PORTHOLE_EXCHANGE_ROUTE_H

#include "config/snapshot.h"
#include "proxy/http/condition.h"
#include "proxy/http/request.h"

/* What is asked, and what it takes to find out. All is borrowed. */
struct route_question {
    const struct listener_config *listener;
    const struct request *request; /* found good */
    struct condition_means means;
    char *scratch; /* of at least twice as many bytes as request->origin, else a path that has to be looked into is too
                      long */
    size_t scratch_bytes;
    /* Whether one of the rules fits the peer; `unknown_fits` is for what cannot be found out. */
    bool (*peer_fits)(void *closure, const struct peer_rule *rules, size_t n_rules, bool unknown_fits);
    void *closure;
};

enum route_result {
    ROUTE_FOUND,
    ROUTE_NONE,
    ROUTE_AMBIGUOUS, /* the path could mean something else to the target */
    ROUTE_UNDECIDED, /* a condition cannot be told on this request */
    ROUTE_TOO_LONG,
};

struct route_found {
    const struct route_config *route; /* FOUND, UNDECIDED; NULL otherwise */
    const char *why;                  /* UNDECIDED: a static sentence */
};

/* Finds the first route of the listener that matches. The path is looked into only where some route has a condition on
 * it; one that could mean something else to the target is AMBIGUOUS unless a route with path_ambiguity "allow" takes
 * it. A route all of whose other conditions hold, but of which one cannot be told, ends the search. */
enum route_result route_find(const struct route_question *question, struct route_found *ret_found);

/* What matching sees of a request, for those who ask about one route after the other (explain). */
struct route_view {
    struct text host, path, query;
    bool ambiguous;
    char *scratch; /* for parameters */
};

/* False when there is not enough scratch memory. */
bool route_look(const struct route_question *question, struct route_view *ret_view) WARN_UNUSED;
/* The first condition of the route that does not hold, by its key below "match"; NULL when all do. "" with *ret_why
 * when one cannot be told. */
const char *route_objection(const struct route_config *route, const struct route_question *question,
                            const struct route_view *view, const char **ret_why);

/* How many bytes the body of a request may have that takes a route of the listener. */
static inline uint64_t route_limit_body(const struct route_config *route, const struct listener_config *listener)
{
    uint64_t most = route->has_limit_body ? route->limit_body_bytes : listener->limit_body_bytes;

    return route->has_body && route->body.max_bytes < most ? route->body.max_bytes : most;
}

/* How long its target may take; NULL: it asks none. */
static inline const struct target_times *route_times(const struct route_config *route)
{
    if (!route->target)
        return NULL;
    return route->has_times ? &route->times : &route->target->times;
}

/* When its target is asked again; NULL like that. */
static inline const struct retry_config *route_retries(const struct route_config *route)
{
    if (!route->target)
        return NULL;
    return route->has_retries ? &route->retries : &route->target->retries;
}

#endif
