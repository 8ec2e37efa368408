#include "proxy/report/histogram.h"

#define US(n) ((n)*UINT64_C(1000))
#define MS(n) ((n)*UINT64_C(1000000))
#define S(n) ((n)*UINT64_C(1000000000))

const struct histogram_bounds histogram_requests = {
    .n = 18,
    .ns = {US(100), US(250), US(500), MS(1), US(2500), MS(5), MS(10), MS(25), MS(50), MS(100), MS(250), MS(500), S(1),
           MS(2500), S(5), S(10), S(30), S(60)},
    .seconds = {"0.0001", "0.00025", "0.0005", "0.001", "0.0025", "0.005", "0.01", "0.025", "0.05", "0.1", "0.25",
                "0.5", "1.0", "2.5", "5.0", "10.0", "30.0", "60.0"},
};

const struct histogram_bounds histogram_tunnels = {
    .n = 7,
    .ns = {S(1), S(10), S(60), S(300), S(1800), S(3600), S(21600)},
    .seconds = {"1.0", "10.0", "60.0", "300.0", "1800.0", "3600.0", "21600.0"},
};

void histogram_read(const struct histogram *histogram, struct histogram_sum *sum)
{
    for (size_t i = 0; i <= HISTOGRAM_MOST_BOUNDS; i++) {
        uint64_t n = counter_read(&histogram->buckets[i]);

        sum->buckets[i] += n;
        sum->n += n;
    }
    sum->sum_ns += counter_read(&histogram->sum_ns);
}
