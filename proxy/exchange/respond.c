#include "proxy/exchange/respond.h"

#include "proxy/exchange/state.h"

/* The body is taken as long as it is short, and read by nobody. */
static void respond_begin(struct exchange *exchange)
{
    exchange_move(exchange, EXCHANGE_WAITING);
}

static bool respond_answer(struct exchange *exchange, struct answer *answer)
{
    const struct route_config *route = exchange->route;
    bool may_have_body = route->respond.status != 204 && route->respond.status != 304;

    exchange->own_field =
        (struct field){.name = TEXT_LITERAL("Content-Type"), .value = text_of(route->respond.content_type)};
    *answer = (struct answer){.status = route->respond.status,
                              .fields = &exchange->own_field,
                              .n_fields = route->respond.body_length > 0 ? 1 : 0,
                              .body = may_have_body ? ANSWER_BUFFER : ANSWER_NONE,
                              .data = route->respond.body,
                              .length = route->respond.body_length,
                              .has_length = may_have_body};
    return true;
}

const struct exchange_source respond_source = {
    .outcome = OUTCOME_RESPONDED,
    .is_ready = true,
    .begin = respond_begin,
    .expectation = source_refuse_body,
    .takes_body = source_always,
    .body = source_discard_body,
    .end_of_body = source_ignore_end,
    .turn = source_nothing,
    .has_answer = source_always,
    .is_whole = source_always,
    .answer = respond_answer,
    .read = source_cut,
    .trailers = source_no_trailers,
    .end = source_nothing,
};
