#include "proxy/serve/frontend.h"

#include <errno.h>
#include <microhttpd.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/base/give_back.h"
#include "proxy/serve/client.h"

#define POOL_LEAST_BYTES (32u * 1024)
#define POOL_PER_FIELD_BYTES 72 /* libmicrohttpd's own record of a field */
#define POOL_SLACK_BYTES 512
#define BLOCK_BYTES (64u * 1024)
#define RUNS_MOST 3

#ifndef MHD_RF_HEAD_ONLY_RESPONSE
#define MHD_RF_HEAD_ONLY_RESPONSE ((enum MHD_ResponseFlags)(1 << 4)) /* since 0.9.77; see frontend.strict_parser */
#endif

struct frontend {
    struct MHD_Daemon *daemon;
    struct source source; /* the daemon's epoll descriptor */
    struct clients clients;
    struct client *adding; /* between frontend_add and the library's notification */
    bool strict_parser; /* the library is 1.0 or near: its parser is strict, and it knows MHD_RF_HEAD_ONLY_RESPONSE */
    void (*closed)(void *closure, const struct listener_config *);
    void *closure;
};

const char *frontend_library_version(void)
{
    return MHD_get_version();
}

/* ---- the library's side of a client ---- */

static struct frontend *frontend_of(const struct client *client)
{
    return CONTAINER_OF(client->clients, struct frontend, clients);
}

static void frontend_suspend(struct client *client)
{
    MHD_suspend_connection(client->connection);
}

static void frontend_resume(struct client *client)
{
    MHD_resume_connection(client->connection);
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
                                 frontend_of(client)->strict_parser ? MHD_RF_HEAD_ONLY_RESPONSE
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
        client->told_small = answer->body == ANSWER_BUFFER && answer->length < BLOCK_BYTES;
        client->told_run = client->clients->run;
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

/* Whether every byte of the head is accounted for: line follows line, each ended by CRLF (two NULs by now), and an
 * empty one ends it.
 *
 * The parser of 0.9.75 is lax where a stricter one in front of us is not: it takes a line that begins with a colon for
 * the end of the head (and what follows for the next request), cuts values at a NUL, takes a bare LF for a line's end,
 * and glues a folded line (RFC 9112 5.2) to a copy of the field's name. Each leaves its trace in where things lie. 1.0
 * refuses all that by itself. */
static bool client_head_is_whole(const struct client *client, const char *method, const char *version,
                                 const struct fields *fields)
{
    const union MHD_ConnectionInfo *info =
        MHD_get_connection_info(client->connection, MHD_CONNECTION_INFO_REQUEST_HEADER_SIZE);
    const char *end = version + strlen(version);

    for (size_t i = 0; i < fields->n_items; i++) {
        if (fields->items[i].name.data != end + 2)
            return false;
        end = fields->items[i].value.data + strlen(fields->items[i].value.data);
    }
    return info && end + 4 == method + info->header_size;
}

static enum exchange_verdict client_collect_head(struct client *client, const char *method, const char *version)
{
    struct fields *fields = exchange_fields(client->exchange);
    struct text method_text = text_of(method);
    size_t head_bytes = method_text.length + client->target_bytes + sizeof("  HTTP/1.1\r\n\r\n") - 1, held_bytes;
    /* Counts the one that found no room, too, and ends there. */
    int n = MHD_get_connection_values_n(client->connection, MHD_HEADER_KIND, frontend_on_field, fields);

    for (size_t i = 0; i < fields->n_items; i++)
        head_bytes += fields->items[i].name.length + fields->items[i].value.length + sizeof(": \r\n") - 1;
    /* The version follows the target and one separator: if not, there was a NUL in it, and more behind that. */
    if (version != client->target + client->target_bytes + 1)
        exchange_refuse(client->exchange, OUTCOME_MALFORMED, "a NUL in the request-target");
    if (n < 0 || (size_t)n > fields->capacity)
        exchange_refuse(client->exchange, OUTCOME_HEADER_TOO_LARGE, "too many fields");
    else if (!frontend_of(client)->strict_parser && !client_head_is_whole(client, method, version, fields))
        exchange_refuse(client->exchange, OUTCOME_MALFORMED, "a line of the head is malformed");
    held_bytes = head_bytes + (size_t)(n < 0 ? 0 : n) * POOL_PER_FIELD_BYTES + POOL_SLACK_BYTES;
    return exchange_head(client->exchange, method_text, (unsigned)(version[7] - '0'), head_bytes,
                         held_bytes < client->clients->pool_bytes ? client->clients->pool_bytes - held_bytes : 0);
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
        if (client->phase != CLIENT_EARLY)
            client_arm(client, exchange_has_early_answer(client->exchange) ? CLIENT_EARLY : CLIENT_BODY);
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
    if (client->phase == CLIENT_HEAD) {
        /* The request line is the first thing in the pool. */
        client->pool = give_back_is_block(method, client->clients->pool_bytes) ? (char *)method : NULL;
        return client_follow(client, client_collect_head(client, method, version));
    }
    if (client->phase == CLIENT_EXPECT)
        return client_follow(client, client->expect_over ? EXCHANGE_FORWARD : exchange_expectation(client->exchange));
    /* With several chunks in its buffer the library goes on calling after a suspension: left where they are, they come
     * again after the resume. Suspending twice would corrupt its lists. */
    if (client->suspended)
        return MHD_YES;
    if (*upload_bytes > 0) {
        size_t length = *upload_bytes;

        /* Woken for another reason: what the library has read stays where it is. */
        if (!exchange_takes_body(client->exchange)) {
            client_suspend(client);
            return MHD_YES;
        }
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
    client->exchange = exchange_new(frontend->clients.env, &client->side, text_of(target));
    client->target = target;
    client->target_bytes = strlen(target);
    client->told = false;
    client->told_small = false;
    client->expect_over = false;
    /* The deadline of a head begins with its first byte, not with its first line. */
    if (client->phase == CLIENT_NEW)
        client->phase = CLIENT_HEAD;
    else if (client->phase != CLIENT_HEAD)
        client_arm(client, CLIENT_HEAD);
    /* The library must not parse arguments: 1.0.1 dies of one without a value at the end of the line. */
    query = strchr(target, '?');
    if (query)
        query[0] = query[1] = '\0'; /* 0.9.75 has found the '?' by now: an empty string after it ends the search */
    return client;
}

static size_t frontend_keep_escapes(void *closure, struct MHD_Connection *connection, char *s)
{
    (void)closure;
    (void)connection;
    return strlen(s);
}

/* Whether the client was given a whole answer: ours by hand, the library's own refusal of a head or chunk (which it
 * reports as an error), or the one that was queued. */
static bool frontend_was_delivered(const struct client *client, enum MHD_RequestTerminationCode how)
{
    if (client->phase == CLIENT_LINGER)
        return client->told;
    if (client->phase == CLIENT_HEAD || client->phase == CLIENT_BODY || client->phase == CLIENT_EARLY)
        return !client_has_left(client);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return true;
    /* A small response is written whole in the run it is queued in or in the next; that it was written is noticed one
     * run later, where a client that has read it and closed by then comes first. It was there when the response was
     * queued, since the library looks for hang-ups before it calls us. */
    return client->told && client->told_small && client->clients->run != client->told_run;
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
    exchange_end(client->exchange, frontend_was_delivered(client, how));
    client->exchange = NULL;
    if (client->phase == CLIENT_LINGER)
        return;
    client->served = true;
    client_arm(client, CLIENT_IDLE);
}

/* ---- connections ---- */

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
        struct client *client = *context;
        const struct listener_config *listener = client->side.listener;

        client_free(client);
        *context = NULL;
        frontend->closed(frontend->closure, listener);
    }
}

int frontend_add(struct frontend *frontend, int fd, const struct listener_config *listener, const struct peer *peer)
{
    static const struct sockaddr_un nobody = {.sun_family = AF_UNIX};
    struct client *client = client_new(&frontend->clients, fd, listener, peer);

    if (!client) {
        close(fd);
        return -ENOMEM;
    }
    frontend->adding = client;
    frontend->clients.dirty = true;
    if (MHD_add_connection(frontend->daemon, fd, (const struct sockaddr *)&nobody, sizeof(nobody)) != MHD_YES) {
        /* Taken and closed again: frontend_on_connection has dealt with it. */
        if (!frontend->adding)
            return 0;
        frontend->adding = NULL;
        client_free(client);
        return -ENOMEM;
    }
    client_arm(client, CLIENT_NEW);
    return 0;
}

/* ---- turning ---- */

static void frontend_on_ready(struct source *source, uint32_t events)
{
    (void)events;
    CONTAINER_OF(source, struct frontend, source)->clients.dirty = true;
}

static void frontend_run(struct frontend *frontend)
{
    frontend->clients.run++;
    frontend->clients.dirty = false;
    MHD_run(frontend->daemon);
}

/* The library has more to do by itself, not counting those who wait for their exchange. */
static bool frontend_has_more(const struct frontend *frontend)
{
    MHD_UNSIGNED_LONG_LONG ms;

    return frontend->clients.n_waiting == 0 && MHD_get_timeout(frontend->daemon, &ms) == MHD_YES && ms == 0;
}

bool frontend_is_busy(const struct frontend *frontend)
{
    return frontend->clients.dirty || frontend->clients.n_waiting > 0 || frontend_has_more(frontend);
}

void frontend_turn(struct frontend *frontend, bool quiet)
{
    bool more = frontend_has_more(frontend);

    if (!frontend->clients.dirty && !more && !(quiet && frontend->clients.n_waiting > 0))
        return;
    frontend->clients.about_to_sleep = quiet && !frontend->clients.dirty;
    frontend_run(frontend);
    frontend->clients.about_to_sleep = false;
    for (int i = 0; i < RUNS_MOST && !frontend->clients.dirty && frontend_has_more(frontend); i++)
        frontend_run(frontend);
}

void frontend_beat(struct frontend *frontend)
{
    frontend_run(frontend);
}

struct clients *frontend_clients(struct frontend *frontend)
{
    return &frontend->clients;
}

/* ---- the daemon ---- */

static void frontend_panic(void *closure, const char *file, unsigned line, const char *reason)
{
    (void)closure;
    log_error("libmicrohttpd gave up at %s:%u: %s", file, line, reason ? reason : "no reason given");
    abort();
}

static struct MHD_Daemon *frontend_start_daemon(struct frontend *frontend)
{
    unsigned flags = MHD_USE_EPOLL | MHD_USE_TURBO | MHD_ALLOW_SUSPEND_RESUME | MHD_USE_NO_LISTEN_SOCKET;
    struct MHD_OptionItem options[] = {
        {MHD_OPTION_URI_LOG_CALLBACK, (intptr_t)frontend_on_target, frontend},
        {MHD_OPTION_UNESCAPE_CALLBACK, (intptr_t)frontend_keep_escapes, NULL},
        {MHD_OPTION_NOTIFY_COMPLETED, (intptr_t)frontend_on_completed, frontend},
        {MHD_OPTION_NOTIFY_CONNECTION, (intptr_t)frontend_on_connection, frontend},
        {MHD_OPTION_CONNECTION_MEMORY_LIMIT, (intptr_t)frontend->clients.pool_bytes, NULL},
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
    clients_init(&frontend->clients, env);
    frontend->clients.suspend = frontend_suspend;
    frontend->clients.resume = frontend_resume;
    frontend->closed = closed;
    frontend->closure = closure;
    frontend->source = (struct source)SOURCE_INIT;
    frontend->clients.pool_bytes = frontend_pool_bytes(env->snapshot);
    frontend->strict_parser = strcmp(MHD_get_version(), "0.9.77") >= 0;
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
    clients_cut_all(&frontend->clients);
    for (int i = 0; i < 1000 && frontend->clients.n_clients > 0; i++)
        frontend_run(frontend);
    loop_remove(&frontend->source);
    MHD_stop_daemon(frontend->daemon);
    free(frontend);
}
