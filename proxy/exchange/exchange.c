#include "proxy/exchange/exchange.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <unistd.h>

#include "proxy/exchange/parts.h"
#include "proxy/exchange/route.h"
#include "proxy/http/trailers.h"

#define MOST_SPARE 64
#define PIECE_BYTES (34 * 1024)       /* of a body, chunk head included */
#define DISCARD_MOST_BYTES (1u << 20) /* of a body nobody wants, for the sake of a connection that stays usable */

/* ---- environment ---- */

/* What we add to a head, and one piece of body or the trailers behind it. */
static size_t exchange_out_bytes(size_t header_bytes)
{
    return header_bytes + 4096 + (header_bytes > PIECE_BYTES ? header_bytes : PIECE_BYTES);
}

int exchange_env_renew(struct exchange_env *env, struct generation *generation)
{
    size_t header_bytes = generation->header_bytes;
    char *scratch;

    /* Sizes only grow: exchanges of the generation before may go on. */
    if (header_bytes > env->path_scratch_bytes) {
        scratch = realloc(env->path_scratch, header_bytes);
        if (!scratch)
            return -ENOMEM;
        env->path_scratch = scratch;
        env->path_scratch_bytes = header_bytes;
    }
    upstream_store_grow(&env->store, exchange_out_bytes(header_bytes));
    /* The library has at most its pool's size of a client's early bytes. */
    tunnels_grow(&env->tunnels, 2 * header_bytes);
    generation_ref(generation);
    generation_unref(env->generation);
    env->generation = generation;
    return 0;
}

int exchange_env_init(struct exchange_env *env, struct generation *generation)
{
    upstream_store_init(&env->store, exchange_out_bytes(generation->header_bytes));
    env->tunnels.loop = env->loop;
    env->tunnels.recorder = &env->recorder;
    tunnels_init(&env->tunnels);
    list_init(&env->unsent);
    /* Not a secret, only different from every other porthole's. */
    if (getrandom(&env->id_prefix, sizeof(env->id_prefix), GRND_NONBLOCK) != (ssize_t)sizeof(env->id_prefix))
        env->id_prefix = wall_time_now().ns;
    return exchange_env_renew(env, generation);
}

void exchange_env_deinit(struct exchange_env *env)
{
    tunnels_deinit(&env->tunnels);
    while (env->spare) {
        struct exchange *exchange = env->spare;

        env->spare = exchange->next_spare;
        free(exchange);
    }
    upstream_store_deinit(&env->store);
    free(env->path_scratch);
    env->generation = generation_unref(env->generation);
}

static void exchange_make_id(struct exchange_env *env, char id[ID_BYTES])
{
    static const char digits[] = "0123456789abcdef";
    uint64_t parts[2] = {env->id_prefix, ++env->id_counter};

    for (size_t i = 0; i < ID_BYTES; i++)
        id[i] = digits[parts[i / 16] >> (60 - 4 * (i % 16)) & 15];
}

void exchange_need_id(struct exchange *exchange)
{
    if (exchange->forward.request_id.length > 0)
        return;
    exchange_make_id(exchange->env, exchange->id);
    exchange->forward.request_id = (struct text){exchange->id, ID_BYTES};
}

/* ---- beginning ---- */

static void exchange_on_upstream(struct upstream *upstream)
{
    struct exchange *exchange = CONTAINER_OF(upstream, struct exchange, upstream);
    bool news = upstream_has_response(upstream) || failure_is_set(&upstream->failure);

    /* A piece of a head, a part of a block sent: nothing that the client's side could act on. */
    if (exchange->state == EXCHANGE_RECEIVING)
        news = news || upstream->continue_seen || upstream_takes_body(upstream);
    if (news)
        exchange->client->wake(exchange->client);
}

static bool exchange_keep_target(struct exchange *exchange, struct text target)
{
    char *copy = exchange->target_inline;

    if (target.length > sizeof(exchange->target_inline)) {
        copy = malloc(target.length);
        if (!copy)
            return false;
    }
    memcpy(copy, target.data, target.length);
    exchange->target = (struct text){copy, target.length};
    return true;
}

struct exchange *exchange_new(struct exchange_env *env, struct exchange_client *client, struct text target)
{
    struct exchange *exchange = env->spare;

    if (exchange) {
        env->spare = exchange->next_spare;
        env->n_spare--;
    } else {
        exchange = malloc(sizeof(*exchange));
        if (!exchange)
            return NULL;
    }
    memset(exchange, 0, offsetof(struct exchange, id));
    exchange->env = env;
    exchange->client = client;
    failure_init(&exchange->failure);
    exchange->begun = loop_now(env->loop);
    list_init(&exchange->unsent);
    memset(&exchange->request, 0, sizeof(exchange->request));
    exchange->request.fields = (struct fields){exchange->field_items, 0, UPSTREAM_MOST_FIELDS};
    upstream_init(&exchange->upstream, env->loop, &env->store, exchange_on_upstream);
    exchange->upstream.interim = exchange_on_interim;
    if (!exchange_keep_target(exchange, target)) {
        free(exchange);
        return NULL;
    }
    exchange->generation = generation_ref(client->generation);
    return exchange;
}

struct fields *exchange_fields(struct exchange *exchange)
{
    return &exchange->request.fields;
}

/* ---- failures ---- */

static void exchange_fail_because(struct exchange *exchange, enum outcome outcome, const char *reason)
{
    if (failure_is_set(&exchange->failure))
        return;
    failure_set(&exchange->failure, outcome, 0, reason);
    upstream_deinit(&exchange->upstream);
}

void exchange_fail(struct exchange *exchange, enum outcome outcome)
{
    exchange_fail_because(exchange, outcome, NULL);
}

bool exchange_failed(const struct exchange *exchange)
{
    return failure_is_set(exchange_failure(exchange));
}

void exchange_refuse(struct exchange *exchange, enum outcome outcome, const char *reason)
{
    exchange_fail_because(exchange, outcome, reason);
    if (exchange->state < EXCHANGE_WAITING)
        exchange->state = EXCHANGE_WAITING;
    if (outcome_info(outcome)->fault == FAULT_CLIENT && outcome != OUTCOME_NO_ROUTE)
        exchange->close = true;
}

/* ---- the request ---- */

static void exchange_forward(struct exchange *exchange)
{
    const struct target_config *target = exchange->route->target;

    exchange->forward.client_address = exchange->client->address;
    exchange->forward.client_node = exchange->client->node;
    exchange->forward.expect_continue = exchange->request.expect_continue;
    exchange->forward.upgrade_allowed = exchange->route->upgrade;
    upstream_start(&exchange->upstream, generation_target(exchange->generation, target), &exchange->request,
                   &exchange->forward);
    if (exchange->request.body == BODY_NONE)
        exchange->state = EXCHANGE_WAITING;
    else if (exchange->request.expect_continue)
        upstream_flush(&exchange->upstream);
    else
        list_append(&exchange->env->unsent, &exchange->unsent);
}

/* RFC 9110, RFC 9112, our limits. True when the request may be looked at further. */
static bool exchange_check(struct exchange *exchange, size_t head_bytes)
{
    const struct listener_config *listener = exchange->client->listener;
    struct request *request = &exchange->request;
    unsigned status = 0;
    const char *wrong;

    if (exchange->target.length > listener->limit_header_bytes) {
        exchange_refuse(exchange, OUTCOME_URI_TOO_LONG, NULL);
        return false;
    }
    if (exchange_failed(exchange))
        return false;
    if (head_bytes > listener->limit_header_bytes) {
        exchange_refuse(exchange, OUTCOME_HEADER_TOO_LARGE, NULL);
        return false;
    }
    wrong = request_check(request, &status);
    if (wrong) {
        exchange->refused_status = status;
        exchange_refuse(exchange, status == 501 ? OUTCOME_NOT_SUPPORTED : OUTCOME_MALFORMED, wrong);
        return false;
    }
    if (request->body == BODY_LENGTH && request->content_length > listener->limit_body_bytes) {
        exchange_refuse(exchange, OUTCOME_BODY_TOO_LARGE, NULL);
        return false;
    }
    return true;
}

static bool exchange_find_route(struct exchange *exchange)
{
    struct exchange_env *env = exchange->env;

    switch (route_find(exchange->client->listener, &exchange->request, env->path_scratch, env->path_scratch_bytes,
                       &exchange->route)) {
    case ROUTE_FOUND:
        return true;
    case ROUTE_TOO_LONG:
        exchange_refuse(exchange, OUTCOME_URI_TOO_LONG, NULL);
        return false;
    case ROUTE_AMBIGUOUS:
        exchange_refuse(exchange, OUTCOME_AMBIGUOUS_PATH, NULL);
        return false;
    default:
        exchange_refuse(exchange, OUTCOME_NO_ROUTE, NULL);
        return false;
    }
}

/* An answer is there although the body is not: take the body for the connection's sake if it is short. */
static enum exchange_verdict exchange_refuse_or_discard(const struct exchange *exchange)
{
    const struct request *request = &exchange->request;

    if (request->body == BODY_NONE)
        return EXCHANGE_FORWARD;
    if (exchange->close || request->expect_continue)
        return EXCHANGE_REFUSE;
    if (request->body == BODY_LENGTH && request->content_length > DISCARD_MOST_BYTES)
        return EXCHANGE_REFUSE;
    return EXCHANGE_FORWARD;
}

enum exchange_verdict exchange_head(struct exchange *exchange, struct text method, unsigned minor, size_t head_bytes,
                                    size_t room_bytes)
{
    struct request *request = &exchange->request;

    request->method = method;
    request->target = exchange->target;
    request->minor = minor;
    request->local = exchange->client->address.length == 0;
    exchange->room_bytes = room_bytes;
    exchange->state = EXCHANGE_RECEIVING;
    exchange->forward.request_id = request_given_id(request);
    exchange_need_id(exchange);
    if (!exchange_check(exchange, head_bytes))
        return request->body == BODY_NONE && !exchange->close ? EXCHANGE_FORWARD : EXCHANGE_REFUSE;
    exchange->close = request->close;
    if (!exchange_find_route(exchange))
        return exchange_refuse_or_discard(exchange);
    if (exchange->route->action == ROUTE_RESPOND) {
        exchange->state = EXCHANGE_WAITING;
        return exchange_refuse_or_discard(exchange);
    }
    exchange_forward(exchange);
    return exchange_expectation(exchange);
}

enum exchange_verdict exchange_expectation(struct exchange *exchange)
{
    if (!exchange->request.expect_continue || exchange->request.body == BODY_NONE)
        return EXCHANGE_FORWARD;
    if (exchange_failed(exchange))
        return EXCHANGE_REFUSE;
    /* A 101 before its time at least says that the request is wanted. */
    if (exchange->upstream.continue_seen || exchange->upstream.response_half == UPSTREAM_RESPONSE_SWITCHED)
        return EXCHANGE_FORWARD;
    return upstream_has_response(&exchange->upstream) ? EXCHANGE_REFUSE : EXCHANGE_EXPECT;
}

bool exchange_takes_body(const struct exchange *exchange)
{
    return !exchange_is_forwarding(exchange) || upstream_takes_body(&exchange->upstream);
}

bool exchange_is_chunked(const struct exchange *exchange)
{
    return exchange->request.body == BODY_CHUNKED;
}

bool exchange_is_receiving(const struct exchange *exchange)
{
    return exchange->state != EXCHANGE_NEW && !exchange->request_ended && exchange_takes_body(exchange);
}

enum exchange_body_result exchange_body(struct exchange *exchange, const char *data, size_t length)
{
    struct upstream *upstream = &exchange->upstream;

    exchange->received_bytes += length;
    list_remove(&exchange->unsent);
    if (exchange->received_bytes > exchange->client->listener->limit_body_bytes)
        exchange_refuse(exchange, OUTCOME_BODY_TOO_LARGE, NULL);
    if (exchange->failure.outcome == OUTCOME_BODY_TOO_LARGE)
        return EXCHANGE_BODY_EARLY;
    if (exchange_is_forwarding(exchange) && !upstream->request_abandoned && !failure_is_set(&upstream->failure)) {
        upstream_send_body(upstream, data, length);
        return upstream_takes_body(upstream) ? EXCHANGE_BODY_MORE : EXCHANGE_BODY_FULL;
    }
    exchange->discarded_bytes += length;
    if (exchange->discarded_bytes > DISCARD_MOST_BYTES &&
        (exchange_failed(exchange) || upstream->body_in_buffer || !exchange_is_forwarding(exchange)))
        return EXCHANGE_BODY_EARLY;
    return EXCHANGE_BODY_MORE;
}

void exchange_body_end(struct exchange *exchange, struct fields *trailers)
{
    const char *wrong;

    list_remove(&exchange->unsent);
    if (exchange->request_ended)
        return;
    exchange->request_ended = true;
    if (exchange->state == EXCHANGE_RECEIVING)
        exchange->state = EXCHANGE_WAITING;
    wrong = trailers ? trailers_check(trailers) : NULL;
    if (wrong)
        exchange_refuse(exchange, OUTCOME_MALFORMED, wrong);
    if (exchange_is_forwarding(exchange))
        upstream_end_body(&exchange->upstream, trailers);
}

void exchange_flush_unsent(struct exchange_env *env)
{
    struct list *link;

    while ((link = list_pop(&env->unsent))) {
        struct exchange *exchange = CONTAINER_OF(link, struct exchange, unsent);

        upstream_flush(&exchange->upstream);
        if (exchange_failed(exchange) || exchange_has_early_answer(exchange))
            exchange->client->wake(exchange->client);
    }
}

/* ---- the end ---- */

static enum outcome exchange_outcome(const struct exchange *exchange, bool delivered)
{
    if (exchange_failed(exchange))
        return exchange_failure(exchange)->outcome;
    if (!delivered)
        return OUTCOME_CLIENT_GONE;
    /* The library refused the rest of the request and answered by itself. */
    if (exchange->state < EXCHANGE_WAITING)
        return OUTCOME_MALFORMED;
    return exchange->answer_is_ours ? OUTCOME_RESPONDED : OUTCOME_FORWARDED;
}

static int64_t exchange_span_us(struct instant from, struct instant to)
{
    return from.ns == 0 || to.ns == 0 ? -1 : (int64_t)instant_elapsed_us(from, to);
}

/* Of an answer that lies in memory nothing is known to have been sent unless all of it was. */
static uint64_t exchange_sent_bytes(const struct exchange *exchange, bool delivered)
{
    return exchange->sent_bytes + (delivered ? exchange->buffered_bytes : 0);
}

static struct record exchange_describe(const struct exchange *exchange, enum outcome outcome, bool delivered)
{
    const struct upstream *upstream = &exchange->upstream;
    const struct route_config *route = exchange->route;

    return (struct record){
        .request_id = exchange->forward.request_id,
        .method = exchange->request.method,
        .target = exchange->target,
        .listener = text_of(exchange->client->listener->name),
        .route = text_of(route ? route->name : NULL),
        .upstream = text_of(route && route->target ? route->target->name : NULL),
        .peer = exchange->client->peer,
        .status = exchange->status,
        .outcome = outcome,
        .reason = failure_reason(exchange_failure(exchange)),
        .received_bytes = exchange->received_bytes,
        .sent_bytes = exchange_sent_bytes(exchange, delivered),
        .begun = exchange->begun,
        .connect_us = exchange_span_us(upstream->started, upstream->connected),
        .first_byte_us = exchange_span_us(upstream->started, upstream->answered),
    };
}

void exchange_none(struct exchange_env *env, const struct exchange_client *client, struct instant begun,
                   enum outcome outcome, unsigned status)
{
    char id[ID_BYTES];
    struct record record = {.request_id = {id, ID_BYTES},
                            .listener = text_of(client->listener->name),
                            .peer = client->peer,
                            .status = status,
                            .outcome = outcome,
                            .begun = begun,
                            .connect_us = -1,
                            .first_byte_us = -1};

    exchange_make_id(env, id);
    recorder_end(&env->recorder, &record);
}

void exchange_end(struct exchange *exchange, bool delivered)
{
    struct exchange_env *env;
    struct record record;

    if (!exchange)
        return;
    env = exchange->env;
    if (!exchange->tunneled) {
        exchange_need_id(exchange);
        record = exchange_describe(exchange, exchange_outcome(exchange, delivered), delivered);
        recorder_end(&env->recorder, &record);
    }
    list_remove(&exchange->unsent);
    upstream_deinit(&exchange->upstream);
    generation_unref(exchange->generation);
    if (exchange->target.data != exchange->target_inline)
        free((char *)exchange->target.data);
    if (env->n_spare >= MOST_SPARE) {
        free(exchange);
        return;
    }
    exchange->next_spare = env->spare;
    env->spare = exchange;
    env->n_spare++;
}

/* ---- tunnels ---- */

int exchange_tunnel(struct exchange *exchange, struct tunnel_client *client, struct text early)
{
    struct exchange_env *env = exchange->env;
    struct upstream *upstream = &exchange->upstream;
    struct connection *connection;
    struct text target_early;
    struct record record;
    int r;

    if (exchange_failed(exchange)) {
        tunnel_client_drop(client);
        return -ECANCELED;
    }
    record = exchange_describe(exchange, OUTCOME_TUNNELED, true);
    connection = upstream_take_connection(upstream, &target_early);
    r = tunnel_join(&env->tunnels, client, upstream->target, connection, &record, early, target_early);
    if (r < 0)
        exchange_fail(exchange, OUTCOME_INTERNAL);
    else
        exchange->tunneled = true;
    return r;
}

int exchange_stream(struct exchange_env *env, struct tunnel_client *client, struct text peer)
{
    const struct target_config *target = client->listener->stream;
    char id[ID_BYTES];
    struct record record = {.request_id = {id, ID_BYTES},
                            .listener = text_of(client->listener->name),
                            .upstream = text_of(target->name),
                            .peer = peer,
                            .outcome = OUTCOME_INTERNAL,
                            .begun = loop_now(env->loop),
                            .connect_us = -1,
                            .first_byte_us = -1};
    int r;

    exchange_make_id(env, id);
    r = tunnel_open(&env->tunnels, client, generation_target(client->generation, target), &record);
    if (r < 0)
        recorder_end(&env->recorder, &record);
    return r;
}
