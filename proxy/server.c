/* The main thread. It makes everything, threads too, and shows sockets at their paths last, since another process may
 * give way to one; then it only waits: for signals, for the keeper of the sockets, and for its workers to say that they
 * accept no more (then listeners are closed) and that they have ended.
 *
 *   serving --> leaving (shutdown.delay) --> stopping: workers told, paths withdrawn --> drained: listeners closed
 *   --> stopped
 *
 * A stop goes through in this order, whoever asks for it. Whoever connected before a worker shut the socket is in a
 * backlog and is served. */
#include "proxy/server.h"

#include <errno.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/loop.h"
#include "proxy/crew.h"
#include "proxy/descriptors.h"
#include "proxy/listen/keeper.h"
#include "proxy/listen/passed.h"
#include "proxy/listeners.h"
#include "proxy/notify.h"
#include "proxy/pressure.h"
#include "proxy/pulse.h"
#include "proxy/reach/checks.h"
#include "proxy/reach/connect.h"
#include "proxy/reload.h"
#include "proxy/report/series_bind.h"
#include "proxy/self.h"
#include "proxy/signals.h"
#include "proxy/stop.h"
#include "proxy/summary.h"
#include "proxy/watcher.h"
#include "proxy/worker.h"

#define SPARE_DESCRIPTORS 16 /* for what is opened now and then: logs, names, sockets that are published again */

struct server {
    struct snapshot *snapshot; /* a reference */
    struct loop *loop;         /* the main thread's: signals and the sockets' directories */
    struct listeners listeners;
    struct series_book series;       /* what is counted, whatever snapshots come and go */
    struct commons commons;          /* what workers share of targets */
    struct checks *checks;           /* owned; of their endpoints */
    struct checks_plan *next_checks; /* owned; during a reload */
    struct keeper keeper;
    struct mailbox mailbox; /* of the main thread */
    struct reload reload;
    struct watcher watcher;
    struct succession_host succession;
    struct resolver *resolver; /* owned; a lookup that hangs keeps it, but not the process */
    struct crew crew;
    struct self self; /* what admin listeners tell */
    struct signals signals;
    struct notify notify; /* the service manager */
    struct pulse pulse;   /* of the workers, for it */
    struct stop stop;
    struct pressure pressure; /* for want of memory */
    struct instant begun;
    uint64_t n_descriptors; /* that are open for other things than listeners and clients */
    atomic_bool stop_asked, reload_asked;
};

/* ---- stopping ---- */

/* In each step those who have clients are told first. What watches files comes last: the kernel may take a quarter of a
 * second to close an inotify descriptor on a busy machine. */

static void server_on_tell(const struct stop *stop)
{
    listeners_tell_clients(&CONTAINER_OF(stop, const struct server, stop)->listeners);
}

static void server_on_leave(struct stop *stop)
{
    struct server *server = CONTAINER_OF(stop, struct server, stop);

    crew_leave(&server->crew);
    reload_stop(&server->reload);
    pulse_end(&server->pulse);
    notify_stopping(&server->notify, "serving on while others learn of the stop");
    watcher_stop(&server->watcher);
}

static uint64_t server_on_refuse(struct stop *stop)
{
    struct server *server = CONTAINER_OF(stop, struct server, stop);
    bool late;

    reload_stop(&server->reload);
    listeners_drain(&server->listeners);
    listeners_settle(&server->listeners);
    late = listeners_refuse(&server->listeners);
    watcher_stop(&server->watcher);
    return late ? LISTENERS_LATE_MS : 0;
}

static void server_on_drain(struct stop *stop, uint64_t deadline_ms)
{
    struct server *server = CONTAINER_OF(stop, struct server, stop);

    /* They take what is in the backlogs and let nobody else in: a directory that somebody else may write, or whose
     * volume does not answer, must not keep us accepting. */
    crew_stop(&server->crew, deadline_ms);
    pulse_end(&server->pulse);
    notify_stopping(&server->notify, "stopping: what is under way may finish");
    keeper_stop(&server->keeper);
    listeners_withdraw(&server->listeners);
    reload_withdraw_removed(&server->reload);
}

static void server_on_cut(struct stop *stop)
{
    crew_stop(&CONTAINER_OF(stop, struct server, stop)->crew, 0);
}

static const struct stop_host server_stop_host = {.leave = server_on_leave,
                                                  .refuse = server_on_refuse,
                                                  .drain = server_on_drain,
                                                  .cut = server_on_cut,
                                                  .tell = server_on_tell};

void server_stop(struct server *server)
{
    atomic_store(&server->stop_asked, true);
    loop_wake(server->loop);
}

/* ---- what signals ask for ---- */

static void server_on_stop_signal(struct signals *signals, const char *name)
{
    struct server *server = CONTAINER_OF(signals, struct server, signals);

    stop_ask(&server->stop, name, server->snapshot->shutdown_delay_ms, server->snapshot->drain_ms);
}

static void server_on_reload_signal(struct signals *signals)
{
    server_reload(CONTAINER_OF(signals, struct server, signals));
}

static const struct signals_host server_signals_host = {.stop = server_on_stop_signal,
                                                        .reload = server_on_reload_signal};

/* ---- the sockets' places ---- */

static void server_on_republished(struct keeper *keeper, struct keeper_charge *charge)
{
    struct server *server = CONTAINER_OF(keeper, struct server, keeper);
    struct served *served = CONTAINER_OF(charge, struct served, charge);

    crew_serve(&server->crew, served);
    served_count_again(served);
    succession_begin(&served->succession, server->loop, &server->succession, served->listener);
}

/* Somebody has gone with whom we shared a listener. */
static void server_on_alone(struct succession_host *host, struct succession *succession)
{
    crew_watch_listener_again(&CONTAINER_OF(host, struct server, succession)->crew,
                              CONTAINER_OF(succession, struct served, succession));
}

/* A successor serves it. */
static void server_on_given(struct succession_host *host, struct succession *succession, int successor)
{
    struct server *server = CONTAINER_OF(host, struct server, succession);
    struct served *served = CONTAINER_OF(succession, struct served, succession);

    crew_leave_listener(&server->crew, served);
    listener_close(served->listener);
    keeper_give(&server->keeper, &served->charge, successor);
}

static void server_on_lost(struct succession_host *host, struct succession *succession)
{
    struct server *server = CONTAINER_OF(host, struct server, succession);

    (void)succession;
    stop_ask_to_drain(&server->stop, "a listener was not handed over", server->snapshot->drain_ms);
}

static void server_on_succeeded(struct keeper *keeper)
{
    struct server *server = CONTAINER_OF(keeper, struct server, keeper);

    stop_ask_to_drain(&server->stop, "another process has taken over", server->snapshot->drain_ms);
}

/* ---- life ---- */

/* The listeners, which is what workers serve, and then these. */
static int server_make_listeners(struct server *server, struct error *error)
{
    struct snapshot *snapshot = server->snapshot;

    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++)
        if (!listeners_add(&server->listeners, snapshot, snapshot_socket(snapshot, i), error))
            return error->code;
    server->crew.admin = &server->self.admin;
    server->crew.pulse = &server->pulse;
    server->crew.loop = server->loop;
    server->crew.setup = (struct worker_setup){.commons = &server->commons,
                                               .resolver = server->resolver,
                                               .series = &server->series,
                                               .brake = &server->listeners.house.brake};
    return crew_make(&server->crew, snapshot, &server->listeners, error);
}

/* How many clients the descriptors allow that are left when everything is open. */
static void server_count_places(struct server *server)
{
    uint64_t n_used = server->n_descriptors + 2 * (uint64_t)snapshot_n_sockets(server->snapshot) + SPARE_DESCRIPTORS +
                      checks_n_descriptors(server->checks) +
                      (server->snapshot->n_admin > 0 ? ADMISSION_ADMIN_DESCRIPTORS : 0);
    uint32_t most = descriptors_places(server->snapshot, n_used);

    if (most == atomic_exchange(&server->listeners.house.most_clients, most) || most == UINT32_MAX)
        return;
    LOG_EVENT(LOG_LEVEL_INFO, "descriptors (RLIMIT_NOFILE) allow so many clients at once", LOG_NUMBER("clients", most));
}

/* ---- reloads ---- */

static void server_on_changed(struct watcher *watcher)
{
    server_reload(CONTAINER_OF(watcher, struct server, watcher));
}

static void server_watch(struct server *server)
{
    if (watcher_follow(&server->watcher, server->snapshot) < 0)
        log_error("the configuration is not watched: out of memory");
}

static int server_on_complete(struct reload *reload, const struct snapshot *snapshot, struct error *error)
{
    struct server *server = CONTAINER_OF(reload, struct server, reload);
    size_t n_before = server->crew.n;
    int r = crew_complete(&server->crew, snapshot, server->snapshot, &server->listeners, error);

    reload->host.n_workers = server->crew.n;
    server->n_descriptors += (server->crew.n - n_before) * server->crew.n_descriptors_each;
    return r;
}

static int server_on_prepare(struct reload *reload, struct snapshot *snapshot, struct error *error)
{
    struct server *server = CONTAINER_OF(reload, struct server, reload);
    int r = checks_plan(server->checks, snapshot, &server->next_checks);

    return r < 0 ? error_set(error, r, "out of memory") : 0;
}

/* What was derived from the snapshot before. */
static void server_on_commit(struct reload *reload, struct snapshot *snapshot)
{
    struct server *server = CONTAINER_OF(reload, struct server, reload);

    checks_adopt(server->checks, server->next_checks);
    server->next_checks = NULL;
    snapshot_unref(server->snapshot);
    server->snapshot = snapshot_ref(snapshot);
    log_configure(snapshot->log.level, snapshot->log.format);
    server_watch(server);
    pressure_configure(&server->pressure, snapshot);
    descriptors_raise(snapshot);
    server_count_places(server);
}

static void server_on_refused(struct reload *reload, const struct problems *problems)
{
    struct server *server = CONTAINER_OF(reload, struct server, reload);

    watcher_know(&server->watcher, reload->running->source, reload->tried);
    if (problems && watcher_await(&server->watcher, problems->files, problems->n_files) < 0)
        log_error("the configuration is not watched any more: out of memory");
}

static void server_on_begun(struct reload *reload)
{
    notify_reloading(&CONTAINER_OF(reload, struct server, reload)->notify);
}

static void server_on_ended(struct reload *reload)
{
    notify_ready(&CONTAINER_OF(reload, struct server, reload)->notify,
                 reload->state.good ? "serving" : "serving what was before a reload that was refused");
}

static void server_make_reload(struct server *server)
{
    const struct reload_host host = {.loop = server->loop,
                                     .mailbox = &server->mailbox,
                                     .listeners = &server->listeners,
                                     .keeper = &server->keeper,
                                     .succession = &server->succession,
                                     .resolver = server->resolver,
                                     .series = &server->series,
                                     .workers = server->crew.workers,
                                     .n_workers = server->crew.n,
                                     .complete = server_on_complete,
                                     .prepare = server_on_prepare,
                                     .commit = server_on_commit,
                                     .refused = server_on_refused,
                                     .begun = server_on_begun,
                                     .ended = server_on_ended};

    reload_init(&server->reload, &host, server->snapshot);
    server->watcher = (struct watcher){.loop = server->loop, .changed = server_on_changed};
}

void server_reload(struct server *server)
{
    atomic_store(&server->reload_asked, true);
    loop_wake(server->loop);
}

static int server_make_checks(struct server *server)
{
    struct checks_plan *plan = NULL;
    int r;

    server->checks = checks_new(server->loop, &server->commons, server->resolver);
    r = server->checks ? checks_plan(server->checks, server->snapshot, &plan) : -ENOMEM;
    if (r == 0)
        checks_adopt(server->checks, plan);
    return r;
}

/* What workers need for serving the listeners: without it no path is to be taken from anybody. */
static int server_reserve(struct server *server, struct error *error)
{
    int r = crew_reserve(&server->crew, &server->listeners);

    return r < 0 ? error_set(error, r, "cannot make a worker: %s", strerror(-r)) : 0;
}

static bool server_needs_tls(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_targets; i++)
        for (size_t k = 0; k < snapshot->targets[i].n_endpoints; k++)
            if (snapshot->targets[i].endpoints[k].address.kind == ADDRESS_HTTPS)
                return true;
    return false;
}

/* Everything that can fail comes before the sockets: once they are published, another process may have given way. */
static int server_make(struct server *server, bool takeover, struct error *error)
{
    int r = connect_global_init(server_needs_tls(server->snapshot));

    if (r < 0)
        return error_set(error, r, "libcurl cannot start");
    descriptors_raise(server->snapshot);
    server->loop = loop_new();
    server->resolver = resolver_new(addresses_look_up);
    if (!server->loop || !server->resolver)
        return error_set(error, -ENOMEM, "cannot make a server: %s", strerror(errno));
    mailbox_init(&server->mailbox, server->loop);
    server->stop.loop = server->loop;
    if (series_book_init(&server->series, snapshot_most_workers(server->snapshot)) < 0 ||
        series_bind(&server->series, server->snapshot) < 0 ||
        commons_init(&server->commons, server->snapshot->n_workers) < 0 ||
        pulse_init(&server->pulse, server->loop, &server->notify, snapshot_most_workers(server->snapshot)) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    r = signals_watch(&server->signals, server->loop, &server_signals_host, error);
    if (r == 0)
        r = server_make_listeners(server, error);
    if (r == 0)
        server_make_reload(server);
    if (r == 0)
        r = server_make_checks(server);
    if (r == -ENOMEM)
        return error_set(error, r, "out of memory");
    if (r == 0)
        r = server_reserve(server, error);
    server->n_descriptors = descriptors_count(server->signals.fd);
    if (r == 0)
        r = listeners_prepare(&server->listeners, takeover, error);
    if (r == 0)
        passed_close_rest();
    return r;
}

int server_new(struct snapshot *snapshot, const struct server_options *options, struct server **ret_server,
               struct error *error)
{
    struct server *server = calloc(1, sizeof(*server));
    int r;

    if (!server)
        return error_set(error, -ENOMEM, "out of memory");
    server->snapshot = snapshot_ref(snapshot);
    stop_init(&server->stop, NULL, &server_stop_host); /* there is no loop yet */
    server->signals = (struct signals)SIGNALS_INIT;
    server->begun = instant_now();
    pressure_open(&server->pressure);
    notify_init(&server->notify);
    listeners_init(&server->listeners, snapshot_most_workers(snapshot));
    r = self_init(&server->self, &(struct self){.desk.main = &server->mailbox,
                                                .snapshot = &server->snapshot,
                                                .listeners = &server->listeners,
                                                .stop = &server->stop,
                                                .reload = &server->reload,
                                                .series = &server->series,
                                                .commons = &server->commons,
                                                .crew = &server->crew,
                                                .pressure = &server->pressure,
                                                .begun = server->begun});
    r = r < 0 ? error_set(error, r, "out of memory") : server_make(server, options->takeover, error);
    if (r < 0) {
        server_free(server);
        return r;
    }
    *ret_server = server;
    return 0;
}

static void server_tell_end(const struct server *server)
{
    struct instant now = instant_now();

    summary_tell(server->crew.workers, server->crew.n,
                 &(struct summary_end){.how = stop_result(&server->stop),
                                       .uptime_ms = instant_elapsed_us(server->begun, now) / 1000,
                                       .after_ms = instant_elapsed_us(server->stop.begun, now) / 1000});
}

/* With what has been reserved. */
static int server_serve_listeners(struct server *server, struct error *error)
{
    const struct list *all = &server->listeners.all;
    int r = 0;

    for (struct list *link = all->next; link != all && r == 0; link = link->next)
        r = crew_serve(&server->crew, CONTAINER_OF(link, struct served, link));
    return r < 0 ? error_set(error, r, "a worker cannot serve a listener: %s", strerror(-r)) : 0;
}

static void server_keep_listeners(struct server *server)
{
    const struct list *all = &server->listeners.all;

    server->keeper =
        (struct keeper){.loop = server->loop, .republished = server_on_republished, .succeeded = server_on_succeeded};
    keeper_start(&server->keeper);
    server->succession =
        (struct succession_host){.look = server_on_alone, .leave = server_on_given, .lost = server_on_lost};
    for (struct list *link = all->next; link != all; link = link->next) {
        struct served *served = CONTAINER_OF(link, struct served, link);

        keeper_add(&server->keeper, &served->charge, served->listener);
        succession_begin(&served->succession, server->loop, &server->succession, served->listener);
    }
}

/* What other threads, and ours, have asked for. */
static void server_attend(struct server *server)
{
    struct message *message;

    checks_attend(server->checks);
    while ((message = mailbox_take(&server->mailbox)))
        message->run(message);
    if (atomic_load(&server->stop_asked))
        stop_ask_to_drain(&server->stop, "asked to", server->snapshot->drain_ms);
    if (atomic_exchange(&server->reload_asked, false))
        reload_begin(&server->reload);
    if (!crew_has_drained(&server->crew))
        return;
    listeners_close(&server->listeners);
    reload_close_removed(&server->reload);
}

int server_start(struct server *server, struct error *error)
{
    int r;

    pressure_start(&server->pressure, server->loop, &server->mailbox, &server->listeners.house, server->snapshot);
    r = crew_start(&server->crew, error);

    server_watch(server); /* before anybody can see that we run, and write another configuration */
    if (r == 0)
        r = listeners_show(&server->listeners, error);
    if (r < 0)
        return r;
    server_count_places(server);
    return server_serve_listeners(server, error);
}

int server_run(struct server *server)
{
    int r;

    server_keep_listeners(server);
    checks_start(server->checks);
    pulse_start(&server->pulse, "serving");
    while (!crew_has_stopped(&server->crew)) {
        r = loop_run_once(server->loop, -1);
        if (r < 0)
            return r;
        server_attend(server);
    }
    server_tell_end(server);
    return 0;
}

void server_free(struct server *server)
{
    if (!server)
        return;
    listeners_settle(&server->listeners); /* after a start that has failed, too */
    listeners_take_back(&server->listeners);
    crew_deinit(&server->crew);
    pressure_stop(&server->pressure);
    mailbox_close(&server->mailbox); /* before what lies in it */
    reload_deinit(&server->reload);
    mailbox_deinit(&server->mailbox); /* after questions that are answered there */
    checks_plan_free(server->next_checks);
    checks_free(server->checks);
    commons_deinit(&server->commons);
    keeper_stop(&server->keeper);
    listeners_deinit(&server->listeners);
    series_book_deinit(&server->series);
    self_deinit(&server->self);
    pressure_close(&server->pressure);
    watcher_stop(&server->watcher);
    stop_deinit(&server->stop);
    pulse_deinit(&server->pulse);
    notify_deinit(&server->notify);
    signals_deinit(&server->signals);
    loop_free(server->loop);
    resolver_free(server->resolver);
    snapshot_unref(server->snapshot);
    free(server);
}
