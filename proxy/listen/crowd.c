#include "proxy/listen/crowd.h"

#include <stdlib.h>

#define FIRST_CAPACITY 16

struct crowd_user {
    uid_t uid;
    uint32_t n_clients; /* at least 1 */
};

void crowd_init(struct crowd *crowd)
{
    *crowd = (struct crowd){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void crowd_deinit(struct crowd *crowd)
{
    free(crowd->users);
    pthread_mutex_destroy(&crowd->lock);
}

bool crowd_enter(struct crowd *crowd, const struct listener_config *listener, bool anyway)
{
    unsigned before = atomic_fetch_add_explicit(&crowd->n_clients, 1, memory_order_relaxed);

    if (before < listener->limit_connections || anyway)
        return true;
    atomic_fetch_sub_explicit(&crowd->n_clients, 1, memory_order_relaxed);
    return false;
}

/* A limit that limits.connections makes idle needs no counting. */
static bool crowd_counts_users(const struct listener_config *listener, uid_t uid)
{
    return listener->limit_connections_per_uid < listener->limit_connections && uid != CROWD_NOBODY;
}

/* Few users have clients at once, and none of them more than a place: a search from the front will do. */
static struct crowd_user *crowd_find(const struct crowd *crowd, uid_t uid)
{
    for (size_t i = 0; i < crowd->n_users; i++)
        if (crowd->users[i].uid == uid)
            return &crowd->users[i];
    return NULL;
}

static struct crowd_user *crowd_add(struct crowd *crowd, uid_t uid)
{
    if (crowd->n_users == crowd->capacity) {
        size_t capacity = crowd->capacity ? 2 * crowd->capacity : FIRST_CAPACITY;
        struct crowd_user *users = reallocarray(crowd->users, capacity, sizeof(*users));

        if (!users)
            return NULL;
        crowd->users = users;
        crowd->capacity = capacity;
    }
    crowd->users[crowd->n_users] = (struct crowd_user){.uid = uid};
    return &crowd->users[crowd->n_users++];
}

bool crowd_know(struct crowd *crowd, const struct listener_config *listener, uid_t uid)
{
    struct crowd_user *user;
    bool room;

    if (!crowd_counts_users(listener, uid))
        return true;
    pthread_mutex_lock(&crowd->lock);
    user = crowd_find(crowd, uid);
    if (!user)
        user = crowd_add(crowd, uid);
    room = user && user->n_clients < listener->limit_connections_per_uid;
    if (room)
        user->n_clients++;
    pthread_mutex_unlock(&crowd->lock);
    return room;
}

void crowd_leave(struct crowd *crowd, const struct listener_config *listener, uid_t uid)
{
    struct crowd_user *user;

    atomic_fetch_sub_explicit(&crowd->n_clients, 1, memory_order_relaxed);
    if (!crowd_counts_users(listener, uid))
        return;
    pthread_mutex_lock(&crowd->lock);
    user = crowd_find(crowd, uid);
    if (user && --user->n_clients == 0)
        *user = crowd->users[--crowd->n_users];
    pthread_mutex_unlock(&crowd->lock);
}
