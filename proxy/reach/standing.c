#include "proxy/reach/standing.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"

#define MOST_EJECTIONS 16 /* the time has stopped growing long before */

/* ---- life ---- */

void standings_init(struct standings *standings, const char *target)
{
    *standings = (struct standings){.target = target, .lock = PTHREAD_MUTEX_INITIALIZER};
    list_init(&standings->list);
}

void standings_deinit(struct standings *standings)
{
    assert(list_empty(&standings->list));
    pthread_mutex_destroy(&standings->lock);
}

static struct standing *standing_new(struct standings *standings, const char *key, const char *text)
{
    struct standing *standing = calloc(1, sizeof(*standing));

    if (!standing)
        return NULL;
    standing->standings = standings;
    standing->key = strdup(key);
    standing->text = strdup(text);
    if (!standing->key || !standing->text) {
        free(standing->key);
        free(standing->text);
        free(standing);
        return NULL;
    }
    list_init(&standing->link);
    list_append(&standings->list, &standing->link);
    return standing;
}

struct standing *standing_find(struct standings *standings, const char *key, const char *text)
{
    struct standing *found = NULL;

    pthread_mutex_lock(&standings->lock);
    for (struct list *link = standings->list.next; !found && link != &standings->list; link = link->next) {
        struct standing *standing = CONTAINER_OF(link, struct standing, link);

        if (strcmp(standing->key, key) == 0)
            found = standing;
    }
    if (!found)
        found = standing_new(standings, key, text);
    if (found)
        found->n_references++;
    pthread_mutex_unlock(&standings->lock);
    return found;
}

void standings_choose(struct standings *standings, struct standing *const *chosen, size_t n)
{
    pthread_mutex_lock(&standings->lock);
    for (struct list *link = standings->list.next; link != &standings->list; link = link->next)
        CONTAINER_OF(link, struct standing, link)->is_chosen = false;
    for (size_t i = 0; i < n; i++)
        chosen[i]->is_chosen = true;
    pthread_mutex_unlock(&standings->lock);
}

/* ---- what it is ---- */

static uint64_t standing_ejected_until(const struct standing *standing)
{
    return atomic_load_explicit(&standing->ejected_until_ns, memory_order_relaxed);
}

static struct instant standing_ejected(const struct standing *standing)
{
    return (struct instant){atomic_load_explicit(&standing->ejected_ns, memory_order_relaxed)};
}

static bool standing_is_down(const struct standing *standing)
{
    return atomic_load_explicit(&standing->is_down, memory_order_relaxed);
}

static bool standing_is_out(const struct standing *standing)
{
    return standing_is_down(standing) || standing_ejected_until(standing) > 0;
}

enum standing_rank standing_rank(const struct standing *standing, struct instant now)
{
    uint64_t until = standing_ejected_until(standing);

    if (standing_is_down(standing))
        return STANDING_DOWN;
    if (until == 0)
        return STANDING_GOOD;
    if (now.ns < until || now.ns < atomic_load_explicit(&standing->probed_until_ns, memory_order_relaxed))
        return STANDING_EJECTED;
    return STANDING_GOOD;
}

/* With the lock held, after a change: says that it is in, or out, and why. */
static void standing_count(struct standing *standing, bool was_out, const char *why, struct instant now)
{
    bool is_out = standing_is_out(standing);

    if (!is_out)
        standing->reason[0] = '\0';
    else if (why)
        snprintf(standing->reason, sizeof(standing->reason), "%s", why);
    if (is_out == was_out)
        return;
    standing->changed = now;
    atomic_fetch_add_explicit(&standing->standings->n_out, is_out ? 1u : -1u, memory_order_relaxed);
}

void standing_ref(struct standing *standing)
{
    if (!standing)
        return;
    pthread_mutex_lock(&standing->standings->lock);
    standing->n_references++;
    pthread_mutex_unlock(&standing->standings->lock);
}

void standing_unref(struct standing *standing)
{
    struct standings *standings;

    if (!standing)
        return;
    standings = standing->standings;
    pthread_mutex_lock(&standings->lock);
    if (--standing->n_references == 0) {
        if (standing_is_out(standing))
            atomic_fetch_sub_explicit(&standings->n_out, 1u, memory_order_relaxed);
        list_remove(&standing->link);
        free(standing->key);
        free(standing->text);
        free(standing);
    }
    pthread_mutex_unlock(&standings->lock);
}

/* ---- ejection ---- */

/* How long one is for that has had so many, not long ago. */
static uint64_t standing_ejection_ms(const struct eject_config *rules, unsigned n_ejections)
{
    uint64_t most = rules->for_ms * STANDING_MOST_TIMES, ms = rules->for_ms << n_ejections;

    if (most > STANDING_MOST_MS)
        most = rules->for_ms > STANDING_MOST_MS ? rules->for_ms : STANDING_MOST_MS;
    return ms < most ? ms : most;
}

/* Whether another one may be: so many at most, and a good one stays. */
static bool standing_may_be_ejected(const struct standing *standing)
{
    const struct standings *standings = standing->standings;
    unsigned n = 0, n_ejected = 0, n_good = 0;

    for (struct list *link = standings->list.next; link != &standings->list; link = link->next) {
        const struct standing *other = CONTAINER_OF(link, struct standing, link);

        if (!other->is_chosen)
            continue;
        n++;
        if (standing_ejected_until(other) > 0)
            n_ejected++;
        if (other != standing && !standing_is_out(other))
            n_good++;
    }
    return n_good > 0 && (uint64_t)(n_ejected + 1) * 1000 <= (uint64_t)standings->rules.most * n;
}

/* What it was ejected for is forgiven as time passes in which it is not. */
static void standing_forgive(struct standing *standing, struct instant now)
{
    uint64_t good_ms = instant_elapsed_us(standing->back, now) / 1000;

    while (standing->n_ejections > 0) {
        uint64_t ms = standing_ejection_ms(&standing->standings->rules, standing->n_ejections - 1);

        if (good_ms < ms)
            break;
        good_ms -= ms;
        standing->n_ejections--;
    }
}

static void standing_eject(struct standing *standing, enum standing_cause cause, const char *why, struct instant now)
{
    bool was_ejected = standing_ejected_until(standing) > 0, was_out = standing_is_out(standing);
    uint64_t ms;

    if (!was_ejected)
        standing_forgive(standing, now);
    ms = standing_ejection_ms(&standing->standings->rules, standing->n_ejections);
    if (standing->n_ejections < MOST_EJECTIONS)
        standing->n_ejections++;
    standing->cause = cause;
    standing->was_seen_bad = false;
    standing->n_good = 0;
    atomic_store_explicit(&standing->ejected_ns, now.ns, memory_order_relaxed);
    atomic_store_explicit(&standing->probed_until_ns, 0, memory_order_relaxed);
    atomic_store_explicit(&standing->ejected_until_ns, instant_add_ms(now, ms).ns, memory_order_relaxed);
    standing_count(standing, was_out, why, now);
    LOG_EVENT(LOG_LEVEL_WARN, was_ejected ? "an endpoint stays ejected" : "an endpoint is ejected",
              LOG_STRING("target", standing->standings->target), LOG_STRING("endpoint", standing->text),
              LOG_STRING("why", why), LOG_NUMBER("for_ms", ms));
}

static void standing_return(struct standing *standing, const char *why, struct instant now)
{
    bool was_out = standing_is_out(standing);

    atomic_store_explicit(&standing->n_failures, 0, memory_order_relaxed);
    atomic_store_explicit(&standing->ejected_until_ns, 0, memory_order_relaxed);
    standing->back = now;
    standing_count(standing, was_out, NULL, now);
    LOG_EVENT(LOG_LEVEL_INFO, "an endpoint is not ejected any more", LOG_STRING("target", standing->standings->target),
              LOG_STRING("endpoint", standing->text), LOG_STRING("why", why),
              LOG_NUMBER("after_ms", instant_elapsed_us(standing_ejected(standing), now) / 1000));
}

/* It is ejected, by other rules. */
static void standing_shorten(struct standing *standing)
{
    unsigned before = standing->n_ejections > 0 ? standing->n_ejections - 1 : 0;
    uint64_t until =
        instant_add_ms(standing_ejected(standing), standing_ejection_ms(&standing->standings->rules, before)).ns;

    if (until < standing_ejected_until(standing))
        atomic_store_explicit(&standing->ejected_until_ns, until, memory_order_relaxed);
}

void standings_configure(struct standings *standings, bool ejects, const struct eject_config *rules)
{
    pthread_mutex_lock(&standings->lock);
    standings->ejects = ejects;
    standings->rules = *rules;
    for (struct list *link = standings->list.next; link != &standings->list; link = link->next) {
        struct standing *standing = CONTAINER_OF(link, struct standing, link);

        if (standing_ejected_until(standing) == 0)
            continue;
        if (ejects)
            standing_shorten(standing);
        else
            standing_return(standing, "eject is off", instant_now());
    }
    pthread_mutex_unlock(&standings->lock);
}

/* ---- the probe ---- */

bool standing_claim(struct standing *standing, struct instant now)
{
    uint64_t until = standing_ejected_until(standing), since = standing_ejected(standing).ns;
    uint64_t probed = atomic_load_explicit(&standing->probed_until_ns, memory_order_relaxed);

    if (until == 0)
        return true;
    /* One that is never heard of again does not hold up the next for longer than an ejection takes. */
    return now.ns >= until && now.ns >= probed &&
           atomic_compare_exchange_strong(&standing->probed_until_ns, &probed,
                                          now.ns + (until > since ? until - since : 1));
}

void standing_unclaim(struct standing *standing)
{
    atomic_store_explicit(&standing->probed_until_ns, 0, memory_order_relaxed);
}

/* ---- what is heard ---- */

/* One that was begun before the ejection knows nothing new. */
void standing_succeed_slowly(struct standing *standing, struct instant begun, struct instant now)
{
    atomic_store_explicit(&standing->n_failures, 0, memory_order_relaxed);
    if (standing_ejected_until(standing) == 0)
        return;
    pthread_mutex_lock(&standing->standings->lock);
    if (standing_ejected_until(standing) > 0 && instant_before(standing_ejected(standing), begun))
        standing_return(standing, "it has answered", now);
    pthread_mutex_unlock(&standing->standings->lock);
}

void standing_fail(struct standing *standing, enum standing_cause cause, const char *why, struct instant begun,
                   struct instant now)
{
    struct standings *standings = standing->standings;
    uint64_t until;

    pthread_mutex_lock(&standings->lock);
    until = standing_ejected_until(standing);
    if (!standings->ejects) {
        /* Nobody counts. */
    } else if (until > 0) {
        if (begun.ns >= until)
            standing_eject(standing, cause, why, now);
    } else if (instant_before(standing_ejected(standing), begun)) {
        unsigned n = atomic_fetch_add_explicit(&standing->n_failures, 1u, memory_order_relaxed) + 1;

        if (n >= standings->rules.failures && standing_may_be_ejected(standing))
            standing_eject(standing, cause, why, now);
    }
    pthread_mutex_unlock(&standings->lock);
}

/* ---- checks ---- */

static void standing_change(struct standing *standing, bool down, const char *why, unsigned n_checks,
                            struct instant now)
{
    bool was_out = standing_is_out(standing);

    atomic_store_explicit(&standing->is_down, down, memory_order_relaxed);
    standing_count(standing, was_out, down ? why : NULL, now);
    LOG_EVENT(down ? LOG_LEVEL_WARN : LOG_LEVEL_INFO, down ? "an endpoint is down" : "an endpoint is up",
              LOG_STRING("target", standing->standings->target), LOG_STRING("endpoint", standing->text),
              LOG_STRING("why", why), LOG_NUMBER("checks", n_checks));
}

/* Checks that go well end an ejection, too, where they have seen what it was for: that nobody listened, or that
 * something was wrong meanwhile. */
static void standing_rise(struct standing *standing, struct instant now)
{
    if (standing_is_down(standing))
        standing_change(standing, false, NULL, standing->n_good, now);
    if (standing_ejected_until(standing) > 0 && (standing->was_seen_bad || standing->cause == STANDING_BY_CONNECT))
        standing_return(standing, "checks went well", now);
}

void standing_uncheck(struct standing *standing)
{
    pthread_mutex_lock(&standing->standings->lock);
    standing->n_good = standing->n_bad = 0;
    if (standing_is_down(standing))
        standing_change(standing, false, "it is not checked any more", 0, instant_now());
    pthread_mutex_unlock(&standing->standings->lock);
}

/* One more, of as many as count; there may have been more by the rules of before. */
static unsigned standing_count_check(unsigned n, unsigned most)
{
    return n < most ? n + 1 : most;
}

void standing_check(struct standing *standing, unsigned rise, unsigned fall, const char *why, struct instant now)
{
    pthread_mutex_lock(&standing->standings->lock);
    if (why) {
        standing->n_good = 0;
        standing->was_seen_bad = true;
        standing->n_bad = standing_count_check(standing->n_bad, fall);
        if (standing->n_bad == fall && !standing_is_down(standing))
            standing_change(standing, true, why, standing->n_bad, now);
    } else {
        standing->n_bad = 0;
        standing->n_good = standing_count_check(standing->n_good, rise);
        if (standing->n_good == rise)
            standing_rise(standing, now);
    }
    pthread_mutex_unlock(&standing->standings->lock);
}

void standings_look(struct standings *standings,
                    void (*fn)(void *closure, const struct standing *standing, enum standing_rank rank), void *closure)
{
    struct instant now = instant_now();

    pthread_mutex_lock(&standings->lock);
    for (struct list *link = standings->list.next; link != &standings->list; link = link->next) {
        const struct standing *standing = CONTAINER_OF(link, struct standing, link);

        fn(closure, standing, standing_rank(standing, now));
    }
    pthread_mutex_unlock(&standings->lock);
}
