/* What a client says, on its way to whoever answers.
 *
 * The head: checked by RFC and limits, then its route is found, then the route's source begins. Each of these may
 * refuse, which makes the problem the source; whoever it is in the end is asked the same (exchange_expectation, _body,
 * _body_end). A body that nobody wants is taken up to DISCARD_MOST_BYTES, for the sake of a connection that stays
 * usable; beyond, the answer is told at once, if all of it is there.
 *
 * A head that a body follows is kept back until the first piece of it, so that both travel in one packet, and small
 * pieces wait for each other; but never longer than the round of the loop (exchanges_turn). */
#include "proxy/exchange/request.h"

#include "proxy/exchange/answer.h"
#include "proxy/exchange/capture.h"
#include "proxy/exchange/modify.h"
#include "proxy/exchange/rules.h"
#include "proxy/exchange/state.h"
#include "proxy/exchange/tracing.h"
#include "proxy/http/trailers.h"

#define DISCARD_MOST_BYTES (1u << 20) /* of a body nobody wants, for the sake of a connection that stays usable */

/* ---- the head ---- */

struct fields *exchange_fields(struct exchange *exchange)
{
    return &exchange->request.fields;
}

bool exchange_grow_fields(struct exchange *exchange)
{
    return field_room_grow(&exchange->room, &exchange->request.fields);
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
    return true;
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

enum exchange_verdict exchange_head(struct exchange *exchange, struct text method, unsigned minor, size_t head_bytes)
{
    struct request *request = &exchange->request;
    uint32_t tapped = tap_wanted(exchange->env->recorder.tap);
    const struct exchange_source *source;

    request->method = method;
    request->target = exchange->target;
    request->minor = minor;
    request->local = exchange->client->address.length == 0;
    request->trusted = exchange->client->trusted;
    exchange->head_bytes = head_bytes;
    exchange->limit_body_bytes = exchange->client->listener->limit_body_bytes;
    /* One that was refused while its fields were collected is past that. */
    if (exchange->state == EXCHANGE_NEW)
        exchange_move(exchange, EXCHANGE_RECEIVING);
    exchange->forward.request_id = request_given_id(request);
    exchange_need_id(exchange);
    exchange_trace(exchange);
    if (tapped > TAP_WANTS)
        capture_begin(exchange, tapped);
    if (!exchange_check(exchange, head_bytes))
        return request->body == BODY_NONE && !exchange->close ? EXCHANGE_FORWARD : EXCHANGE_REFUSE;
    exchange->close = request->close;
    exchange_rule(exchange);
    source = exchange->source;
    source->begin(exchange);
    return source->is_ready ? exchange_refuse_or_discard(exchange) : exchange_expectation(exchange);
}

enum exchange_verdict exchange_expectation(const struct exchange *exchange)
{
    if (!exchange->request.expect_continue || exchange->request.body == BODY_NONE)
        return EXCHANGE_FORWARD;
    return exchange->source->expectation(exchange);
}

/* ---- the body ---- */

bool exchange_takes_body(const struct exchange *exchange)
{
    return exchange->source->takes_body(exchange);
}

bool exchange_has_body(const struct exchange *exchange)
{
    return exchange->request.body != BODY_NONE;
}

bool exchange_is_chunked(const struct exchange *exchange)
{
    return exchange->request.body == BODY_CHUNKED;
}

bool exchange_has_request(const struct exchange *exchange)
{
    return exchange->request_ended;
}

bool exchange_rest_is_short(const struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    uint64_t rest = request->body == BODY_LENGTH ? request->content_length - exchange->received_bytes : 0;

    return exchange->request_ended || rest + exchange->discarded_bytes <= DISCARD_MOST_BYTES;
}

bool exchange_is_receiving(const struct exchange *exchange)
{
    return exchange->state != EXCHANGE_NEW && !exchange->request_ended && exchange_takes_body(exchange);
}

enum exchange_body_result exchange_body(struct exchange *exchange, const char *data, size_t length)
{
    exchange->received_bytes += length;
    list_remove(&exchange->ready);
    if (exchange->capture)
        capture_request_body(exchange->capture, data, length);
    if (exchange->received_bytes > exchange->limit_body_bytes)
        exchange_refuse(exchange, OUTCOME_BODY_TOO_LARGE, NULL);
    if (exchange->failure.outcome == OUTCOME_BODY_TOO_LARGE)
        return EXCHANGE_BODY_EARLY;
    if (exchange->source->body(exchange, data, length))
        return exchange_takes_body(exchange) ? EXCHANGE_BODY_MORE : EXCHANGE_BODY_FULL;
    exchange->discarded_bytes += length;
    if (exchange->discarded_bytes > DISCARD_MOST_BYTES && exchange->source->is_whole(exchange))
        return EXCHANGE_BODY_EARLY;
    return EXCHANGE_BODY_MORE;
}

uint64_t exchange_spliceable_body(const struct exchange *exchange)
{
    const struct request *request = &exchange->request;

    if (exchange->state != EXCHANGE_RECEIVING || request->body != BODY_LENGTH ||
        request->content_length > exchange->limit_body_bytes ||
        (exchange->capture && exchange->capture->body_most > 0) || !exchange->source->splices_body(exchange))
        return 0;
    return request->content_length - exchange->received_bytes;
}

bool exchange_has_bulk(const struct exchange *exchange)
{
    uint64_t bytes = exchange_spliceable_body(exchange);

    return bytes > 0 && bytes >= exchange->source->splices_body(exchange);
}

ssize_t exchange_splice_body(struct exchange *exchange, int fd)
{
    ssize_t n = exchange->source->splice_body(exchange, fd, exchange_spliceable_body(exchange));

    if (n <= 0)
        return n;
    exchange->received_bytes += (uint64_t)n;
    /* The target may answer before the parser finds the end. */
    if (exchange->received_bytes == exchange->request.content_length && !exchange_failed(exchange))
        exchange_body_end(exchange, NULL);
    return n;
}

void exchange_body_end(struct exchange *exchange, struct fields *trailers)
{
    const char *wrong;

    list_remove(&exchange->ready);
    if (exchange->request_ended)
        return;
    exchange->request_ended = true;
    if (exchange->state == EXCHANGE_RECEIVING)
        exchange_move(exchange, EXCHANGE_WAITING);
    wrong = trailers ? trailers_check(trailers) : NULL;
    if (wrong) {
        exchange_refuse(exchange, OUTCOME_MALFORMED, wrong);
    } else if (trailers) {
        exchange_rule_trailers(exchange, trailers);
        modify_request_trailers(exchange, trailers);
    }
    exchange->source->end_of_body(exchange, trailers);
}

void exchanges_turn_ready(struct exchange_env *env)
{
    struct list now;

    list_init(&now);
    list_move(&now, &env->ready);
    while (!list_empty(&now)) {
        struct exchange *exchange = CONTAINER_OF(list_pop(&now), struct exchange, ready);

        exchange->source->turn(exchange);
        /* What the client has said meanwhile can be acted on, or it is not to say more. */
        if (exchange_failed(exchange) || exchange_has_early_answer(exchange) || !exchange_takes_body(exchange))
            exchange->client->wake(exchange->client);
    }
}
