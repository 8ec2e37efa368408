/* What all workers have done since the start, in a few lines at the end. */
#ifndef PORTHOLE_SUMMARY_H
#define PORTHOLE_SUMMARY_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/worker.h"

/* How it ended. */
struct summary_end {
    const char *how; /* stop_result */
    uint64_t uptime_ms;
    uint64_t after_ms; /* of these, since the stop began */
};

/* A line for each outcome that there was, and one with everything in short, which is the last. Any thread. */
void summary_tell(struct worker *const *workers, size_t n_workers, const struct summary_end *end);

#endif
