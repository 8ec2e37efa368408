#include "proxy/admin/targets.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/reach/commons.h"

static struct endpoint_view *targets_find(const struct target_view *view, const char *address)
{
    for (size_t i = 0; i < view->n_endpoints; i++)
        if (strcmp(view->endpoints[i].address, address) == 0)
            return &view->endpoints[i];
    return NULL;
}

/* One that is not configured is an address of a name that is, or one of a configuration before. */
static struct endpoint_view *targets_add_address(struct target_view *view, const struct standing *standing)
{
    struct endpoint_view *endpoint;
    char *address;

    if (!view->config->resolve_all || !standing->is_chosen || view->n_endpoints == TARGETS_MOST_VIEWS)
        return NULL;
    address = strdup(standing->text);
    if (!address) {
        view->out_of_memory = true;
        return NULL;
    }
    endpoint = &view->endpoints[view->n_endpoints++];
    *endpoint = (struct endpoint_view){.address = address};
    return endpoint;
}

static void targets_note_standing(void *closure, const struct standing *standing, enum standing_rank rank)
{
    static const enum endpoint_state states[] = {
        [STANDING_GOOD] = ENDPOINT_GOOD, [STANDING_EJECTED] = ENDPOINT_EJECTED, [STANDING_DOWN] = ENDPOINT_DOWN};
    struct target_view *view = closure;
    struct endpoint_view *endpoint = targets_find(view, standing->text);

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

static void targets_note_site(void *closure, const struct site *site)
{
    struct endpoint_view *endpoint = targets_find(closure, site->text);

    if (!endpoint)
        return;
    endpoint->n_busy += site_n_busy(site);
    endpoint->n_idle += site_n_idle(site);
}

static void targets_note_series(struct endpoint_view *endpoint, const struct series *series)
{
    int state = atomic_load_explicit(&series->state, memory_order_relaxed);

    if (endpoint->state == ENDPOINT_UNTRIED && state != SERIES_UNKNOWN)
        endpoint->state = state == SERIES_UP ? ENDPOINT_GOOD : ENDPOINT_UNREACHED;
    for (size_t i = 0; i < series->book->n_workers; i++)
        histogram_read(&endpoint_slot(series, i)->response_head, &endpoint->response_head);
}

static void targets_note_counts(struct target_view *view, const struct series_book *book)
{
    for (const struct series *series = series_first(book, SERIES_ENDPOINT); series; series = series_next(series)) {
        struct endpoint_view *endpoint =
            strcmp(series->owner, view->config->name) == 0 ? targets_find(view, series->name) : NULL;

        if (endpoint)
            targets_note_series(endpoint, series);
    }
}

bool target_view_init(struct target_view *view, const struct facts *facts, const struct target_config *config)
{
    *view = (struct target_view){.config = config};
    view->endpoints = calloc(TARGETS_MOST_VIEWS, sizeof(*view->endpoints));
    if (!view->endpoints)
        return false;
    for (size_t i = 0; i < config->n_endpoints; i++)
        view->endpoints[view->n_endpoints++] = (struct endpoint_view){
            .config = &config->endpoints[i], .address = config->endpoints[i].address.text, .state = ENDPOINT_UNTRIED};
    commons_look(facts->commons, config->name, targets_note, view);
    return !view->out_of_memory;
}

void target_view_count(struct target_view *view, const struct facts *facts)
{
    commons_look_at_sites(facts->commons, targets_note_site, view);
    targets_note_counts(view, facts->series);
}

void target_view_deinit(struct target_view *view)
{
    for (size_t i = 0; i < view->n_endpoints; i++)
        if (!view->endpoints[i].config)
            free(view->endpoints[i].address);
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
