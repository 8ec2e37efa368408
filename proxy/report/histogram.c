#include "proxy/report/histogram.h"

#define US(n) ((n)*UINT64_C(1000))
#define MS(n) ((n)*UINT64_C(1000000))
#define S(n) ((n)*UINT64_C(1000000000))

/* Bounds: X(argument, ns, seconds) for each, rising. */
#define REQUESTS(X, a)       \
    X(a, US(100), "0.0001")  \
    X(a, US(250), "0.00025") \
    X(a, US(500), "0.0005")  \
    X(a, MS(1), "0.001")     \
    X(a, US(2500), "0.0025") \
    X(a, MS(5), "0.005")     \
    X(a, MS(10), "0.01")     \
    X(a, MS(25), "0.025")    \
    X(a, MS(50), "0.05")     \
    X(a, MS(100), "0.1")     \
    X(a, MS(250), "0.25")    \
    X(a, MS(500), "0.5")     \
    X(a, S(1), "1.0")        \
    X(a, MS(2500), "2.5")    \
    X(a, S(5), "5.0")        \
    X(a, S(10), "10.0")      \
    X(a, S(30), "30.0")      \
    X(a, S(60), "60.0")

#define TUNNELS(X, a)       \
    X(a, S(1), "1.0")       \
    X(a, S(10), "10.0")     \
    X(a, S(60), "60.0")     \
    X(a, S(300), "300.0")   \
    X(a, S(1800), "1800.0") \
    X(a, S(3600), "3600.0") \
    X(a, S(21600), "21600.0")

#define ONE(a, ns, seconds) +1 // NOLINT(bugprone-macro-parentheses): a piece of a sum
#define NS(a, ns, seconds) (ns),
#define SECONDS(a, ns, seconds) seconds,

/* How many bounds are below all numbers of more than `bits` bits. */
#define IS_BELOW(bits, ns, seconds) +((ns) < UINT64_C(1) << (bits)) // NOLINT(bugprone-macro-parentheses): the same
#define FIRST_OF_REQUESTS(bits) (REQUESTS(IS_BELOW, bits))
#define FIRST_OF_TUNNELS(bits) (TUNNELS(IS_BELOW, bits))
#define OF_4(first, bits) first(bits), first((bits) + 1), first((bits) + 2), first((bits) + 3)
#define OF_16(first, bits) OF_4(first, bits), OF_4(first, (bits) + 4), OF_4(first, (bits) + 8), OF_4(first, (bits) + 12)
#define OF_ALL_WIDTHS(first) 0, OF_16(first, 0), OF_16(first, 16), OF_16(first, 32), OF_16(first, 48)

const struct histogram_bounds histogram_requests = {.n = REQUESTS(ONE, ),
                                                    .ns = {REQUESTS(NS, )},
                                                    .seconds = {REQUESTS(SECONDS, )},
                                                    .first = {OF_ALL_WIDTHS(FIRST_OF_REQUESTS)}};

const struct histogram_bounds histogram_tunnels = {.n = TUNNELS(ONE, ),
                                                   .ns = {TUNNELS(NS, )},
                                                   .seconds = {TUNNELS(SECONDS, )},
                                                   .first = {OF_ALL_WIDTHS(FIRST_OF_TUNNELS)}};

void histogram_read(const struct histogram *histogram, struct histogram_sum *sum)
{
    for (size_t i = 0; i <= HISTOGRAM_MOST_BOUNDS; i++) {
        uint64_t n = counter_read(&histogram->buckets[i]);

        sum->buckets[i] += n;
        sum->n += n;
    }
    sum->sum_ns += counter_read(&histogram->sum_ns);
}
