#include "proxy/reach/pool.h"

#include <errno.h>
#include <stdlib.h>

#define CONNECTION_EVENTS (EPOLLIN | EPOLLRDHUP | EPOLLET)

static void connection_close(struct connection *connection)
{
    struct pool *pool = connection->pool;

    loop_remove(&connection->source);
    channel_close(&connection->channel);
    free(connection);
    pool->closed(pool);
}

static void pool_unlink(struct connection *connection)
{
    list_remove(&connection->link);
    connection->pool->n_idle--;
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

void pool_drop_oldest(struct pool *pool)
{
    struct connection *oldest;

    if (list_empty(&pool->idle))
        return;
    oldest = CONTAINER_OF(pool->idle.previous, struct connection, link);
    pool_unlink(oldest);
    connection_close(oldest);
}

static void pool_on_timer(struct timer *timer)
{
    struct pool *pool = CONTAINER_OF(timer, struct pool, timer);
    struct instant now = loop_now(pool->loop);

    while (!list_empty(&pool->idle)) {
        struct connection *oldest = CONTAINER_OF(pool->idle.previous, struct connection, link);
        struct instant due = instant_add_ms(oldest->idle_since, pool->idle_timeout_ms);

        if (instant_before(now, due)) {
            timer_arm(pool->loop, &pool->timer, (due.ns - now.ns) / 1000000u + 1);
            return;
        }
        pool_unlink(oldest);
        connection_close(oldest);
    }
}

void pool_init(struct pool *pool, struct loop *loop, uint32_t most_idle, uint64_t idle_timeout_ms,
               void (*closed)(struct pool *pool))
{
    *pool = (struct pool){.loop = loop, .most_idle = most_idle, .idle_timeout_ms = idle_timeout_ms, .closed = closed};
    list_init(&pool->idle);
    timer_init(&pool->timer, pool_on_timer);
}

void pool_deinit(struct pool *pool)
{
    while (!list_empty(&pool->idle)) {
        struct connection *connection = CONTAINER_OF(pool->idle.next, struct connection, link);

        pool_unlink(connection);
        connection_close(connection);
    }
    timer_disarm(&pool->timer);
}

struct connection *pool_adopt(struct pool *pool, struct channel *channel)
{
    struct connection *connection = calloc(1, sizeof(*connection));

    if (connection) {
        connection->pool = pool;
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
    return connection;
}

struct connection *pool_take(struct pool *pool)
{
    struct connection *connection;

    if (list_empty(&pool->idle))
        return NULL;
    connection = CONTAINER_OF(pool->idle.next, struct connection, link);
    pool_unlink(connection);
    return connection;
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

void pool_give(struct connection *connection, bool reusable)
{
    struct pool *pool = connection->pool;

    connection_use(connection, NULL, NULL);
    if (!reusable || connection->ended || pool->most_idle == 0 || !channel_is_silent(&connection->channel) ||
        connection_want_write(connection, false) < 0) {
        connection_close(connection);
        return;
    }
    if (pool->n_idle == pool->most_idle)
        pool_drop_oldest(pool);
    connection->n_exchanges++;
    connection->idle_since = loop_now(pool->loop);
    list_prepend(&pool->idle, &connection->link);
    pool->n_idle++;
    if (!timer_armed(&pool->timer))
        timer_arm(pool->loop, &pool->timer, pool->idle_timeout_ms);
}
