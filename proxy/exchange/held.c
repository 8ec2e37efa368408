#include "proxy/exchange/held.h"

#include <pthread.h>
#include <stdlib.h>

#include "proxy/base/block.h"
#include "proxy/base/shares.h"

/* What is counted, so that a user's count fits a share. */
#define HELD_UNIT_BYTES ((size_t)4096)
#define HELD_MOST_UNITS ((uint32_t)(HELD_MOST_BYTES / HELD_UNIT_BYTES))

struct held {
    uid_t uid;
    struct share *share; /* where n_units are counted; valid while there are some */
    uint32_t n_units;    /* of capacity */
    size_t most_bytes;
    char *data;
    size_t length, taken;
    struct fields trailers; /* items are owned, and have their texts behind them; NULL: none */
};

/* The process's. */
static struct {
    pthread_mutex_t lock;
    bool begun;
    struct shares shares;
    uint32_t n_units;
} held_house = {.lock = PTHREAD_MUTEX_INITIALIZER};

/* Whether the user may have so many more: what would be said of the last of them. */
static bool held_allows(const struct share *share, uint32_t n)
{
    uint32_t n_free = HELD_MOST_UNITS - held_house.n_units;

    return n <= n_free && share_allows(share->n_held + n - 1, n_free - n + 1);
}

static bool held_count(struct held *held, uint32_t n)
{
    bool allowed;

    pthread_mutex_lock(&held_house.lock);
    if (!held_house.begun)
        shares_init(&held_house.shares);
    held_house.begun = true;
    if (held->n_units == 0)
        held->share = shares_find(&held_house.shares, held->uid);
    allowed = held_allows(held->share, n);
    if (allowed) {
        held->share->n_held += n;
        held->n_units += n;
        held_house.n_units += n;
    }
    pthread_mutex_unlock(&held_house.lock);
    return allowed;
}

static void held_uncount(struct held *held, uint32_t n)
{
    if (n == 0)
        return;
    pthread_mutex_lock(&held_house.lock);
    held->share->n_held -= n;
    held->n_units -= n;
    held_house.n_units -= n;
    pthread_mutex_unlock(&held_house.lock);
}

size_t held_bytes_of_all(void)
{
    size_t n_units;

    pthread_mutex_lock(&held_house.lock);
    n_units = held_house.n_units;
    pthread_mutex_unlock(&held_house.lock);
    return n_units * HELD_UNIT_BYTES;
}

struct held *held_new(uid_t uid, uint64_t most_bytes)
{
    struct held *held = calloc(1, sizeof(*held));

    if (!held)
        return NULL;
    held->uid = uid;
    held->most_bytes = (size_t)most_bytes;
    return held;
}

struct held *held_free(struct held *held)
{
    if (!held)
        return NULL;
    block_free(held->data, held->n_units * HELD_UNIT_BYTES);
    held_uncount(held, held->n_units);
    free(held->trailers.items);
    free(held);
    return NULL;
}

static size_t held_units_of(size_t bytes)
{
    return (bytes + HELD_UNIT_BYTES - 1) / HELD_UNIT_BYTES;
}

/* Doubles the room until there is enough. */
static enum held_result held_grow(struct held *held, size_t length)
{
    size_t n_units = held->n_units ? held->n_units : 1, most = held_units_of(held->most_bytes);
    uint32_t had = held->n_units, more;
    char *data;

    while (n_units * HELD_UNIT_BYTES < length)
        n_units *= 2;
    if (n_units > most)
        n_units = most > held_units_of(length) ? most : held_units_of(length);
    more = (uint32_t)n_units - had;
    if (!held_count(held, more))
        return HELD_FULL;
    data = block_resize(held->data, had * HELD_UNIT_BYTES, n_units * HELD_UNIT_BYTES);
    if (!data) {
        held_uncount(held, more);
        return HELD_NO_MEMORY;
    }
    held->data = data;
    return HELD_DONE;
}

enum held_result held_add(struct held *held, const char *data, size_t length)
{
    enum held_result result = HELD_DONE;

    if (held->length + length > held->n_units * HELD_UNIT_BYTES)
        result = held_grow(held, held->length + length);
    if (result != HELD_DONE)
        return result;
    memcpy(held->data + held->length, data, length);
    held->length += length;
    return HELD_DONE;
}

static struct text held_copy(char **to, struct text text)
{
    char *copy = *to;

    memcpy(copy, text.data, text.length);
    *to += text.length;
    return (struct text){copy, text.length};
}

/* Nothing is copied of those that the target does not get. */
bool held_keep_trailers(struct held *held, const struct fields *trailers)
{
    size_t bytes = trailers->n_items * sizeof(*trailers->items);
    struct field *items;
    char *texts;

    for (size_t i = 0; i < trailers->n_items; i++)
        bytes += trailers->items[i].name.length + trailers->items[i].value.length;
    items = malloc(bytes);
    if (!items)
        return false;
    texts = (char *)(items + trailers->n_items);
    held->trailers = (struct fields){.items = items, .capacity = trailers->n_items};
    for (size_t i = 0; i < trailers->n_items; i++) {
        struct field field = trailers->items[i];

        if (field.drop)
            continue;
        field.name = held_copy(&texts, field.name);
        field.value = held_copy(&texts, field.value);
        items[held->trailers.n_items++] = field;
    }
    return true;
}

struct text held_body(const struct held *held)
{
    return (struct text){held->data, held->length};
}

const struct fields *held_trailers(const struct held *held)
{
    return held->trailers.items ? &held->trailers : NULL;
}

struct text held_take(struct held *held, size_t most)
{
    size_t left = held->length - held->taken, n = left < most ? left : most;
    struct text piece = {n > 0 ? held->data + held->taken : NULL, n};

    held->taken += n;
    return piece;
}
