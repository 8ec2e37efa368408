/* Figures of listeners and routes for people: what all workers have counted (report/series.h), summed up. Any thread.
 */
#ifndef PORTHOLE_ADMIN_FIGURES_H
#define PORTHOLE_ADMIN_FIGURES_H

#include "proxy/report/series.h"

/* Of what has ended. All zero at first. */
struct figures {
    uint64_t requests;
    uint64_t errors;  /* of these: the target's fault, or ours; or answered with 500 to 599 */
    uint64_t refused; /* of these: not let through, by rules or because of what the client sent */
    uint64_t received_bytes, sent_bytes;
    struct histogram_sum duration;
};

/* Adds those of a route; NULL: nothing is counted there. */
void figures_add_route(struct figures *figures, const struct series *series);

struct figures_of_listener {
    uint64_t accepted, refused;          /* connections */
    uint64_t in_flight;                  /* exchanges that have not ended */
    uint64_t tunnels;                    /* that are open */
    uint64_t received_bytes, sent_bytes; /* through tunnels */
};

/* Takes NULL, too. */
struct figures_of_listener figures_of_listener(const struct series *series);

/* How long all but 1 - q of them took at most, in microseconds: within a bucket they are taken to lie evenly. Of those
 * that took longer than every bound, the last bound. 0: there is none. */
uint64_t figures_quantile_us(const struct histogram_sum *sum, const struct histogram_bounds *bounds, double q);

#endif
