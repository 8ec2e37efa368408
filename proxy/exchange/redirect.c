/* The Location is made when the request has found its route: what cannot be one is refused before anything is told. */
#include "proxy/exchange/redirect.h"

#include <stdlib.h>

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/state.h"
#include "proxy/http/location.h"

/* What may be told beside the request's head. */
static size_t redirect_most_bytes(const struct exchange *exchange)
{
    size_t heads = exchange_heads_bytes((size_t)exchange->client->listener->limit_header_bytes);
    size_t most = heads > exchange->head_bytes ? heads - exchange->head_bytes : 0;

    return most < exchange->env->edit_scratch_bytes ? most : exchange->env->edit_scratch_bytes;
}

static void redirect_refuse(struct exchange *exchange, enum location_verdict verdict)
{
    switch (verdict) {
    case LOCATION_ELSEWHERE:
        exchange_refuse(exchange, OUTCOME_AMBIGUOUS_PATH, "the path would read as a host in a Location");
        break;
    case LOCATION_NO_HOST:
        exchange_refuse(exchange, OUTCOME_MALFORMED, "no Host to redirect to");
        break;
    case LOCATION_FULL:
        exchange_refuse(exchange, OUTCOME_URI_TOO_LONG, "no room for the Location");
        break;
    case LOCATION_DONE:
        break;
    }
}

static void redirect_begin(struct exchange *exchange)
{
    struct template_values values = {0};
    size_t most = redirect_most_bytes(exchange), length = 0;
    char *location = malloc(most + 1);
    enum location_verdict verdict;

    exchange_move(exchange, EXCHANGE_WAITING);
    if (!location) {
        exchange_fail(exchange, OUTCOME_INTERNAL);
        return;
    }
    edits_take_request(&values, &exchange->request);
    verdict = location_write(exchange->route->redirect.location, &values, exchange->env->edit_scratch, location, most,
                             &length);
    if (verdict != LOCATION_DONE) {
        free(location);
        redirect_refuse(exchange, verdict);
        return;
    }
    location[length] = '\0';
    exchange->request_block = location;
    exchange->own_fields[0] = (struct field){.name = TEXT_LITERAL("Location"), .value = {location, length}};
}

static bool redirect_answer(struct exchange *exchange, struct answer *answer)
{
    *answer = (struct answer){.status = exchange->route->redirect.status,
                              .fields = exchange->own_fields,
                              .n_fields = 1,
                              .body = ANSWER_BUFFER,
                              .data = "",
                              .has_length = true};
    return true;
}

const struct exchange_source redirect_source = {
    .outcome = OUTCOME_RESPONDED,
    SOURCE_OF_READY_ANSWER,
    .begin = redirect_begin,
    .has_answer = source_always,
    .is_whole = source_always,
    .answer = redirect_answer,
};
