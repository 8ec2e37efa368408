/* The life of a snapshot, apart from its header, which the tables of keys are made of. */
#include <assert.h>
#include <stdlib.h>

#include "config/keys.h"
#include "config/route_index.h"
#include "config/snapshot.h"
#include "proxy/http/json_tree.h"

struct snapshot *snapshot_ref(struct snapshot *snapshot)
{
    unsigned before = atomic_fetch_add_explicit(&snapshot->references, 1, memory_order_relaxed);

    assert(before > 0);
    (void)before;
    return snapshot;
}

/* What no table of keys knows of. */
static void snapshot_free_route(struct route_config *route)
{
    rate_unref(route->rate.buckets);
    json_rules_free(route->body.ready);
    free(route->respond.content);
}

static void snapshot_free_derived(struct listener_config *listener)
{
    route_index_free(listener->index_of_routes);
    for (size_t i = 0; listener->routes && i < listener->n_routes; i++)
        snapshot_free_route(&listener->routes[i]);
}

static void snapshot_free_canonicals(struct target_config *target)
{
    for (size_t i = 0; target->endpoints && i < target->n_endpoints; i++)
        free(target->endpoints[i].canonical);
}

static void snapshot_free(struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_targets; i++)
        snapshot_free_canonicals(&snapshot->targets[i]);
    for (size_t i = 0; i < snapshot->n_listeners; i++)
        snapshot_free_derived(&snapshot->listeners[i]);
    keys_deinit(keys_document, snapshot);
    for (size_t i = 0; i < snapshot->n_secrets; i++)
        free(snapshot->secrets[i]);
    free(snapshot->secrets);
    written_deinit(&snapshot->written);
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
