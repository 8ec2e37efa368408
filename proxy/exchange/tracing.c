#include "proxy/exchange/tracing.h"

#include "proxy/exchange/state.h"

void exchange_trace(struct exchange *exchange)
{
    struct lots *lots = &exchange->env->spans;
    struct forward *forward = &exchange->forward;

    if (!exchange->client->listener->trace)
        return;
    if (trace_read(request_given_trace(&exchange->request), exchange->trace)) {
        trace_set_span(exchange->trace, lots_draw(lots));
    } else {
        trace_begin(exchange->trace, lots_draw(lots), lots_draw(lots), lots_draw(lots));
        forward->trace_begun = true;
    }
    forward->trace = (struct text){exchange->trace, TRACE_BYTES};
}
