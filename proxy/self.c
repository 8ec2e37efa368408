#include "proxy/self.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "proxy/base/diagnosis.h"
#include "proxy/listen/admission.h"
#include "proxy/listen/backlog.h"

static void self_gather_file(const struct listener *listener, struct facts_listener *fact)
{
    struct stat st;

    if (listener->directory_fd < 0 ||
        fstatat(listener->directory_fd, listener->file_name, &st, AT_SYMLINK_NOFOLLOW) != 0)
        return;
    fact->has_file = true;
    fact->mode = st.st_mode & 07777;
    fact->owner = st.st_uid;
    fact->group = st.st_gid;
}

static void self_gather_listener(const struct self *self, const struct served *served, struct facts *facts)
{
    struct facts_listener *fact;

    /* One that is being removed, or not yet of this snapshot. */
    if (served->snapshot != facts->snapshot)
        return;
    fact = &facts->listeners[served->config->index];
    fact->counts = admission_count(&served->admission);
    if (!served->listener)
        return;
    self_gather_file(served->listener, fact);
    fact->has_backlog = served->listener->fd >= 0 && backlog_read(self->backlogs, served->listener->fd, &fact->backlog);
    fact->up = served->listener->fd >= 0 && listener_look(served->listener) == LISTENER_OURS;
}

static void self_gather_listeners(const struct self *self, struct facts *facts)
{
    const struct list *all = &self->listeners->all;

    facts->n_listeners = snapshot_n_sockets(facts->snapshot);
    facts->listeners = calloc(facts->n_listeners, sizeof(*facts->listeners));
    if (!facts->listeners) {
        facts->out_of_memory = true;
        facts->n_listeners = 0;
        return;
    }
    for (size_t i = 0; i < facts->n_listeners; i++)
        facts->listeners[i].config = snapshot_socket(facts->snapshot, i);
    for (const struct list *link = all->next; link != all; link = link->next)
        self_gather_listener(self, CONTAINER_OF(link, const struct served, link), facts);
}

static void self_gather_reload(const struct self *self, struct facts *facts)
{
    const struct reload_state *reload = &self->reload->state;

    facts->reload_tried = reload->when.ns != 0;
    facts->reload_good = reload->good;
    facts->reload_time = reload->when;
    facts->loaded = reload->loaded;
    facts->n_reloads = reload->n_reloads;
    facts->n_refused = reload->n_refused;
    if (!reload->problems)
        return;
    facts->reload_problem = strdup(reload->problems);
    facts->out_of_memory = !facts->reload_problem;
}

/* Main thread, like the next. */
static void self_gather(struct admin_desk *desk, struct facts *facts)
{
    const struct self *self = CONTAINER_OF(desk, struct self, desk);
    enum stop_step step = self->stop->step;

    *facts = (struct facts){.snapshot = snapshot_ref(*self->snapshot),
                            .state = step == STOP_SERVING   ? FACTS_SERVING
                                     : step == STOP_LEAVING ? FACTS_LEAVING
                                                            : FACTS_DRAINING,
                            .pid = getpid(),
                            .started = self->started,
                            .uptime_ms = instant_elapsed_us(self->begun, instant_now()) / 1000,
                            .n_workers = (*self->snapshot)->n_workers,
                            .series = self->series,
                            .commons = self->commons,
                            .memory = {.limit_bytes = self->pressure->figures.limit_bytes,
                                       .used_bytes = self->pressure->figures.used_bytes,
                                       .brake = brake_state(&self->listeners->house.brake),
                                       .n_pauses = self->pressure->n_episodes},
                            .process = process_read(&self->process)};
    for (size_t i = 0; i < self->crew->n; i++)
        facts->n_dropped_lines += counter_read(&worker_metrics(self->crew->workers[i])->dropped_lines);
    self_gather_reload(self, facts);
    self_gather_listeners(self, facts);
}

static void self_heed(struct admin_desk *desk, enum admin_wish wish, unsigned argument)
{
    struct self *self = CONTAINER_OF(desk, struct self, desk);
    const struct snapshot *snapshot = *self->snapshot;

    switch (wish) {
    case ADMIN_RELOAD:
        reload_begin(self->reload);
        break;
    case ADMIN_DRAIN:
        stop_ask_to_leave(self->stop, "POST /drain", snapshot->shutdown_delay_ms, snapshot->drain_ms);
        break;
    case ADMIN_QUIT:
        stop_ask_to_drain(self->stop, "POST /quit", snapshot->drain_ms);
        break;
    case ADMIN_LOG_LEVEL:
        log_configure((enum log_level)argument, snapshot->log.format);
        break;
    case ADMIN_NOTHING:
        break;
    }
}

int self_init(struct self *self, const struct self *lent)
{
    *self = *lent;
    self->started = wall_time_now();
    process_open(&self->process);
    self->backlogs = diagnosis_open();
    self->desk.gather = self_gather;
    self->desk.wish = self_heed;
    return admin_init(&self->admin, &self->desk, (*self->snapshot)->n_workers);
}

void self_deinit(struct self *self)
{
    process_close(&self->process);
    if (self->backlogs >= 0)
        close(self->backlogs);
    self->backlogs = -1;
    admin_deinit(&self->admin);
}
