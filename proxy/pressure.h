/* Memory pressure: the main thread looks at how much memory is used, and sets the brake by which acceptors slow down
 * before the kernel has to kill for it.
 *
 *   auto       what the control group uses that cannot be had back, of its memory.max or memory.high (memory_gauge)
 *   a size     what the process has for itself, of limits.memory
 *   unlimited  nobody looks
 *
 * It is looked at once a second, four times as often near the limit, and when acceptors have let in as many as the last
 * look allowed; nobody looks where there is no limit. A limit that is changed holds from the next look on. */
#ifndef PORTHOLE_PRESSURE_H
#define PORTHOLE_PRESSURE_H

#include "config/snapshot.h"
#include "proxy/base/loop.h"
#include "proxy/base/mailbox.h"
#include "proxy/base/memory_gauge.h"
#include "proxy/listen/admission.h"

/* Embedded in the server; main thread. */
struct pressure {
    struct memory_gauge gauge;
    struct loop *loop; /* borrowed, like the next two; NULL before pressure_start */
    struct mailbox *mailbox;
    struct admission_house *house;
    uint64_t limit_bytes; /* limits.memory: LIMIT_MEMORY_AUTO, UINT64_MAX */
    uint64_t each_bytes;  /* what a client can take */
    struct memory_figures figures;
    struct timer look;
    struct message wanted; /* in the mailbox while brake.wanted */
    struct instant looked, given_back;
    struct instant counted; /* when there were as many clients: who has come since may not have taken its memory yet */
    uint32_t n_counted;
    struct instant began, next_line; /* of an episode in which the brake is not off */
    bool told;                       /* that it began */
    bool told_full;
    uint64_t n_episodes;
};

/* Opens what is looked at, before rights are given up. Close is harmless on one that is closed. */
void pressure_open(struct pressure *pressure);
void pressure_close(struct pressure *pressure);
/* Looks, and goes on doing so, until pressure_stop, which is harmless before. What is in the mailbox then is dropped by
 * its owner. */
void pressure_start(struct pressure *pressure, struct loop *loop, struct mailbox *mailbox,
                    struct admission_house *house, const struct snapshot *snapshot);
void pressure_configure(struct pressure *pressure, const struct snapshot *snapshot);
void pressure_stop(struct pressure *pressure);

#endif
