#include "proxy/listen/admission.h"

#include <errno.h>
#include <stdlib.h>

#include "proxy/base/shares.h"

#define FIRST_CAPACITY 16
#define LOOK_MOST 256 /* at idle clients, for one of the user who has the most */

struct admission_user {
    uid_t uid;
    uint32_t n_clients; /* at least 1 */
};

void admission_house_init(struct admission_house *house)
{
    *house = (struct admission_house){.lock = PTHREAD_MUTEX_INITIALIZER, .most_clients = UINT32_MAX};
    list_init(&house->admissions);
    brake_init(&house->brake);
    episode_init(&house->shortage);
}

void admission_house_deinit(struct admission_house *house)
{
    episode_deinit(&house->shortage);
    pthread_mutex_destroy(&house->lock);
}

static struct admission_limits admission_limits_of(const struct listener_config *config)
{
    return (struct admission_limits){config->limit_connections, config->limit_connections_per_uid};
}

int admission_init(struct admission *admission, struct admission_house *house, const struct listener_config *config,
                   size_t n_workers)
{
    struct admission_desk *desks = calloc(n_workers, sizeof(*desks));

    if (!desks)
        return -ENOMEM;
    *admission = (struct admission){.house = house,
                                    .desks = desks,
                                    .n_desks = n_workers,
                                    .is_admin = config->pages != 0,
                                    .lock = PTHREAD_MUTEX_INITIALIZER,
                                    .limits = admission_limits_of(config)};
    for (size_t i = 0; i < n_workers; i++) {
        desks[i].admission = admission;
        desks[i].idle_since_ns = UINT64_MAX;
        list_init(&desks[i].idle);
    }
    episode_init(&admission->crowding);
    pthread_mutex_lock(&house->lock);
    list_append(&house->admissions, &admission->link);
    pthread_mutex_unlock(&house->lock);
    return 0;
}

void admission_retire(struct admission *admission)
{
    pthread_mutex_lock(&admission->house->lock);
    list_remove(&admission->link);
    pthread_mutex_unlock(&admission->house->lock);
}

void admission_deinit(struct admission *admission)
{
    if (!admission->house)
        return;
    admission_retire(admission);
    episode_deinit(&admission->crowding);
    free(admission->users);
    free(admission->desks);
    pthread_mutex_destroy(&admission->lock);
}

/* ---- waiting ---- */

void admission_wait(struct admission_desk *desk, enum admission_verdict want)
{
    atomic_store(&desk->short_of, want == ADMISSION_NO_DESCRIPTORS || want == ADMISSION_NO_MEMORY);
    if (!atomic_exchange(&desk->waiting, true))
        atomic_fetch_add(&desk->admission->house->n_waiting, 1);
}

void admission_stop_waiting(struct admission_desk *desk)
{
    if (atomic_exchange(&desk->waiting, false))
        atomic_fetch_sub(&desk->admission->house->n_waiting, 1);
}

static void admission_tell_desks(struct admission *other, bool all)
{
    for (size_t i = 0; i < other->n_desks; i++) {
        struct admission_desk *desk = &other->desks[i];

        if (!(all || atomic_load(&desk->short_of)) || !atomic_exchange(&desk->waiting, false))
            continue;
        atomic_fetch_sub(&other->house->n_waiting, 1);
        desk->told(desk);
    }
}

/* A place of this listener (or of none), and a descriptor, have become free. All whom it may help are told: any of them
 * may have seen the client that is to have it. */
static void admission_tell_house(struct admission_house *house, const struct admission *admission)
{
    if (atomic_load(&house->n_waiting) == 0)
        return;
    pthread_mutex_lock(&house->lock);
    for (struct list *link = house->admissions.next; link != &house->admissions; link = link->next) {
        struct admission *other = CONTAINER_OF(link, struct admission, link);

        admission_tell_desks(other, other == admission);
    }
    pthread_mutex_unlock(&house->lock);
}

static void admission_tell(struct admission *admission)
{
    admission_tell_house(admission->house, admission);
}

void admission_tell_short(struct admission_house *house)
{
    admission_tell_house(house, NULL);
}

void admission_limit(struct admission *admission, const struct listener_config *config)
{
    pthread_mutex_lock(&admission->lock);
    admission->limits = admission_limits_of(config);
    pthread_mutex_unlock(&admission->lock);
    admission_tell(admission);
}

/* ---- users ---- */

/* Few users have clients at once, and none of them more than a place: a search from the front will do. */
static struct admission_user *admission_find(const struct admission *admission, uid_t uid)
{
    for (size_t i = 0; i < admission->n_users; i++)
        if (admission->users[i].uid == uid)
            return &admission->users[i];
    return NULL;
}

static uint32_t admission_count_of(const struct admission *admission, uid_t uid)
{
    const struct admission_user *user = admission_find(admission, uid);

    return user ? user->n_clients : 0;
}

static uint32_t admission_most_of_all(const struct admission *admission)
{
    uint32_t most = 0;

    for (size_t i = 0; i < admission->n_users; i++)
        if (admission->users[i].n_clients > most)
            most = admission->users[i].n_clients;
    return most;
}

/* One client more. False when out of memory. */
static bool admission_count_user(struct admission *admission, uid_t uid)
{
    struct admission_user *user = admission_find(admission, uid);

    if (!user && admission->n_users == admission->capacity) {
        size_t capacity = admission->capacity ? 2 * admission->capacity : FIRST_CAPACITY;
        struct admission_user *users = reallocarray(admission->users, capacity, sizeof(*users));

        if (!users)
            return false;
        admission->users = users;
        admission->capacity = capacity;
    }
    if (!user) {
        user = &admission->users[admission->n_users++];
        *user = (struct admission_user){.uid = uid};
    }
    user->n_clients++;
    return true;
}

static void admission_forget_user(struct admission *admission, uid_t uid)
{
    struct admission_user *user = admission_find(admission, uid);

    if (user && --user->n_clients == 0)
        *user = admission->users[--admission->n_users];
}

uint32_t admission_n_of(struct admission *admission, uid_t uid)
{
    uint32_t n;

    pthread_mutex_lock(&admission->lock);
    n = admission_count_of(admission, uid);
    pthread_mutex_unlock(&admission->lock);
    return n;
}

/* With the lock held. */
static enum admission_verdict admission_judge(const struct admission *admission, uid_t uid)
{
    const struct admission_limits *limits = &admission->limits;
    uint32_t n = admission_count_of(admission, uid), most = admission_most_for(limits->connections);
    uint32_t n_all = atomic_load_explicit(&admission->n_clients, memory_order_relaxed);

    /* One that is not below limits.connections is none: who meets that one waits. */
    if (uid != ADMISSION_NOBODY && n >= limits->connections_per_uid &&
        limits->connections_per_uid < limits->connections)
        return ADMISSION_USER_FULL;
    return share_allows(n, n_all < most ? most - n_all : 0) ? ADMISSION_IN : ADMISSION_FULL;
}

enum admission_verdict admission_look(struct admission *admission, uid_t uid)
{
    enum admission_verdict verdict;

    pthread_mutex_lock(&admission->lock);
    verdict = admission_judge(admission, uid);
    pthread_mutex_unlock(&admission->lock);
    return verdict;
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

static bool admission_has_idled(const struct admission_pass *pass, struct instant now)
{
    return !instant_before(now, instant_add_ms(pass->idle_since, ADMISSION_IDLE_LEAST_MS));
}

/* Of those who have been idle for long enough, one of the user who has the most: if that is this user, or one who has
 * at least two more. Most often it is the first, or nobody; how many are looked at is bounded. */
static struct admission_pass *admission_richest(struct admission_desk *desk, uid_t uid, struct instant now)
{
    struct admission *admission = desk->admission;
    struct admission_pass *richest = NULL;
    uint32_t own, most_of_all, most = 0;
    int n_looks = 0;

    pthread_mutex_lock(&admission->lock);
    own = admission_count_of(admission, uid);
    most_of_all = admission_most_of_all(admission);
    for (struct list *link = desk->idle.next; link != &desk->idle && n_looks++ < LOOK_MOST; link = link->next) {
        struct admission_pass *pass = CONTAINER_OF(link, struct admission_pass, link);
        uint32_t n = admission_count_of(admission, pass->uid);

        if (!admission_has_idled(pass, now) || most == most_of_all)
            break;
        if (n <= most || (pass->uid != uid && n < own + 2))
            continue;
        richest = pass;
        most = n;
    }
    pthread_mutex_unlock(&admission->lock);
    return richest;
}

struct admission_pass *admission_longest(struct admission_desk *desk, uid_t uid, enum admission_verdict why,
                                         struct instant now)
{
    if (why == ADMISSION_FULL)
        return admission_richest(desk, uid, now);
    for (struct list *link = desk->idle.next; link != &desk->idle; link = link->next) {
        struct admission_pass *pass = CONTAINER_OF(link, struct admission_pass, link);

        if (why == ADMISSION_NO_DESCRIPTORS)
            return admission_has_idled(pass, now) ? pass : NULL;
        if (pass->uid == uid)
            return pass;
    }
    return NULL;
}

/* The desk of the one that has been idle for longest. */
static struct admission_desk *admission_find_longest(const struct admission_house *house, uint64_t *ret_since_ns)
{
    struct admission_desk *longest = NULL;

    *ret_since_ns = UINT64_MAX;
    for (struct list *link = house->admissions.next; link != &house->admissions; link = link->next) {
        struct admission *admission = CONTAINER_OF(link, struct admission, link);

        for (size_t i = 0; i < admission->n_desks; i++) {
            uint64_t since_ns = atomic_load_explicit(&admission->desks[i].idle_since_ns, memory_order_relaxed);

            if (since_ns >= *ret_since_ns)
                continue;
            *ret_since_ns = since_ns;
            longest = &admission->desks[i];
        }
    }
    return longest;
}

/* In how many milliseconds somebody who has been idle since then will have been for long enough. */
static uint64_t admission_due_in_ms(uint64_t since_ns, struct instant now)
{
    struct instant due = instant_add_ms((struct instant){since_ns}, ADMISSION_IDLE_LEAST_MS);

    return instant_before(now, due) ? instant_elapsed_us(now, due) / 1000 + 1 : 0;
}

uint64_t admission_idle_in_ms(const struct admission_desk *desk, struct instant now)
{
    uint64_t since_ns = atomic_load_explicit(&desk->idle_since_ns, memory_order_relaxed);

    return since_ns == UINT64_MAX ? ADMISSION_NOBODY_IS_IDLE : admission_due_in_ms(since_ns, now);
}

uint64_t admission_ask(struct admission_desk *desk, struct instant now, struct admission_desk **ret_desk)
{
    struct admission_house *house = desk->admission->house;
    uint64_t since_ns, ms = ADMISSION_NOBODY_IS_IDLE;
    struct admission_desk *longest;

    pthread_mutex_lock(&house->lock);
    longest = admission_find_longest(house, &since_ns);
    if (longest)
        ms = admission_due_in_ms(since_ns, now);
    if (ms == 0)
        *ret_desk = longest;
    if (ms == 0 && longest != desk && !atomic_exchange(&longest->asked, true))
        longest->told(longest);
    pthread_mutex_unlock(&house->lock);
    return ms;
}

void admission_ask_all(struct admission_house *house)
{
    pthread_mutex_lock(&house->lock);
    for (struct list *link = house->admissions.next; link != &house->admissions; link = link->next) {
        struct admission *admission = CONTAINER_OF(link, struct admission, link);

        for (size_t i = 0; i < admission->n_desks && !admission->is_admin; i++)
            if (atomic_load_explicit(&admission->desks[i].n_idle, memory_order_relaxed) > 0 &&
                !atomic_exchange(&admission->desks[i].asked, true))
                admission->desks[i].told(&admission->desks[i]);
    }
    pthread_mutex_unlock(&house->lock);
}

bool admission_ask_for(struct admission_desk *desk, uid_t uid)
{
    struct admission *admission = desk->admission;
    bool asked = false;

    for (size_t i = 0; i < admission->n_desks; i++) {
        struct admission_desk *other = &admission->desks[i];

        if (other == desk || atomic_load_explicit(&other->n_idle, memory_order_relaxed) == 0)
            continue;
        atomic_store(&other->asked_for, uid);
        atomic_store(&other->asked_by_user, true);
        other->told(other);
        asked = true;
    }
    return asked;
}

/* ---- passes ---- */

/* A descriptor for another, of those that clients may have. */
static bool admission_take_descriptor(struct admission *admission, bool anyway)
{
    atomic_uint *n_clients = &admission->house->n_clients;

    if (atomic_fetch_add(n_clients, 1) < admission_most_clients(admission) || anyway)
        return true;
    atomic_fetch_sub(n_clients, 1);
    return false;
}

enum admission_verdict admission_enter(struct admission_desk *desk, uid_t uid, bool anyway,
                                       struct admission_pass *ret_pass)
{
    struct admission *admission = desk->admission;
    enum admission_verdict verdict;
    bool counted = false;

    pthread_mutex_lock(&admission->lock);
    verdict = anyway ? ADMISSION_IN : admission_judge(admission, uid);
    if (verdict == ADMISSION_IN && !admission_take_descriptor(admission, anyway))
        verdict = ADMISSION_NO_DESCRIPTORS;
    if (verdict == ADMISSION_IN) {
        counted = admission_count_user(admission, uid);
        atomic_fetch_add(&admission->n_clients, 1);
        atomic_fetch_add(&admission->n_passes, 1);
    }
    pthread_mutex_unlock(&admission->lock);
    if (verdict == ADMISSION_IN)
        *ret_pass = (struct admission_pass){.desk = desk, .uid = uid, .counted = counted};
    return verdict;
}

/* What a pass counts, but for its descriptor. */
static void admission_discount(struct admission_pass *pass)
{
    if (pass->tunnel)
        admission_add(&pass->desk->n_tunnels, -1);
    if (pass->counted)
        admission_forget_user(pass->desk->admission, pass->uid);
    pass->counted = false;
    pass->yielded = true;
}

enum admission_verdict admission_replace(struct admission_pass *old, uid_t uid, struct admission_pass *ret_pass)
{
    struct admission *admission = old->desk->admission;

    if (!admission_take_descriptor(admission, false)) {
        admission_yield(old);
        return ADMISSION_NO_DESCRIPTORS;
    }
    admission_busy(old);
    atomic_fetch_add(&admission->n_passes, 1);
    *ret_pass = (struct admission_pass){.desk = old->desk, .uid = uid};
    pthread_mutex_lock(&admission->lock);
    admission_discount(old);
    ret_pass->counted = admission_count_user(admission, uid);
    pthread_mutex_unlock(&admission->lock);
    return ADMISSION_IN;
}

static void admission_give_place(struct admission_pass *pass)
{
    struct admission *admission = pass->desk->admission;

    admission_busy(pass);
    if (pass->yielded)
        return;
    pthread_mutex_lock(&admission->lock);
    admission_discount(pass);
    atomic_fetch_sub(&admission->n_clients, 1);
    pthread_mutex_unlock(&admission->lock);
}

void admission_yield(struct admission_pass *pass)
{
    admission_give_place(pass);
    admission_tell(pass->desk->admission);
}

void admission_leave(struct admission_pass *pass)
{
    struct admission *admission = pass->desk ? pass->desk->admission : NULL;

    if (!admission)
        return;
    admission_give_place(pass);
    atomic_fetch_sub(&admission->house->n_clients, 1);
    *pass = (struct admission_pass){.desk = NULL, .uid = ADMISSION_NOBODY};
    admission_tell(admission);
    atomic_fetch_sub(&admission->n_passes, 1); /* with the last one it may go */
}

bool admission_lodge(struct admission *admission)
{
    atomic_fetch_add_explicit(&admission->n_lodged, 1, memory_order_relaxed);
    return atomic_fetch_add(&admission->house->n_clients, 1) < admission_most_clients(admission);
}

void admission_unlodge(struct admission *admission)
{
    atomic_fetch_sub_explicit(&admission->n_lodged, 1, memory_order_relaxed);
    atomic_fetch_sub(&admission->house->n_clients, 1);
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
    struct admission_counts counts = {.n_waiting = atomic_load_explicit(&admission->n_lodged, memory_order_relaxed)};
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
