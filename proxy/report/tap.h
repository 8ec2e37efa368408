/* The tap: what workers tell of exchanges to whoever listens, through a bounded ring for each worker.
 *
 *   worker: tap_add() --> ring, or the count of what was lost --> reader's thread: tap_next(), tap_taken()
 *
 * One writer and one reader for each ring, and no lock. The writer never waits: what finds no room is counted, and
 * gone. Nobody listens: one look at `wanted`. The ring's memory is there from the first reader on, and stays. */
#ifndef PORTHOLE_REPORT_TAP_H
#define PORTHOLE_REPORT_TAP_H

#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/error.h"
#include "proxy/http/fields.h"
#include "proxy/report/metrics.h"
#include "proxy/report/record.h"

#define TAP_RING_BYTES ((size_t)1 << 20) /* a power of two */
#define TAP_BODY_MOST_BYTES 65536u       /* of a body, each way */
#define TAP_LINE_BYTES ((size_t)1 << 20) /* more than a record becomes as JSON */

/* What somebody wants to know; 0: nobody listens. */
#define TAP_WANTS 1u
#define TAP_WANTS_HEADS 2u
#define TAP_BODY_SHIFT 8 /* above it: how many bytes of a body */

/* One worker's. The server owns it; it outlives the worker and its reader. */
struct tap {
    _Atomic uint32_t wanted;              /* the reader's to say */
    char *ring;                           /* owned; NULL before the first reader; set before `wanted` */
    alignas(64) _Atomic uint64_t written; /* bytes, since ever: the worker's */
    struct counter lost;                  /* records, since ever: the worker's */
    alignas(64) _Atomic uint64_t taken;   /* bytes, since ever: the reader's */
};

/* Fields of a head, one behind the other. The memory is the owner's. */
struct tap_fields {
    const char *data;
    size_t length;
};

/* What is known of one field in there. */
struct tap_field {
    struct text name, value;
    bool secret; /* the configuration has it from a file or a variable, or compares with it: not to be shown */
};

/* Heads and the beginnings of bodies, for a record. All is borrowed. */
struct tap_message {
    uint32_t wanted; /* what somebody wanted to know when the request began, as above */
    struct tap_fields request_fields, response_fields;
    struct text request_body, response_body; /* less than all of it when the record's bytes are more */
};

/* A record as the reader has it, until tap_taken. Texts lie in the ring. */
struct tap_view {
    struct record record; /* `message` and `series` are NULL */
    bool has_heads;
    unsigned body_most; /* how much of bodies was kept: 0, they were not asked for */
    struct tap_message message;
};

void tap_init(struct tap *tap);
void tap_deinit(struct tap *tap);

/* ---- the worker's ---- */

static inline uint32_t tap_wanted(const struct tap *tap)
{
    return tap ? atomic_load_explicit(&tap->wanted, memory_order_acquire) : 0;
}

/* Whether a record may find room; when not, one more is lost. */
bool tap_has_room(struct tap *tap) WARN_UNUSED;
/* Copies the record, with its message if it has one, or counts it as lost. While somebody listens. */
void tap_add(struct tap *tap, const struct record *record);

/* ---- the reader's ---- */

/* From now on so much is wanted; what was written for nobody is passed over. 0, or -ENOMEM: nothing has changed. */
int tap_listen(struct tap *tap, uint32_t wanted) WARN_UNUSED;
/* The next record, until tap_taken. False: there is none. */
bool tap_next(struct tap *tap, struct tap_view *ret_view);
void tap_taken(struct tap *tap);
static inline uint64_t tap_lost(const struct tap *tap)
{
    return counter_read(&tap->lost);
}

/* ---- fields ---- */

/* How many bytes a field takes there. */
size_t tap_field_bytes(const struct field *field);
/* Puts it at `to`. Returns what is behind it. */
char *tap_field_put(char *to, const struct field *field, bool secret);
/* Walks through fields, which shrink. False at the end. */
bool tap_field_next(struct tap_fields *fields, struct tap_field *ret_field);

#endif
