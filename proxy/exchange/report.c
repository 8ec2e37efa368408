#include "proxy/exchange/report.h"

#include "proxy/exchange/capture.h"
#include "proxy/exchange/shown.h"
#include "proxy/exchange/state.h"
#include "proxy/report/series_bind.h"

static enum outcome exchange_outcome(const struct exchange *exchange, bool delivered)
{
    if (failure_is_set(&exchange->failure))
        return exchange->failure.outcome;
    if (!delivered)
        return OUTCOME_CLIENT_GONE;
    /* Nothing of ours was told: the library refused the rest of the request and answered by itself. */
    if (!exchange->teller)
        return OUTCOME_MALFORMED;
    if (exchange->observed && exchange->source->outcome == OUTCOME_FORWARDED)
        return OUTCOME_OBSERVED;
    return exchange->source->outcome;
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

/* What the client offers to go on with, in the first field that says so: the only one nearly always. */
static struct text exchange_offers(const struct exchange *exchange)
{
    const struct fields *fields = &exchange->request.fields;

    for (size_t i = 0; exchange->request.upgrade && i < fields->n_items; i++)
        if (fields->items[i].id == FIELD_UPGRADE)
            return fields->items[i].value;
    return (struct text){"", 0};
}

struct record exchange_describe(struct exchange *exchange, enum outcome outcome, bool delivered)
{
    const struct upstream *upstream = &exchange->upstream;
    const struct route_config *route = exchange->route;

    exchange_need_id(exchange);
    return (struct record){
        .request_id = exchange->forward.request_id,
        .method = exchange->request.method,
        .target = exchange_shown_target(exchange),
        .trace = exchange->forward.trace,
        .upgrade = exchange_offers(exchange),
        .listener = text_of(exchange->client->listener->name),
        .route = text_of(route ? route->name : NULL),
        .upstream = text_of(exchange->target_config ? exchange->target_config->name : NULL),
        .endpoint = endpoint_text(upstream->ticket.endpoint),
        .tls = upstream->tls,
        .series = series_of_route(exchange->client->listener, route),
        .peer = exchange->client->peer,
        .status = exchange->status & 0xffff,
        .outcome = outcome,
        .reason = failure_reason(&exchange->failure),
        .received_bytes = exchange->received_bytes,
        .sent_bytes = exchange_sent_bytes(exchange, delivered),
        .minor = exchange->request.minor & 15,
        .message = exchange->capture ? &exchange->capture->message : NULL,
        .begun = exchange->begun,
        .queue_ms = upstream->ticket.queue_us / 1000,
        .held_ms = upstream->ticket.held_us / 1000,
        .n_retries = upstream_n_retries(upstream),
        .connect_us = exchange_span_us(upstream->started, upstream->connected),
        .first_byte_us = exchange_span_us(upstream->started, upstream->answered),
    };
}

static bool exchange_count(const struct exchange *exchange, enum outcome outcome, bool delivered,
                           struct instant *ret_ended)
{
    const struct tally tally = {.series = series_of_route(exchange->client->listener, exchange->route),
                                .method = exchange->request.method,
                                .status = exchange->status,
                                .outcome = outcome,
                                .received_bytes = exchange->received_bytes,
                                .sent_bytes = exchange_sent_bytes(exchange, delivered),
                                .begun = exchange->begun};

    return recorder_count(&exchange->env->recorder, &tally, ret_ended);
}

void exchange_report(struct exchange *exchange, bool delivered)
{
    struct recorder *recorder = &exchange->env->recorder;
    enum outcome outcome = exchange_outcome(exchange, delivered);
    struct instant ended;

    if (upstream_n_retries(&exchange->upstream) > 0)
        counter_add(&recorder->metrics->retries, upstream_n_retries(&exchange->upstream));
    if (!exchange->tunneled && exchange_count(exchange, outcome, delivered, &ended)) {
        struct record record = exchange_describe(exchange, outcome, delivered);

        recorder_tell(recorder, &record, ended);
    }
}

void exchange_report_none(struct exchange_env *env, const struct exchange_client *client, struct instant begun,
                          enum outcome outcome, unsigned status)
{
    char id[ID_BYTES];
    struct record record = {.request_id = {id, ID_BYTES},
                            .listener = text_of(client->listener->name),
                            .peer = client->peer,
                            .series = client->listener->no_route,
                            .status = status,
                            .outcome = outcome,
                            .begun = begun,
                            .connect_us = -1,
                            .first_byte_us = -1};

    exchange_env_make_id(env, id);
    recorder_end(&env->recorder, &record);
}
