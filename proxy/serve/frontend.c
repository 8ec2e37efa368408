#include "proxy/serve/frontend.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/serve/bulk.h"
#include "proxy/serve/client_events.h"
#include "proxy/serve/farewell.h"
#include "proxy/serve/frontend_call.h"
#include "proxy/serve/frontend_daemon.h"
#include "proxy/serve/frontend_memory.h"
#include "proxy/serve/relay.h"
#include "proxy/serve/turns.h"
#include "proxy/serve/upload.h"

#define RUNS_MOST 3
#define RECEIPT_RUNS_MOST 32 /* while the library is told of what it has not received itself */
/* How many clients the library is told of in a turn. Each begins a request, or goes on with one, so that these are as
 * many as are under way at once when their target is fast: few enough that what is touched for them stays in the
 * processor's caches, and that few connections to the target serve many clients; enough to share the cost of a round.
 */
#define TURN_CLIENTS 64
#define TIMEOUT_NEVER_S 1000000000u
#define FUTILE_RUNS_MOST 1000 /* a head may take some hundred, a KiB at a time */

struct frontend {
    struct daemons daemons;
    struct clients clients;
    unsigned n_futile;     /* runs without news and without a call, in a row */
    bool gave_up;          /* it has complained in this run */
    struct client *adding; /* between frontend_add and the library's notification */
};

const char *frontend_library_version(void)
{
    return MHD_get_version();
}

bool frontend_library_will_do(void)
{
    return strverscmp(MHD_get_version(), PORTHOLE_LIBMICROHTTPD) >= 0;
}

size_t frontend_client_bytes(size_t header_bytes)
{
    return frontend_memory_bytes(header_bytes);
}

/* ---- the library's side of a client ---- */

static void frontend_suspend(struct client *client)
{
    MHD_suspend_connection(client->connection);
}

static void frontend_resume(struct client *client)
{
    MHD_resume_connection(client->connection);
}

/* The library looks at such a connection in every run. */
static void frontend_expire(struct client *client)
{
    MHD_set_connection_option(client->connection, MHD_CONNECTION_OPTION_TIMEOUT, 1u);
}

/* Connections with a time-out of their own are those that it looks at. */
static void frontend_look(struct client *client, bool always)
{
    MHD_set_connection_option(client->connection, MHD_CONNECTION_OPTION_TIMEOUT, always ? TIMEOUT_NEVER_S : 0u);
}

static size_t frontend_keep_escapes(void *closure, struct MHD_Connection *connection, char *s)
{
    (void)closure;
    (void)connection;
    return strlen(s);
}

/* ---- connections ---- */

static void frontend_on_connection(void *closure, struct MHD_Connection *connection, void **context,
                                   enum MHD_ConnectionNotificationCode what)
{
    struct frontend_daemon *daemon = closure;
    struct frontend *frontend = daemon->daemons->closure;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct client *client = frontend->adding;

        assert(client);
        client->connection = connection;
        client->pool_bytes = daemon->pool_bytes;
        client_attend(client, interest_set_is_heard(&daemon->set) ? &daemon->set : NULL);
        daemon->n_clients++;
        *context = client;
        frontend->adding = NULL;
    } else if (*context) {
        struct client *client = *context;
        void *request = client;

        /* Should the library have told of no end. */
        if (client->request.exchange)
            frontend_on_completed(frontend, connection, &request, MHD_REQUEST_TERMINATED_WITH_ERROR);
        if (client->lingers && !client->cut)
            farewell_begin(&client->clients->farewells, client->clients->env->loop, client->fd, &client->pass);
        client_free(client);
        daemon->n_clients--;
        *context = NULL;
    }
}

int frontend_add(struct frontend *frontend, int fd, struct generation *generation,
                 const struct listener_config *listener, const struct peer *peer, struct admission_pass pass)
{
    struct client *client = client_new(&frontend->clients, fd, generation, listener, peer);

    if (!client) {
        close(fd);
        admission_leave(&pass);
        return -ENOMEM;
    }
    client->pass = pass;
    interests_enter(&frontend->daemons.interests);
    frontend->adding = client;
    frontend->clients.dirty = true;
    if (!frontend_daemon_add(frontend->daemons.newest, fd)) {
        /* Taken and closed again: frontend_on_connection has dealt with it. */
        if (!frontend->adding)
            return 0;
        frontend->adding = NULL;
        client_free(client);
        return -ENOMEM;
    }
    client_begin(client);
    return 0;
}

/* ---- turning ---- */

static void frontend_on_ready(void *closure)
{
    struct frontend *frontend = closure;

    frontend->clients.dirty = true;
}

/* After the library has given up on a connection: whose memory is gone is not known, so nobody's is, until it has read
 * another head there. */
static void frontend_forget_memory(struct frontend *frontend)
{
    struct list *link;

    frontend->gave_up = false;
    for (link = frontend->clients.list.next; link != &frontend->clients.list; link = link->next)
        CONTAINER_OF(link, struct client, link)->pool = NULL;
}

static void frontend_run(struct frontend *frontend)
{
    unsigned n_calls = frontend->clients.n_calls;

    frontend->n_futile = frontend->clients.dirty ? 0 : frontend->n_futile + 1;
    frontend->clients.run++;
    frontend->clients.dirty = false;
    loop_outdate(frontend->clients.env->loop);
    receipts_show(&frontend->clients.receipts);
    interests_enter(&frontend->daemons.interests);
    interests_show(true);
    daemons_run(&frontend->daemons);
    interests_show(false);
    receipts_show(NULL);
    if (frontend->gave_up)
        frontend_forget_memory(frontend);
    if (frontend->clients.n_calls != n_calls)
        frontend->n_futile = 0;
}

/* The library has more to do by itself, not counting those who wait for their exchange. It is asked once after each
 * run: what changes its mind between two makes the clients dirty, or can wait for the next beat. Should it say so for
 * ever, it is not believed any more after some runs without a call, until something happens. */
static bool frontend_has_more(const struct frontend *frontend)
{
    return frontend->daemons.want_run && frontend->clients.n_waiting == 0 && frontend->n_futile < FUTILE_RUNS_MOST;
}

bool frontend_is_busy(const struct frontend *frontend)
{
    return frontend->clients.dirty || frontend->clients.n_waiting > 0 || relays_are_ready(&frontend->clients) ||
           bulks_are_ready(&frontend->clients) || uploads_are_ready(&frontend->clients) ||
           turns_are_wanted(&frontend->clients) || frontend_has_more(frontend);
}

/* Runs the library once more before the loop sleeps: who waits is suspended. */
static void frontend_let_wait(struct frontend *frontend)
{
    frontend->clients.about_to_sleep = true;
    frontend_run(frontend);
    frontend->clients.about_to_sleep = false;
}

/* Those who are content with little. */
static void frontend_turn_most(struct frontend *frontend, int n_called)
{
    bool quiet = n_called == 0;
    bool more = frontend_has_more(frontend);
    int runs = list_empty(&frontend->clients.receipts) ? RUNS_MOST : RECEIPT_RUNS_MOST;

    if (!frontend->clients.dirty && !more && !(quiet && frontend->clients.n_waiting > 0))
        return;
    frontend->clients.about_to_sleep = quiet && !frontend->clients.dirty;
    frontend_run(frontend);
    frontend->clients.about_to_sleep = false;
    for (int i = 0;
         i < runs && !frontend->clients.dirty && !turns_are_short(&frontend->clients) && frontend_has_more(frontend);
         i++)
        frontend_run(frontend);
    /* Where one thing has happened, nothing else will have by now: the loop would be asked in vain before it sleeps. */
    if (n_called == 1 && frontend->clients.n_waiting > 0 && !frontend->clients.dirty)
        frontend_let_wait(frontend);
}

void frontend_turn(struct frontend *frontend, int n_called)
{
    interests_share(&frontend->daemons.interests, TURN_CLIENTS);
    relays_turn(&frontend->clients);
    turns_begin(&frontend->clients);
    bulks_turn(&frontend->clients);
    uploads_turn(&frontend->clients);
    frontend_turn_most(frontend, n_called);
    if (turns_next(&frontend->clients))
        frontend_run(frontend);
    frontend->clients.dirty = frontend->clients.dirty || interests_wait(&frontend->daemons.interests);
}

void frontend_beat(struct frontend *frontend)
{
    frontend_run(frontend);
    daemons_rest(&frontend->daemons);
    exchange_env_rest(frontend->clients.env);
}

struct clients *frontend_clients(struct frontend *frontend)
{
    return &frontend->clients;
}

/* ---- the daemon ---- */

static void frontend_panic(void *closure, const char *file, unsigned line, const char *reason)
{
    (void)closure;
    LOG_EVENT(LOG_LEVEL_ERROR, "libmicrohttpd gave up", LOG_STRING("file", file), LOG_NUMBER("line", line),
              LOG_STRING("reason", reason));
    abort();
}

/* The library has something to complain of. A connection that it gives up between two requests (its memory is full of
 * what is no request line) is freed at once, and closed only when something happens on it: this is the one sign. */
static void frontend_on_complaint(void *closure, const char *format, va_list arguments)
{
    struct frontend *frontend = closure;

    (void)arguments;
    /* Of an end (connection_close_error) it speaks in this way. It also finds that a Unix socket has no TCP options. */
    if (strcmp(format, "%s\n") == 0)
        frontend->gave_up = true;
}

static struct MHD_Daemon *frontend_start_daemon(struct frontend_daemon *daemon)
{
    struct frontend *frontend = daemon->daemons->closure;
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_ALLOW_UPGRADE |
                     MHD_USE_NO_LISTEN_SOCKET | MHD_USE_NO_THREAD_SAFETY | MHD_USE_ERROR_LOG |
                     MHD_USE_SUPPRESS_DATE_NO_CLOCK; /* Date is ours to tell (frontend_head.h) */
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_EXTERNAL_LOGGER, (intptr_t)frontend_on_complaint, frontend}, /* first of all */
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)frontend_on_target, &frontend->clients},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)frontend_keep_escapes, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)frontend_on_completed, frontend},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)frontend_on_connection, daemon},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)daemon->pool_bytes, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, 1000000, NULL},
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL},
        {MHD_OPTION_END, 0, NULL},
    };

    MHD_set_panic_func(frontend_panic, NULL);
    return MHD_start_daemon(flags, 0, NULL, NULL, frontend_on_call, frontend, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

int frontend_prepare(struct frontend *frontend, const struct generation *generation, struct error *error)
{
    return daemons_prepare(&frontend->daemons, frontend_memory_bytes(generation->header_bytes), error);
}

void frontend_renew(struct frontend *frontend)
{
    daemons_turn_to_next(&frontend->daemons);
    frontend->clients.pool_bytes = frontend->daemons.newest->pool_bytes;
    clients_renew(&frontend->clients);
}

struct frontend *frontend_new(struct exchange_env *env, struct error *error)
{
    struct frontend *frontend;

    /* The file name of the shared library is the same for old and new ones. */
    if (!frontend_library_will_do()) {
        error_set(error, -ENOTSUP, "libmicrohttpd %s is too old, %s or later is needed", MHD_get_version(),
                  PORTHOLE_LIBMICROHTTPD);
        return NULL;
    }
    frontend = calloc(1, sizeof(*frontend));
    if (!frontend) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    clients_init(&frontend->clients, env, &client_events);
    frontend->clients.suspend = frontend_suspend;
    frontend->clients.resume = frontend_resume;
    frontend->clients.expire = frontend_expire;
    frontend->clients.look = frontend_look;
    frontend->daemons = (struct daemons){
        .loop = env->loop, .ready = frontend_on_ready, .start = frontend_start_daemon, .closure = frontend};
    daemons_init(&frontend->daemons);
    frontend->daemons.interests.n_clients = &frontend->clients.n_clients;
    if (frontend_prepare(frontend, env->generation, error) < 0) {
        free(frontend);
        return NULL;
    }
    frontend_renew(frontend);
    return frontend;
}

void frontend_free(struct frontend *frontend)
{
    if (!frontend)
        return;
    clients_cut_all(&frontend->clients);
    interests_share(&frontend->daemons.interests, UINT_MAX);
    for (int i = 0; i < 1000 && frontend->clients.n_clients > 0; i++)
        frontend_run(frontend);
    daemons_deinit(&frontend->daemons);
    farewells_end(&frontend->clients.farewells);
    free(frontend);
}
