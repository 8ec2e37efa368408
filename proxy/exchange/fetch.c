/* The exchange's upstream, seen as a source.
 *
 * The upstream keeps its failures to itself: after each call into it, and whenever it tells of a change, its failure
 * becomes the exchange's (fetch_settle), which ends it. It is never called again then: the problem is the source. */
#include "proxy/exchange/fetch.h"

#include <assert.h>

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/held.h"
#include "proxy/exchange/modify.h"
#include "proxy/exchange/state.h"
#include "proxy/http/trailers.h"

static_assert((int)SOURCE_WAIT == UPSTREAM_WAIT && (int)SOURCE_END == UPSTREAM_END && (int)SOURCE_CUT == UPSTREAM_CUT,
              "what reading returns is handed on as it is");
static_assert((int)SOURCE_COPY == UPSTREAM_COPY, "what splicing returns, too");

/* Of a body that was held: in one piece, and in one turn. */
#define FETCH_PIECE_BYTES ((size_t)16 << 10)
#define FETCH_TURN_BYTES ((size_t)256 << 10)

/* Whether some of a body that was held can go on. */
static bool fetch_may_feed(const struct exchange *exchange)
{
    return exchange->held && exchange->request_ended && upstream_takes_body(&exchange->upstream);
}

/* Whether all is well; there may be something to do at the end of the round. */
static bool fetch_settle(struct exchange *exchange)
{
    if (failure_is_set(&exchange->upstream.failure)) {
        exchange_fail_as(exchange, &exchange->upstream.failure);
        return false;
    }
    if ((upstream_wants_turn(&exchange->upstream) || fetch_may_feed(exchange)) && !list_linked(&exchange->ready))
        list_append(&exchange->env->ready, &exchange->ready);
    return true;
}

/* ---- what the upstream tells ---- */

static void fetch_on_change(struct upstream *upstream)
{
    struct exchange *exchange = CONTAINER_OF(upstream, struct exchange, upstream);
    bool news = !fetch_settle(exchange) || upstream_has_response(upstream);

    /* A piece of a head, a part of a block sent: nothing that the client's side could act on. */
    if (exchange->state == EXCHANGE_RECEIVING)
        news = news || upstream_is_expecting(upstream) || upstream_takes_body(upstream);
    if (news)
        exchange->client->wake(exchange->client);
}

/* Names and values lie in the upstream's buffer, each followed by a colon or a line end that is of no more use. */
static void field_terminate(struct field *field)
{
    ((char *)field->name.data)[field->name.length] = '\0';
    ((char *)field->value.data)[field->value.length] = '\0';
}

/* RFC 9110 15.2: not to a client of HTTP/1.0, and not into an answer. */
static void fetch_on_interim(struct upstream *upstream)
{
    struct exchange *exchange = CONTAINER_OF(upstream, struct exchange, upstream);
    struct response *response = upstream_response(upstream);
    struct fields *fields = &response->fields;

    if (exchange->request.minor == 0 || exchange->state == EXCHANGE_ANSWERED || !exchange->client->interim)
        return;
    for (size_t i = 0; i < fields->n_items; i++)
        field_terminate(&fields->items[i]);
    modify_response_fields(exchange, fields);
    exchange->client->interim(exchange->client, response->status, response->reason, fields);
}

/* ---- the request ---- */

static void fetch_begin(struct exchange *exchange)
{
    const struct route_config *route = exchange->route;
    struct upstream *upstream = &exchange->upstream;
    struct request *request = &exchange->request;
    bool body_follows = request->body != BODY_NONE && !request->expect_continue;

    exchange->forward.client_address = exchange->client->address;
    exchange->forward.client_node = exchange->client->node;
    exchange->forward.expect_continue = request->expect_continue;
    exchange->forward.silent = exchange->client->listener->forwarded == FORWARDED_OFF;
    exchange->forward.upgrade_allowed = route ? route->upgrade : NULL;
    upstream_init(upstream, exchange->env->loop, &exchange->env->store, fetch_on_change);
    upstream->interim = fetch_on_interim;
    upstream->ticket.uid = exchange->client->uid;
    upstream->ticket.personal = &exchange->client->personal;
    /* One that cannot be written is refused: what is still to come of it is read over. */
    if (!modify_request(exchange))
        return;
    upstream_start(upstream, generation_target(exchange->generation, exchange->target_config), exchange->times,
                   exchange->retries, request, &exchange->forward);
    if (request->body == BODY_NONE)
        exchange_move(exchange, EXCHANGE_WAITING);
    else if (request->expect_continue)
        upstream_flush(upstream);
    /* A client that is sending does not ask for the answer. */
    if (!fetch_settle(exchange) && body_follows)
        list_append(&exchange->env->ready, &exchange->ready);
}

static enum exchange_verdict fetch_expectation(const struct exchange *exchange)
{
    const struct upstream *upstream = &exchange->upstream;

    if (upstream_is_expecting(upstream))
        return EXCHANGE_FORWARD;
    return upstream_has_response(upstream) ? EXCHANGE_REFUSE : EXCHANGE_EXPECT;
}

static bool fetch_takes_body(const struct exchange *exchange)
{
    return upstream_takes_body(&exchange->upstream);
}

/* From how much on moving a body pays. */
static uint64_t fetch_bulk_bytes(const struct exchange *exchange)
{
    const struct exchange_env *env = exchange->env;

    return exchange->client->is_unix && upstream_is_unix(&exchange->upstream) ? env->bulk_bytes : env->bulk_tcp_bytes;
}

/* What is still to come of a body, when it is too little to be moved. */
static uint64_t fetch_company_bytes(const struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    uint64_t rest = request->body == BODY_LENGTH ? request->content_length - exchange->received_bytes : 0;

    return rest < fetch_bulk_bytes(exchange) ? rest : 0;
}

static bool fetch_body(struct exchange *exchange, const char *data, size_t length)
{
    if (upstream_discards(&exchange->upstream))
        return false;
    upstream_send_body(&exchange->upstream, data, length, fetch_company_bytes(exchange));
    fetch_settle(exchange);
    return true;
}

static uint64_t fetch_splices_body(const struct exchange *exchange)
{
    return !exchange->held && upstream_splices_body(&exchange->upstream) ? fetch_bulk_bytes(exchange) : 0;
}

static ssize_t fetch_splice_body(struct exchange *exchange, int fd, uint64_t most)
{
    ssize_t n = upstream_splice_body(&exchange->upstream, &exchange->env->tunnels.pipes, fd, most);

    fetch_settle(exchange);
    return n;
}

static void fetch_end_of_body(struct exchange *exchange, const struct fields *trailers)
{
    upstream_end_body(&exchange->upstream, trailers);
    fetch_settle(exchange);
}

/* A body that was held goes on as the target takes it. */
static void fetch_feed(struct exchange *exchange)
{
    struct upstream *upstream = &exchange->upstream;

    for (size_t n = 0; n < FETCH_TURN_BYTES && fetch_may_feed(exchange) && !failure_is_set(&upstream->failure);) {
        struct text piece = held_take(exchange->held, FETCH_PIECE_BYTES);

        if (piece.length > 0) {
            upstream_send_body(upstream, piece.data, piece.length, 0);
        } else {
            upstream_end_body(upstream, held_trailers(exchange->held));
            exchange->held = held_free(exchange->held);
        }
        n += piece.length;
    }
}

static void fetch_turn(struct exchange *exchange)
{
    bool more = exchange->upstream.response_half.more;

    fetch_feed(exchange);
    upstream_turn(&exchange->upstream);
    if (fetch_settle(exchange) && more)
        exchange->client->wake(exchange->client);
}

/* ---- the response ---- */

static bool fetch_heads_fit(const struct exchange *exchange)
{
    return exchange->head_bytes + exchange->upstream.response_half.head_bytes <=
           exchange_heads_bytes((size_t)exchange->client->listener->limit_header_bytes);
}

/* Whether the client gets what a Trailer field announces (RFC 9110 6.6.2), or asks what it would get. Trailers go to
 * every client that knows the chunked coding: one that has not said TE: trailers may pass them over (RFC 9110 6.5.1),
 * and those who need them (gRPC-Web, digests of what was made on the way) often do not say so. */
static bool fetch_has_trailers(const struct exchange *exchange, const struct response *response)
{
    struct text body;

    if (exchange->request.minor == 0)
        return false;
    if (response->body == BODY_CHUNKED)
        return !upstream_has_body(&exchange->upstream, &body);
    return exchange->request.is_head;
}

/* The last decisions about the fields of a response; a 101 or 426 names the protocol (RFC 9110 7.8, 15.5.22). */
static void fetch_finish_fields(const struct exchange *exchange, struct response *response)
{
    bool switched = upstream_has_switched(&exchange->upstream), trailers = fetch_has_trailers(exchange, response);

    for (size_t i = 0; i < response->fields.n_items; i++) {
        struct field *field = &response->fields.items[i];

        field_terminate(field);
        if (field->id == FIELD_TRAILER && !trailers)
            field->drop = true;
        else if (field->id == FIELD_UPGRADE && (switched || response->status == 426))
            field->drop = false;
    }
}

/* The beginning of an answer is enough, but a 101 is none before the request is over. */
static bool fetch_has_answer(const struct exchange *exchange)
{
    return upstream_has_response(&exchange->upstream) && !upstream_is_switching(&exchange->upstream);
}

static bool fetch_is_whole(const struct exchange *exchange)
{
    return upstream_is_read(&exchange->upstream);
}

static bool fetch_answer(struct exchange *exchange, struct answer *answer)
{
    struct upstream *upstream = &exchange->upstream;
    struct response *response = upstream_response(upstream);
    struct text body;

    if (!upstream_has_response(upstream))
        return false;
    /* The target agreed before it had taken all of the request. */
    if (upstream_is_switching(upstream) && !upstream_has_switched(upstream))
        return false;
    if (!fetch_heads_fit(exchange)) {
        exchange_refuse(exchange, OUTCOME_RESPONSE_HEAD_TOO_LARGE, NULL);
        return exchange->source->answer(exchange, answer);
    }
    fetch_finish_fields(exchange, response);
    *answer = (struct answer){.status = response->status,
                              .reason = response->reason,
                              .fields = response->fields.items,
                              .n_fields = response->fields.n_items,
                              .body = ANSWER_STREAM,
                              .length = response->content_length,
                              .has_length = response->has_content_length,
                              .names_length = response->has_content_length && response->status != 204,
                              .spliceable = upstream_flows(upstream) ||
                                            upstream_spliceable(upstream) >= fetch_bulk_bytes(exchange)};
    if (upstream_has_switched(upstream)) {
        answer->body = ANSWER_TUNNEL;
    } else if (response->body == BODY_NONE) {
        answer->body = ANSWER_NONE;
    } else if (upstream_has_body(upstream, &body)) {
        answer->body = ANSWER_BUFFER;
        answer->data = body.data;
        answer->length = body.length;
        answer->has_length = true;
    }
    return true;
}

static ssize_t fetch_read(struct exchange *exchange, char *data, size_t size)
{
    ssize_t n = upstream_read(&exchange->upstream, data, size);

    if (n <= 0)
        fetch_settle(exchange);
    return n;
}

static size_t fetch_gather(struct exchange *exchange, char *data, size_t size, bool receive)
{
    return upstream_gather(&exchange->upstream, data, size, receive);
}

static ssize_t fetch_splice(struct exchange *exchange, struct pipe *pipe)
{
    ssize_t n = upstream_splice(&exchange->upstream, pipe, exchange->env->bulk_chunk_bytes);

    if (n <= 0 && n != SOURCE_COPY)
        fetch_settle(exchange);
    return n;
}

static const struct fields *fetch_trailers(struct exchange *exchange)
{
    struct upstream *upstream = &exchange->upstream;
    struct text section = upstream_trailers(upstream);
    struct fields *fields = upstream_empty_fields(upstream);

    /* Syntax has been checked by the decoder. */
    if (section.length == 0 || trailers_parse(section, fields))
        return NULL;
    for (size_t i = 0; i < fields->n_items; i++)
        field_terminate(&fields->items[i]);
    modify_response_fields(exchange, fields);
    return fields;
}

static void fetch_end(struct exchange *exchange)
{
    upstream_deinit(&exchange->upstream);
    exchange->held = held_free(exchange->held);
}

const struct exchange_source fetch_source = {
    .outcome = OUTCOME_FORWARDED,
    .begin = fetch_begin,
    .expectation = fetch_expectation,
    .takes_body = fetch_takes_body,
    .body = fetch_body,
    .end_of_body = fetch_end_of_body,
    .turn = fetch_turn,
    .has_answer = fetch_has_answer,
    .is_whole = fetch_is_whole,
    .answer = fetch_answer,
    .read = fetch_read,
    .gather = fetch_gather,
    .splice = fetch_splice,
    .splices_body = fetch_splices_body,
    .splice_body = fetch_splice_body,
    .trailers = fetch_trailers,
    .end = fetch_end,
};
