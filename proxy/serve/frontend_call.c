/* Requests as libmicrohttpd calls. */
#include <string.h>
#include <sys/socket.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/request.h"
#include "proxy/serve/bulk.h"
#include "proxy/serve/early_answer.h"
#include "proxy/serve/frontend_call.h"
#include "proxy/serve/frontend_head.h"
#include "proxy/serve/frontend_memory.h"
#include "proxy/serve/relay.h"
#include "proxy/serve/turns.h"
#include "proxy/serve/upload.h"

#define MOST_TRAILERS 64
#define TRAILER_PIECES 8 /* of work (turns.h), which one costs */

/* ---- heads ---- */

static enum MHD_Result frontend_on_field(void *closure, enum MHD_ValueKind kind, const char *name, size_t name_length,
                                         const char *value, size_t value_length)
{
    struct fields *fields = closure;

    (void)kind;
    if (fields->n_items == fields->capacity)
        return MHD_NO;
    fields->items[fields->n_items++] = field_of((struct text){name, name_length}, (struct text){value, value_length});
    return MHD_YES;
}

/* Whether the target follows the method and one space, and the version the target and one. If not, there was a NUL, and
 * more behind it that the library has not shown. */
static bool client_line_is_whole(const struct client *client, struct text method, const char *version)
{
    return client->request.target == method.data + method.length + 1 &&
           version == client->request.target + client->request.target_bytes + 1;
}

/* How many there are, but for those behind one that finds no room. */
static int client_collect_fields(struct client *client, struct fields *fields)
{
    fields->n_items = 0;
    return MHD_get_connection_values_n(client->connection, MHD_HEADER_KIND, frontend_on_field, fields);
}

static enum exchange_verdict client_collect_head(struct client *client, const char *method, const char *version)
{
    struct fields *fields = exchange_fields(client->request.exchange);
    struct text method_text = text_of(method);
    size_t head_bytes = method_text.length + client->request.target_bytes + sizeof("  HTTP/1.1\r\n\r\n") - 1;
    int n = client_collect_fields(client, fields);

    if (n > 0 && (size_t)n > fields->capacity && exchange_grow_fields(client->request.exchange))
        n = client_collect_fields(client, fields);
    for (size_t i = 0; i < fields->n_items; i++)
        head_bytes += fields->items[i].name.length + fields->items[i].value.length + sizeof(": \r\n") - 1;
    if (!client_line_is_whole(client, method_text, version))
        exchange_refuse(client->request.exchange, OUTCOME_MALFORMED, "a NUL or a second space in the request line");
    if (n < 0 || (size_t)n > fields->capacity)
        exchange_refuse(client->request.exchange, OUTCOME_HEADER_TOO_LARGE, "too many fields");
    frontend_memory_head(client, method, fields, n < 0 ? 0 : (size_t)n, head_bytes);
    return exchange_head(client->request.exchange, method_text, (unsigned)(version[7] - '0'), head_bytes);
}

/* Where the library has no memory for the head of an answer. A body that streams must not cross what the library may
 * still say while it takes the request (100 Continue), and a 101 is the library's to tell: then it is a 502. */
static enum MHD_Result client_tell_by_hand(struct client *client, struct answer *answer)
{
    bool close = answer->close;

    if (answer->body == ANSWER_TUNNEL ||
        (answer->body == ANSWER_STREAM && !exchange_has_request(client->request.exchange))) {
        exchange_refuse(client->request.exchange, OUTCOME_RESPONSE_HEAD_TOO_LARGE,
                        "beside what the client has sent already");
        if (!exchange_answer(client->request.exchange, answer))
            return MHD_NO;
    }
    answer->close = answer->close || close;
    relay_begin(client, answer);
    if (client->phase == CLIENT_RELAY)
        client_suspend(client);
    return MHD_YES;
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
        if (!exchange_answer(client->request.exchange, &answer))
            return MHD_NO;
        answer.close = true;
        if (!frontend_memory_suffices(client, &answer))
            return client_tell_by_hand(client, &answer);
        return frontend_tell(client, &answer, true);
    default:
        /* The end of a request without a body comes in the same run of the library. */
        if (exchange_has_body(client->request.exchange))
            client_arm(client, CLIENT_BODY);
        else
            client_move(client, CLIENT_BODY);
        return MHD_YES;
    }
}

/* The rest of the request has a moment to come, so that the connection can go on; not one for each piece. */
static void client_expect_early(struct client *client)
{
    if (client->phase != CLIENT_EARLY)
        client_arm(client, CLIENT_EARLY);
}

/* The request has moved on beside its answer, or has failed, which the relay must learn. */
static void client_relay_on(struct client *client)
{
    client_arm(client, CLIENT_RELAY);
    if (exchange_failed(client->request.exchange))
        relay_wake(client);
}

/* There is more of the body than the target takes now: it is the target that is waited for. */
static void client_hold_back(struct client *client)
{
    if (client->phase == CLIENT_BODY)
        client_arm(client, CLIENT_WAITING);
    client_suspend(client);
}

/* More of a request that has been answered, if not too much. */
static void client_take_rest(struct client *client, enum exchange_body_result result)
{
    if (result == EXCHANGE_BODY_EARLY)
        early_answer_end(client);
}

static enum MHD_Result client_on_body(struct client *client, const char *data, size_t length)
{
    enum exchange_body_result result;

    if (client->phase == CLIENT_LINGER)
        return MHD_YES;
    result = exchange_body(client->request.exchange, data, length);
    if (client->phase == CLIENT_RELAY)
        client_relay_on(client);
    else if (client->phase == CLIENT_REST)
        client_take_rest(client, result);
    else if (result == EXCHANGE_BODY_EARLY)
        relay_answer(client);
    else if (client->phase == CLIENT_EARLY || exchange_has_early_answer(client->request.exchange))
        client_expect_early(client);
    else
        client_arm(client, result == EXCHANGE_BODY_FULL ? CLIENT_WAITING : CLIENT_BODY);
    if (result == EXCHANGE_BODY_FULL)
        client_suspend(client);
    upload_begin(client);
    return MHD_YES;
}

/* The end of a request, with its trailers. */
static void client_on_end(struct client *client)
{
    struct field items[MOST_TRAILERS];
    struct fields trailers = {.items = items, .capacity = MOST_TRAILERS};
    int n = 0;

    if (exchange_is_chunked(client->request.exchange))
        n = MHD_get_connection_values_n(client->connection, MHD_FOOTER_KIND, frontend_on_field, &trailers);
    if (n > MOST_TRAILERS)
        exchange_refuse(client->request.exchange, OUTCOME_HEADER_TOO_LARGE, "too many trailers");
    if (n > 0) {
        frontend_memory_trailers(client);
        client_spend(client, (unsigned)n * TRAILER_PIECES, 0);
    }
    exchange_body_end(client->request.exchange, n > 0 ? &trailers : NULL);
}

static enum MHD_Result client_on_request(struct client *client)
{
    struct answer answer;

    if (client->phase == CLIENT_LINGER)
        return MHD_NO;
    if (!exchange_has_request(client->request.exchange))
        client_on_end(client);
    if (client->phase == CLIENT_RELAY) {
        client_relay_on(client);
        client_suspend(client);
        return MHD_YES;
    }
    if (client->phase == CLIENT_REST)
        return exchange_has_broken_off(client->request.exchange) ? MHD_NO : frontend_tell_nobody(client);
    if (exchange_answer(client->request.exchange, &answer)) {
        if (!frontend_memory_suffices(client, &answer))
            return client_tell_by_hand(client, &answer);
        return frontend_tell(client, &answer, answer.close);
    }
    if (client->phase != CLIENT_WAITING)
        client_arm(client, CLIENT_WAITING);
    client_wait(client);
    return MHD_YES;
}

enum MHD_Result frontend_on_call(void *closure, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload_data, size_t *upload_bytes, void **context)
{
    struct client *client = *context;

    (void)closure;
    (void)connection;
    (void)url;
    if (client)
        client->clients->n_calls++;
    if (!client || !client->request.exchange || client->cut)
        return MHD_NO;
    if (client->phase == CLIENT_HEAD)
        return client_follow(client, client_collect_head(client, method, version));
    if (client->phase == CLIENT_EXPECT)
        return client_follow(client, client->request.expect_over ? EXCHANGE_FORWARD
                                                                 : exchange_expectation(client->request.exchange));
    /* With several chunks in its buffer the library goes on calling after a suspension: left where they are, they come
     * again after the resume. Suspending twice would corrupt its lists. */
    if (client->suspended)
        return MHD_YES;
    if (*upload_bytes > 0) {
        size_t skipped = receipt_skip(&client->receipt, *upload_bytes), length = *upload_bytes - skipped;

        frontend_memory_body(client, skipped);
        *upload_bytes = length;
        upload_data += skipped;
        if (length == 0)
            return MHD_YES;

        /* What the library has read stays where it is. */
        if (!exchange_takes_body(client->request.exchange)) {
            client_hold_back(client);
            return MHD_YES;
        }
        if (!client_has_turn(client)) {
            client_yield(client);
            return MHD_YES;
        }
        client_spend(client, 1, length);
        *upload_bytes = 0;
        frontend_memory_body(client, length);
        return client_on_body(client, upload_data, length);
    }
    return client_on_request(client);
}

/* The request line is there: the only place where the request-target can be had as it was sent. */
void *frontend_on_target(void *closure, const char *target, struct MHD_Connection *connection)
{
    struct clients *clients = closure;
    const union MHD_ConnectionInfo *info = MHD_get_connection_info(connection, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
    struct client *client = info ? info->socket_context : NULL;
    char *query;

    if (!client)
        return NULL;
    clients->n_calls++;
    /* What is still read of one that is over is not a request: its end has been recorded. */
    if (client->cut || client->phase == CLIENT_LINGER)
        return NULL;
    client->request.exchange = exchange_new(clients->env, &client->side, text_of(target));
    client->request.target = target;
    client->request.target_bytes = strlen(target);
    /* The deadline of a head begins with its first byte, not with its first line. */
    admission_busy(&client->pass);
    if (client->phase == CLIENT_NEW)
        client_move(client, CLIENT_HEAD);
    else if (client->phase != CLIENT_HEAD)
        client_arm(client, CLIENT_HEAD);
    /* The library must not parse arguments: each takes a record of its memory. */
    query = strchr(target, '?');
    if (query)
        query[0] = query[1] = '\0'; /* it has found the '?' by now: an empty string after it ends the search */
    return client;
}

/* Whether the client was given a whole answer: ours by hand, the library's own refusal of a head or chunk (which it
 * reports as an error), or the one that was queued. */
static bool frontend_was_delivered(const struct client *client, enum MHD_RequestTerminationCode how)
{
    if (client->phase == CLIENT_LINGER || client->phase == CLIENT_REST)
        return client->request.told;
    if (client->phase == CLIENT_HEAD || client->phase == CLIENT_BODY || client->phase == CLIENT_EARLY)
        return !client_has_left(client);
    if (how == MHD_REQUEST_TERMINATED_COMPLETED_OK)
        return !client->request.bulk;
    /* A small response is written whole in the run it is queued in or in the next; that it was written is noticed one
     * run later, where a client that has read it and closed by then comes first. It was there when the response was
     * queued, since the library looks for hang-ups before it calls us. */
    return client->request.told && client->request.told_small && client->clients->run != client->request.told_run;
}

void frontend_on_completed(void *closure, struct MHD_Connection *connection, void **context,
                           enum MHD_RequestTerminationCode how)
{
    struct client *client = *context;

    (void)closure;
    (void)connection;
    frontend_head_forget();
    if (!client)
        return;
    *context = NULL;
    detour_end(&client->detour);
    client->clients->n_calls++;
    client_stop_waiting(client);
    if (client->request.bulk && how == MHD_REQUEST_TERMINATED_COMPLETED_OK && !client->cut) {
        bulk_begin(client);
        return;
    }
    /* The library has refused the rest of the request while the answer was on its way. */
    if (client->phase == CLIENT_RELAY && how == MHD_REQUEST_TERMINATED_WITH_ERROR && !client->cut &&
        !exchange_failed(client->request.exchange) && !client_has_left(client))
        exchange_fail(client->request.exchange, OUTCOME_MALFORMED);
    /* The library had no memory for the trailers beside the request: it is not the client who has left. */
    if (client->request.trailers_told && how == MHD_REQUEST_TERMINATED_WITH_ERROR && !client->cut &&
        !client_has_left(client))
        exchange_refuse(client->request.exchange, OUTCOME_RESPONSE_HEAD_TOO_LARGE, "no room for the trailers");
    /* The library closes the connection now, whatever of the request is still on its way. */
    client->lingers = how == MHD_REQUEST_TERMINATED_COMPLETED_OK && client->phase != CLIENT_TUNNEL &&
                      client->request.exchange && !exchange_has_request(client->request.exchange);
    exchange_end(client->request.exchange, frontend_was_delivered(client, how));
    relay_drop(client);
    bulk_drop(client);
    upload_drop(client);
    receipt_drop(&client->receipt);
    client->request = (struct client_request){0};
    /* The library frees the memory of such a connection now, and closes it when it next looks at it, for which there
     * must be a reason. */
    if (how != MHD_REQUEST_TERMINATED_COMPLETED_OK) {
        client->pool = NULL;
        shutdown(client->fd, SHUT_RDWR);
        client->clients->dirty = true;
    }
    if (client->phase == CLIENT_LINGER || client->phase == CLIENT_TUNNEL)
        return;
    client->served = true;
    client_renew(client);
    client_arm(client, CLIENT_IDLE);
}
