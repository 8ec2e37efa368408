#include "proxy/worker.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/mailbox.h"
#include "proxy/exchange/exchange.h"
#include "proxy/listen/peer.h"
#include "proxy/serve/frontend.h"

#define ACCEPT_MOST 16 /* per wake-up, so that accepting never starves those who are in */
#define ACCEPT_PAUSE_MS 100
#define BEAT_MS 1000

/* What other threads ask of a worker. */
enum worker_request {
    WORKER_STOP,            /* take what is in the backlogs, then no more; a deadline for the rest */
    WORKER_DEADLINE,        /* a stop has another deadline */
    WORKER_CHANGE_LISTENER, /* turn to another descriptor, when the old one's backlog is empty */
};

struct worker_message {
    struct message message;
    enum worker_request request;
    uint64_t deadline_ms; /* WORKER_STOP, WORKER_DEADLINE */
    size_t listener;      /* WORKER_CHANGE_LISTENER: its index */
    int fd;               /* owned; the same */
};

/* One listener as a worker sees it. */
struct door {
    struct worker *worker;
    const struct listener_config *config; /* borrowed from the snapshot */
    bool leaving;                         /* its backlog is being emptied for the last time */
    int fd;                               /* owned: a duplicate of the listener's, -1 */
    struct source source;
    bool starved;       /* paused for want of descriptors, which somebody's leaving does not end at once */
    uint64_t n_refused; /* peers */
    struct instant next_refused_line;
    struct timer pause; /* while accepting is suspended: a limit, or no descriptors left */
};

struct worker {
    struct worker_setup setup;
    struct loop *loop;
    struct snapshot *snapshot; /* a reference */
    struct connector *connector;
    struct frontend *frontend;
    struct exchange_env env;
    struct metrics metrics;
    struct door *doors;
    int most_client_fd; /* accepting pauses when clients get this far */
    struct timer beat, deadline;
    pthread_t thread;
    bool started;
    struct mailbox mailbox;
    struct worker_message stop, deadline_change; /* a stop must not fail for want of memory */
    bool stop_posted, deadline_posted;           /* the main thread's: each goes once */
};

/* ---- accepting ---- */

static void door_open(struct door *door);

static void door_on_pause(struct timer *timer)
{
    door_open(CONTAINER_OF(timer, struct door, pause));
}

static void door_pause(struct door *door)
{
    loop_remove(&door->source);
    if (!door->worker->env.stopping)
        timer_arm(door->worker->loop, &door->pause, ACCEPT_PAUSE_MS);
}

static struct crowd *door_crowd(const struct door *door)
{
    return &door->worker->setup.crowds[door->config->index];
}

/* At most a line a second: a peer without rights must not fill the log. */
static void door_log_refused(struct door *door, const struct peer *peer, const char *why)
{
    struct instant now = loop_now(door->worker->loop);
    char text[80];

    counter_add(&door->worker->metrics.peers_refused, 1);
    door->n_refused++;
    if (instant_before(now, door->next_refused_line))
        return;
    peer_format(peer, text, sizeof(text));
    log_info("peer %s %s %s (%llu refused so far)", text, why, door->config->name, (unsigned long long)door->n_refused);
    door->next_refused_line = instant_add_ms(now, 1000);
}

/* Reads who is there and whether it may be. */
static bool door_lets_in(struct door *door, int fd, struct peer *ret_peer)
{
    const struct listener_config *config = door->config;

    if (peer_read(fd, ret_peer) < 0) {
        log_debug("a client of %s left before it was accepted", config->name);
        return false;
    }
    if (!peer_is_allowed(ret_peer, fd, config->peers, config->n_peers)) {
        door_log_refused(door, ret_peer, "is not allowed on");
        return false;
    }
    if (!crowd_know(door_crowd(door), config, ret_peer->uid)) {
        door_log_refused(door, ret_peer, "has limits.connections_per_uid connections on");
        return false;
    }
    return true;
}

/* 0 or a negative errno; the descriptor is taken over in any case. */
static int door_serve(struct door *door, int fd, const struct peer *peer)
{
    struct worker *worker = door->worker;
    struct tunnel_client client = {
        .fd = fd, .generation = worker->env.generation, .listener = door->config, .uid = peer->uid};
    char text[80];
    size_t n;

    if (!door->config->stream)
        return frontend_add(worker->frontend, fd, door->config, peer);
    n = peer_format(peer, text, sizeof(text));
    return exchange_stream(&worker->env, &client, (struct text){text, n});
}

static void door_take(struct door *door, int fd)
{
    struct peer peer;

    if (!door_lets_in(door, fd, &peer)) {
        close(fd);
        crowd_leave(door_crowd(door), door->config, CROWD_NOBODY);
        return;
    }
    counter_add(&door->worker->metrics.connections, 1);
    if (door_serve(door, fd, &peer) < 0) {
        log_error("cannot serve another connection on %s: out of memory", door->config->name);
        crowd_leave(door_crowd(door), door->config, peer.uid);
    }
}

/* Takes one connection. False when there is none, or none can be taken now. */
static bool door_accept_one(struct door *door)
{
    int fd;

    /* A full house leaves the rest in the backlog: they are served as soon as somebody leaves. */
    /* But what is left in the backlog of a socket that is going away has nobody else to serve it. */
    if (!crowd_enter(door_crowd(door), door->config, door->leaving)) {
        door_pause(door);
        return false;
    }
    fd = accept4(door->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        door_take(door, fd);
        /* Descriptors are given out lowest first. The last ones are for connections to targets. */
        if (fd < door->worker->most_client_fd || door->leaving)
            return true;
        door_pause(door);
        return false;
    }
    crowd_leave(door_crowd(door), door->config, CROWD_NOBODY);
    if (errno == ECONNABORTED || errno == EINTR)
        return true;
    if (errno != EAGAIN) {
        log_error("cannot accept on %s: %s; trying again in %d ms", door->config->name, strerror(errno),
                  ACCEPT_PAUSE_MS);
        door_pause(door);
        door->starved = true;
    }
    return false;
}

static void door_on_ready(struct source *source, uint32_t events)
{
    struct door *door = CONTAINER_OF(source, struct door, source);

    (void)events;
    for (int i = 0; i < ACCEPT_MOST && door_accept_one(door); i++)
        ;
}

static void door_open(struct door *door)
{
    int r;

    timer_disarm(&door->pause);
    door->starved = false;
    if (door->source.loop || door->fd < 0)
        return;
    r = loop_add(door->worker->loop, &door->source, door->fd, EPOLLIN | EPOLLEXCLUSIVE, door_on_ready);
    if (r < 0)
        log_error("cannot watch listener %s: %s", door->config->name, strerror(-r));
}

static void worker_on_client_left(void *closure, const struct listener_config *config, uid_t uid)
{
    struct worker *worker = closure;
    struct door *door = &worker->doors[config->index];

    crowd_leave(door_crowd(door), config, uid);
    if (timer_armed(&door->pause) && !door->starved && !worker->env.stopping)
        door_open(door);
}

static void door_close(struct door *door)
{
    timer_disarm(&door->pause);
    loop_remove(&door->source);
    if (door->fd >= 0)
        close(door->fd);
    door->fd = -1;
}

/* Serves what is left in the backlog, then closes. */
static void door_empty(struct door *door)
{
    /* What can have been in it, and no more: a peer that is refused and comes again must not hold up a stop. */
    door->leaving = true;
    for (uint32_t i = 0; i <= door->config->backlog && door->fd >= 0 && door_accept_one(door); i++)
        ;
    door_close(door);
    door->leaving = false;
}

/* Serves what is left in the old backlog, then turns to the new descriptor, which is taken over. */
static void door_change(struct door *door, int fd)
{
    door_empty(door);
    door->fd = fd;
    if (!door->worker->env.stopping)
        door_open(door);
}

/* ---- stopping ---- */

static void worker_on_deadline(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, deadline);

    clients_cut_all(frontend_clients(worker->frontend));
    tunnels_cut_all(&worker->env.tunnels);
}

/* What has connected before the path was withdrawn is in the backlog and must be served. */
static void worker_begin_stop(struct worker *worker, uint64_t deadline_ms)
{
    timer_arm(worker->loop, &worker->deadline, deadline_ms);
    worker->env.stopping = true;
    for (size_t i = 0; i < worker->snapshot->n_listeners; i++)
        door_empty(&worker->doors[i]);
    worker->setup.drained(worker->setup.closure);
    clients_stop(frontend_clients(worker->frontend));
}

/* ---- what other threads ask ---- */

static void worker_message_free(struct message *message)
{
    struct worker_message *asked = CONTAINER_OF(message, struct worker_message, message);

    if (asked->fd >= 0)
        close(asked->fd);
    free(asked);
}

/* Of a message that is embedded in the worker. */
static void worker_message_keep(struct message *message)
{
    (void)message;
}

static void worker_heed_one(struct worker *worker, struct worker_message *asked)
{
    switch (asked->request) {
    case WORKER_STOP:
        worker_begin_stop(worker, asked->deadline_ms);
        break;
    case WORKER_DEADLINE:
        timer_disarm(&worker->deadline);
        timer_arm(worker->loop, &worker->deadline, asked->deadline_ms);
        break;
    case WORKER_CHANGE_LISTENER:
        door_change(&worker->doors[asked->listener], asked->fd);
        asked->fd = -1;
        break;
    }
    asked->message.drop(&asked->message);
}

static void worker_heed(struct worker *worker)
{
    struct message *message;

    while ((message = mailbox_take(&worker->mailbox)))
        worker_heed_one(worker, CONTAINER_OF(message, struct worker_message, message));
}

void worker_stop(struct worker *worker, uint64_t deadline_ms)
{
    struct worker_message *asked = worker->stop_posted ? &worker->deadline_change : &worker->stop;
    bool *posted = worker->stop_posted ? &worker->deadline_posted : &worker->stop_posted;

    if (*posted)
        return;
    *posted = true;
    *asked = (struct worker_message){.message.drop = worker_message_keep,
                                     .request = asked == &worker->stop ? WORKER_STOP : WORKER_DEADLINE,
                                     .deadline_ms = deadline_ms,
                                     .fd = -1};
    mailbox_post(&worker->mailbox, &asked->message);
}

int worker_change_listener(struct worker *worker, size_t index)
{
    struct worker_message *asked = malloc(sizeof(*asked));
    int fd;

    if (!asked)
        return -ENOMEM;
    fd = fcntl(worker->setup.listeners[index]->fd, F_DUPFD_CLOEXEC, 0);
    if (fd < 0) {
        int r = -errno;

        free(asked);
        return r;
    }
    *asked = (struct worker_message){
        .message.drop = worker_message_free, .request = WORKER_CHANGE_LISTENER, .listener = index, .fd = fd};
    mailbox_post(&worker->mailbox, &asked->message);
    return 0;
}

/* ---- the thread ---- */

static void worker_on_beat(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, beat);

    frontend_beat(worker->frontend);
    timer_arm(worker->loop, &worker->beat, BEAT_MS);
}

static bool worker_is_done(const struct worker *worker)
{
    return worker->env.stopping && frontend_clients(worker->frontend)->n_clients == 0 &&
           worker->env.tunnels.n_tunnels == 0;
}

static int worker_most_client_fd(void)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur > INT_MAX)
        return INT_MAX;
    return (int)(limit.rlim_cur - limit.rlim_cur / 4);
}

static void *worker_main(void *closure)
{
    struct worker *worker = closure;

    timer_arm(worker->loop, &worker->beat, BEAT_MS);
    worker->most_client_fd = worker_most_client_fd();
    worker_heed(worker);
    while (!worker_is_done(worker)) {
        bool busy = frontend_is_busy(worker->frontend) || tunnels_are_ready(&worker->env.tunnels);
        int n;

        if (!busy && worker->env.access_log)
            access_log_flush(worker->env.access_log);
        n = loop_run_once(worker->loop, busy ? 0 : -1);
        if (n < 0) {
            log_error("the event loop failed: %s", strerror(-n));
            break;
        }
        worker_heed(worker);
        frontend_turn(worker->frontend, n == 0);
        tunnels_turn(&worker->env.tunnels);
        exchange_flush_unsent(&worker->env);
    }
    mailbox_close(&worker->mailbox);
    worker->setup.stopped(worker->setup.closure);
    return NULL;
}

int worker_start(struct worker *worker, struct error *error)
{
    sigset_t all, old;
    int r = 0;

    for (size_t i = 0; i < worker->snapshot->n_listeners && r == 0; i++)
        r = worker_change_listener(worker, i);
    if (r < 0)
        return error_set(error, r, "cannot start a worker: %s", strerror(-r));
    /* Signals are the main thread's. */
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&worker->thread, NULL, worker_main, worker);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    if (r)
        return error_set(error, -r, "cannot start a worker thread: %s", strerror(r));
    worker->started = true;
    return 0;
}

/* ---- making ---- */

static int worker_make_doors(struct worker *worker)
{
    size_t n = worker->snapshot->n_listeners;

    worker->doors = calloc(n, sizeof(*worker->doors));
    if (!worker->doors)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        worker->doors[i] =
            (struct door){.worker = worker, .config = &worker->snapshot->listeners[i], .fd = -1, .source = SOURCE_INIT};
        timer_init(&worker->doors[i].pause, door_on_pause);
    }
    return 0;
}

/* The generation that the worker begins with. */
static int worker_make_env(struct worker *worker)
{
    struct generation *generation;
    int r;

    worker->connector = connector_new(worker->loop);
    if (!worker->connector)
        return -ENOMEM;
    generation = generation_new(worker->snapshot, worker->connector, worker->loop);
    if (!generation)
        return -ENOMEM;
    r = exchange_env_init(&worker->env, generation);
    generation_unref(generation);
    return r;
}

static int worker_make(struct worker *worker, struct error *error)
{
    const struct log_config *log = &worker->snapshot->log;
    int r;

    worker->loop = loop_new();
    if (!worker->loop)
        return error_set(error, -errno, "cannot make an event loop: %s", strerror(errno));
    mailbox_init(&worker->mailbox, worker->loop);
    r = worker_make_doors(worker);
    worker->env = (struct exchange_env){
        .loop = worker->loop, .metrics = &worker->metrics, .client_left = worker_on_client_left, .closure = worker};
    if (log->access) {
        worker->env.access_log = access_log_new(log->access_to, log->access_format, error);
        if (!worker->env.access_log)
            return -EIO;
    }
    if (r == 0)
        r = worker_make_env(worker);
    if (r < 0)
        return error_set(error, r, "cannot make a worker: %s", strerror(-r));
    worker->frontend = frontend_new(&worker->env, error);
    return worker->frontend ? 0 : -EIO;
}

struct worker *worker_new(const struct worker_setup *setup, struct error *error)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    if (!worker) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    worker->setup = *setup;
    worker->snapshot = snapshot_ref(setup->snapshot);
    timer_init(&worker->beat, worker_on_beat);
    timer_init(&worker->deadline, worker_on_deadline);
    if (worker_make(worker, error) < 0) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    if (worker->started)
        pthread_join(worker->thread, NULL);
    frontend_free(worker->frontend);
    if (worker->env.generation)
        exchange_env_deinit(&worker->env);
    mailbox_deinit(&worker->mailbox);
    for (size_t i = 0; worker->doors && i < worker->snapshot->n_listeners; i++)
        door_close(&worker->doors[i]);
    connector_free(worker->connector);
    access_log_free(worker->env.access_log);
    free(worker->doors);
    loop_free(worker->loop);
    snapshot_unref(worker->snapshot);
    free(worker);
}

const struct metrics *worker_metrics(const struct worker *worker)
{
    return &worker->metrics;
}
