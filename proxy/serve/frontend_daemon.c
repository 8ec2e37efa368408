#include "proxy/serve/frontend_daemon.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

static void frontend_daemon_on_ready(struct source *source, uint32_t events)
{
    const struct daemons *daemons = CONTAINER_OF(source, struct frontend_daemon, source)->daemons;

    (void)events;
    daemons->ready(daemons->closure);
}

static void frontend_daemon_free(struct frontend_daemon *daemon)
{
    if (!daemon)
        return;
    loop_remove(&daemon->source);
    connection_memory_show(&daemon->memory);
    if (daemon->library)
        MHD_stop_daemon(daemon->library);
    connection_memory_show(NULL);
    connection_memory_deinit(&daemon->memory);
    interest_set_end(&daemon->set);
    list_remove(&daemon->link);
    free(daemon);
}

static struct frontend_daemon *frontend_daemon_new(struct daemons *daemons, size_t pool_bytes, struct error *error)
{
    struct frontend_daemon *daemon = calloc(1, sizeof(*daemon));
    const union MHD_DaemonInfo *info;
    int r;

    if (!daemon) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    list_init(&daemon->link);
    daemon->daemons = daemons;
    daemon->source = (struct source)SOURCE_INIT;
    interest_set_init(&daemon->set);
    daemon->pool_bytes = pool_bytes;
    connection_memory_init(&daemon->memory, pool_bytes);
    interest_listen();
    daemon->library = daemons->start(daemon);
    if (!daemon->library) {
        error_set(error, -EIO, "libmicrohttpd %s cannot start a daemon", MHD_get_version());
        frontend_daemon_free(daemon);
        return NULL;
    }
    info = MHD_get_daemon_info(daemon->library, MHD_DAEMON_INFO_EPOLL_FD);
    r = interest_set_begin(&daemon->set, &daemons->interests, info->epoll_fd)
            ? 0
            : loop_add(daemons->loop, &daemon->source, info->epoll_fd, EPOLLIN, frontend_daemon_on_ready);
    if (r < 0) {
        error_set(error, r, "cannot watch libmicrohttpd: %s", strerror(-r));
        frontend_daemon_free(daemon);
        return NULL;
    }
    list_append(&daemons->list, &daemon->link);
    return daemon;
}

/* ---- life ---- */

void daemons_init(struct daemons *daemons)
{
    list_init(&daemons->list);
    interests_init(&daemons->interests);
}

void daemons_deinit(struct daemons *daemons)
{
    while (!list_empty(&daemons->list))
        frontend_daemon_free(CONTAINER_OF(daemons->list.next, struct frontend_daemon, link));
    daemons->newest = daemons->next = NULL;
    interests_deinit(&daemons->interests);
}

static struct frontend_daemon *daemons_find(const struct daemons *daemons, size_t pool_bytes)
{
    for (struct list *link = daemons->list.next; link != &daemons->list; link = link->next)
        if (CONTAINER_OF(link, struct frontend_daemon, link)->pool_bytes == pool_bytes)
            return CONTAINER_OF(link, struct frontend_daemon, link);
    return NULL;
}

int daemons_prepare(struct daemons *daemons, size_t pool_bytes, struct error *error)
{
    struct frontend_daemon *daemon = daemons_find(daemons, pool_bytes);

    if (!daemon)
        daemon = frontend_daemon_new(daemons, pool_bytes, error);
    if (!daemon)
        return error->code;
    daemons->next = daemon;
    return 0;
}

void daemons_turn_to_next(struct daemons *daemons)
{
    if (daemons->next)
        daemons->newest = daemons->next;
    daemons->next = NULL;
}

/* ---- running ---- */

bool frontend_daemon_add(struct frontend_daemon *daemon, int fd)
{
    static const struct sockaddr_un nobody = {.sun_family = AF_UNIX};
    bool added;

    connection_memory_offer(&daemon->memory);
    connection_memory_show(&daemon->memory);
    added = MHD_add_connection(daemon->library, fd, (const struct sockaddr *)&nobody, sizeof(nobody)) == MHD_YES;
    connection_memory_show(NULL);
    connection_memory_offer(NULL);
    return added;
}

static bool frontend_daemon_is_needed(const struct frontend_daemon *daemon)
{
    return daemon->n_clients > 0 || daemon == daemon->daemons->newest || daemon == daemon->daemons->next;
}

/* Whether it has more to do by itself. */
static bool frontend_daemon_run(struct frontend_daemon *daemon)
{
    uint64_t ms;

    connection_memory_show(&daemon->memory);
    MHD_run(daemon->library);
    connection_memory_show(NULL);
    return MHD_get_timeout64(daemon->library, &ms) == MHD_YES && ms == 0;
}

void daemons_run(struct daemons *daemons)
{
    daemons->want_run = false;
    for (struct list *link = daemons->list.next, *next; link != &daemons->list; link = next) {
        struct frontend_daemon *daemon = CONTAINER_OF(link, struct frontend_daemon, link);

        next = link->next;
        if (frontend_daemon_run(daemon))
            daemons->want_run = true;
        if (!frontend_daemon_is_needed(daemon))
            frontend_daemon_free(daemon);
    }
}

void daemons_rest(struct daemons *daemons)
{
    for (struct list *link = daemons->list.next; link != &daemons->list; link = link->next)
        connection_memory_rest(&CONTAINER_OF(link, struct frontend_daemon, link)->memory);
}
