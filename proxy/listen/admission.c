#include "proxy/listen/admission.h"

#include <errno.h>
#include <stdlib.h>

#define FIRST_CAPACITY 16

struct admission_user {
    uid_t uid;
    uint32_t n_clients; /* at least 1 */
};

void admission_house_init(struct admission_house *house)
{
    *house = (struct admission_house){.most_clients = UINT32_MAX};
    list_init(&house->admissions);
    episode_init(&house->shortage);
}

void admission_house_deinit(struct admission_house *house)
{
    episode_deinit(&house->shortage);
}

int admission_init(struct admission *admission, struct admission_house *house, const struct listener_config *config,
                   size_t n_workers)
{
    struct admission_desk *desks = calloc(n_workers, sizeof(*desks));

    if (!desks)
        return -ENOMEM;
    *admission = (struct admission){
        .house = house, .config = config, .desks = desks, .n_desks = n_workers, .lock = PTHREAD_MUTEX_INITIALIZER};
    for (size_t i = 0; i < n_workers; i++) {
        desks[i].admission = admission;
        desks[i].idle_since_ns = UINT64_MAX;
        desks[i].asked_for = ADMISSION_NOBODY;
        list_init(&desks[i].idle);
    }
    episode_init(&admission->crowding);
    list_append(&house->admissions, &admission->link);
    return 0;
}

void admission_deinit(struct admission *admission)
{
    if (!admission->house)
        return;
    list_remove(&admission->link);
    episode_deinit(&admission->crowding);
    free(admission->users);
    free(admission->desks);
    pthread_mutex_destroy(&admission->lock);
}

/* ---- waiting ---- */

void admission_wait(struct admission_desk *desk, enum admission_verdict want)
{
    atomic_store(&desk->short_of, want == ADMISSION_NO_DESCRIPTORS);
    if (!atomic_exchange(&desk->waiting, true))
        atomic_fetch_add(&desk->admission->house->n_waiting, 1);
}

void admission_stop_waiting(struct admission_desk *desk)
{
    if (atomic_exchange(&desk->waiting, false))
        atomic_fetch_sub(&desk->admission->house->n_waiting, 1);
}

/* A place of this listener, and a descriptor, have become free. All whom it may help are told: any of them may have
 * seen the client that is to have it. */
static void admission_tell(struct admission *admission)
{
    struct admission_house *house = admission->house;

    if (atomic_load(&house->n_waiting) == 0)
        return;
    for (struct list *link = house->admissions.next; link != &house->admissions; link = link->next) {
        struct admission *other = CONTAINER_OF(link, struct admission, link);

        for (size_t i = 0; i < other->n_desks; i++) {
            struct admission_desk *desk = &other->desks[i];

            if (!(other == admission || atomic_load(&desk->short_of)) || !atomic_exchange(&desk->waiting, false))
                continue;
            atomic_fetch_sub(&house->n_waiting, 1);
            desk->told(desk);
        }
    }
}

/* ---- who could make room ---- */

/* Of a count that only its own thread changes. */
static void admission_add(atomic_uint *n, int more)
{
    atomic_store_explicit(n, atomic_load_explicit(n, memory_order_relaxed) + (unsigned)more, memory_order_relaxed);
}

static void admission_publish_longest(struct admission_desk *desk)
{
    uint64_t since_ns = UINT64_MAX;

    if (!list_empty(&desk->idle))
        since_ns = CONTAINER_OF(desk->idle.next, struct admission_pass, link)->idle_since.ns;
    atomic_store_explicit(&desk->idle_since_ns, since_ns, memory_order_relaxed);
}

void admission_idle(struct admission_pass *pass, struct instant now)
{
    if (!pass->desk || pass->idle || pass->yielded)
        return;
    pass->idle = true;
    pass->idle_since = now;
    list_init(&pass->link);
    list_append(&pass->desk->idle, &pass->link);
    admission_add(&pass->desk->n_idle, 1);
    if (pass->desk->idle.next == &pass->link)
        admission_publish_longest(pass->desk);
}

void admission_busy(struct admission_pass *pass)
{
    bool longest;

    if (!pass->idle)
        return;
    pass->idle = false;
    admission_add(&pass->desk->n_idle, -1);
    longest = pass->desk->idle.next == &pass->link;
    list_remove(&pass->link);
    if (longest)
        admission_publish_longest(pass->desk);
}

struct admission_pass *admission_longest(struct admission_desk *desk, uid_t uid, struct instant now)
{
    for (struct list *link = desk->idle.next; link != &desk->idle; link = link->next) {
        struct admission_pass *pass = CONTAINER_OF(link, struct admission_pass, link);

        if (uid == ADMISSION_NOBODY)
            return instant_before(now, instant_add_ms(pass->idle_since, ADMISSION_IDLE_LEAST_MS)) ? NULL : pass;
        if (pass->uid == uid)
            return pass;
    }
    return NULL;
}

/* The desk of the one that has been idle for longest. */
static struct admission_desk *admission_find_longest(struct admission *admission, enum admission_verdict want,
                                                     uint64_t *ret_since_ns)
{
    struct list *admissions = &admission->house->admissions;
    struct admission_desk *longest = NULL;

    *ret_since_ns = UINT64_MAX;
    for (struct list *link = admissions->next; link != admissions; link = link->next) {
        struct admission *other = CONTAINER_OF(link, struct admission, link);

        for (size_t i = 0; i < other->n_desks && (other == admission || want == ADMISSION_NO_DESCRIPTORS); i++) {
            uint64_t since_ns = atomic_load_explicit(&other->desks[i].idle_since_ns, memory_order_relaxed);

            if (since_ns >= *ret_since_ns)
                continue;
            *ret_since_ns = since_ns;
            longest = &other->desks[i];
        }
    }
    return longest;
}

uint64_t admission_ask(struct admission_desk *desk, enum admission_verdict want, struct instant now,
                       struct admission_desk **ret_desk)
{
    uint64_t since_ns;
    struct admission_desk *longest = admission_find_longest(desk->admission, want, &since_ns);
    struct instant due = instant_add_ms((struct instant){since_ns}, ADMISSION_IDLE_LEAST_MS);

    if (!longest)
        return ADMISSION_NOBODY_IS_IDLE;
    if (instant_before(now, due))
        return instant_elapsed_us(now, due) / 1000 + 1;
    *ret_desk = longest;
    if (longest != desk && !atomic_exchange(&longest->asked, true))
        longest->told(longest);
    return 0;
}

void admission_ask_for(struct admission_desk *desk, uid_t uid)
{
    struct admission *admission = desk->admission;

    for (size_t i = 0; i < admission->n_desks; i++) {
        struct admission_desk *other = &admission->desks[i];

        if (other == desk)
            continue;
        atomic_store(&other->asked_for, uid);
        other->told(other);
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

static struct admission_user *admission_add_user(struct admission *admission, uid_t uid)
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
        user = admission_add_user(admission, uid);
    room = user && user->n_clients < admission->config->limit_connections_per_uid;
    if (room)
        user->n_clients++;
    pthread_mutex_unlock(&admission->lock);
    return room;
}

bool admission_user_is_full(struct admission *admission, uid_t uid)
{
    const struct admission_user *user;
    bool full;

    pthread_mutex_lock(&admission->lock);
    user = admission_find(admission, uid);
    full = user && user->n_clients >= admission->config->limit_connections_per_uid;
    pthread_mutex_unlock(&admission->lock);
    return full;
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

enum admission_verdict admission_enter(struct admission_desk *desk, bool anyway, struct admission_pass *ret_pass)
{
    struct admission *admission = desk->admission;
    struct admission_house *house = admission->house;

    if (atomic_fetch_add(&admission->n_clients, 1) >= admission->config->limit_connections && !anyway) {
        atomic_fetch_sub(&admission->n_clients, 1);
        return ADMISSION_FULL;
    }
    if (atomic_fetch_add(&house->n_clients, 1) >= house->most_clients && !anyway) {
        atomic_fetch_sub(&house->n_clients, 1);
        atomic_fetch_sub(&admission->n_clients, 1);
        return ADMISSION_NO_DESCRIPTORS;
    }
    *ret_pass = (struct admission_pass){.desk = desk, .uid = ADMISSION_NOBODY};
    return ADMISSION_IN;
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

static void admission_give_place(struct admission_pass *pass)
{
    struct admission *admission = pass->desk->admission;

    admission_busy(pass);
    if (pass->yielded)
        return;
    pass->yielded = true;
    if (pass->tunnel)
        admission_add(&pass->desk->n_tunnels, -1);
    if (pass->uid != ADMISSION_NOBODY)
        admission_forget_user(admission, pass->uid);
    atomic_fetch_sub(&admission->n_clients, 1);
}

void admission_yield(struct admission_pass *pass)
{
    admission_give_place(pass);
    admission_tell(pass->desk->admission);
}

void admission_cancel(struct admission_pass *pass)
{
    if (!pass->desk)
        return;
    admission_give_place(pass);
    atomic_fetch_sub(&pass->desk->admission->house->n_clients, 1);
    *pass = (struct admission_pass){.desk = NULL, .uid = ADMISSION_NOBODY};
}

void admission_leave(struct admission_pass *pass)
{
    struct admission *admission = pass->desk ? pass->desk->admission : NULL;

    admission_cancel(pass);
    if (admission)
        admission_tell(admission);
}

void admission_tunnel(struct admission_pass *pass)
{
    if (!pass->desk || pass->tunnel || pass->yielded)
        return;
    pass->tunnel = true;
    admission_add(&pass->desk->n_tunnels, 1);
}

struct admission_counts admission_count(const struct admission *admission)
{
    struct admission_counts counts = {0};
    unsigned n_clients = atomic_load(&admission->n_clients);

    for (size_t i = 0; i < admission->n_desks; i++) {
        counts.n_idle += atomic_load_explicit(&admission->desks[i].n_idle, memory_order_relaxed);
        counts.n_tunnels += atomic_load_explicit(&admission->desks[i].n_tunnels, memory_order_relaxed);
    }
    counts.n_clients = n_clients > counts.n_idle + counts.n_tunnels ? n_clients : counts.n_idle + counts.n_tunnels;
    return counts;
}

struct admission_pass admission_steal(struct admission_pass *from)
{
    struct admission_pass pass;

    admission_busy(from);
    pass = *from;
    *from = (struct admission_pass){.desk = NULL, .uid = ADMISSION_NOBODY};
    return pass;
}
