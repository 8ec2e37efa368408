#include "proxy/exchange/denial.h"

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/report.h"
#include "proxy/exchange/state.h"

bool exchange_observe(struct exchange *exchange, const char *reason)
{
    const struct target_config *target = exchange->client->listener->observe;
    struct record record;

    if (!target)
        return false;
    if (exchange->observed)
        return true;
    exchange->observed = true;
    exchange->target_config = target;
    exchange->times = &target->times;
    exchange->retries = &target->retries;
    if (recorder_has_room_for_rules(&exchange->env->recorder)) {
        record = exchange_describe(exchange, OUTCOME_OBSERVED, false);
        record.reason = reason;
        recorder_tell_early(&exchange->env->recorder, &record);
    }
    return true;
}

bool exchange_deny(struct exchange *exchange, const char *reason)
{
    if (exchange_observe(exchange, reason))
        return false;
    exchange_refuse(exchange, OUTCOME_DENIED, reason);
    return true;
}
