#include "proxy/reload_plan.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static bool reload_plan_allocate(struct reload_plan *plan, size_t n_now)
{
    size_t n = snapshot_n_sockets(plan->snapshot);

    plan->served = calloc(n, sizeof(struct served *));
    plan->is_new = calloc(n, sizeof(*plan->is_new));
    plan->amendments = calloc(n, sizeof(*plan->amendments));
    plan->admissions = calloc(n, sizeof(struct admission *));
    plan->removed = calloc(n_now + 1, sizeof(struct served *));
    plan->removed_from = calloc(n_now + 1, sizeof(struct admission *));
    plan->late = calloc(n_now + 1, sizeof(*plan->late));
    plan->changes = calloc(plan->n_workers, sizeof(*plan->changes));
    return plan->served && plan->is_new && plan->amendments && plan->admissions && plan->removed &&
           plan->removed_from && plan->late && plan->changes;
}

static bool reload_plan_has(const struct reload_plan *plan, const struct served *served)
{
    for (size_t i = 0; i < snapshot_n_sockets(plan->snapshot); i++)
        if (plan->served[i] == served)
            return true;
    return false;
}

/* One that stays, or a new one. */
static int reload_plan_find(struct reload_plan *plan, size_t i, struct error *error)
{
    const struct listener_config *config = snapshot_socket(plan->snapshot, i);
    char *address = address_canonical(&config->bind);
    struct served *served = address ? listeners_find(plan->listeners, address) : NULL;

    free(address);
    if (!address)
        return error_set(error, -ENOMEM, "out of memory");
    if (!served) {
        served = listeners_add(plan->listeners, plan->snapshot, config, error);
        plan->is_new[i] = served;
        plan->n_new += served != NULL;
    }
    if (!served)
        return error->code;
    plan->served[i] = served;
    plan->admissions[i] = &served->admission;
    return plan->is_new[i] ? 0 : served_check_loops(served, plan->snapshot, error);
}

static void reload_plan_find_removed(struct reload_plan *plan)
{
    const struct list *all = &plan->listeners->all;

    for (struct list *link = all->next; link != all; link = link->next) {
        struct served *served = CONTAINER_OF(link, struct served, link);

        if (reload_plan_has(plan, served))
            continue;
        plan->removed_from[plan->n_removed] = &served->admission;
        plan->removed[plan->n_removed++] = served;
    }
}

/* There are no sockets yet: what these will be duplicates of takes their places later, which then cannot fail. */
static int reload_plan_reserve(const struct reload_plan *plan, int *fds)
{
    for (size_t i = 0; i < snapshot_n_sockets(plan->snapshot); i++) {
        if (!plan->is_new[i])
            continue;
        fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
        if (fds[i] < 0)
            return -errno;
    }
    return 0;
}

static int reload_plan_make_change(struct reload_plan *plan, struct worker_change *change)
{
    size_t n = snapshot_n_sockets(plan->snapshot);

    change->snapshot = plan->snapshot;
    change->admissions = plan->admissions;
    change->removed = plan->removed_from;
    change->late = plan->late;
    change->n_removed = plan->n_removed;
    change->fds = malloc(n * sizeof(*change->fds));
    if (!change->fds)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++)
        change->fds[i] = -1;
    return reload_plan_reserve(plan, change->fds);
}

static int reload_plan_make(struct reload_plan *plan, const struct worker_change *change, struct error *error)
{
    int r = 0;

    for (size_t i = 0; i < snapshot_n_sockets(plan->snapshot) && r == 0; i++)
        r = reload_plan_find(plan, i, error);
    if (r < 0)
        return r;
    reload_plan_find_removed(plan);
    for (size_t i = 0; i < plan->n_workers && r == 0; i++) {
        plan->changes[i] = *change;
        r = reload_plan_make_change(plan, &plan->changes[i]);
    }
    return r < 0 ? error_set(error, r, "no descriptors or memory for another configuration: %s", strerror(-r)) : 0;
}

static size_t reload_plan_count(const struct listeners *listeners)
{
    size_t n = 0;

    for (const struct list *link = listeners->all.next; link != &listeners->all; link = link->next)
        n++;
    return n;
}

struct reload_plan *reload_plan_new(struct snapshot *snapshot, struct listeners *listeners, size_t n_workers,
                                    const struct worker_change *change, struct error *error)
{
    struct reload_plan *plan = calloc(1, sizeof(*plan));

    if (!plan) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    plan->snapshot = snapshot_ref(snapshot);
    plan->listeners = listeners;
    plan->n_workers = n_workers;
    if (!reload_plan_allocate(plan, reload_plan_count(listeners)))
        error_set(error, -ENOMEM, "out of memory");
    else if (reload_plan_make(plan, change, error) == 0)
        return plan;
    else
        reload_plan_undo(plan);
    reload_plan_free(plan);
    return NULL;
}

static void reload_plan_free_change(const struct reload_plan *plan, struct worker_change *change)
{
    for (size_t i = 0; change->fds && i < snapshot_n_sockets(plan->snapshot); i++)
        if (change->fds[i] >= 0)
            close(change->fds[i]);
    free(change->fds);
}

void reload_plan_free(struct reload_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; plan->changes && i < plan->n_workers; i++)
        reload_plan_free_change(plan, &plan->changes[i]);
    reload_names_deinit(&plan->names);
    snapshot_unref(plan->snapshot);
    free(plan->changes);
    free(plan->late);
    free(plan->removed_from);
    free(plan->removed);
    free(plan->admissions);
    free(plan->amendments);
    free(plan->is_new);
    free(plan->served);
    free(plan);
}

/* ---- sockets ---- */

/* Those that stay first: what is new may lie in their directories. */
int reload_plan_publish(struct reload_plan *plan, struct error *error)
{
    const struct snapshot *snapshot = plan->snapshot;
    int r = 0;

    for (size_t i = 0; i < snapshot_n_sockets(snapshot) && r == 0; i++) {
        if (!plan->is_new[i])
            r = listener_amend(plan->served[i]->listener, snapshot_socket(snapshot, i), &plan->amendments[i], error);
        plan->n_amended += amendment_is_some(&plan->amendments[i]);
    }
    if (r == 0)
        r = listeners_prepare(plan->listeners, false, error);
    if (r == 0)
        r = listeners_show(plan->listeners, error);
    return r;
}

void reload_plan_give_descriptors(struct reload_plan *plan)
{
    for (size_t i = 0; i < snapshot_n_sockets(plan->snapshot); i++)
        for (size_t k = 0; plan->is_new[i] && k < plan->n_workers; k++)
            while (dup3(plan->served[i]->listener->fd, plan->changes[k].fds[i], O_CLOEXEC) < 0 &&
                   (errno == EINTR || errno == EBUSY))
                ;
}

/* A worker that has ended keeps its seats until it is freed. */
static void reload_plan_undo_new(struct served *served)
{
    if (atomic_load(&served->admission.n_seats) == 0) {
        served_free(served);
        return;
    }
    listener_free(served->listener);
    served->listener = NULL;
}

void reload_plan_undo(struct reload_plan *plan)
{
    for (size_t i = 0; i < snapshot_n_sockets(plan->snapshot); i++) {
        amendment_undo(&plan->amendments[i]);
        if (plan->is_new[i])
            reload_plan_undo_new(plan->served[i]);
    }
}
