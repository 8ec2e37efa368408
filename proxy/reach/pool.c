#include "proxy/reach/pool.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>

#include "proxy/reach/commons.h"

#define CONNECTION_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)
#define WINDOW_MS 5000
#define MOST_MARGIN_MS 1000
#define LAST_MS UINT64_C(31536000000) /* a year is for ever */

static void connection_close(struct connection *connection)
{
    loop_remove(&connection->source);
    channel_close(&connection->channel);
    free(connection);
}

static void pool_count_idle(struct pool *pool, int more)
{
    pool->n_idle += (uint32_t)more;
    if (pool->shown)
        atomic_store_explicit(&pool->shown->n_idle, pool->n_idle, memory_order_relaxed);
}

static void pool_count_busy(struct pool *pool, int more)
{
    pool->n_busy += (uint32_t)more;
    if (pool->n_busy > pool->most_busy)
        pool->most_busy = pool->n_busy;
    if (pool->shown)
        atomic_store_explicit(&pool->shown->n_busy, pool->n_busy, memory_order_relaxed);
}

static void pool_unlink(struct connection *connection)
{
    list_remove(&connection->link);
    pool_count_idle(connection->pool, -1);
    if (connection->owner) {
        connection->owner->connection = NULL;
        connection->pool->n_personal--;
    }
}

/* An idle connection has nothing to say: whatever arrives, bytes or an end, makes it useless. */
static void connection_on_event(struct source *source, uint32_t events)
{
    struct connection *connection = CONTAINER_OF(source, struct connection, source);

    if (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR))
        connection->ended = true;
    if (events & (EPOLLHUP | EPOLLERR))
        connection->gone = true;
    if (connection->fn) {
        connection->fn(connection->closure, events);
        return;
    }
    pool_unlink(connection);
    connection_close(connection);
}

static struct connection *pool_last(const struct list *list)
{
    return list_empty(list) ? NULL : CONTAINER_OF(list->previous, struct connection, link);
}

static struct connection *pool_oldest(const struct pool *pool)
{
    struct connection *oldest = pool_last(&pool->idle), *personal = pool_last(&pool->personal);

    if (!oldest || (personal && instant_before(personal->idle_since, oldest->idle_since)))
        return personal;
    return oldest;
}

struct instant pool_idle_since(const struct pool *pool)
{
    return pool_oldest(pool)->idle_since;
}

/* One that is idle. False when it is NULL. */
static bool pool_drop(struct connection *connection)
{
    if (!connection)
        return false;
    pool_unlink(connection);
    connection_close(connection);
    return true;
}

bool pool_drop_oldest(struct pool *pool)
{
    return pool_drop(pool_oldest(pool));
}

/* Whether it stands every review that there was. */
static bool connection_stands(struct connection *connection)
{
    const struct pool *pool = connection->pool;

    if (connection->epoch < pool->first_epoch)
        return false;
    if (connection->epoch != pool->epoch && !pool->stands(pool, connection->channel.fd))
        return false;
    connection->epoch = pool->epoch;
    return true;
}

static void pool_review_list(const struct list *list)
{
    for (struct list *link = list->next, *next; link != list; link = next) {
        struct connection *connection = CONTAINER_OF(link, struct connection, link);

        next = link->next;
        if (!connection_stands(connection))
            pool_drop(connection);
    }
}

void pool_review(struct pool *pool, pool_stands_fn *stands)
{
    pool->epoch++;
    if (stands)
        pool->stands = stands;
    else
        pool->first_epoch = pool->epoch;
    pool_review_list(&pool->idle);
    pool_review_list(&pool->personal);
}

/* What is not used any more need not be kept until somebody asks. */
static void pool_drop_outdated(struct list *list, struct instant now)
{
    for (struct list *link = list->next, *next; link != list; link = next) {
        struct connection *connection = CONTAINER_OF(link, struct connection, link);

        next = link->next;
        if (!instant_before(now, connection->good_until))
            pool_drop(connection);
    }
}

/* Ends a window: half of the surplus goes, rounded up. What is personal nobody else could use. */
static void pool_shrink(struct pool *pool)
{
    uint32_t needed = pool->most_busy > pool->most_busy_before ? pool->most_busy : pool->most_busy_before;
    uint32_t n_open = pool->n_idle - pool->n_personal + pool->n_busy;

    pool->most_busy_before = pool->most_busy;
    pool->most_busy = pool->n_busy;
    for (uint32_t n = n_open > needed ? (n_open - needed + 1) / 2 : 0; n > 0; n--)
        pool_drop(pool_last(&pool->idle));
}

static void pool_arm(struct pool *pool, struct instant due)
{
    struct instant now = loop_now(pool->loop);

    if (instant_before(pool->window_end, due))
        due = pool->window_end;
    timer_arm(pool->loop, &pool->timer, instant_before(now, due) ? (due.ns - now.ns) / 1000000u + 1 : 1);
}

static void pool_on_timer(struct timer *timer)
{
    struct pool *pool = CONTAINER_OF(timer, struct pool, timer);
    struct instant now = loop_now(pool->loop);
    struct connection *oldest;

    if (!instant_before(now, pool->window_end)) {
        pool->window_end = instant_add_ms(now, pool->window_ms);
        pool_drop_outdated(&pool->idle, now);
        pool_drop_outdated(&pool->personal, now);
        pool_shrink(pool);
    }
    while ((oldest = pool_oldest(pool))) {
        struct instant due = instant_add_ms(oldest->idle_since, pool->idle_timeout_ms);

        if (instant_before(now, due)) {
            pool_arm(pool, due);
            return;
        }
        pool_drop_oldest(pool);
    }
}

/* The first of several to become idle. */
static void pool_begin_watch(struct pool *pool)
{
    struct instant now = loop_now(pool->loop);

    if (!instant_before(now, pool->window_end))
        pool->window_end = instant_add_ms(now, pool->window_ms);
    pool_arm(pool, instant_add_ms(now, pool->idle_timeout_ms));
}

void pool_init(struct pool *pool, struct loop *loop)
{
    *pool = (struct pool){.loop = loop, .max_age_ms = LAST_MS, .window_ms = WINDOW_MS};
    list_init(&pool->idle);
    list_init(&pool->personal);
    lots_init(&pool->lots);
    timer_init(&pool->timer, pool_on_timer);
}

void pool_deinit(struct pool *pool)
{
    assert(pool->n_busy == 0);
    while (pool->n_idle > 0)
        pool_drop_oldest(pool);
    timer_disarm(&pool->timer);
}

struct connection *pool_adopt(struct pool *pool, struct channel *channel)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection) {
        connection->pool = pool;
        connection->epoch = pool->epoch;
        connection->begun = loop_now(pool->loop);
        connection->keep_ms = KEEP_ALIVE_SILENT;
        connection->early = (unsigned)(lots_draw(&pool->lots) >> 54);
        connection->source = (struct source)SOURCE_INIT;
        list_init(&connection->link);
        if (loop_add(pool->loop, &connection->source, channel->fd, CONNECTION_EVENTS, connection_on_event) < 0) {
            free(connection);
            connection = NULL;
        }
    }
    if (!connection) {
        channel_close(channel);
        return NULL;
    }
    connection->channel = *channel;
    *channel = (struct channel)CHANNEL_INIT;
    pool_count_busy(pool, 1);
    return connection;
}

/* Whether nothing has arrived that nobody has read, not even an end. */
static bool connection_is_silent(struct connection *connection)
{
    connection->channel.maybe_more = true; /* it is not known */
    return channel_is_silent(&connection->channel);
}

/* Whether it can carry another exchange: it is young enough, and its target has not said anything, not even an end. */
static bool connection_is_good(struct connection *connection, bool all_is_known)
{
    return !connection->source.pending && instant_before(loop_now(connection->pool->loop), connection->good_until) &&
           (all_is_known || connection_is_silent(connection));
}

/* Takes an idle one out: busy now, or closed and NULL. */
static inline struct connection *pool_use(struct connection *connection, bool all_is_known)
{
    pool_unlink(connection);
    if (connection_is_good(connection, all_is_known)) {
        pool_count_busy(connection->pool, 1);
        return connection;
    }
    connection_close(connection);
    return NULL;
}

/* A request may have come later than the loop has looked: what its target had said by then is no answer to it. So the
 * loop looks again, once for all that are taken after that. */
struct connection *pool_take(struct pool *pool)
{
    bool all_is_known = list_empty(&pool->idle) || loop_look(pool->loop);

    struct connection *connection = NULL;

    while (!connection && !list_empty(&pool->idle))
        connection = pool_use(CONTAINER_OF(pool->idle.next, struct connection, link), all_is_known);
    return connection;
}

struct connection *personal_take(struct personal *personal)
{
    struct connection *connection = personal->connection;

    return pool_use(connection, loop_look(connection->pool->loop));
}

void personal_end(struct personal *personal)
{
    pool_drop(personal->connection);
}

void connection_use(struct connection *connection, connection_fn *fn, void *closure)
{
    connection->fn = fn;
    connection->closure = closure;
}

int connection_want_write(struct connection *connection, bool want)
{
    return loop_modify(&connection->source, want ? CONNECTION_EVENTS | EPOLLOUT : CONNECTION_EVENTS);
}

void connection_belong(struct connection *connection, struct personal *owner)
{
    connection->owner = owner;
}

/* Until when a connection that has become idle is good. A target counts its time from when it sent the answer, and a
 * request takes time as well: so less than it says, a second at most. */
static struct instant connection_good_until(const struct connection *connection)
{
    const struct pool *pool = connection->pool;
    uint64_t margin_ms = connection->keep_ms / 2 < MOST_MARGIN_MS ? connection->keep_ms / 2 : MOST_MARGIN_MS;
    struct instant old =
        instant_add_ms(connection->begun, pool->max_age_ms - pool->max_age_ms * connection->early / 10240);
    struct instant closed;

    if (connection->keep_ms == KEEP_ALIVE_SILENT)
        return old;
    closed = instant_add_ms(connection->idle_since, connection->keep_ms - margin_ms);
    return instant_before(closed, old) ? closed : old;
}

static uint32_t pool_n_idle_of_all(const struct pool *pool)
{
    return pool->site ? site_n_idle(pool->site) : pool->n_idle;
}

static void pool_judge_again(const struct list *list)
{
    for (struct list *link = list->next; link != list; link = link->next) {
        struct connection *connection = CONTAINER_OF(link, struct connection, link);

        connection->good_until = connection_good_until(connection);
    }
}

void pool_configure(struct pool *pool, uint32_t most_idle, uint64_t idle_timeout_ms, uint64_t max_age_ms)
{
    bool same =
        pool->most_idle == most_idle && pool->idle_timeout_ms == idle_timeout_ms && pool->max_age_ms == max_age_ms;

    pool->max_age_ms = max_age_ms;
    pool->most_idle = most_idle;
    pool->idle_timeout_ms = idle_timeout_ms;
    if (same || pool->n_idle == 0)
        return;
    pool_judge_again(&pool->idle);
    pool_judge_again(&pool->personal);
    while (pool_n_idle_of_all(pool) > most_idle && pool_drop_oldest(pool))
        ;
    timer_disarm(&pool->timer);
    pool_begin_watch(pool);
}

/* Takes a connection in that has become idle. False when there is no room for it. */
static bool pool_keep(struct pool *pool, struct connection *connection)
{
    if (pool_n_idle_of_all(pool) >= pool->most_idle && !pool_drop_oldest(pool))
        return false;
    if (connection->owner) {
        personal_end(connection->owner);
        connection->owner->connection = connection;
        pool->n_personal++;
    }
    list_prepend(connection->owner ? &pool->personal : &pool->idle, &connection->link);
    pool_count_idle(pool, 1);
    return true;
}

void pool_give(struct connection *connection, bool reusable)
{
    struct pool *pool = connection->pool;

    pool_count_busy(pool, -1);
    connection_use(connection, NULL, NULL);
    /* Looked at before the last bytes were read: it may have been them, or more. */
    connection->channel.maybe_more |= connection->source.pending;
    connection->idle_since = loop_now(pool->loop);
    connection->good_until = connection_good_until(connection);
    if (!reusable || connection->ended || !instant_before(connection->idle_since, connection->good_until) ||
        !connection_stands(connection) || pool->most_idle == 0 || !channel_is_silent(&connection->channel) ||
        connection_want_write(connection, false) < 0) {
        connection_close(connection);
        return;
    }
    loop_forget(&connection->source);
    connection->n_exchanges++;
    if (!pool_keep(pool, connection)) {
        connection_close(connection);
        return;
    }
    if (!timer_armed(&pool->timer))
        pool_begin_watch(pool);
}
