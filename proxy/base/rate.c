#include "proxy/base/rate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define NS_PER_MS UINT64_C(1000000)
/* A bucket that takes longer than a century to fill is as deep as one of a century. */
#define RATE_MOST_DEPTH_NS (UINT64_MAX / 4)
/* Places a key may have: far enough for a table that is nearly full. */
#define RATE_PROBES 16u

/* One bucket: when it is full again. */
struct rate_bucket {
    uint32_t key;
    uint64_t full_ns;
};

struct rate {
    atomic_uint references;
    pthread_mutex_t lock;
    uint64_t step_ns;  /* an event costs so much time */
    uint64_t depth_ns; /* of the bucket */
    size_t n_buckets;  /* 1, or RATE_MOST_KEYS and the one that the rest share */
    struct rate_bucket buckets[];
};

struct rate *rate_new(uint32_t n, uint64_t per_ms, uint32_t burst, bool keyed)
{
    size_t n_buckets = keyed ? RATE_MOST_KEYS + 1 : 1;
    struct rate *rate = calloc(1, sizeof(*rate) + n_buckets * sizeof(rate->buckets[0]));

    if (!rate)
        return NULL;
    if (pthread_mutex_init(&rate->lock, NULL) != 0) {
        free(rate);
        return NULL;
    }
    atomic_init(&rate->references, 1);
    rate->n_buckets = n_buckets;
    rate->step_ns = per_ms * NS_PER_MS / n;
    rate->depth_ns = burst > RATE_MOST_DEPTH_NS / rate->step_ns ? RATE_MOST_DEPTH_NS : rate->step_ns * burst;
    return rate;
}

struct rate *rate_ref(struct rate *rate)
{
    atomic_fetch_add_explicit(&rate->references, 1, memory_order_relaxed);
    return rate;
}

void rate_unref(struct rate *rate)
{
    if (!rate || atomic_fetch_sub_explicit(&rate->references, 1, memory_order_acq_rel) > 1)
        return;
    pthread_mutex_destroy(&rate->lock);
    free(rate);
}

/* The key's bucket: its own, or one that is full and so nobody's; the shared one when all of its places are taken. */
static struct rate_bucket *rate_find(struct rate *rate, uint32_t key, uint64_t now_ns)
{
    struct rate_bucket *unused = NULL;
    uint32_t hash = key * UINT32_C(2654435761);

    if (rate->n_buckets == 1)
        return &rate->buckets[0];
    for (uint32_t i = 0; i < RATE_PROBES; i++) {
        struct rate_bucket *bucket = &rate->buckets[(hash / (UINT32_MAX / RATE_MOST_KEYS + 1) + i) % RATE_MOST_KEYS];

        if (bucket->full_ns > now_ns && bucket->key == key)
            return bucket;
        if (bucket->full_ns <= now_ns && !unused)
            unused = bucket;
    }
    if (!unused)
        return &rate->buckets[RATE_MOST_KEYS];
    unused->key = key;
    return unused;
}

bool rate_take(struct rate *rate, uint32_t key, struct instant now, uint64_t *ret_wait_ms)
{
    struct rate_bucket *bucket;
    uint64_t full_ns;
    bool taken;

    pthread_mutex_lock(&rate->lock);
    bucket = rate_find(rate, key, now.ns);
    full_ns = (bucket->full_ns > now.ns ? bucket->full_ns : now.ns) + rate->step_ns;
    taken = full_ns - now.ns <= rate->depth_ns;
    if (taken)
        bucket->full_ns = full_ns;
    pthread_mutex_unlock(&rate->lock);
    if (!taken)
        *ret_wait_ms = (full_ns - now.ns - rate->depth_ns + NS_PER_MS - 1) / NS_PER_MS;
    return taken;
}
