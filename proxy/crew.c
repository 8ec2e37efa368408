#include "proxy/crew.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/descriptors.h"

static void crew_on_drained(void *closure)
{
    struct crew *crew = closure;

    atomic_fetch_add(&crew->n_drained, 1);
    loop_wake(crew->loop);
}

static void crew_on_stopped(void *closure)
{
    struct crew *crew = closure;

    atomic_fetch_add(&crew->n_stopped, 1);
    loop_wake(crew->loop);
}

/* ---- making ---- */

/* The next: with the number behind those that serve, it is the admin listeners'. The snapshot is the one of which all
 * listeners are. NULL with the error set. */
static struct worker *crew_make_one(const struct crew *crew, struct snapshot *snapshot,
                                    const struct listeners *listeners, struct error *error)
{
    struct admission **admissions = calloc(snapshot_n_sockets(snapshot), sizeof(struct admission *));
    struct worker_setup setup = crew->setup;
    struct worker *worker;

    if (!admissions) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    for (const struct list *link = listeners->all.next; link != &listeners->all; link = link->next) {
        struct served *served = CONTAINER_OF(link, struct served, link);

        admissions[served->config->index] = &served->admission;
    }
    setup.snapshot = snapshot;
    setup.admissions = admissions;
    setup.index = crew->n;
    setup.is_admin = crew->n == snapshot->n_workers;
    setup.pages = setup.is_admin ? &crew->admin->host : NULL;
    setup.tap = admin_tap(crew->admin, setup.index);
    worker = worker_new(&setup, error);
    free(admissions);
    return worker;
}

static void crew_enlist(struct crew *crew, struct worker *worker)
{
    crew->workers[crew->n++] = worker;
    pulse_add(crew->pulse, worker_mailbox(worker));
    admin_know(crew->admin,
               &(struct admin_worker){worker_mailbox(worker), worker_clients(worker), worker_tunnels(worker)});
}

int crew_make(struct crew *crew, struct snapshot *snapshot, const struct listeners *listeners, struct error *error)
{
    size_t n = snapshot->n_workers + (snapshot->n_admin > 0);
    uint64_t n_before = descriptors_count(STDERR_FILENO);

    crew->setup.drained = crew_on_drained;
    crew->setup.stopped = crew_on_stopped;
    crew->setup.closure = crew;
    crew->workers = calloc(snapshot_most_workers(snapshot), sizeof(struct worker *));
    if (!crew->workers)
        return error_set(error, -ENOMEM, "out of memory");
    while (crew->n < n) {
        struct worker *worker = crew_make_one(crew, snapshot, listeners, error);

        if (!worker)
            return error->code ? error->code : -EIO;
        crew_enlist(crew, worker);
    }
    crew->n_descriptors_each = (descriptors_count(STDERR_FILENO) - n_before + n - 1) / n;
    return 0;
}

int crew_start(struct crew *crew, struct error *error)
{
    int r = 0;

    for (size_t i = 0; i < crew->n && r == 0; i++)
        r = worker_start(crew->workers[i], error);
    return r;
}

int crew_complete(struct crew *crew, const struct snapshot *next, struct snapshot *running,
                  const struct listeners *listeners, struct error *error)
{
    struct worker *worker;
    int r;

    if (next->n_admin == 0 || crew->n > running->n_workers)
        return 0;
    worker = crew_make_one(crew, running, listeners, error);
    if (!worker)
        return error->code ? error->code : -EIO;
    r = worker_start(worker, error);
    if (r < 0)
        worker_free(worker);
    else
        crew_enlist(crew, worker);
    return r;
}

void crew_deinit(struct crew *crew)
{
    crew_stop(crew, 0); /* where nobody has told it so yet */
    for (size_t i = 0; i < crew->n; i++)
        worker_join(crew->workers[i]);
    for (size_t i = 0; i < crew->n; i++)
        worker_free(crew->workers[i]);
    free(crew->workers);
    crew->workers = NULL;
    crew->n = 0;
}

/* ---- what all do ---- */

int crew_reserve(struct crew *crew, const struct listeners *listeners)
{
    int r = 0;

    for (size_t i = 0; i < crew->n; i++)
        for (struct list *link = listeners->all.next; link != &listeners->all && r == 0; link = link->next)
            r = worker_reserve_listener(crew->workers[i], &CONTAINER_OF(link, struct served, link)->admission);
    return r;
}

int crew_serve(struct crew *crew, struct served *served)
{
    int last = 0;

    for (size_t i = 0; i < crew->n; i++) {
        int r = worker_change_listener(crew->workers[i], &served->admission, served->listener->fd);

        if (r < 0)
            LOG_EVENT(LOG_LEVEL_ERROR, "a worker cannot serve a listener: no descriptors left",
                      LOG_STRING("listener", served->config->name), LOG_NUMBER("worker", i));
        last = r < 0 ? r : last;
    }
    return last;
}

void crew_leave(struct crew *crew)
{
    for (size_t i = 0; i < crew->n; i++)
        worker_leave(crew->workers[i]);
}

void crew_stop(struct crew *crew, uint64_t deadline_ms)
{
    for (size_t i = 0; i < crew->n; i++)
        worker_stop(crew->workers[i], deadline_ms);
}

void crew_leave_listener(struct crew *crew, struct served *served)
{
    for (size_t i = 0; i < crew->n; i++)
        worker_leave_listener(crew->workers[i], &served->admission);
}

void crew_watch_listener_again(struct crew *crew, struct served *served)
{
    for (size_t i = 0; i < crew->n; i++)
        worker_watch_listener_again(crew->workers[i], &served->admission);
}
