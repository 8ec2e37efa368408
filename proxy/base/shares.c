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
    *shares = (struct shares){.first_come = false};
    list_init(&shares->list);
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

        if (share->n_held > 0 || share->n_waiting > 0)
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

struct share *shares_choose(struct shares *shares, uint32_t n_free)
{
    struct share *best = shares->rest.n_waiting > 0 ? &shares->rest : NULL;

    /* From behind: of equals, the one that has not asked for longest. */
    for (struct list *link = shares->list.previous; link != &shares->list; link = link->previous) {
        struct share *share = CONTAINER_OF(link, struct share, link);

        if (share->n_waiting > 0 && (!best || share->n_held < best->n_held))
            best = share;
    }
    return best && shares_allow(shares, best, n_free) ? best : NULL;
}

struct share *shares_crowd(struct shares *shares)
{
    struct share *crowd = &shares->rest;

    for (struct list *link = shares->list.next; link != &shares->list; link = link->next) {
        struct share *share = CONTAINER_OF(link, struct share, link);

        if (share->n_waiting > crowd->n_waiting)
            crowd = share;
    }
    return crowd->n_waiting > 0 ? crowd : NULL;
}

void shares_wait(struct shares *shares, struct share *share, struct list *link)
{
    list_init(link);
    list_append(&share->waiting, link);
    share->n_waiting++;
    shares->n_waiting++;
}

void shares_unwait(struct shares *shares, struct share *share, struct list *link)
{
    list_remove(link);
    share->n_waiting--;
    shares->n_waiting--;
}
