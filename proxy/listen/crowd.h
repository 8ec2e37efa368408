/* A listener's crowd: how many clients it has, and how many of each user. Shared by all workers. */
#ifndef PORTHOLE_LISTEN_CROWD_H
#define PORTHOLE_LISTEN_CROWD_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"

struct crowd_user;

struct crowd {
    atomic_uint n_clients;
    pthread_mutex_t lock;     /* of what follows */
    struct crowd_user *users; /* owned; those who have a client */
    size_t n_users, capacity;
};

void crowd_init(struct crowd *crowd);
void crowd_deinit(struct crowd *crowd);

/* Counts a client in whose user is not known yet; false when the listener has as many as it may (unless `anyway`). */
bool crowd_enter(struct crowd *crowd, const struct listener_config *listener, bool anyway) WARN_UNUSED;
/* Its user turned out to be this one; false when that user has as many as it may, or when out of memory: the client is
 * to be turned away with crowd_leave(crowd, listener, CROWD_NOBODY). Costs nothing on a listener without such a limit.
 */
bool crowd_know(struct crowd *crowd, const struct listener_config *listener, uid_t uid) WARN_UNUSED;

/* Somebody whose user was not counted. Also what a peer is that does not tell. */
#define CROWD_NOBODY ((uid_t)-1)

/* Counts a client out. */
void crowd_leave(struct crowd *crowd, const struct listener_config *listener, uid_t uid);

#endif
