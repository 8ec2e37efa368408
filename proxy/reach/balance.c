#include "proxy/reach/balance.h"

static bool balance_may(const struct balance_item *item)
{
    return item->weight > 0 && !item->out;
}

/* Whether a has less to do than b, for its weight. */
static bool balance_is_freer(const struct balance_item *a, const struct balance_item *b)
{
    return (uint64_t)a->load * b->weight < (uint64_t)b->load * a->weight;
}

static size_t balance_first(const struct balance_item *items, size_t n_items)
{
    for (size_t i = 0; i < n_items; i++)
        if (balance_may(&items[i]))
            return i;
    return BALANCE_NOBODY;
}

static size_t balance_freest(const struct balance_item *items, size_t n_items)
{
    size_t freest = balance_first(items, n_items);

    for (size_t i = freest; i < n_items; i++)
        if (balance_may(&items[i]) && balance_is_freer(&items[i], &items[freest]))
            freest = i;
    return freest;
}

/* Smooth weighted round robin: every turn comes nearer by its weight, and who is next falls back by all weights
 * together. Of those only who are no less free than `bar`, if there is one. */
static size_t balance_in_turn(struct balance_item *items, size_t n_items, const struct balance_item *bar)
{
    size_t next = BALANCE_NOBODY;
    int64_t sum = 0;

    for (size_t i = 0; i < n_items; i++) {
        struct balance_item *item = &items[i];

        if (!balance_may(item) || (bar && balance_is_freer(bar, item)))
            continue;
        item->turn += item->weight;
        sum += item->weight;
        if (next == BALANCE_NOBODY || item->turn > items[next].turn)
            next = i;
    }
    if (next != BALANCE_NOBODY)
        items[next].turn -= sum;
    return next;
}

/* One by weight, who is not `other`. */
static size_t balance_draw(const struct balance_item *items, size_t n_items, size_t other, uint32_t random)
{
    uint64_t sum = 0, at;

    for (size_t i = 0; i < n_items; i++)
        if (i != other && balance_may(&items[i]))
            sum += items[i].weight;
    if (sum == 0)
        return BALANCE_NOBODY;
    at = sum * random >> 32; /* at most 64 weights of 1,000 */
    for (size_t i = 0; i < n_items; i++) {
        if (i == other || !balance_may(&items[i]))
            continue;
        if (at < items[i].weight)
            return i;
        at -= items[i].weight;
    }
    return BALANCE_NOBODY;
}

static size_t balance_of_two(const struct balance_item *items, size_t n_items, uint64_t random)
{
    size_t one = balance_draw(items, n_items, BALANCE_NOBODY, (uint32_t)random);
    size_t two = balance_draw(items, n_items, one, (uint32_t)(random >> 32));

    if (one == BALANCE_NOBODY || two == BALANCE_NOBODY)
        return one;
    return balance_is_freer(&items[two], &items[one]) ? two : one;
}

size_t balance_choose(enum target_balance how, struct balance_item *items, size_t n_items, uint64_t random)
{
    size_t freest;

    switch (how) {
    case BALANCE_LEAST_CONNECTIONS:
        freest = balance_freest(items, n_items);
        return freest == BALANCE_NOBODY ? freest : balance_in_turn(items, n_items, &items[freest]);
    case BALANCE_RANDOM:
        return balance_of_two(items, n_items, random);
    case BALANCE_FAILOVER:
        return balance_first(items, n_items);
    default:
        return balance_in_turn(items, n_items, NULL);
    }
}
