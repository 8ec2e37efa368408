/* Balance: which of a target's endpoints is next. Pure: knows what it is told of them, and draws no lots itself. */
#ifndef PORTHOLE_REACH_BALANCE_H
#define PORTHOLE_REACH_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "config/snapshot.h"

#define BALANCE_NOBODY SIZE_MAX

/* One endpoint, as the choice sees it. */
struct balance_item {
    uint32_t weight; /* 0: never */
    uint32_t load;   /* connections that are busy or being made */
    bool out;        /* it was tried already, or is not to be used now */
    int64_t turn;    /* the choice's own, 0 at first: how far its turn is due */
};

/* The next one's index; BALANCE_NOBODY when there is none.
 *
 *   ROUND_ROBIN        in turn, those with more weight more often, as evenly spread as can be
 *   LEAST_CONNECTIONS  the least load for its weight; in turn where several have that
 *   RANDOM             the one with less load for its weight of two that are drawn by weight
 *   FAILOVER           the first
 *
 * `random` is read by RANDOM only. */
size_t balance_choose(enum target_balance how, struct balance_item *items, size_t n_items, uint64_t random);

#endif
