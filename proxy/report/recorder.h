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

/* The same in two steps, for those whose record costs something to fill in: the end is counted, with the bytes of its
 * bodies; when there is somebody to tell, it is told then, too. */
bool recorder_count(const struct recorder *recorder, enum outcome outcome, uint64_t received_bytes,
                    uint64_t sent_bytes) WARN_UNUSED;
void recorder_tell(const struct recorder *recorder, struct record *record);

#endif
