#include "proxy/exchange/tracing.h"

#include "proxy/exchange/state.h"

/* The only field of this name that the client sent; an empty text for none, or several. */
static struct text exchange_given_trace(const struct exchange *exchange)
{
    const struct fields *fields = &exchange->request.fields;
    struct text given = {"", 0};

    for (size_t i = 0; i < fields->n_items; i++) {
        if (fields->items[i].id != FIELD_TRACEPARENT)
            continue;
        if (given.length > 0)
            return (struct text){"", 0};
        given = fields->items[i].value;
    }
    return given;
}

void exchange_trace(struct exchange *exchange)
{
    struct lots *lots = &exchange->env->spans;
    struct forward *forward = &exchange->forward;

    if (!exchange->client->listener->trace)
        return;
    if (trace_read(exchange_given_trace(exchange), exchange->trace)) {
        trace_set_span(exchange->trace, lots_draw(lots));
    } else {
        trace_begin(exchange->trace, lots_draw(lots), lots_draw(lots), lots_draw(lots));
        forward->trace_begun = true;
    }
    forward->trace = (struct text){exchange->trace, TRACE_BYTES};
}
