#include "proxy/admin/targets.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/reach/commons.h"

/* By what it is, however it is spelled. */
static struct endpoint_view *targets_find(const struct target_view *view, const char *canonical)
{
    for (size_t i = 0; i < view->n_endpoints; i++)
        if (strcmp(view->endpoints[i].canonical, canonical) == 0)
            return &view->endpoints[i];
    return NULL;
}

/* One that is not configured is an address of a name that is, or one of a configuration before. */
static struct endpoint_view *targets_add_address(struct target_view *view, const struct standing *standing)
{
    struct endpoint_view *endpoint;
    char *address, *canonical;

    if (!view->config->resolve_all || !standing->is_chosen || view->n_endpoints == TARGETS_MOST_VIEWS)
        return NULL;
    address = strdup(standing->text);
    canonical = strdup(standing->key);
    if (!address || !canonical) {
        free(address);
        free(canonical);
        view->out_of_memory = true;
        return NULL;
    }
    endpoint = &view->endpoints[view->n_endpoints++];
    *endpoint = (struct endpoint_view){.address = address, .canonical = canonical};
    return endpoint;
}

static void targets_note_standing(void *closure, const struct standing *standing, enum standing_rank rank)
{
    static const enum endpoint_state states[] = {
        [STANDING_GOOD] = ENDPOINT_GOOD, [STANDING_EJECTED] = ENDPOINT_EJECTED, [STANDING_DOWN] = ENDPOINT_DOWN};
    struct target_view *view = closure;
    struct endpoint_view *endpoint = targets_find(view, standing->key);

    if (!endpoint)
        endpoint = targets_add_address(view, standing);
    if (!endpoint)
        return;
    endpoint->is_watched = true;
    endpoint->state = states[rank];
    endpoint->since = standing->changed;
    memcpy(endpoint->reason, standing->reason, sizeof(endpoint->reason));
}

static void targets_note(void *closure, struct commons_target *target)
{
    struct target_view *view = closure;

    view->n_waiting = atomic_load_explicit(&target->places.n_waiting, memory_order_relaxed);
    standings_look(&target->standings, targets_note_standing, closure);
}

/* ---- connections ---- */

static void targets_note_site(void *closure, const struct site *site)
{
    struct endpoint_view *endpoint = closure;

    endpoint->n_busy = site_n_busy(site);
    endpoint->n_idle = site_n_idle(site);
}

static void targets_look_at_site(struct target_view *view, struct endpoint_view *endpoint, enum address_kind kind,
                                 const struct tls_config *tls, struct commons *commons)
{
    char *key = site_key(kind, endpoint->canonical, tls);

    view->out_of_memory = view->out_of_memory || !key;
    if (key)
        commons_look_at_site(commons, key, targets_note_site, endpoint);
    free(key);
}

/* Of an address it is not known which of the target's names has it: that is who it is taken for (roster.c). */
static void targets_look_at_address(struct target_view *view, struct endpoint_view *endpoint, struct commons *commons)
{
    for (size_t i = 0; i < view->config->n_endpoints; i++) {
        const struct address *name = &view->config->endpoints[i].address;
        struct tls_config tls = view->config->tls;

        if (!tls.server_name)
            tls.server_name = name->name;
        if (!address_is_unix(name->kind))
            targets_look_at_site(view, endpoint, name->kind, &tls, commons);
        if (endpoint->n_busy + endpoint->n_idle > 0)
            return;
    }
}

void target_view_connections(struct target_view *view, const struct facts *facts)
{
    for (size_t i = 0; i < view->n_endpoints; i++) {
        struct endpoint_view *endpoint = &view->endpoints[i];

        if (endpoint->config)
            targets_look_at_site(view, endpoint, endpoint->config->address.kind, &view->config->tls, facts->commons);
        else
            targets_look_at_address(view, endpoint, facts->commons);
    }
}

/* ---- what is counted ---- */

static void targets_note_series(struct endpoint_view *endpoint, const struct series *series)
{
    int state = atomic_load_explicit(&series->state, memory_order_relaxed);

    if (endpoint->state == ENDPOINT_UNTRIED && state != SERIES_UNKNOWN)
        endpoint->state = state == SERIES_UP ? ENDPOINT_GOOD : ENDPOINT_UNREACHED;
    for (size_t i = 0; i < series->book->n_workers; i++)
        histogram_read(&endpoint_slot(series, i)->response_head, &endpoint->response_head);
}

void target_view_count(struct target_view *view, const struct facts *facts)
{
    target_view_connections(view, facts);
    for (size_t i = 0; i < view->n_endpoints; i++) {
        const struct series *series =
            series_look(facts->series, SERIES_ENDPOINT, view->config->name, view->endpoints[i].address);

        if (series)
            targets_note_series(&view->endpoints[i], series);
    }
}

/* ---- life ---- */

bool target_view_init(struct target_view *view, const struct facts *facts, const struct target_config *config)
{
    *view = (struct target_view){.config = config};
    view->endpoints = calloc(config->resolve_all ? TARGETS_MOST_VIEWS : config->n_endpoints, sizeof(*view->endpoints));
    if (!view->endpoints)
        return false;
    for (size_t i = 0; i < config->n_endpoints; i++)
        view->endpoints[view->n_endpoints++] = (struct endpoint_view){.config = &config->endpoints[i],
                                                                      .address = config->endpoints[i].address.text,
                                                                      .canonical = config->endpoints[i].canonical,
                                                                      .state = ENDPOINT_UNTRIED};
    commons_look(facts->commons, config->name, targets_note, view);
    return !view->out_of_memory;
}

void target_view_deinit(struct target_view *view)
{
    for (size_t i = 0; i < view->n_endpoints; i++)
        if (!view->endpoints[i].config) {
            free(view->endpoints[i].address);
            free(view->endpoints[i].canonical);
        }
    free(view->endpoints);
    *view = (struct target_view){.endpoints = NULL};
}

/* A name is not asked itself as long as it has addresses of its own. */
static bool targets_is_asked(const struct target_view *view, const struct endpoint_view *endpoint)
{
    bool has_addresses = view->n_endpoints > view->config->n_endpoints;

    return !endpoint->config || (endpoint->config->weight > 0 && !(has_addresses && !endpoint->is_watched));
}

bool target_view_is_usable(const struct target_view *view)
{
    for (size_t i = 0; i < view->n_endpoints; i++)
        if (targets_is_asked(view, &view->endpoints[i]) && view->endpoints[i].state != ENDPOINT_EJECTED &&
            view->endpoints[i].state != ENDPOINT_DOWN)
            return true;
    return false;
}
