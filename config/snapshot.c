#include "config/snapshot.h"

#include <assert.h>
#include <stdlib.h>

#include "config/address.h"

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    unsigned before = atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
    return snapshot;
}

/* An array that ends with NULL; takes NULL. */
static void snapshot_free_texts(char **texts)
{
    for (char **text = texts; text && *text; text++)
        free(*text);
    free(texts);
}

static void snapshot_deinit_route(struct route_config *route)
{
    free(route->name);
    free(route->host);
    free(route->path);
    free(route->path_prefix);
    snapshot_free_texts(route->methods);
    snapshot_free_texts(route->upgrade);
    free(route->respond.body);
    free(route->respond.content_type);
}

static void snapshot_deinit_listener(struct listener_config *listener)
{
    free(listener->name);
    address_deinit(&listener->bind);
    free(listener->peers);
    for (size_t i = 0; i < listener->n_routes; i++)
        snapshot_deinit_route(&listener->routes[i]);
    free(listener->routes);
}

static void snapshot_deinit_target(struct target_config *target)
{
    free(target->name);
    for (size_t i = 0; i < target->n_endpoints; i++)
        address_deinit(&target->endpoints[i]);
    free(target->endpoints);
    free(target->tls.ca);
    free(target->tls.cert);
    free(target->tls.key);
    free(target->tls.server_name);
}

static void snapshot_free(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_listeners; i++)
        snapshot_deinit_listener(&snapshot->listeners[i]);
    for (size_t i = 0; i < snapshot->n_targets; i++)
        snapshot_deinit_target(&snapshot->targets[i]);
    free(snapshot->listeners);
    free(snapshot->targets);
    free(snapshot->log.access_to);
    free(snapshot->source);
    free(snapshot);
}

struct snapshot *snapshot_unref(struct snapshot *snapshot)
{
    unsigned before;

    if (!snapshot)
        return NULL;
    /* Release what this thread did with it, acquire what all others did, before it is freed. */
    before = atomic_fetch_sub_explicit(&snapshot->references, 1, memory_order_acq_rel);
    assert(before > 0);
    if (before == 1)
        snapshot_free(snapshot);
    return NULL;
}
