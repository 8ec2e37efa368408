/* Histograms with fixed buckets: one increment for what is observed, and one for the sum. One writer, any readers. */
#ifndef PORTHOLE_REPORT_HISTOGRAM_H
#define PORTHOLE_REPORT_HISTOGRAM_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/report/metrics.h"

#define HISTOGRAM_MOST_BOUNDS 18

/* Upper bounds, inclusive, rising; and as they are written, in seconds. */
struct histogram_bounds {
    size_t n; /* HISTOGRAM_MOST_BOUNDS at most */
    uint64_t ns[HISTOGRAM_MOST_BOUNDS];
    const char *seconds[HISTOGRAM_MOST_BOUNDS];
    uint8_t first[64 + 1]; /* by how many bits a number has: the first bound that may be at least that number */
};

/* Of requests, connects and heads of responses: a sidecar answers in 60 us, and time-outs are as long as 60 s. */
extern const struct histogram_bounds histogram_requests;
/* Of tunnels, which last for days. */
extern const struct histogram_bounds histogram_tunnels;

/* All zero at first. */
struct histogram {
    struct counter buckets[HISTOGRAM_MOST_BOUNDS + 1]; /* each without those below; the last one is for the rest */
    struct counter sum_ns;
};

/* In which bucket a number is counted. Numbers of as many bits differ by less than a factor of two, and so by a bound
 * or two. */
static inline size_t histogram_bucket(const struct histogram_bounds *bounds, uint64_t ns)
{
    size_t i = bounds->first[ns ? 64 - __builtin_clzll(ns) : 0];

    while (i < bounds->n && ns > bounds->ns[i])
        i++;
    return i;
}

static inline void histogram_observe(struct histogram *histogram, const struct histogram_bounds *bounds, uint64_t ns)
{
    counter_add(&histogram->buckets[histogram_bucket(bounds, ns)], 1);
    counter_add(&histogram->sum_ns, ns);
}

/* Adds one worker's to a sum, which is plain. */
struct histogram_sum {
    uint64_t buckets[HISTOGRAM_MOST_BOUNDS + 1], sum_ns, n;
};

void histogram_read(const struct histogram *histogram, struct histogram_sum *sum);

#endif
