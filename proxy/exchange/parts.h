/* What an exchange is made of. Private to exchange*.c: exchange.c is its life and its request, exchange_answer.c what
 * the client is told. */
#ifndef PORTHOLE_EXCHANGE_PARTS_H
#define PORTHOLE_EXCHANGE_PARTS_H

#include "proxy/exchange/exchange.h"

#define TARGET_INLINE_BYTES 512
#define ID_BYTES 32
#define PROBLEM_BYTES (512 + 2 * REQUEST_ID_MOST_BYTES)

enum exchange_state { EXCHANGE_NEW, EXCHANGE_RECEIVING, EXCHANGE_WAITING, EXCHANGE_ANSWERED };

struct exchange {
    struct exchange_env *env; /* borrowed */
    struct exchange_client *client;
    struct generation *generation;    /* a reference */
    const struct route_config *route; /* NULL until one is found */
    enum exchange_state state;
    unsigned status;         /* told to the client; 0 before */
    unsigned refused_status; /* where it is more precise than the outcome's; 0 otherwise */
    bool request_ended;      /* the client has sent all of it */
    bool answer_is_ours;     /* a problem or a route's own response, not the target's */
    bool close;              /* after the answer */
    bool tunneled;           /* what follows is a tunnel's to report */
    size_t room_bytes;       /* for a response head */
    uint64_t received_bytes, sent_bytes, discarded_bytes;
    uint64_t buffered_bytes; /* of an answer's body that lies in memory: sent when it was delivered */
    struct instant begun;
    struct text target; /* the request-target: target_inline, or owned memory when longer */
    struct forward forward;
    struct list unsent; /* in env.unsent */
    struct exchange *next_spare;
    char id[ID_BYTES];
    struct failure failure; /* ours or the client's; the target's is the upstream's */
    struct request request;
    struct field own_field; /* Content-Type of an answer of ours */
    char problem[PROBLEM_BYTES];
    char target_inline[TARGET_INLINE_BYTES];
    struct upstream upstream;
    struct field field_items[UPSTREAM_MOST_FIELDS];
};

/* How it failed, on either side; unset when it did not. */
static inline const struct failure *exchange_failure(const struct exchange *exchange)
{
    return failure_is_set(&exchange->failure) ? &exchange->failure : &exchange->upstream.failure;
}

/* Whether what the target says or takes counts. */
static inline bool exchange_is_forwarding(const struct exchange *exchange)
{
    return exchange->route && exchange->route->action == ROUTE_TARGET && !failure_is_set(&exchange->failure);
}

/* Gives it an id of our own, unless it has one. */
void exchange_need_id(struct exchange *exchange);
/* The upstream has an interim response. */
void exchange_on_interim(struct upstream *upstream);

#endif
