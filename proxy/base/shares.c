#include "proxy/base/shares.h"

#include <stdlib.h>

#define SPARE 8 /* kept for users who come back, before one of them is made another's */

static void share_init(struct share *share, uid_t uid)
{
    *share = (struct share){.uid = uid};
    list_init(&share->link);
    list_init(&share->waiting);
}

void shares_init(struct shares *shares)
{
    list_init(&shares->list);
    shares->n_shares = 0;
    share_init(&shares->rest, SHARES_NOBODY);
}

void shares_deinit(struct shares *shares)
{
    struct list *link;

    while ((link = list_pop(&shares->list)))
        free(CONTAINER_OF(link, struct share, link));
    shares->n_shares = 0;
}

/* The one that was not looked for for longest of those that nobody needs, in no list any more. */
static struct share *shares_take_unused(struct shares *shares)
{
    for (struct list *link = shares->list.previous; link != &shares->list; link = link->previous) {
        struct share *share = CONTAINER_OF(link, struct share, link);

        if (share->n_held > 0 || !list_empty(&share->waiting))
            continue;
        list_remove(link);
        return share;
    }
    return NULL;
}

static struct share *shares_add(struct shares *shares, uid_t uid)
{
    struct share *share = shares->n_shares >= SPARE ? shares_take_unused(shares) : NULL;

    if (!share && shares->n_shares < SHARES_MOST_USERS) {
        share = malloc(sizeof(*share));
        if (share)
            shares->n_shares++;
    }
    if (!share)
        return &shares->rest;
    share_init(share, uid);
    list_prepend(&shares->list, &share->link);
    return share;
}

struct share *shares_find(struct shares *shares, uid_t uid)
{
    if (uid == SHARES_NOBODY)
        return &shares->rest;
    for (struct list *link = shares->list.next; link != &shares->list; link = link->next) {
        struct share *share = CONTAINER_OF(link, struct share, link);

        if (share->uid != uid)
            continue;
        if (link != shares->list.next) {
            list_remove(link);
            list_prepend(&shares->list, link);
        }
        return share;
    }
    return shares_add(shares, uid);
}

/* Whether this one comes before the best so far. */
static bool share_is_next(const struct share *share, const struct share *best, uint32_t n_free, uint32_t n_places)
{
    return !list_empty(&share->waiting) && share_allows(share->n_held, n_free, n_places) &&
           (!best || share->n_held < best->n_held);
}

struct share *shares_choose(struct shares *shares, uint32_t n_free, uint32_t n_places)
{
    struct share *best = share_is_next(&shares->rest, NULL, n_free, n_places) ? &shares->rest : NULL;

    /* From behind: of equals, the one that has not asked for longest. */
    for (struct list *link = shares->list.previous; link != &shares->list; link = link->previous) {
        struct share *share = CONTAINER_OF(link, struct share, link);

        if (share_is_next(share, best, n_free, n_places))
            best = share;
    }
    return best;
}
