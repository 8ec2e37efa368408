#include "proxy/serve/frontend.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#define POOL_LEAST_BYTES (32u * 1024)
#define POOL_PER_FIELD_BYTES 72 /* libmicrohttpd's own record of a field */
#define POOL_SLACK_BYTES 512
#define BLOCK_BYTES (64u * 1024)
#define WATCH_IDLE_MS 1000u
#define EXPECT_MS 1000u
#define LINGER_MS 2000u
#define STOP_NEW_MS 1000u
#define RUNS_MOST 3

#ifndef MHD_RF_HEAD_ONLY_RESPONSE
#define MHD_RF_HEAD_ONLY_RESPONSE ((enum MHD_ResponseFlags)(1 << 4)) /* since 0.9.77; see frontend_knows_head_only */
#endif

/* What a client's timer waits for.
 *
 *   NEW -> BODY -> WAITING -> RESPONSE -> IDLE -> WATCHED -> HEAD -> ...
 *           |                                (a second)  (first byte)
 *           +-> EXPECT -> BODY                  any -> LINGER: told by hand, to be closed */
enum client_phase {
    CLIENT_NEW,      /* accepted: head deadline */
    CLIENT_HEAD,     /* a request has begun: head deadline */
    CLIENT_EXPECT,   /* the target is asked whether it wants the body */
    CLIENT_BODY,     /* the client sends: body deadline */
    CLIENT_WAITING,  /* for the target: no deadline of the client's */
    CLIENT_RESPONSE, /* the client takes: body deadline */
    CLIENT_IDLE,     /* between requests, for less than WATCH_IDLE_MS */
    CLIENT_WATCHED,  /* between requests: idle deadline, the first byte will be seen */
    CLIENT_LINGER,   /* answered by hand */
};

/* One connection. Owned by the frontend from frontend_add until libmicrohttpd reports its close. */
struct client {
    struct exchange_client side;
    struct frontend *frontend;
    struct MHD_Connection *connection;
    struct list link; /* in frontend.clients */
    int fd;           /* libmicrohttpd's */
    struct peer peer;
    struct source watch; /* our own look at the descriptor: hang-up, and the first byte after idling */
    struct timer timer;
    enum client_phase phase;
    size_t target_bytes;       /* of the request-target */
    struct exchange *exchange; /* from the request line to the end of the response; NULL between */
    unsigned waited_run;       /* frontend.run when it began to wait */
    bool waiting;              /* unsuspended, waits for its exchange */
    bool suspended;
    bool expect_over; /* the target was asked long enough: the client may send */
    bool told;        /* a response has been queued, or sent by hand */
    bool cut;         /* to be closed at the library's next call */
    char node[48];
    char peer_text[80];
};

struct frontend {
    struct exchange_env *env; /* borrowed */
    struct MHD_Daemon *daemon;
    struct source source; /* the daemon's epoll descriptor */
    struct list clients;
    size_t n_clients;
    struct client *adding; /* between frontend_add and the library's notification */
    unsigned run;
    size_t n_waiting;
    bool dirty;          /* something was made ready since the last run */
    bool about_to_sleep; /* during the run in which waiters suspend themselves */
    bool head_only;      /* the library knows MHD_RF_HEAD_ONLY_RESPONSE */
    size_t pool_bytes;
    void (*closed)(void *closure, const struct listener_config *);
    void *closure;
};

const char *frontend_library_version(void)
{
    return MHD_get_version();
}

/* ---- waiting, suspending, waking ---- */

static void client_arm(struct client *client, enum client_phase phase)
{
    const struct listener_config *listener = client->side.listener;
    struct loop *loop = client->frontend->env->loop;

    client->phase = phase;
    switch (phase) {
    case CLIENT_NEW:
    case CLIENT_HEAD:
        timer_arm(loop, &client->timer, listener->timeout_head_ms);
        break;
    case CLIENT_EXPECT:
        timer_arm(loop, &client->timer, EXPECT_MS);
        break;
    case CLIENT_BODY:
    case CLIENT_RESPONSE:
        timer_arm(loop, &client->timer, listener->timeout_body_ms);
        break;
    case CLIENT_WAITING:
        timer_disarm(&client->timer);
        break;
    case CLIENT_IDLE:
        timer_arm(loop, &client->timer,
                  listener->timeout_idle_ms < WATCH_IDLE_MS ? listener->timeout_idle_ms : WATCH_IDLE_MS);
        break;
    case CLIENT_WATCHED:
        timer_arm(loop, &client->timer,
                  listener->timeout_idle_ms > WATCH_IDLE_MS ? listener->timeout_idle_ms - WATCH_IDLE_MS : 0);
        break;
    case CLIENT_LINGER:
        timer_arm(loop, &client->timer, LINGER_MS);
        break;
    }
}

static void client_stop_waiting(struct client *client)
{
    if (!client->waiting)
        return;
    client->waiting = false;
    client->frontend->n_waiting--;
}

static void client_on_watch(struct source *source, uint32_t events);

/* Registered once, edge-triggered and without events of its own: a full hang-up always shows. On TCP a client that is gone looks like one
 * that has finished sending, so that is asked for as well. */
static void client_watch(struct client *client, uint32_t events)
{
    uint32_t all = events | EPOLLET | (client->peer.is_unix ? 0 : EPOLLRDHUP);
    int r;

    if (client->watch.loop)
        r = loop_modify(&client->watch, all);
    else
        r = loop_add(client->frontend->env->loop, &client->watch, client->fd, all, client_on_watch);
    if (r < 0)
        log_warn("cannot watch a client's connection: %s", strerror(-r));
}

static void client_suspend(struct client *client)
{
    client_stop_waiting(client);
    client->suspended = true;
    MHD_suspend_connection(client->connection);
    if (!client->watch.loop)
        client_watch(client, 0);
}

static void client_wake(struct client *client)
{
    client->frontend->dirty = true;
    if (!client->suspended)
        return;
    client->suspended = false;
    MHD_resume_connection(client->connection);
}

static void client_on_wake(struct exchange_client *side)
{
    client_wake(CONTAINER_OF(side, struct client, side));
}

/* Called from the library when there is nothing to give it. The first time it is left as it is: the library asks again on its next
 * run, and most targets have answered by then. */
static void client_wait(struct client *client)
{
    struct frontend *frontend = client->frontend;

    if (!client->waiting) {
        client->waiting = true;
        client->waited_run = frontend->run;
        frontend->n_waiting++;
    } else if (frontend->about_to_sleep && frontend->run != client->waited_run) {
        client_suspend(client);
    }
}

/* Makes the library see the end of the connection. */
static void client_cut(struct client *client)
{
    client->cut = true;
    shutdown(client->fd, SHUT_RDWR);
    client_wake(client);
}

/* ---- answers by hand: where the library cannot queue one ---- */

static bool client_send_raw(struct client *client, const char *data, size_t length)
{
    return send(client->fd, data, length, MSG_NOSIGNAL | MSG_DONTWAIT) == (ssize_t)length;
}

/* Sends a whole answer from its buffer, closes our half, and takes what the client still sends for a moment, so that it reads the
 * answer instead of a reset. */
static void client_tell_raw(struct client *client, const struct answer *answer)
{
    char head[4096];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 %u %s\r\nConnection: close\r\nContent-Length: %llu\r\n",
                     answer->status, MHD_get_reason_phrase_for(answer->status), (unsigned long long)answer->length);

    for (size_t i = 0; i < answer->n_fields && n > 0 && (size_t)n < sizeof(head); i++)
        if (!answer->fields[i].drop)
            n += snprintf(head + n, sizeof(head) - (size_t)n, "%s: %s\r\n", answer->fields[i].name.data,
                          answer->fields[i].value.data);
    if ((size_t)n + 2 < sizeof(head)) {
        memcpy(head + n, "\r\n", 2);
        client->told = client_send_raw(client, head, (size_t)n + 2) &&
                       (answer->length == 0 || client_send_raw(client, answer->data, (size_t)answer->length));
    }
    shutdown(client->fd, SHUT_WR);
    client_arm(client, CLIENT_LINGER);
    if (client->suspended)
        client_wake(client);
}

static void client_answer_raw(struct client *client)
{
    struct answer answer;

    if (exchange_answer(client->exchange, &answer) && answer.body != ANSWER_STREAM)
        client_tell_raw(client, &answer);
    else
        client_cut(client);
}

/* Lets an idle client go. On a Unix socket our refusal to read reaches the client's next send at once, while what it has sent already is
 * still read and answered; on TCP only what has already arrived can be honoured. */
static void client_let_go(struct client *client)
{
    char byte;

    if (client->exchange || client->phase == CLIENT_HEAD || client->phase == CLIENT_LINGER)
        return;
    if (client->peer.is_unix)
        shutdown(client->fd, SHUT_RD);
    else if (recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) <= 0)
        client_cut(client);
}

/* A head that does not come: there may not even be an exchange yet. */
static void client_head_timeout(struct client *client)
{
    static const struct answer timeout = {.status = 408, .body = ANSWER_BUFFER, .data = "", .has_length = true};

    if (client->exchange)
        exchange_fail(client->exchange, OUTCOME_HEAD_TIMEOUT);
    else
        counter_add(&client->frontend->env->metrics->outcomes[OUTCOME_HEAD_TIMEOUT], 1);
    client_tell_raw(client, &timeout);
    client_cut(client);
}

/* ---- deadlines and hang-ups ---- */

static void client_on_timer(struct timer *timer)
{
    struct client *client = CONTAINER_OF(timer, struct client, timer);

    switch (client->phase) {
    case CLIENT_NEW:
        if (client->frontend->env->stopping) {
            client_let_go(client);
            break;
        }
        client_head_timeout(client);
        break;
    case CLIENT_HEAD:
        client_head_timeout(client);
        break;
    case CLIENT_EXPECT:
        client->expect_over = true;
        client_wake(client);
        break;
    case CLIENT_BODY:
        exchange_fail(client->exchange, OUTCOME_BODY_TIMEOUT);
        client_answer_raw(client);
        break;
    case CLIENT_RESPONSE:
        exchange_fail(client->exchange, OUTCOME_CLIENT_STALLED);
        client_cut(client);
        break;
    case CLIENT_WAITING: /* armed only when a TCP client has finished sending */
        exchange_fail(client->exchange, OUTCOME_CLIENT_GONE);
        client_cut(client);
        break;
    case CLIENT_IDLE:
        client_arm(client, CLIENT_WATCHED);
        client_watch(client, EPOLLIN);
        break;
    case CLIENT_WATCHED:
    case CLIENT_LINGER:
        client_cut(client);
        break;
    }
}

static void client_on_watch(struct source *source, uint32_t events)
{
    struct client *client = CONTAINER_OF(source, struct client, watch);

    if (events & (EPOLLHUP | EPOLLERR)) {
        if (client->exchange && !client->cut) {
            exchange_fail(client->exchange, OUTCOME_CLIENT_GONE);
            client_cut(client);
        }
        return;
    }
    if (client->phase == CLIENT_WATCHED && (events & EPOLLIN)) {
        client_watch(client, 0);
        client_arm(client, CLIENT_HEAD);
    }
    /* A TCP client that has finished sending may still read, or may be gone: it is given a body's time. */
    if ((events & EPOLLRDHUP) && client->phase == CLIENT_WAITING)
        timer_arm(client->frontend->env->loop, &client->timer, client->side.listener->timeout_body_ms);
}

/* ---- responses ---- */

static ssize_t client_read(void *closure, uint64_t position, char *data, size_t size)
{
    struct client *client = closure;
    ssize_t n;

    (void)position;
    if (client->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = exchange_read(client->exchange, data, size);
    if (n == UPSTREAM_WAIT) {
        if (client->phase != CLIENT_WAITING)
            client_arm(client, CLIENT_WAITING);
        client_wait(client);
        return 0;
    }
    client_stop_waiting(client);
    client_arm(client, CLIENT_RESPONSE);
    if (n > 0)
        return n;
    return n == UPSTREAM_END ? MHD_CONTENT_READER_END_OF_STREAM : MHD_CONTENT_READER_END_WITH_ERROR;
}

/* A response whose body is not sent: HEAD, 304, 204. */
static struct MHD_Response *client_make_empty(struct client *client, const struct answer *answer)
{
    struct MHD_Response *response;

    if (answer->has_length)
        return MHD_create_response_from_callback(answer->length, BLOCK_BYTES, client_read, client, NULL);
    if (answer->status == 204 || answer->status == 205)
        return MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT);
    response = MHD_create_response_from_callback(MHD_SIZE_UNKNOWN, BLOCK_BYTES, client_read, client, NULL);
    /* 0.9.75 sends the end of a chunked body after such a head; there the connection ends instead. */
    if (response)
        MHD_set_response_options(response,
                                 client->frontend->head_only ? MHD_RF_HEAD_ONLY_RESPONSE
                                                             : MHD_RF_HTTP_1_0_COMPATIBLE_STRICT,
                                 MHD_RO_END);
    return response;
}

static struct MHD_Response *client_make_response(struct client *client, const struct answer *answer)
{
    uint64_t length = answer->has_length ? answer->length : MHD_SIZE_UNKNOWN;

    switch (answer->body) {
    case ANSWER_BUFFER:
        return MHD_create_response_from_buffer((size_t)answer->length, (void *)answer->data, MHD_RESPMEM_PERSISTENT);
    case ANSWER_STREAM:
        return MHD_create_response_from_callback(length, length < BLOCK_BYTES ? (size_t)length : BLOCK_BYTES,
                                                 client_read, client, NULL);
    default:
        return client_make_empty(client, answer);
    }
}

/* The library refuses empty values; a space is the same to every reader (RFC 9110 5.5). */
static bool client_add_fields(struct MHD_Response *response, const struct answer *answer, bool close)
{
    /* First of all: a Connection field added later loses the library's own Date and framing. */
    if (close && MHD_add_response_header(response, "Connection", "close") != MHD_YES)
        return false;
    for (size_t i = 0; i < answer->n_fields; i++) {
        const struct field *field = &answer->fields[i];

        if (field->drop)
            continue;
        if (MHD_add_response_header(response, field->name.data, field->value.length ? field->value.data : " ") !=
            MHD_YES)
            return false;
    }
    return true;
}

static enum MHD_Result client_tell(struct client *client, const struct answer *answer, bool close)
{
    struct MHD_Response *response = client_make_response(client, answer);
    enum MHD_Result result = MHD_NO;

    client_stop_waiting(client);
    if (!response)
        return MHD_NO;
    if (client_add_fields(response, answer, close)) {
        client->told = true;
        client_arm(client, CLIENT_RESPONSE);
        result = MHD_queue_response(client->connection, answer->status, response);
    }
    MHD_destroy_response(response);
    return result;
}

/* ---- requests, as the library calls ---- */

static enum MHD_Result frontend_on_field(void *closure, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                         const char *value, size_t value_length)
{
    struct fields *fields = closure;
    struct field *field;

    (void)kind;
    if (fields->n_items == fields->capacity)
        return MHD_NO;
    field = &fields->items[fields->n_items++];
    *field = (struct field){.name = {name, name_length}, .value = text_trim((struct text){value, value_length})};
    field->id = field_identify(field->name);
    return MHD_YES;
}

static enum exchange_verdict client_collect_head(struct client *client, const char *method, const char *version)
{
    struct fields *fields = exchange_fields(client->exchange);
    struct text method_text = text_of(method);
    size_t head_bytes = method_text.length + client->target_bytes + sizeof("  HTTP/1.1\r\n\r\n") - 1, held_bytes;
    int n = MHD_get_connection_values_n(client->connection, MHD_HEADER_KIND, NULL, NULL);

    MHD_get_connection_values_n(client->connection, MHD_HEADER_KIND, frontend_on_field, fields);
    for (size_t i = 0; i < fields->n_items; i++)
        head_bytes += fields->items[i].name.length + fields->items[i].value.length + sizeof(": \r\n") - 1;
    if (n < 0 || (size_t)n > fields->capacity)
        exchange_refuse(client->exchange, OUTCOME_HEADER_TOO_LARGE, "too many fields");
    held_bytes = head_bytes + (size_t)(n < 0 ? 0 : n) * POOL_PER_FIELD_BYTES + POOL_SLACK_BYTES;
    return exchange_head(client->exchange, method_text, (unsigned)(version[7] - '0'), head_bytes,
                         held_bytes < client->frontend->pool_bytes ? client->frontend->pool_bytes - held_bytes : 0);
}

static enum MHD_Result client_follow(struct client *client, enum exchange_verdict verdict)
{
    struct answer answer;

    switch (verdict) {
    case EXCHANGE_EXPECT:
        client_arm(client, CLIENT_EXPECT);
        client_suspend(client);
        return MHD_YES;
    case EXCHANGE_REFUSE:
        if (!exchange_answer(client->exchange, &answer))
            return MHD_NO;
        return client_tell(client, &answer, true);
    default:
        client_arm(client, CLIENT_BODY);
        return MHD_YES;
    }
}

static enum MHD_Result client_on_body(struct client *client, const char *data, size_t length)
{
    if (client->phase == CLIENT_LINGER)
        return MHD_YES;
    switch (exchange_body(client->exchange, data, length)) {
    case EXCHANGE_BODY_FULL:
        client_arm(client, CLIENT_WAITING);
        client_suspend(client);
        break;
    case EXCHANGE_BODY_EARLY:
        client_answer_raw(client);
        break;
    default:
        client_arm(client, CLIENT_BODY);
    }
    return MHD_YES;
}

static enum MHD_Result client_on_request(struct client *client)
{
    struct answer answer;

    if (client->phase == CLIENT_LINGER)
        return MHD_NO;
    exchange_body_end(client->exchange);
    if (exchange_answer(client->exchange, &answer))
        return client_tell(client, &answer, answer.close);
    if (client->phase != CLIENT_WAITING)
        client_arm(client, CLIENT_WAITING);
    client_wait(client);
    return MHD_YES;
}

static enum MHD_Result frontend_on_call(void *closure, struct MHD_Connection *connection, const char *url,
                                        const char *method, const char *version, const char *upload_data,
                                        size_t *upload_bytes, void **context)
{
    struct client *client = *context;

    (void)closure;
    (void)connection;
    (void)url;
    if (!client || !client->exchange || client->cut)
        return MHD_NO;
    if (client->phase == CLIENT_HEAD)
        return client_follow(client, client_collect_head(client, method, version));
    if (client->phase == CLIENT_EXPECT)
        return client_follow(client, client->expect_over ? EXCHANGE_FORWARD : exchange_expectation(client->exchange));
    /* With several chunks in its buffer the library goes on calling after a suspension: left where they are, they come
     * again after the resume. Suspending twice would corrupt its lists. */
    if (client->suspended)
        return MHD_YES;
    if (*upload_bytes > 0) {
        size_t length = *upload_bytes;

        *upload_bytes = 0;
        return client_on_body(client, upload_data, length);
    }
    return client_on_request(client);
}

/* The request line is there: the only place where the request-target can be had as it was sent. */
static void *frontend_on_target(void *closure, const char *target, struct MHD_Connection *connection)
{
    struct frontend *frontend = closure;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info ? info->socket_context : NULL;
    char *query;

    if (!client)
        return NULL;
    client->exchange = exchange_new(frontend->env, &client->side, text_of(target));
    client->target_bytes = strlen(target);
    client->told = false;
    client->expect_over = false;
    client_arm(client, CLIENT_HEAD);
    /* The library must not parse arguments: 1.0.1 dies of one without a value at the end of the line. */
    query = strchr(target, '?');
    if (query)
        *query = '\0';
    return client;
}

static size_t frontend_keep_escapes(void *closure, struct MHD_Connection *connection, char *s)
{
    (void)closure;
    (void)connection;
    return strlen(s);
}

static void frontend_on_completed(void *closure, struct MHD_Connection *connection, void **context,
                                  enum MHD_RequestTerminationCode how)
{
    struct client *client = *context;

    (void)closure;
    (void)connection;
    if (!client)
        return;
    *context = NULL;
    client_stop_waiting(client);
    exchange_end(client->exchange, client->phase == CLIENT_LINGER ? client->told : how == MHD_REQUEST_TERMINATED_COMPLETED_OK);
    client->exchange = NULL;
    if (client->phase != CLIENT_LINGER)
        client_arm(client, CLIENT_IDLE);
}

/* ---- connections ---- */

static void client_free(struct client *client)
{
    struct frontend *frontend = client->frontend;
    const struct listener_config *listener = client->side.listener;

    client_stop_waiting(client);
    timer_disarm(&client->timer);
    loop_remove(&client->watch);
    list_remove(&client->link);
    frontend->n_clients--;
    free(client);
    frontend->closed(frontend->closure, listener);
}

static void frontend_on_connection(void *closure, struct MHD_Connection *connection, void **context,
                                   enum MHD_ConnectionNotificationCode what)
{
    struct frontend *frontend = closure;

    if (what == MHD_CONNECTION_NOTIFY_STARTED) {
        struct client *client = frontend->adding;

        client->connection = connection;
        *context = client;
        frontend->adding = NULL;
    } else if (*context) {
        client_free(*context);
        *context = NULL;
    }
}

static struct client *client_new(struct frontend *frontend, int fd, const struct listener_config *listener,
                                 const struct peer *peer)
{
    struct client *client = calloc(1, sizeof(*client));

    if (!client)
        return NULL;
    client->frontend = frontend;
    client->fd = fd;
    client->peer = *peer;
    client->watch = (struct source)SOURCE_INIT;
    timer_init(&client->timer, client_on_timer);
    if (peer->is_unix)
        snprintf(client->node, sizeof(client->node), "_uid-%u.gid-%u", (unsigned)peer->uid, (unsigned)peer->gid);
    else
        snprintf(client->node, sizeof(client->node), strchr(peer->address, ':') ? "\"[%s]\"" : "%s", peer->address);
    peer_format(peer, client->peer_text, sizeof(client->peer_text));
    client->side = (struct exchange_client){.wake = client_on_wake,
                                            .listener = listener,
                                            .address = text_of(client->peer.address),
                                            .node = text_of(client->node),
                                            .peer = text_of(client->peer_text)};
    list_append(&frontend->clients, &client->link);
    frontend->n_clients++;
    return client;
}

int frontend_add(struct frontend *frontend, int fd, const struct listener_config *listener, const struct peer *peer)
{
    static const struct sockaddr_un nobody = {.sun_family = AF_UNIX};
    struct client *client = client_new(frontend, fd, listener, peer);

    if (!client) {
        close(fd);
        return -ENOMEM;
    }
    frontend->adding = client;
    frontend->dirty = true;
    if (MHD_add_connection(frontend->daemon, fd, (const struct sockaddr *)&nobody, sizeof(nobody)) != MHD_YES) {
        if (frontend->adding) {
            frontend->adding = NULL;
            client_free(client);
        }
        return -ENOMEM;
    }
    client_arm(client, CLIENT_NEW);
    if (frontend->env->stopping)
        timer_arm(frontend->env->loop, &client->timer, STOP_NEW_MS);
    return 0;
}

/* ---- turning ---- */

static void frontend_on_ready(struct source *source, uint32_t events)
{
    (void)events;
    CONTAINER_OF(source, struct frontend, source)->dirty = true;
}

static void frontend_run(struct frontend *frontend)
{
    frontend->run++;
    frontend->dirty = false;
    MHD_run(frontend->daemon);
}

/* The library has more to do by itself, not counting those who wait for their exchange. */
static bool frontend_has_more(const struct frontend *frontend)
{
    MHD_UNSIGNED_LONG_LONG ms;

    return frontend->n_waiting == 0 && MHD_get_timeout(frontend->daemon, &ms) == MHD_YES && ms == 0;
}

bool frontend_is_busy(const struct frontend *frontend)
{
    return frontend->dirty || frontend->n_waiting > 0 || frontend_has_more(frontend);
}

void frontend_turn(struct frontend *frontend, bool quiet)
{
    bool more = frontend_has_more(frontend);

    if (!frontend->dirty && !more && !(quiet && frontend->n_waiting > 0))
        return;
    frontend->about_to_sleep = quiet && !frontend->dirty;
    frontend_run(frontend);
    frontend->about_to_sleep = false;
    for (int i = 0; i < RUNS_MOST && !frontend->dirty && frontend_has_more(frontend); i++)
        frontend_run(frontend);
}

void frontend_beat(struct frontend *frontend)
{
    frontend_run(frontend);
}

/* ---- stopping ---- */

size_t frontend_n_clients(const struct frontend *frontend)
{
    return frontend->n_clients;
}

void frontend_stop(struct frontend *frontend)
{
    struct list *link;

    for (link = frontend->clients.next; link != &frontend->clients; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        /* Whoever has just connected is about to send and would not try again. */
        if (client->phase == CLIENT_NEW)
            timer_arm(frontend->env->loop, &client->timer, STOP_NEW_MS);
        else
            client_let_go(client);
    }
    frontend->dirty = true;
}

void frontend_cut_all(struct frontend *frontend)
{
    struct list *link;

    for (link = frontend->clients.next; link != &frontend->clients; link = link->next) {
        struct client *client = CONTAINER_OF(link, struct client, link);

        if (client->exchange)
            exchange_fail(client->exchange, OUTCOME_STOPPED);
        client_cut(client);
    }
}

static void frontend_panic(void *closure, const char *file, unsigned line, const char *reason)
{
    (void)closure;
    log_error("libmicrohttpd gave up at %s:%u: %s", file, line, reason ? reason : "no reason given");
    abort();
}

/* ---- the daemon ---- */

static struct MHD_Daemon *frontend_start_daemon(struct frontend *frontend)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)frontend_on_target, frontend},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)frontend_keep_escapes, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)frontend_on_completed, frontend},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)frontend_on_connection, frontend},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)frontend->pool_bytes, NULL},
        {MHD_OPTION_CONNECTION_LIMIT, 1000000, NULL},
#if MHD_VERSION >= 0x00097707
        {MHD_OPTION_CLIENT_DISCIPLINE_LVL, 1, NULL},
#else
        {MHD_OPTION_STRICT_FOR_CLIENT, 0, NULL},
#endif
        {MHD_OPTION_END, 0, NULL},
    };

#if MHD_VERSION >= 0x00097707
    flags |= MHD_USE_NO_THREAD_SAFETY;
#endif
    MHD_set_panic_func(frontend_panic, NULL);
    return MHD_start_daemon(flags, 0, NULL, NULL, frontend_on_call, frontend, MHD_OPTION_ARRAY, options,
                            MHD_OPTION_END);
}

/* A pool holds a request head, a record per field, and the response head. */
static size_t frontend_pool_bytes(const struct snapshot *snapshot)
{
    size_t bytes = POOL_LEAST_BYTES;

    for (size_t i = 0; i < snapshot->n_listeners; i++)
        if (snapshot->listeners[i].limit_header_bytes * 2 > bytes)
            bytes = (size_t)snapshot->listeners[i].limit_header_bytes * 2;
    return bytes;
}

struct frontend *frontend_new(struct exchange_env *env, void (*closed)(void *closure, const struct listener_config *),
                              void *closure, struct error *error)
{
    struct frontend *frontend = calloc(1, sizeof(*frontend));
    const union MHD_DaemonInfo *info;
    int r;

    if (!frontend) {
        error_set(error, -ENOMEM, "out of memory");
        return NULL;
    }
    frontend->env = env;
    frontend->closed = closed;
    frontend->closure = closure;
    frontend->source = (struct source)SOURCE_INIT;
    frontend->pool_bytes = frontend_pool_bytes(env->snapshot);
    frontend->head_only = strcmp(MHD_get_version(), "0.9.77") >= 0;
    list_init(&frontend->clients);
    frontend->daemon = frontend_start_daemon(frontend);
    if (!frontend->daemon) {
        error_set(error, -EIO, "libmicrohttpd %s cannot start a daemon", MHD_get_version());
        free(frontend);
        return NULL;
    }
    info = MHD_get_daemon_info(frontend->daemon, MHD_DAEMON_INFO_EPOLL_FD);
    r = loop_add(env->loop, &frontend->source, info->epoll_fd, EPOLLIN, frontend_on_ready);
    if (r < 0) {
        error_set(error, r, "cannot watch libmicrohttpd: %s", strerror(-r));
        frontend_free(frontend);
        return NULL;
    }
    return frontend;
}

void frontend_free(struct frontend *frontend)
{
    if (!frontend)
        return;
    frontend_cut_all(frontend);
    for (int i = 0; i < 1000 && frontend->n_clients > 0; i++)
        frontend_run(frontend);
    loop_remove(&frontend->source);
    MHD_stop_daemon(frontend->daemon);
    free(frontend);
}
