#include "config/compare.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

/* ---- what cannot change ---- */

static const char *compare_switch(bool on)
{
    return on ? "true" : "false";
}

/* Of a right that was given up nothing comes back; and the kernel lets nobody give it up for threads that run. */
static int compare_right(const char *pointer, bool now, bool next, struct problems *problems)
{
    if (now == next)
        return 0;
    return problems_add(problems, (struct position){0, 0}, pointer,
                        "cannot change while porthole runs: it is %s, and would be %s; start another with --takeover",
                        compare_switch(now), compare_switch(next));
}

static int compare_sandbox(const struct sandbox_config *now, const struct sandbox_config *next,
                           struct problems *problems)
{
    int r = compare_right("/sandbox/landlock", now->landlock, next->landlock, problems);

    return r == 0 ? compare_right("/sandbox/seccomp", now->seccomp, next->seccomp, problems) : r;
}

static int compare_workers(const struct snapshot *now, const struct snapshot *next, struct problems *problems)
{
    if (next->has_auto_workers || now->n_workers == next->n_workers)
        return 0;
    return problems_add(problems, (struct position){0, 0}, "/workers",
                        "cannot change while porthole runs: it is %u, and would be %u; start another with --takeover",
                        (unsigned)now->n_workers, (unsigned)next->n_workers);
}

/* Those of two snapshots are mostly in one order, so that it is looked for from `hint` on. */
static const struct listener_config *compare_find_listener(const struct snapshot *snapshot, const char *address,
                                                           size_t hint)
{
    const struct listener_config *found = NULL;

    for (size_t i = 0; i < snapshot_n_sockets(snapshot) && !found; i++) {
        const struct listener_config *listener = snapshot_socket(snapshot, (hint + i) % snapshot_n_sockets(snapshot));
        char *other = address_canonical(&listener->bind);

        if (other && strcmp(address, other) == 0)
            found = listener;
        free(other);
    }
    return found;
}

/* Clients of one kind are not served by the worker of the other. */
static int compare_admin(const struct snapshot *now, const struct snapshot *next, struct problems *problems)
{
    int r = 0;

    for (size_t i = 0; i < snapshot_n_sockets(next) && r == 0; i++) {
        const struct listener_config *listener = snapshot_socket(next, i);
        char *address = address_canonical(&listener->bind);
        const struct listener_config *before = address ? compare_find_listener(now, address, i) : NULL;

        free(address);
        if (before && !before->pages != !listener->pages)
            r = problems_add(problems, (struct position){0, 0}, listener->pages ? "/admin" : "/listeners",
                             "\"%s\" was the other kind of listener, which cannot change while porthole runs; start "
                             "another with --takeover",
                             listener->bind.text);
    }
    return r;
}

int config_compare(const struct snapshot *now, const struct snapshot *next, struct problems *problems)
{
    int r = compare_workers(now, next, problems);

    if (r == 0)
        r = compare_sandbox(&now->sandbox, &next->sandbox, problems);
    if (r == 0)
        r = compare_admin(now, next, problems);
    return r < 0 ? r : problems->n_items > 0;
}

/* ---- what is kept ---- */

static bool compare_has_rate(const struct listener_config *listener)
{
    for (size_t i = 0; i < listener->n_routes; i++)
        if (listener->routes[i].has_rate)
            return true;
    return false;
}

static bool compare_same_rate(const struct route_config *a, const struct route_config *b)
{
    return a->has_rate && b->has_rate && strcmp(a->name, b->name) == 0 && a->rate.requests == b->rate.requests &&
           a->rate.burst == b->rate.burst && a->rate.per_ms == b->rate.per_ms && a->rate.by == b->rate.by;
}

/* The same. */
static const struct route_config *compare_find_rate(const struct listener_config *listener,
                                                    const struct route_config *like, size_t hint)
{
    for (size_t i = 0; i < listener->n_routes; i++)
        if (compare_same_rate(&listener->routes[(hint + i) % listener->n_routes], like))
            return &listener->routes[(hint + i) % listener->n_routes];
    return NULL;
}

static void compare_inherit_rates(struct listener_config *next, const struct listener_config *now)
{
    size_t hint = 0;

    for (size_t i = 0; i < next->n_routes; i++) {
        struct route_config *route = &next->routes[i];
        const struct route_config *before = route->has_rate ? compare_find_rate(now, route, hint) : NULL;

        if (!before)
            continue;
        rate_unref(route->rate.buckets);
        route->rate.buckets = rate_ref(before->rate.buckets);
        hint = (size_t)(before - now->routes) + 1;
    }
}

void config_inherit(struct snapshot *next, const struct snapshot *now)
{
    if (next->has_auto_workers)
        next->n_workers = now->n_workers;
    for (size_t i = 0; i < next->n_listeners; i++) {
        struct listener_config *listener = &next->listeners[i];
        char *address = compare_has_rate(listener) ? address_canonical(&listener->bind) : NULL;
        const struct listener_config *before = address ? compare_find_listener(now, address, i) : NULL;

        free(address);
        if (before)
            compare_inherit_rates(listener, before);
    }
}

/* ---- what has changed ---- */

static int compare_digests(const void *a, const void *b)
{
    uint64_t left = *(const uint64_t *)a, right = *(const uint64_t *)b;

    return (left > right) - (left < right);
}

static size_t compare_places(const uint64_t *a, const uint64_t *b, size_t n)
{
    size_t n_other = 0;

    for (size_t i = 0; i < n; i++)
        n_other += a[i] != b[i];
    return n_other;
}

/* Of one side those that the other does not have, whichever has more of them: one that is changed is one. With the same
 * on both sides, those that stand elsewhere. Sorts both. */
static size_t compare_lists(uint64_t *now, size_t n_now, uint64_t *next, size_t n_next)
{
    size_t n_moved = n_now == n_next ? compare_places(now, next, n_now) : 0, n_gone, n_new, n_same = 0;

    qsort(now, n_now, sizeof(*now), compare_digests);
    qsort(next, n_next, sizeof(*next), compare_digests);
    for (size_t i = 0, k = 0; i < n_now && k < n_next;) {
        int order = compare_digests(&now[i], &next[k]);

        n_same += order == 0;
        i += order <= 0;
        k += order >= 0;
    }
    n_gone = n_now - n_same;
    n_new = n_next - n_same;
    if (n_gone + n_new == 0)
        return n_moved;
    return n_gone > n_new ? n_gone : n_new;
}

static int compare_routes(const struct listener_config *now, const struct listener_config *next, size_t *n_changed)
{
    uint64_t *digests = malloc((now->n_routes + next->n_routes + 1) * sizeof(*digests));

    if (!digests)
        return -ENOMEM;
    for (size_t i = 0; i < now->n_routes; i++)
        digests[i] = now->routes[i].digest;
    for (size_t i = 0; i < next->n_routes; i++)
        digests[now->n_routes + i] = next->routes[i].digest;
    *n_changed += compare_lists(digests, now->n_routes, digests + now->n_routes, next->n_routes);
    free(digests);
    return 0;
}

/* Their order means nothing. */
static int compare_targets(const struct snapshot *now, const struct snapshot *next, size_t *n_changed)
{
    uint64_t *digests = malloc((now->n_targets + next->n_targets + 1) * sizeof(*digests));
    uint64_t *others = digests ? digests + now->n_targets : NULL;

    if (!digests)
        return -ENOMEM;
    for (size_t i = 0; i < now->n_targets; i++)
        digests[i] = now->targets[i].digest;
    for (size_t i = 0; i < next->n_targets; i++)
        others[i] = next->targets[i].digest;
    qsort(digests, now->n_targets, sizeof(*digests), compare_digests);
    qsort(others, next->n_targets, sizeof(*others), compare_digests);
    *n_changed = compare_lists(digests, now->n_targets, others, next->n_targets);
    free(digests);
    return 0;
}

int config_count_changes(const struct snapshot *now, const struct snapshot *next, struct config_changes *ret_changes)
{
    struct config_changes changes = {0};
    int r = compare_targets(now, next, &changes.n_targets);

    for (size_t i = 0; i < next->n_listeners && r == 0; i++) {
        const struct listener_config *listener = &next->listeners[i], *before;
        char *address = address_canonical(&listener->bind);

        before = address ? compare_find_listener(now, address, i) : NULL;
        if (!address)
            r = -ENOMEM;
        else if (before)
            r = compare_routes(before, listener, &changes.n_routes);
        free(address);
    }
    if (r == 0)
        *ret_changes = changes;
    return r;
}
