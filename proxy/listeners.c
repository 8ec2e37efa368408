#include "proxy/listeners.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"
#include "proxy/listen/passed.h"
#include "proxy/listen/shut.h"
#include "proxy/reach/addresses.h"
#include "proxy/report/series.h"

static struct served *served_of(struct list *link)
{
    return CONTAINER_OF(link, struct served, link);
}

/* ---- one ---- */

void served_free(struct served *served)
{
    list_remove(&served->link);
    succession_end(&served->succession);
    listener_free(served->listener);
    admission_deinit(&served->admission);
    addresses_unref(served->known);
    snapshot_unref(served->snapshot);
    free(served->address);
    free(served);
}

struct served *listeners_add(struct listeners *listeners, struct snapshot *snapshot,
                             const struct listener_config *config, struct error *error)
{
    struct served *served = calloc(1, sizeof(*served));

    if (!served) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    served->snapshot = snapshot_ref(snapshot);
    served->config = config;
    served->address = address_canonical(&config->bind);
    list_init(&served->link);
    list_init(&served->charge.link);
    if (!served->address || admission_init(&served->admission, &listeners->house, config, listeners->n_workers) < 0) {
        served_free(served);
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    list_append(&listeners->all, &served->link);
    return served;
}

void served_configure(struct served *served, struct snapshot *snapshot, const struct listener_config *config)
{
    struct snapshot *old = served->snapshot;

    served->snapshot = snapshot_ref(snapshot);
    served->config = config;
    served->listener->config = config;
    admission_limit(&served->admission, config);
    snapshot_unref(old);
}

bool served_refuse(const struct served *served)
{
    const struct listener *listener = served->listener;

    if (!listener || listener->fd < 0 || listener->shared || listener->config->bind.kind != ADDRESS_TCP)
        return false;
    shut_listening_socket(listener->fd);
    return true;
}

void served_count_again(const struct served *served)
{
    if (served->config->series)
        counter_add(&served->config->series->again, 1);
}

void served_tell(const struct served *served, const char *message)
{
    const struct listener_config *config = served->config;
    struct log_line line;

    if (config->series)
        atomic_store(&config->series->served, true);
    if (log_begin(&line, LOG_LEVEL_INFO, message)) {
        listener_describe(served->listener, &line.line);
        log_end(&line);
    }
    /* Nobody is to believe that it holds anything back. */
    if (config->observe)
        LOG_EVENT(LOG_LEVEL_WARN, "a listener only observes: its routes refuse nothing",
                  LOG_STRING("listener", config->name), LOG_STRING("target", config->observe->name));
}

int served_check_loops(const struct served *served, const struct snapshot *snapshot, struct error *error)
{
    char *address = served->config->bind.kind == ADDRESS_FD ? passed_address(served->listener->fd) : NULL;
    int r = address ? passed_check_loops(address, snapshot, error) : 0;

    free(address);
    return r;
}

static int served_prepare(struct served *served, bool takeover, struct error *error)
{
    int r = listener_prepare(served->config, takeover, served->known, &served->listener, error);

    if (r == 0)
        r = served_check_loops(served, served->snapshot, error);
    if (r < 0) {
        listener_free(served->listener);
        served->listener = NULL;
    }
    served->prepared = r == 0;
    return r;
}

/* ---- all of them ---- */

void listeners_init(struct listeners *listeners, size_t n_workers)
{
    *listeners = (struct listeners){.n_workers = n_workers};
    list_init(&listeners->all);
    admission_house_init(&listeners->house);
}

void listeners_deinit(struct listeners *listeners)
{
    if (!listeners->all.next)
        return;
    while (!list_empty(&listeners->all))
        served_free(served_of(listeners->all.next));
    admission_house_deinit(&listeners->house);
}

struct served *listeners_find(const struct listeners *listeners, const char *address)
{
    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next)
        if (strcmp(served_of(link)->address, address) == 0)
            return served_of(link);
    return NULL;
}

/* The first by address of those without a path that have no socket; NULL: all have. */
static struct served *listeners_next_without_path(const struct listeners *listeners)
{
    struct served *first = NULL;

    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next) {
        struct served *served = served_of(link);

        if (!served->listener && served->config->bind.kind != ADDRESS_UNIX &&
            (!first || strcmp(served->address, first->address) < 0))
            first = served;
    }
    return first;
}

int listeners_prepare(struct listeners *listeners, bool takeover, struct error *error)
{
    struct served *served;
    int r = 0;

    while (r == 0 && (served = listeners_next_without_path(listeners)))
        r = served_prepare(served, takeover, error);
    for (struct list *link = listeners->all.next; link != &listeners->all && r == 0; link = link->next)
        if (!served_of(link)->listener)
            r = served_prepare(served_of(link), takeover, error);
    if (r < 0)
        listeners_take_back(listeners);
    return r;
}

/* Of those that were prepared: the ones that take something from a living process, or the others. */
static int listeners_show_some(const struct listeners *listeners, bool replacing, struct error *error)
{
    int r = 0;

    for (struct list *link = listeners->all.next; link != &listeners->all && r == 0; link = link->next)
        if (served_of(link)->prepared && listener_replaces(served_of(link)->listener) == replacing)
            r = listener_show(served_of(link)->listener, error);
    return r;
}

int listeners_show(struct listeners *listeners, struct error *error)
{
    int r = listeners_show_some(listeners, false, error);

    if (r == 0)
        r = listeners_show_some(listeners, true, error);
    if (r < 0) {
        listeners_take_back(listeners);
        return r;
    }
    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next) {
        struct served *served = served_of(link);

        if (!served->prepared)
            continue;
        listener_settle(served->listener);
        served->prepared = false;
        served_tell(served, "listening");
    }
    return 0;
}

/* The last first: a directory that the first has made may be empty then. */
void listeners_take_back(struct listeners *listeners)
{
    for (struct list *link = listeners->all.previous; link != &listeners->all; link = link->previous) {
        struct served *served = served_of(link);

        if (!served->prepared)
            continue;
        listener_free(served->listener);
        served->listener = NULL;
        served->prepared = false;
    }
}

void listeners_drain(struct listeners *listeners)
{
    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next)
        succession_drain(&served_of(link)->succession);
}

void listeners_settle(struct listeners *listeners)
{
    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next)
        if (served_of(link)->listener)
            served_of(link)->admission.shared = served_of(link)->listener->shared;
}

bool listeners_refuse(struct listeners *listeners)
{
    bool any = false;

    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next)
        any = served_refuse(served_of(link)) || any;
    return any;
}

void listeners_withdraw(struct listeners *listeners)
{
    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next)
        if (served_of(link)->listener)
            listener_withdraw(served_of(link)->listener);
}

void listeners_close(struct listeners *listeners)
{
    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next)
        if (served_of(link)->listener) {
            succession_end(&served_of(link)->succession);
            listener_close(served_of(link)->listener);
        }
}

void listeners_tell_clients(const struct listeners *listeners)
{
    for (struct list *link = listeners->all.next; link != &listeners->all; link = link->next) {
        const struct served *served = served_of(link);
        struct admission_counts counts = admission_count(&served->admission);

        if (counts.n_clients > 0)
            LOG_EVENT(LOG_LEVEL_INFO, "a stop waits for clients", LOG_STRING("listener", served->config->name),
                      LOG_NUMBER("exchanges", counts.n_clients - counts.n_tunnels - counts.n_idle),
                      LOG_NUMBER("tunnels", counts.n_tunnels), LOG_NUMBER("idle", counts.n_idle));
    }
}
