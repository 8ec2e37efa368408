#include "proxy/listen/admission.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 16

struct admission_user {
    uid_t uid;
    uint32_t n_clients; /* at least 1 */
};

int admission_init(struct admission *admission, const struct listener_config *config, size_t n_workers)
{
    *admission = (struct admission){.config = config, .n_desks = n_workers, .lock = PTHREAD_MUTEX_INITIALIZER};
    admission->desks = calloc(n_workers, sizeof(*admission->desks));
    if (!admission->desks)
        return -ENOMEM;
    for (size_t i = 0; i < n_workers; i++)
        admission->desks[i].admission = admission;
    return 0;
}

void admission_deinit(struct admission *admission)
{
    if (!admission->config)
        return;
    free(admission->users);
    free(admission->desks);
    pthread_mutex_destroy(&admission->lock);
}

/* ---- waiting ---- */

void admission_wait(struct admission_desk *desk)
{
    if (!atomic_exchange(&desk->waiting, true))
        atomic_fetch_add(&desk->admission->n_waiting, 1);
}

void admission_stop_waiting(struct admission_desk *desk)
{
    if (atomic_exchange(&desk->waiting, false))
        atomic_fetch_sub(&desk->admission->n_waiting, 1);
}

/* A place has become free. All who wait are told: any of them may have seen the client that is to have it. */
static void admission_tell(struct admission *admission)
{
    if (atomic_load(&admission->n_waiting) == 0)
        return;
    for (size_t i = 0; i < admission->n_desks; i++) {
        struct admission_desk *desk = &admission->desks[i];

        if (!atomic_exchange(&desk->waiting, false))
            continue;
        atomic_fetch_sub(&admission->n_waiting, 1);
        desk->told(desk);
    }
}

/* ---- users ---- */

/* A limit that limits.connections makes idle needs no counting. */
static bool admission_counts_users(const struct admission *admission, uid_t uid)
{
    const struct listener_config *config = admission->config;

    return config->limit_connections_per_uid < config->limit_connections && uid != ADMISSION_NOBODY;
}

/* Few users have clients at once, and none of them more than a place: a search from the front will do. */
static struct admission_user *admission_find(const struct admission *admission, uid_t uid)
{
    for (size_t i = 0; i < admission->n_users; i++)
        if (admission->users[i].uid == uid)
            return &admission->users[i];
    return NULL;
}

static struct admission_user *admission_add(struct admission *admission, uid_t uid)
{
    if (admission->n_users == admission->capacity) {
        size_t capacity = admission->capacity ? 2 * admission->capacity : FIRST_CAPACITY;
        struct admission_user *users = reallocarray(admission->users, capacity, sizeof(*users));

        if (!users)
            return NULL;
        admission->users = users;
        admission->capacity = capacity;
    }
    admission->users[admission->n_users] = (struct admission_user){.uid = uid};
    return &admission->users[admission->n_users++];
}

static bool admission_count_user(struct admission *admission, uid_t uid)
{
    struct admission_user *user;
    bool room;

    pthread_mutex_lock(&admission->lock);
    user = admission_find(admission, uid);
    if (!user)
        user = admission_add(admission, uid);
    room = user && user->n_clients < admission->config->limit_connections_per_uid;
    if (room)
        user->n_clients++;
    pthread_mutex_unlock(&admission->lock);
    return room;
}

static void admission_forget_user(struct admission *admission, uid_t uid)
{
    struct admission_user *user;

    pthread_mutex_lock(&admission->lock);
    user = admission_find(admission, uid);
    if (user && --user->n_clients == 0)
        *user = admission->users[--admission->n_users];
    pthread_mutex_unlock(&admission->lock);
}

/* ---- passes ---- */

bool admission_enter(struct admission_desk *desk, bool anyway, struct admission_pass *ret_pass)
{
    struct admission *admission = desk->admission;

    if (atomic_fetch_add(&admission->n_clients, 1) < admission->config->limit_connections || anyway) {
        *ret_pass = (struct admission_pass){.desk = desk, .uid = ADMISSION_NOBODY};
        return true;
    }
    atomic_fetch_sub(&admission->n_clients, 1);
    return false;
}

bool admission_know(struct admission_pass *pass, uid_t uid)
{
    struct admission *admission = pass->desk->admission;

    if (!admission_counts_users(admission, uid))
        return true;
    if (!admission_count_user(admission, uid))
        return false;
    pass->uid = uid;
    return true;
}

void admission_leave(struct admission_pass *pass)
{
    struct admission *admission;

    if (!pass->desk)
        return;
    admission = pass->desk->admission;
    if (pass->uid != ADMISSION_NOBODY)
        admission_forget_user(admission, pass->uid);
    atomic_fetch_sub(&admission->n_clients, 1);
    *pass = (struct admission_pass)ADMISSION_PASS_INIT;
    admission_tell(admission);
}

struct admission_pass admission_steal(struct admission_pass *from)
{
    struct admission_pass pass = *from;

    *from = (struct admission_pass)ADMISSION_PASS_INIT;
    return pass;
}
