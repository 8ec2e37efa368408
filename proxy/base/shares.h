/* Shares: places that several users have in common, so that none of them shuts the others out.
 *
 * Whoever has none gets any place that is free. Whoever has some gets another only while more than an eighth as many
 * stay free: one user alone leaves an eighth of all, two who have the same leave a fifteenth, and the last place is
 * always for somebody who has none. Nobody needs to know how many users there are, or will be. When several wait, the
 * next place is for the one of them who has the fewest.
 *
 * Of one thread. */
#ifndef PORTHOLE_BASE_SHARES_H
#define PORTHOLE_BASE_SHARES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/base/list.h"

#define SHARES_MOST_USERS 256 /* that are told apart */

/* Somebody whose user is not known. */
#define SHARES_NOBODY ((uid_t)-1)

/* One user's. Owned by the shares. */
struct share {
    struct list link;    /* in shares.list */
    struct list waiting; /* of whoever waits for a place, by links of their own, first come first */
    uid_t uid;
    uint32_t n_held, n_waiting;
};

struct shares {
    struct list list; /* of share, the one that was looked for last in front */
    size_t n_shares, n_waiting;
    bool first_come;   /* nothing is kept free for those who have none */
    struct share rest; /* of those whose user is not known, and of those who are too many */
};

void shares_init(struct shares *shares);
/* Nobody holds or waits any more. */
void shares_deinit(struct shares *shares);

/* A user's, valid as long as it holds something or waits, and until the next call. Never NULL. */
struct share *shares_find(struct shares *shares, uid_t uid);
/* Whose the next place is: of those who wait and may have one, who has the fewest. NULL when there is none. */
struct share *shares_choose(struct shares *shares, uint32_t n_free);
/* Who has the most waiting. NULL when nobody waits. */
struct share *shares_crowd(struct shares *shares);

/* Joins those of a user who wait, and leaves them. */
void shares_wait(struct shares *shares, struct share *share, struct list *link);
void shares_unwait(struct shares *shares, struct share *share, struct list *link);

/* Whether somebody who holds n_held places may have another, while n_free are nobody's. */
static inline bool share_allows(uint32_t n_held, uint32_t n_free)
{
    return n_held == 0 ? n_free > 0 : n_free > 1 && n_held < 7 * (uint64_t)(n_free - 1);
}

static inline bool shares_allow(const struct shares *shares, const struct share *share, uint32_t n_free)
{
    return shares->first_come ? n_free > 0 : share_allows(share->n_held, n_free);
}

#endif
