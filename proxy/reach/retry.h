/* Retries: whether a request is sent once more, to another endpoint where there is one. Pure, but for the budget.
 *
 * A request that the target may have processed is sent again only if that does no harm (an idempotent method, RFC 9110
 * 9.2.2) and nothing but its head was sent, which is still there. */
#ifndef PORTHOLE_REACH_RETRY_H
#define PORTHOLE_REACH_RETRY_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "config/snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/report/outcome.h"

/* What would have the client as its answer, that a retry may better: of a status, of a failure; RETRY_NEVER. */
enum retry_cause retry_cause_of_status(unsigned status);
enum retry_cause retry_cause_of_outcome(enum outcome outcome);

static inline bool retry_is_wanted(const struct retry_config *config, enum retry_cause cause)
{
    return cause != RETRY_NEVER && (config->on >> cause & 1);
}

/* Whether requests have to be counted for the budget. */
static inline bool retry_is_budgeted(const struct retry_config *config)
{
    return config->attempts > 0 && (config->on & RETRY_ON_ANSWERS) != 0;
}

/* How much of what was asked for may be asked for again: a share of the requests, and a few at once. Shared by all
 * workers; all zero at first, when it is full. */
struct retry_budget {
    atomic_uint spent; /* in thousandths of a request */
};

/* A request comes: what it earns. */
void retry_budget_earn(struct retry_budget *budget, uint32_t share_milli);
/* Whether one may be sent again, which then counts. */
bool retry_budget_spend(struct retry_budget *budget);

#endif
