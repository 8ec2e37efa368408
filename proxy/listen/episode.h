/* Episodes: a shortage that lasts is told in a few lines, however many clients it meets.
 *
 * Somebody's making room is a line, and then at most one in EPISODE_LINE_MS. Waiting is a line when it begins and one
 * when it ends, unless it began again so soon that nobody would read it. Shared by threads. */
#ifndef PORTHOLE_LISTEN_EPISODE_H
#define PORTHOLE_LISTEN_EPISODE_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/clock.h"

#define EPISODE_LINE_MS 10000u

struct episode {
    atomic_bool waiting;  /* changed with the lock held */
    pthread_mutex_t lock; /* of what follows */
    bool told;            /* that it waits */
    struct instant began, next_room_line, next_wait_line;
    uint64_t n_rooms; /* not told yet */
};

void episode_init(struct episode *episode);
void episode_deinit(struct episode *episode);

/* Somebody made room. Above 0 when it is time for a line: how many did since the last one. */
uint64_t episode_room(struct episode *episode, struct instant now);
/* Somebody waits for a place. True when it is time for a line. */
bool episode_wait(struct episode *episode, struct instant now);
/* Nobody waits. True when it is time for a line: for how long somebody did. Costs a look when nobody did. */
bool episode_calm(struct episode *episode, struct instant now, uint64_t *ret_ms);

#endif
