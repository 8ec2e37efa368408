#include "proxy/reach/retry.h"

#define RETRY_MILLI 1000u
#define RETRY_BURST_MILLI (10 * RETRY_MILLI) /* so that a target with few requests has retries, too */

enum retry_cause retry_cause_of_status(unsigned status)
{
    switch (status) {
    case 502:
        return RETRY_502;
    case 503:
        return RETRY_503;
    case 504:
        return RETRY_504;
    default:
        return RETRY_NEVER;
    }
}

enum retry_cause retry_cause_of_outcome(enum outcome outcome)
{
    switch (outcome) {
    case OUTCOME_TARGET_CLOSED:
    case OUTCOME_TARGET_RESET:
    case OUTCOME_BAD_RESPONSE:
        return RETRY_502;
    case OUTCOME_RESPONSE_TIMEOUT:
        return RETRY_504;
    default:
        return RETRY_NEVER;
    }
}

/* Relaxed: a budget is no ledger. */
void retry_budget_earn(struct retry_budget *budget, uint32_t share_milli)
{
    unsigned spent = atomic_load_explicit(&budget->spent, memory_order_relaxed), less;

    do {
        if (spent == 0)
            return;
        less = spent > share_milli ? spent - share_milli : 0;
    } while (!atomic_compare_exchange_weak_explicit(&budget->spent, &spent, less, memory_order_relaxed,
                                                    memory_order_relaxed));
}

bool retry_budget_spend(struct retry_budget *budget)
{
    unsigned spent = atomic_load_explicit(&budget->spent, memory_order_relaxed);

    do {
        if (spent + RETRY_MILLI > RETRY_BURST_MILLI)
            return false;
    } while (!atomic_compare_exchange_weak_explicit(&budget->spent, &spent, spent + RETRY_MILLI, memory_order_relaxed,
                                                    memory_order_relaxed));
    return true;
}
