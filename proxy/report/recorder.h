/* The recorder: the one place where an end is told, once, and from which metrics and access log learn of it. One per
 * worker. */
#ifndef PORTHOLE_REPORT_RECORDER_H
#define PORTHOLE_REPORT_RECORDER_H

#include "proxy/report/access_log.h"
#include "proxy/report/metrics.h"
#include "proxy/report/record.h"

/* Both are borrowed. */
struct recorder {
    struct metrics *metrics;
    struct access_log *access_log; /* NULL: none; then failures go to the error log */
};

/* To be called exactly once for each end. Fills in the record's times. */
void recorder_end(const struct recorder *recorder, struct record *record);

#endif
