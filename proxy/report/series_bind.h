/* A snapshot's listeners, routes and targets, each with its series. */
#ifndef PORTHOLE_REPORT_SERIES_BIND_H
#define PORTHOLE_REPORT_SERIES_BIND_H

#include "config/snapshot.h"
#include "proxy/report/series.h"

/* Before anybody serves it: main thread. 0 or -ENOMEM. */
int series_bind(struct series_book *book, struct snapshot *snapshot) WARN_UNUSED;

/* Where ends of this route are counted, or of none at this listener; NULL: nowhere. */
static inline struct series *series_of_route(const struct listener_config *listener, const struct route_config *route)
{
    return route ? route->series : listener->no_route;
}

#endif
