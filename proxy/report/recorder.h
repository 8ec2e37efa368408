/* The recorder: the one place where an end is told, once, and from which metrics and access log learn of it. One per
 * worker. */
#ifndef PORTHOLE_REPORT_RECORDER_H
#define PORTHOLE_REPORT_RECORDER_H

#include "proxy/report/access_log.h"
#include "proxy/report/metrics.h"
#include "proxy/report/record.h"
#include "proxy/report/tap.h"

/* What rules refuse is told to the error log, too: so many lines a second, so that nobody can bury others in them. */
#define RECORDER_RULES_LINES 20u

/* All pointers are borrowed. */
struct recorder {
    struct metrics *metrics;
    size_t worker;                 /* its slot of series */
    struct access_log *access_log; /* NULL: none */
    struct tap *tap;               /* NULL: nobody can listen */
    struct instant rules_second;   /* since when rules_lines counts */
    unsigned rules_lines;
    uint64_t rules_untold; /* since the last line */
};

/* What is counted of the end of an exchange. */
struct tally {
    const struct series *series; /* as a record's */
    struct text method;
    unsigned status;
    enum outcome outcome;
    uint64_t received_bytes, sent_bytes; /* of bodies */
    struct instant begun;                /* ns 0: how long it took says nothing */
};

/* To be called exactly once for each end: of an exchange, or of a request that never was one. Fills in the record's
 * times. */
void recorder_end(struct recorder *recorder, struct record *record);
/* The same of a tunnel, with the request that led to it if there was one. */
void recorder_end_tunnel(struct recorder *recorder, struct record *record);

/* The same in two steps, for those whose record costs something to fill in: the end is counted, with the bytes of its
 * bodies; when there is somebody to tell, it is told then, too, with *ret_ended. */
bool recorder_count(struct recorder *recorder, const struct tally *tally, struct instant *ret_ended) WARN_UNUSED;
void recorder_tell(struct recorder *recorder, struct record *record, struct instant ended);

/* A tunnel begins: only taps are told. */
void recorder_begin_tunnel(struct recorder *recorder, struct record *record);

/* What would be refused, where rules are only tried: told to the error log at once, beside the end that is still to
 * come. When there is room for it, which takes it. */
bool recorder_has_room_for_rules(struct recorder *recorder) WARN_UNUSED;
void recorder_tell_early(struct recorder *recorder, struct record *record);

#endif
