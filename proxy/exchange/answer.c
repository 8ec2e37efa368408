/* What an exchange tells its client: the target's response, or an answer of our own. */
#include <stdio.h>

#include "proxy/exchange/parts.h"
#include "proxy/http/status.h"
#include "proxy/http/trailers.h"

/* ---- answers of our own ---- */

static unsigned exchange_problem_status(const struct exchange *exchange, const struct outcome_info *info)
{
    if (exchange->refused_status)
        return exchange->refused_status;
    if (info->status)
        return info->status;
    /* An outcome of a body that breaks off, before anything was told. */
    return exchange_failure(exchange)->outcome == OUTCOME_TARGET_STALLED ? 504
           : info->fault == FAULT_TARGET                                 ? 502
                                                                         : 500;
}

/* RFC 9457. Nothing of the request is repeated but its id. */
static void exchange_answer_problem(struct exchange *exchange, struct answer *answer)
{
    const struct outcome_info *info = outcome_info(exchange_failure(exchange)->outcome);
    unsigned status = exchange_problem_status(exchange, info);
    char id[2 * REQUEST_ID_MOST_BYTES + 1]; /* of visible ASCII only quote and backslash are escaped, with one byte */
    struct text given;
    int n;

    exchange_need_id(exchange);
    given = exchange->forward.request_id;
    id[log_escape(id, sizeof(id), given.data, given.length)] = '\0';
    n = snprintf(exchange->problem, sizeof(exchange->problem),
                 "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"outcome\":\"%s\",\"detail\":\"%s\","
                 "\"request_id\":\"%s\"}\n",
                 status_phrase(status), status, info->name, info->sentence, id);

    exchange->answer_is_ours = true;
    exchange->own_field =
        (struct field){.name = TEXT_LITERAL("Content-Type"), .value = TEXT_LITERAL("application/problem+json")};
    *answer = (struct answer){.status = status,
                              .fields = &exchange->own_field,
                              .n_fields = 1,
                              .body = ANSWER_BUFFER,
                              .data = exchange->problem,
                              .length = (uint64_t)n,
                              .has_length = true};
}

static void exchange_answer_respond(struct exchange *exchange, struct answer *answer)
{
    const struct route_config *route = exchange->route;
    bool may_have_body = route->respond.status != 204 && route->respond.status != 304;

    exchange->answer_is_ours = true;
    exchange->own_field =
        (struct field){.name = TEXT_LITERAL("Content-Type"), .value = text_of(route->respond.content_type)};
    *answer = (struct answer){.status = route->respond.status,
                              .fields = &exchange->own_field,
                              .n_fields = route->respond.body_length > 0 ? 1 : 0,
                              .body = may_have_body ? ANSWER_BUFFER : ANSWER_NONE,
                              .data = route->respond.body,
                              .length = route->respond.body_length,
                              .has_length = may_have_body};
}

/* ---- the response ---- */

/* Names and values lie in the upstream's buffer, each followed by a colon or a line end that is of no more use. */
static void field_terminate(struct field *field)
{
    ((char *)field->name.data)[field->name.length] = '\0';
    ((char *)field->value.data)[field->value.length] = '\0';
}

/* RFC 9110 15.2: not to a client of HTTP/1.0, and not into an answer. */
void exchange_on_interim(struct upstream *upstream)
{
    struct exchange *exchange = CONTAINER_OF(upstream, struct exchange, upstream);
    struct fields *fields = &upstream->response.fields;

    if (exchange->request.minor == 0 || exchange->state == EXCHANGE_ANSWERED || !exchange->client->interim)
        return;
    for (size_t i = 0; i < fields->n_items; i++)
        field_terminate(&fields->items[i]);
    exchange->client->interim(exchange->client, upstream->response.status, fields);
}

static size_t exchange_head_bytes(const struct fields *fields)
{
    size_t bytes = 160; /* status line, Date, framing and Connection, generously */

    for (size_t i = 0; i < fields->n_items; i++)
        if (!fields->items[i].drop)
            bytes += fields->items[i].name.length + fields->items[i].value.length + 4;
    return bytes;
}

/* The last decisions about the fields of a response: Trailer announces what a client without TE: trailers does not get
 * (RFC 9110 6.6.2), and a 101 or 426 names the protocol (RFC 9110 7.8, 15.5.22). */
static void exchange_finish_fields(const struct exchange *exchange, struct fields *fields)
{
    bool switched = upstream_has_switched(&exchange->upstream);
    unsigned status = exchange->upstream.response.status;

    for (size_t i = 0; i < fields->n_items; i++) {
        struct field *field = &fields->items[i];

        field_terminate(field);
        if (field->id == FIELD_TRAILER && !exchange->request.trailers)
            field->drop = true;
        else if (field->id == FIELD_UPGRADE && (switched || status == 426))
            field->drop = false;
    }
}

static void exchange_answer_forward(struct exchange *exchange, struct answer *answer)
{
    struct upstream *upstream = &exchange->upstream;
    const struct response *response = &upstream->response;

    exchange_finish_fields(exchange, &upstream->response.fields);
    *answer = (struct answer){.status = response->status,
                              .fields = response->fields.items,
                              .n_fields = response->fields.n_items,
                              .body = ANSWER_STREAM,
                              .length = response->content_length,
                              .has_length = response->has_content_length};
    if (upstream_has_switched(upstream)) {
        answer->body = ANSWER_TUNNEL;
    } else if (response->body == BODY_NONE) {
        answer->body = ANSWER_NONE;
    } else if (upstream->body_in_buffer) {
        answer->body = ANSWER_BUFFER;
        answer->data = upstream->in->data + upstream->in->start;
        answer->length = buffer_length(upstream->in);
        answer->has_length = true;
    }
}

bool exchange_answer(struct exchange *exchange, struct answer *ret_answer)
{
    struct upstream *upstream = &exchange->upstream;

    if (!exchange_failed(exchange) && exchange_is_forwarding(exchange)) {
        if (!upstream_has_response(upstream))
            return false;
        /* The target agreed before it had taken all of the request. */
        if (upstream->response_half == UPSTREAM_RESPONSE_SWITCHED && !upstream_has_switched(upstream))
            return false;
        if (exchange_head_bytes(&upstream->response.fields) > exchange->room_bytes)
            exchange_refuse(exchange, OUTCOME_RESPONSE_HEAD_TOO_LARGE, NULL);
    }
    if (exchange_failed(exchange))
        exchange_answer_problem(exchange, ret_answer);
    else if (exchange->route->action == ROUTE_RESPOND)
        exchange_answer_respond(exchange, ret_answer);
    else
        exchange_answer_forward(exchange, ret_answer);
    exchange->status = ret_answer->status;
    if (ret_answer->body == ANSWER_BUFFER && !exchange->request.is_head)
        exchange->buffered_bytes = ret_answer->length;
    ret_answer->chunkable = exchange->request.minor == 1;
    ret_answer->is_head = exchange->request.is_head;
    ret_answer->close = exchange->close || exchange->client->leaving || exchange->env->stopping;
    exchange->state = EXCHANGE_ANSWERED;
    return true;
}

bool exchange_has_early_answer(const struct exchange *exchange)
{
    enum upstream_response_half half = exchange->upstream.response_half;

    return exchange->state == EXCHANGE_RECEIVING &&
           (exchange_failed(exchange) || (exchange_is_forwarding(exchange) &&
                                          (half == UPSTREAM_RESPONSE_BODY || half == UPSTREAM_RESPONSE_COMPLETE)));
}

bool exchange_is_told(const struct exchange *exchange)
{
    const struct upstream *upstream = &exchange->upstream;

    if (exchange->state != EXCHANGE_ANSWERED)
        return false;
    return exchange->answer_is_ours || upstream->body_in_buffer ||
           (upstream->response_half == UPSTREAM_RESPONSE_COMPLETE && buffer_length(upstream->in) == 0);
}

ssize_t exchange_read(struct exchange *exchange, char *data, size_t size)
{
    ssize_t n = failure_is_set(&exchange->failure) ? UPSTREAM_CUT : upstream_read(&exchange->upstream, data, size);

    if (n > 0)
        exchange->sent_bytes += (uint64_t)n;
    return n;
}

const struct fields *exchange_trailers(struct exchange *exchange)
{
    struct upstream *upstream = &exchange->upstream;
    struct text section = upstream_trailers(upstream);
    struct fields *fields = &upstream->response.fields;

    /* The head has been told: its fields make room. Syntax has been checked by the decoder. */
    *fields = (struct fields){.items = upstream->field_items, .capacity = UPSTREAM_MOST_FIELDS};
    if (section.length == 0 || trailers_parse(section, fields))
        return NULL;
    for (size_t i = 0; i < fields->n_items; i++)
        field_terminate(&fields->items[i]);
    return fields;
}
