#include "proxy/reach/balance.h"

static uint32_t balance_load(const struct endpoint *endpoint)
{
    return endpoint->pool.n_busy + endpoint->n_connecting;
}

struct endpoint *balance_least_loaded(struct endpoint *const *endpoints, size_t n_endpoints)
{
    struct endpoint *best = endpoints[0];

    for (size_t i = 1; i < n_endpoints; i++)
        if (balance_load(endpoints[i]) < balance_load(best))
            best = endpoints[i];
    return best;
}
