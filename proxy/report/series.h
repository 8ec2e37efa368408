/* Series: what is counted of listeners, routes, targets and endpoints, for the whole process.
 *
 *   series_book      all there are
 *     series         one, found by its kind and its names: in whatever snapshot they come, it is the same
 *       slot         one worker's part: written by it alone, read by any thread
 *
 * A series is found when a snapshot is about to be served (series_bind.h), and is never given back: what is counted
 * never goes back, and readers need no lock. Their number is bounded; what is beyond is counted together as "other",
 * which is said once. */
#ifndef PORTHOLE_REPORT_SERIES_H
#define PORTHOLE_REPORT_SERIES_H

#include <pthread.h>
#include <stdalign.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "proxy/base/error.h"
#include "proxy/base/spell.h"
#include "proxy/report/cells.h"
#include "proxy/report/histogram.h"
#include "proxy/report/labels.h"

#define SERIES_OTHER "other"
#define SERIES_MOST_LISTENERS 256
#define SERIES_MOST_ROUTES 1024
#define SERIES_MOST_TARGETS 256
#define SERIES_MOST_ENDPOINTS 1024

enum series_kind { SERIES_LISTENER, SERIES_ROUTE, SERIES_TARGET, SERIES_ENDPOINT, N_SERIES_KINDS };

/* Keys of cells of refused. */
enum series_refusal { REFUSED_PEER, REFUSED_USER_FULL, N_SERIES_REFUSALS };

struct listener_slot {
    struct counter accepted;
    struct cells refused;        /* by enum series_refusal */
    struct cells accept_errors;  /* by errno */
    struct counter begun, ended; /* exchanges */
    struct counter tunnels_begun[N_PROTOCOL_LABELS], tunnels_ended[N_PROTOCOL_LABELS];
    struct counter tunnel_received, tunnel_sent; /* bytes, from and to the client */
    struct histogram tunnel_duration;
};

struct route_slot {
    struct cells requests; /* by request_key */
    struct cells tunnels;  /* by tunnel_key */
    struct histogram duration;
    struct counter received, sent; /* bytes of bodies */
};

struct target_slot {
    struct cells retries; /* by enum retry_cause (config/snapshot.h) */
    struct histogram connect, response_head;
};

struct endpoint_slot {
    struct cells connects; /* by outcome; OUTCOME_FORWARDED: there was a connection */
    struct histogram response_head;
};

/* Of an endpoint, until it is known. */
enum series_state { SERIES_UNKNOWN, SERIES_UP, SERIES_DOWN };

struct series {
    struct series *_Atomic next; /* of its kind */
    enum series_kind kind;
    const char *owner;        /* owned; the listener of a route, the target of an endpoint; "" of others */
    const char *name;         /* owned; "" of a route: none was found */
    struct series_book *book; /* borrowed */
    char *slots;              /* owned; by worker, each SLOT_BYTES of its kind */
    size_t slot_bytes;
    /* What is known to whoever it happens to: */
    atomic_int state; /* of an endpoint, enum series_state */
    /* Until when the certificate is good that was seen last: the endpoint's, or ours of a target; in seconds since
     * 1970, 0: none was. */
    atomic_int_least64_t not_after;
    atomic_bool served;       /* a listener is, or was, and not only in a configuration that was refused */
    atomic_bool checked;      /* by checks, and not by connects */
    atomic_uint n_users;      /* of an endpoint: workers' rosters that have it */
    struct spell saturated;   /* of a listener: somebody waits for a place among limits.connections */
    struct counter again;     /* of a listener: made again; the main thread's, like the next */
    struct counter checks[2]; /* of a target: failed, passed */
};

/* The CPU clock of a worker's thread. */
struct worker_clock {
    atomic_bool known; /* as long as the thread is there */
    clockid_t id;
};

/* Embedded in the server. */
struct series_book {
    pthread_mutex_t lock; /* of the tree, and of what is added */
    size_t n_workers;
    struct worker_clock *clocks;                  /* owned; by worker */
    void *tree;                                   /* owned; tsearch(3) */
    struct series *_Atomic first[N_SERIES_KINDS]; /* owned; the newest first */
    size_t n[N_SERIES_KINDS];
    bool told[N_SERIES_KINDS];
};

/* `n_workers`: the workers have numbers below. 0 or -ENOMEM. */
int series_book_init(struct series_book *book, size_t n_workers) WARN_UNUSED;
/* Nobody counts any more. Harmless on one of zeros. */
void series_book_deinit(struct series_book *book);

/* A worker's thread begins, or is about to end. */
void series_book_begin(struct series_book *book, size_t worker);
void series_book_end(struct series_book *book, size_t worker);
/* What its thread has had of processors; 0: it has none. Any thread. */
uint64_t series_book_cpu_ns(const struct series_book *book, size_t worker);

/* The series of these names (owner may be NULL), made if need be, or that of the rest. NULL when out of memory. Any
 * thread, seldom. */
struct series *series_find(struct series_book *book, enum series_kind kind, const char *owner,
                           const char *name) WARN_UNUSED;

/* The one of exactly these names that there is; NULL: none. Any thread, seldom. */
const struct series *series_look(struct series_book *book, enum series_kind kind, const char *owner, const char *name);

/* Any thread; in no order. */
static inline struct series *series_first(const struct series_book *book, enum series_kind kind)
{
    return atomic_load_explicit(&book->first[kind], memory_order_acquire);
}
static inline struct series *series_next(const struct series *series)
{
    return atomic_load_explicit(&series->next, memory_order_acquire);
}

static inline struct listener_slot *listener_slot(const struct series *series, size_t worker)
{
    return (struct listener_slot *)(void *)(series->slots + worker * series->slot_bytes);
}
static inline struct route_slot *route_slot(const struct series *series, size_t worker)
{
    return (struct route_slot *)(void *)(series->slots + worker * series->slot_bytes);
}
static inline struct target_slot *target_slot(const struct series *series, size_t worker)
{
    return (struct target_slot *)(void *)(series->slots + worker * series->slot_bytes);
}
static inline struct endpoint_slot *endpoint_slot(const struct series *series, size_t worker)
{
    return (struct endpoint_slot *)(void *)(series->slots + worker * series->slot_bytes);
}

/* An endpoint is up, or is not, as checks say from now on; or they do not say any more. Takes NULL, like the next. */
void series_check(struct series *series, bool up);
void series_uncheck(struct series *series);
static inline uint64_t series_not_after(const struct series *series)
{
    return (uint64_t)atomic_load_explicit(&series->not_after, memory_order_relaxed);
}
/* A connection has shown a certificate that is good until then; 0: none, which changes nothing. */
void series_certify(struct series *series, int64_t not_after);
/* An attempt to connect to the endpoint has ended; OUTCOME_FORWARDED: well. */
void series_count_connect(struct series *series, size_t worker, enum outcome outcome);

#endif
