#include "proxy/reach/commons.h"

#include <assert.h>
#include <errno.h>
#include <search.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int commons_init(struct commons *commons, size_t n_workers)
{
    *commons = (struct commons){.n_workers = n_workers, .is_shared = n_workers > 1, .lock = PTHREAD_MUTEX_INITIALIZER};
    commons->inboxes = calloc(n_workers, sizeof(*commons->inboxes));
    if (!commons->inboxes)
        return -ENOMEM;
    for (size_t i = 0; i < n_workers; i++)
        inbox_init(&commons->inboxes[i]);
    return 0;
}

void commons_deinit(struct commons *commons)
{
    if (!commons->inboxes)
        return;
    assert(!commons->targets && !commons->sites);
    for (size_t i = 0; i < commons->n_workers; i++)
        inbox_deinit(&commons->inboxes[i]);
    free(commons->inboxes);
    pthread_mutex_destroy(&commons->lock);
    *commons = (struct commons){.inboxes = NULL};
}

/* What is in a tree; NULL when it is not. With the lock held. */
static void *commons_seek(void *const *tree, const void *like, int (*compare)(const void *, const void *))
{
    void **node = tfind(like, tree, compare);

    return node ? *node : NULL;
}

/* ---- targets ---- */

static int commons_compare_targets(const void *a, const void *b)
{
    return strcmp(((const struct commons_target *)a)->name, ((const struct commons_target *)b)->name);
}

static struct commons_target *commons_target_new(struct commons *commons, const char *name)
{
    struct commons_target *target = calloc(1, sizeof(*target));

    if (!target)
        return NULL;
    target->name = strdup(name);
    target->desks = calloc(commons->n_workers, sizeof(*target->desks));
    if (!target->name || !target->desks || !tsearch(target, &commons->targets, commons_compare_targets)) {
        free(target->name);
        free(target->desks);
        free(target);
        return NULL;
    }
    target->commons = commons;
    places_init(&target->places, commons->is_shared);
    standings_init(&target->standings, target->name);
    for (size_t i = 0; i < commons->n_workers; i++) {
        list_init(&target->desks[i].link);
        list_init(&target->desks[i].targets);
    }
    return target;
}

void commons_configure(struct commons_target *target, const struct target_config *config, bool first_come)
{
    places_configure(&target->places, config->connections_max, config->connections_queue, first_come);
    standings_configure(&target->standings, config->ejects, &config->eject);
}

void commons_look(struct commons *commons, const char *name, void (*fn)(void *closure, struct commons_target *target),
                  void *closure)
{
    const struct commons_target like = {.name = (char *)name};
    struct commons_target *target;

    pthread_mutex_lock(&commons->lock);
    target = commons_seek(&commons->targets, &like, commons_compare_targets);
    if (target)
        fn(closure, target);
    pthread_mutex_unlock(&commons->lock);
}

struct commons_target *commons_target(struct commons *commons, const struct target_config *config, bool first_come)
{
    const struct commons_target like = {.name = config->name};
    struct commons_target *target;

    pthread_mutex_lock(&commons->lock);
    target = commons_seek(&commons->targets, &like, commons_compare_targets);
    if (!target)
        target = commons_target_new(commons, config->name);
    if (target && target->n_references++ == 0)
        commons_configure(target, config, first_come);
    pthread_mutex_unlock(&commons->lock);
    return target;
}

static void commons_target_free(struct commons_target *target)
{
    tdelete(target, &target->commons->targets, commons_compare_targets);
    for (size_t i = 0; i < target->commons->n_workers; i++)
        assert(list_empty(&target->desks[i].targets));
    places_deinit(&target->places);
    standings_deinit(&target->standings);
    free(target->desks);
    free(target->name);
    free(target);
}

void commons_target_unref(struct commons_target *target)
{
    struct commons *commons;

    if (!target)
        return;
    commons = target->commons;
    pthread_mutex_lock(&commons->lock);
    if (--target->n_references == 0)
        commons_target_free(target);
    pthread_mutex_unlock(&commons->lock);
}

void commons_join(struct commons_target *target, size_t worker, struct list *link)
{
    struct commons_desk *desk = &target->desks[worker];

    list_init(link);
    list_append(&desk->targets, link);
    inbox_admit(&target->commons->inboxes[worker], &desk->is_open);
}

/* Nothing is left in the inbox of a target that nobody of this worker holds: it may be gone by then. */
void commons_leave(struct commons_target *target, size_t worker, struct list *link)
{
    struct commons_desk *desk = &target->desks[worker];

    list_remove(link);
    if (list_empty(&desk->targets))
        inbox_shut(&target->commons->inboxes[worker], &desk->is_open, &desk->link);
}

void commons_tell(struct commons_target *target, size_t but_worker)
{
    for (size_t i = 0; i < target->commons->n_workers; i++)
        if (i != but_worker)
            inbox_put(&target->commons->inboxes[i], INBOX_TARGETS, &target->desks[i].link, &target->desks[i].is_open);
}

/* ---- sites ---- */

static int commons_compare_sites(const void *a, const void *b)
{
    return strcmp(((const struct site *)a)->key, ((const struct site *)b)->key);
}

static const char *site_or_nothing(const char *text)
{
    return text ? text : "";
}

char *site_key(enum address_kind kind, const char *canonical, const struct tls_config *tls)
{
    static const struct tls_config none = {.verify = false};
    char *key;

    if (kind != ADDRESS_HTTPS)
        tls = &none;
    return asprintf(&key, "%d %s\n%d %d\n%s\n%s\n%s\n%s", (int)kind, canonical, tls->verify, (int)tls->min_version,
                    site_or_nothing(tls->ca), site_or_nothing(tls->cert), site_or_nothing(tls->key),
                    site_or_nothing(tls->server_name)) < 0
               ? NULL
               : key;
}

static struct site *site_new(struct commons *commons, const char *key)
{
    struct site *site = calloc(1, sizeof(*site));

    if (!site)
        return NULL;
    site->key = strdup(key);
    site->parts = calloc(commons->n_workers, sizeof(*site->parts));
    if (!site->key || !site->parts || !tsearch(site, &commons->sites, commons_compare_sites)) {
        free(site->key);
        free(site->parts);
        free(site);
        return NULL;
    }
    site->commons = commons;
    return site;
}

struct site *commons_site(struct commons *commons, const char *key)
{
    const struct site like = {.key = (char *)(uintptr_t)key};
    struct site *site;

    pthread_mutex_lock(&commons->lock);
    site = commons_seek(&commons->sites, &like, commons_compare_sites);
    if (!site)
        site = site_new(commons, key);
    if (site)
        site->n_references++;
    pthread_mutex_unlock(&commons->lock);
    return site;
}

void commons_look_at_site(struct commons *commons, const char *key, void (*fn)(void *closure, const struct site *site),
                          void *closure)
{
    const struct site like = {.key = (char *)(uintptr_t)key};
    const struct site *site;

    pthread_mutex_lock(&commons->lock);
    site = commons_seek(&commons->sites, &like, commons_compare_sites);
    if (site)
        fn(closure, site);
    pthread_mutex_unlock(&commons->lock);
}

void site_unref(struct site *site)
{
    struct commons *commons;

    if (!site)
        return;
    commons = site->commons;
    pthread_mutex_lock(&commons->lock);
    if (--site->n_references == 0) {
        tdelete(site, &commons->sites, commons_compare_sites);
        free(site->parts);
        free(site->key);
        free(site);
    }
    pthread_mutex_unlock(&commons->lock);
}

uint32_t site_n_idle(const struct site *site)
{
    uint32_t n = 0;

    for (size_t i = 0; i < site->commons->n_workers; i++)
        n += atomic_load_explicit(&site->parts[i].n_idle, memory_order_relaxed);
    return n;
}

uint32_t site_n_busy(const struct site *site)
{
    uint32_t n = 0;

    for (size_t i = 0; i < site->commons->n_workers; i++)
        n += atomic_load_explicit(&site->parts[i].n_busy, memory_order_relaxed);
    return n;
}

struct commons_visitor {
    void (*fn)(void *closure, const struct commons_target *target);
    void *closure;
};

static void commons_show(const void *node, VISIT which, void *closure)
{
    const struct commons_visitor *visitor = closure;

    if (which == postorder || which == leaf)
        visitor->fn(visitor->closure, *(struct commons_target *const *)node);
}

void commons_visit(struct commons *commons, void (*fn)(void *closure, const struct commons_target *target),
                   void *closure)
{
    struct commons_visitor visitor = {fn, closure};

    pthread_mutex_lock(&commons->lock);
    twalk_r(commons->targets, commons_show, &visitor);
    pthread_mutex_unlock(&commons->lock);
}
