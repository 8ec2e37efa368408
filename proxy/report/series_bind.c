#include "proxy/report/series_bind.h"

#include <errno.h>

static int series_bind_listener(struct series_book *book, struct listener_config *listener)
{
    listener->series = series_find(book, SERIES_LISTENER, NULL, listener->name);
    listener->no_route = series_find(book, SERIES_ROUTE, listener->name, "");
    if (!listener->series || !listener->no_route)
        return -ENOMEM;
    for (size_t i = 0; i < listener->n_routes; i++) {
        struct route_config *route = &listener->routes[i];

        route->series = series_find(book, SERIES_ROUTE, listener->name, route->name);
        if (!route->series)
            return -ENOMEM;
    }
    return 0;
}

int series_bind(struct series_book *book, struct snapshot *snapshot)
{
    int r = 0;

    for (size_t i = 0; i < snapshot_n_sockets(snapshot) && r == 0; i++)
        r = series_bind_listener(book, snapshot_socket(snapshot, i));
    for (size_t i = 0; i < snapshot->n_targets && r == 0; i++) {
        struct target_config *target = &snapshot->targets[i];

        target->series = series_find(book, SERIES_TARGET, NULL, target->name);
        r = target->series ? 0 : -ENOMEM;
    }
    return r;
}
