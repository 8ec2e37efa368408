#include "proxy/exchange/respond.h"

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/state.h"

static void respond_begin(struct exchange *exchange)
{
    exchange_move(exchange, EXCHANGE_WAITING);
}

static bool respond_with(struct exchange *exchange, const struct route_answer *from, struct answer *answer)
{
    bool may_have_body = from->status != 204 && from->status != 304;

    exchange->own_fields[0] =
        (struct field){.name = TEXT_LITERAL("Content-Type"), .value = text_of(from->content_type)};
    *answer = (struct answer){.status = from->status,
                              .fields = exchange->own_fields,
                              .n_fields = from->body_length > 0 ? 1 : 0,
                              .body = may_have_body ? ANSWER_BUFFER : ANSWER_NONE,
                              .data = from->content ? from->content : from->body,
                              .length = from->body_length,
                              .has_length = may_have_body};
    return true;
}

static bool respond_answer(struct exchange *exchange, struct answer *answer)
{
    return respond_with(exchange, &exchange->route->respond, answer);
}

/* Without words of its own the refusal is a problem like any other. */
static void deny_begin(struct exchange *exchange)
{
    const struct route_answer *deny = &exchange->route->deny;

    exchange_move(exchange, EXCHANGE_WAITING);
    if (deny->body)
        return;
    exchange->refused_status = deny->status;
    exchange_refuse(exchange, OUTCOME_DENIED, NULL);
}

static bool deny_answer(struct exchange *exchange, struct answer *answer)
{
    const struct route_config *route = exchange->route;

    return respond_with(exchange, route->has_body ? &route->body.deny : &route->deny, answer);
}

const struct exchange_source respond_source = {
    .outcome = OUTCOME_RESPONDED,
    SOURCE_OF_READY_ANSWER,
    .begin = respond_begin,
    .has_answer = source_always,
    .is_whole = source_always,
    .answer = respond_answer,
};

const struct exchange_source deny_source = {
    .outcome = OUTCOME_DENIED,
    SOURCE_OF_READY_ANSWER,
    .begin = deny_begin,
    .has_answer = source_always,
    .is_whole = source_always,
    .answer = deny_answer,
};
