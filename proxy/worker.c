/* A worker's round:
 *
 *   loop: ready descriptors (listeners, clients, targets), timers  -->  mailbox  -->  library, tunnels, exchanges
 *
 * It sleeps in the loop only when none of those has more to do. Everything that it owns is touched by its thread alone;
 * what others want goes through its mailbox and is done between two rounds, never inside a callback.
 *
 * A stop empties the backlogs first, since nobody else would serve them, tells the server that it accepts no more, and
 * ends when the last client and the last tunnel have left; its deadline cuts those that are still there. */
#include "proxy/worker.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "proxy/exchange/hand_over.h"
#include "proxy/exchange/request.h"
#include "proxy/seats.h"
#include "proxy/serve/client_events.h"
#include "proxy/serve/frontend.h"

#define BEAT_MS 1000

/* What other threads ask of a worker. */
enum worker_request {
    WORKER_LEAVE,    /* answers close their connections from now on */
    WORKER_STOP,     /* take what is in the backlogs, then no more; a deadline for the rest */
    WORKER_DEADLINE, /* a stop has another deadline */
    WORKER_ATTEND,   /* there is something in the inbox */
};

struct worker_message {
    struct message message;
    enum worker_request request;
    uint64_t deadline_ms; /* WORKER_STOP, WORKER_DEADLINE */
};

struct worker {
    struct worker_setup setup;
    struct loop *loop;
    struct connector *connector; /* NULL: of admin listeners, and reaches no target */
    struct endpoints endpoints;  /* of all generations; set up when there is a connector */
    struct frontend *frontend;
    struct exchange_env env;
    struct metrics metrics;
    struct acceptor_host host;
    struct seats seats;
    struct timer beat, deadline;
    pthread_t thread;
    bool started;
    struct mailbox mailbox;
    struct worker_message attend, leave, stop, deadline_change; /* a stop must not fail for want of memory */
    bool stop_posted, deadline_posted;                          /* the main thread's: each goes once */
    /* What has been prepared: */
    struct generation *next; /* a reference; NULL: nothing is */
    struct access_log *next_access_log;
    bool keeps_access_log;
    /* Between a commit and WORKER_CLOSE: what clients are of that come late to a listener that goes. A reference. */
    struct generation *before;
};

/* ---- accepting ---- */

static int worker_on_client(struct acceptor_host *host, const struct listener_config *config, int fd,
                            const struct peer *peer, struct admission_pass pass)
{
    struct worker *worker = CONTAINER_OF(host, struct worker, host);
    struct generation *generation =
        worker->before && seats_is_late(pass.desk) ? worker->before : worker->env.generation;
    struct tunnel_client client = {.fd = fd,
                                   .generation = generation,
                                   .listener = config,
                                   .pass = pass,
                                   .is_unix = peer->is_unix,
                                   .uid = peer->uid};
    char text[80];
    size_t n;

    if (!config->stream)
        return frontend_add(worker->frontend, fd, generation, config, peer, pass);
    n = peer_format(peer, text, sizeof(text));
    return exchange_stream(&worker->env, &client, (struct text){text, n});
}

static bool worker_on_let_go(struct acceptor_host *host, struct admission_pass *pass)
{
    (void)host;
    return client_make_room(pass);
}

/* Any thread; the inbox tells it once until it is looked into. */
static void worker_on_inbox(void *closure)
{
    struct worker *worker = closure;

    mailbox_post(&worker->mailbox, &worker->attend.message);
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
    worker->env.closing = true;
    worker->env.stopping = true;
    seats_empty(&worker->seats);
    worker->setup.drained(worker->setup.closure);
    clients_stop(frontend_clients(worker->frontend));
}

/* ---- another generation ---- */

static void worker_on_cut(struct seats *seats, const struct admission_desk *desk)
{
    struct worker *worker = CONTAINER_OF(seats, struct worker, seats);

    clients_cut_of(frontend_clients(worker->frontend), desk);
    tunnels_cut_of(&worker->env.tunnels, desk);
}

static void worker_abort(struct worker *worker)
{
    seats_drop_fresh(&worker->seats);
    worker->next = generation_unref(worker->next);
    access_log_free(worker->next_access_log);
    worker->next_access_log = NULL;
}

static bool worker_has_access_log(const struct worker *worker, const struct log_config *log)
{
    const struct log_config *now = worker->env.generation ? &worker->env.generation->snapshot->log : NULL;

    return now && now->access == log->access && now->access_format == log->access_format &&
           (!log->access || strcmp(now->access_to, log->access_to) == 0);
}

static bool worker_serves(const struct worker *worker, const struct admission *admission)
{
    return admission->is_admin == worker->setup.is_admin;
}

/* The log that a snapshot asks for; one that is the same goes on. 0 or a negative errno with the error set. */
static int worker_open_access_log(struct worker *worker, const struct log_config *log, struct error *error)
{
    worker->keeps_access_log = worker_has_access_log(worker, log);
    if (worker->keeps_access_log || !log->access)
        return 0;
    worker->next_access_log = access_log_new(log->access_to, log->access_format, &worker->metrics.dropped_lines, error);
    return worker->next_access_log ? 0 : -EIO;
}

static int worker_prepare(struct worker *worker, struct snapshot *snapshot, struct admission **admissions,
                          struct error *error)
{
    int r = 0;

    for (size_t i = 0; i < snapshot_n_sockets(snapshot) && r == 0; i++)
        if (worker_serves(worker, admissions[i]) && !seats_have(&worker->seats, admissions[i]))
            r = seats_add(&worker->seats, admissions[i], snapshot_socket(snapshot, i));
    if (r == 0)
        worker->next = generation_new(snapshot, worker->connector ? &worker->endpoints : NULL);
    if (r < 0 || !worker->next)
        return error_set(error, -ENOMEM, "out of memory");
    return worker_open_access_log(worker, &snapshot->log, error);
}

static void worker_take_access_log(struct worker *worker)
{
    const struct log_choice *choice = &worker->env.generation->snapshot->log.choice;

    if (!worker->keeps_access_log) {
        access_log_free(worker->env.recorder.access_log);
        worker->env.recorder.access_log = worker->next_access_log;
        worker->next_access_log = NULL;
    }
    access_log_choose(worker->env.recorder.access_log, choice);
}

/* Of listeners that go: those to which somebody may come late, or the others. `before`: what their clients are of. */
static void worker_close_removed(struct worker *worker, const struct worker_change *change, bool late,
                                 const struct generation *before)
{
    struct clients *clients = frontend_clients(worker->frontend);

    for (size_t i = 0; i < change->n_removed; i++) {
        struct admission *admission = change->removed[i];

        if (change->late[i] != late || !worker_serves(worker, admission))
            continue;
        seats_close(&worker->seats, admission, before->snapshot, change->snapshot->drain_ms);
        clients_leave(clients, &admission->desks[worker->setup.index]);
    }
}

static void worker_wait_for_late(struct worker *worker, const struct worker_change *change)
{
    for (size_t i = 0; i < change->n_removed; i++) {
        if (!change->late[i] || !worker_serves(worker, change->removed[i]))
            continue;
        seats_wait_for_late(&worker->seats, change->removed[i]);
        if (!worker->before)
            worker->before = generation_ref(worker->env.generation);
    }
}

static void worker_close_late(struct worker *worker, const struct worker_change *change)
{
    worker_close_removed(worker, change, true, worker->before);
    worker->before = generation_unref(worker->before);
}

static void worker_commit(struct worker *worker, struct worker_change *change)
{
    const struct snapshot *snapshot = change->snapshot;

    /* First whoever is in the backlogs of listeners that go: those clients are of the generation before. */
    worker_close_removed(worker, change, false, worker->env.generation);
    worker_wait_for_late(worker, change);
    exchange_env_renew(&worker->env, worker->next);
    worker->next = generation_unref(worker->next);
    worker_take_access_log(worker);
    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++) {
        if (!worker_serves(worker, change->admissions[i]))
            continue;
        seats_configure(&worker->seats, change->admissions[i], snapshot_socket(snapshot, i));
        if (change->fds[i] >= 0)
            seats_open(&worker->seats, change->admissions[i], change->fds[i]);
        change->fds[i] = -1;
    }
    frontend_renew(worker->frontend);
}

static void worker_answer(struct message *message)
{
    struct worker_change *change = CONTAINER_OF(message, struct worker_change, message);

    change->answered(change);
}

/* Of a message that is embedded in something else. */
static void worker_message_keep(struct message *message)
{
    (void)message;
}

static void worker_change_return(struct worker_change *change)
{
    change->message = (struct message){.run = worker_answer, .drop = worker_message_keep};
    mailbox_post(change->answers, &change->message);
}

/* The worker has ended. */
static void worker_change_drop(struct message *message)
{
    struct worker_change *change = CONTAINER_OF(message, struct worker_change, message);

    if (change->step == WORKER_PREPARE)
        error_set(&change->error, -ESHUTDOWN, "a worker has ended");
    worker_change_return(change);
}

static void worker_change_run(struct message *message)
{
    struct worker_change *change = CONTAINER_OF(message, struct worker_change, message);
    struct worker *worker = change->worker;
    int r = 0;

    if (change->step == WORKER_PREPARE) {
        r = worker_prepare(worker, change->snapshot, change->admissions, &change->error);
        if (r == 0 && exchange_env_grow(&worker->env, worker->next) < 0)
            r = error_set(&change->error, -ENOMEM, "out of memory");
        if (r == 0)
            r = frontend_prepare(worker->frontend, worker->next, &change->error);
    } else if (change->step == WORKER_COMMIT) {
        worker_commit(worker, change);
    } else if (change->step == WORKER_CLOSE) {
        worker_close_late(worker, change);
    }
    if (r < 0 || change->step == WORKER_ABORT)
        worker_abort(worker);
    worker_change_return(change);
}

void worker_step(struct worker *worker, struct worker_change *change, enum worker_step step)
{
    change->worker = worker;
    change->step = step;
    change->message = (struct message){.run = worker_change_run, .drop = worker_change_drop};
    mailbox_post(&worker->mailbox, &change->message);
}

/* ---- what other threads ask ---- */

static void worker_heed_one(struct worker *worker, struct worker_message *asked)
{
    switch (asked->request) {
    case WORKER_LEAVE:
        worker->env.closing = true;
        break;
    case WORKER_STOP:
        worker_begin_stop(worker, asked->deadline_ms);
        break;
    case WORKER_DEADLINE:
        timer_disarm(&worker->deadline);
        timer_arm(worker->loop, &worker->deadline, asked->deadline_ms);
        break;
    case WORKER_ATTEND:
        targets_attend(&worker->setup.commons->inboxes[worker->setup.index]);
        break;
    }
    asked->message.drop(&asked->message);
}

static void worker_heed(struct worker *worker)
{
    struct message *message;

    while ((message = mailbox_take(&worker->mailbox))) {
        if (message->run)
            message->run(message);
        else
            worker_heed_one(worker, CONTAINER_OF(message, struct worker_message, message));
    }
}

void worker_leave(struct worker *worker)
{
    worker->leave = (struct worker_message){.message.drop = worker_message_keep, .request = WORKER_LEAVE};
    mailbox_post(&worker->mailbox, &worker->leave.message);
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
                                     .deadline_ms = deadline_ms};
    mailbox_post(&worker->mailbox, &asked->message);
}

int worker_reserve_listener(struct worker *worker, struct admission *admission)
{
    return worker_serves(worker, admission) ? seats_reserve(&worker->seats, admission) : 0;
}

int worker_change_listener(struct worker *worker, struct admission *admission, int fd)
{
    return worker_serves(worker, admission) ? seats_change(&worker->seats, admission, fd) : 0;
}

int worker_forget_listener(struct worker *worker, struct admission *admission)
{
    return worker_serves(worker, admission) ? seats_forget(&worker->seats, admission) : 0;
}

void worker_leave_listener(struct worker *worker, struct admission *admission)
{
    if (worker_serves(worker, admission))
        seats_leave(&worker->seats, admission);
}

void worker_watch_listener_again(struct worker *worker, struct admission *admission)
{
    if (worker_serves(worker, admission))
        seats_watch_again(&worker->seats, admission);
}

/* ---- the thread ---- */

static void worker_on_beat(struct timer *timer)
{
    struct worker *worker = CONTAINER_OF(timer, struct worker, beat);

    frontend_beat(worker->frontend);
    access_log_flush(worker->env.recorder.access_log); /* somebody may keep it busy for long */
    if (brake_state(worker->setup.brake) != BRAKE_OFF) {
        exchange_env_give_back(&worker->env);
        endpoints_give_back(&worker->endpoints);
    }
    timer_arm(worker->loop, &worker->beat, BEAT_MS);
}

/* Moves on whatever the sources of a round have made ready, of which so many were called. */
static void worker_turn(struct worker *worker, int n_called)
{
    frontend_turn(worker->frontend, n_called);
    tunnels_turn(&worker->env.tunnels);
    exchanges_turn(&worker->env);
}

/* A client's bytes are seen only when its library has run: its deadline must not come first. */
static void worker_before_timers(void *closure)
{
    worker_turn(closure, INT_MAX);
}

static bool worker_is_done(const struct worker *worker)
{
    const struct clients *clients = frontend_clients(worker->frontend);

    return worker->env.stopping && clients->n_clients == 0 && list_empty(&clients->farewells) &&
           worker->env.tunnels.n_tunnels == 0;
}

static void *worker_main(void *closure)
{
    struct worker *worker = closure;

    if (worker->setup.series)
        series_book_begin(worker->setup.series, worker->setup.index);
    loop_before_timers(worker->loop, worker_before_timers, worker);
    timer_arm(worker->loop, &worker->beat, BEAT_MS);
    worker_heed(worker);
    while (!worker_is_done(worker)) {
        bool busy = frontend_is_busy(worker->frontend) || tunnels_are_ready(&worker->env.tunnels) ||
                    exchanges_are_ready(&worker->env);
        int n;

        if (!busy)
            access_log_flush(worker->env.recorder.access_log);
        n = loop_run_once(worker->loop, busy ? 0 : -1);
        if (n < 0) {
            LOG_EVENT(LOG_LEVEL_ERROR, "the event loop failed", LOG_STRING("error", strerror(-n)));
            break;
        }
        worker_heed(worker);
        worker_turn(worker, n);
    }
    if (worker->setup.series)
        series_book_end(worker->setup.series, worker->setup.index);
    mailbox_close(&worker->mailbox);
    worker->setup.stopped(worker->setup.closure);
    return NULL;
}

int worker_start(struct worker *worker, struct error *error)
{
    sigset_t all, old;
    int r;

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

static int worker_make_connector(struct worker *worker)
{
    const struct resolver_desk desk = {worker->setup.resolver, &worker->mailbox};

    worker->connector = connector_new(worker->loop);
    if (!worker->connector)
        return -ENOMEM;
    connector_ask_for_names(worker->connector, &desk);
    inbox_listen(&worker->setup.commons->inboxes[worker->setup.index], worker_on_inbox, worker);
    endpoints_init(&worker->endpoints, worker->loop, worker->connector, worker->setup.commons, worker->setup.index);
    return 0;
}

/* The generation that the worker begins with, and its seats. */
static int worker_make_first(struct worker *worker, struct error *error)
{
    struct snapshot *snapshot = worker->setup.snapshot;
    int r = worker->setup.is_admin ? 0 : worker_make_connector(worker);

    if (r < 0)
        return error_set(error, r, "cannot make a worker: %s", strerror(-r));
    r = worker_prepare(worker, snapshot, worker->setup.admissions, error);
    if (r < 0)
        return r;
    r = exchange_env_init(&worker->env, worker->next);
    worker->next = generation_unref(worker->next);
    if (r < 0)
        return error_set(error, r, "cannot make a worker: %s", strerror(-r));
    worker_take_access_log(worker);
    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++)
        if (worker_serves(worker, worker->setup.admissions[i]))
            seats_open(&worker->seats, worker->setup.admissions[i], -1);
    return 0;
}

static int worker_make(struct worker *worker, struct error *error)
{
    int r;

    worker->loop = loop_new();
    if (!worker->loop)
        return error_set(error, -errno, "cannot make an event loop: %s", strerror(errno));
    mailbox_init(&worker->mailbox, worker->loop);
    worker->attend = (struct worker_message){.message.drop = worker_message_keep, .request = WORKER_ATTEND};
    worker->host = (struct acceptor_host){.loop = worker->loop,
                                          .metrics = &worker->metrics,
                                          .worker = worker->setup.index,
                                          .serve = worker_on_client,
                                          .let_go = worker_on_let_go};
    seats_init(&worker->seats, &worker->host, &worker->mailbox, worker->setup.index);
    worker->seats.cut = worker_on_cut;
    worker->env = (struct exchange_env){.loop = worker->loop,
                                        .recorder.metrics = &worker->metrics,
                                        .recorder.worker = worker->setup.index,
                                        .recorder.tap = worker->setup.tap,
                                        .pages = worker->setup.pages};
    r = worker_make_first(worker, error);
    if (r < 0)
        return r;
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
    timer_init(&worker->beat, worker_on_beat);
    timer_init(&worker->deadline, worker_on_deadline);
    if (worker_make(worker, error) < 0) {
        worker_free(worker);
        return NULL;
    }
    return worker;
}

void worker_join(struct worker *worker)
{
    if (worker->started)
        pthread_join(worker->thread, NULL);
    worker->started = false;
}

void worker_free(struct worker *worker)
{
    if (!worker)
        return;
    worker_join(worker);
    frontend_free(worker->frontend);
    if (worker->env.generation)
        exchange_env_deinit(&worker->env);
    worker->next = generation_unref(worker->next);
    worker->before = generation_unref(worker->before);
    access_log_free(worker->next_access_log);
    mailbox_deinit(&worker->mailbox);
    seats_deinit(&worker->seats);
    if (worker->connector)
        endpoints_deinit(&worker->endpoints);
    connector_free(worker->connector);
    access_log_free(worker->env.recorder.access_log);
    loop_free(worker->loop);
    free(worker);
}

const struct metrics *worker_metrics(const struct worker *worker)
{
    return &worker->metrics;
}

struct mailbox *worker_mailbox(struct worker *worker)
{
    return &worker->mailbox;
}

const struct clients *worker_clients(const struct worker *worker)
{
    return frontend_clients(worker->frontend);
}

const struct tunnels *worker_tunnels(const struct worker *worker)
{
    return &worker->env.tunnels;
}
