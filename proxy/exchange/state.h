/* What an exchange is made of, and which way it goes. Private to this folder.
 *
 *   NEW ------> RECEIVING ------> WAITING ------> ANSWERED ------> (exchange_end, from any state)
 *    | \  head     |  \   body at     |   answer       |   delivered, or not
 *    |  \ checked  |   \  its end     |   taken        |
 *    |   \         |    +-------------|----------------^   an answer that does not wait for the body
 *    |    +--------|------------------|----------------^   the head broke off, which is all there is to answer
 *    +-------------+------------------^  refused: what is still to come of the request is not for anybody
 *
 * An answer that cannot be told after all is refused (exchange_refuse), and the problem is taken instead: ANSWERED
 * again.
 */
#ifndef PORTHOLE_EXCHANGE_STATE_H
#define PORTHOLE_EXCHANGE_STATE_H

#include "proxy/base/state.h"
#include "proxy/exchange/env.h"
#include "proxy/exchange/side.h"
#include "proxy/exchange/source.h"
#include "proxy/http/forward.h"
#include "proxy/http/trace.h"
#include "proxy/report/failure.h"

#define TARGET_INLINE_BYTES 512
#define PROBLEM_BYTES (512 + 2 * REQUEST_ID_MOST_BYTES)

enum exchange_state { EXCHANGE_NEW, EXCHANGE_RECEIVING, EXCHANGE_WAITING, EXCHANGE_ANSWERED, N_EXCHANGE_STATES };

extern const struct state_machine exchange_machine;

struct capture;
struct held;
struct page;

struct exchange {
    struct exchange_env *env; /* borrowed */
    struct exchange_client *client;
    struct generation *generation;    /* a reference */
    const struct route_config *route; /* NULL until one is found, and where none is but the listener only observes */
    const struct target_config *target_config; /* where it goes; NULL: nowhere */
    const struct target_times *times;          /* how long that may take */
    const struct retry_config *retries;        /* when it is asked again */
    uint64_t limit_body_bytes;                 /* of the route, once it is known */
    uint64_t retry_after_s;                    /* told with a refusal; 0: nothing is */
    const struct exchange_source
        *source; /* who answers; the problem until a route is found, and again after a failure */
    const struct exchange_source *teller; /* whose answer was told; NULL before */
    enum exchange_state state;
    unsigned status;         /* told to the client; 0 before */
    unsigned refused_status; /* where it is more precise than the outcome's; 0 otherwise */
    bool request_ended;      /* the client has sent all of it */
    bool close;              /* after the answer */
    bool tunneled;           /* what follows is a tunnel's to report */
    bool observed;           /* the routes refuse it, which the listener only observes */
    size_t head_bytes;       /* of the request */
    uint64_t received_bytes, sent_bytes, discarded_bytes;
    uint64_t buffered_bytes; /* of an answer's body that lies in memory: sent when it was delivered */
    struct instant begun;
    struct text target; /* the request-target: target_inline, or owned memory when longer */
    struct forward forward;
    struct list ready;   /* in env.ready, or alone */
    void *request_block; /* owned; what the route makes of the request, or a Location; NULL: nothing, like the next */
    struct page *page;   /* owned; what pages answers with; NULL: it is not asked */
    struct text
        shown; /* owned; the request-target without secrets, once somebody was told (shown.h); of NULL: not yet */
    struct capture *capture;    /* owned; what taps see of it; NULL: nothing */
    struct held *held;          /* owned; a body that rules judge, until the target has it; NULL: none */
    struct field *answer_block; /* owned; and of the answer's fields */
    size_t answer_secret_bytes; /* of answer_block, to be wiped; 0: it has nothing that a file holds */
    char id[ID_BYTES];          /* up to here, and room.many, all is zero at first */
    char trace[TRACE_BYTES];    /* what forward.trace is, or nothing yet */
    struct failure failure;
    struct request request;
    struct field own_fields[3]; /* of an answer of ours: Content-Type, Retry-After, a policy */
    char retry_after[24];
    char problem[PROBLEM_BYTES];
    char target_inline[TARGET_INLINE_BYTES];
    struct upstream upstream; /* fetch's; of others only its instants are looked at */
    struct field_room room;   /* of request.fields */
};

/* Goes on to another state. */
static inline void exchange_move(struct exchange *exchange, enum exchange_state to)
{
    state_check(&exchange_machine, exchange->state, to);
    exchange->state = to;
}
/* Frees what a route has made of the request and of the answer; what files hold is wiped. */
void exchange_drop_request(struct exchange *exchange);
void exchange_drop_answer(struct exchange *exchange);
/* Gives it an id of our own, unless it has one. */
void exchange_need_id(struct exchange *exchange);

#endif
