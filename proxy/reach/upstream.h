/* Upstream: one exchange's other half. Gets a connection, writes the request, reads the response.
 *
 * Each direction is its own half:
 *
 *   request:   IDLE -> HEAD -> BODY -> SENT         (HEAD: waiting for a connection, or the head not yet sent)
 *   response:  IDLE -> AWAITED -> BODY -> COMPLETE  (BODY: the head is there, bytes of the body to come)
 *                         |-----> SWITCHED          (101: what follows is not HTTP)
 *   either:    -> FAILED (`failure` says why)
 *
 * The connection goes back to its pool the moment both halves have ended cleanly, which may be long before the client
 * has taken the response. */
#ifndef PORTHOLE_REACH_UPSTREAM_H
#define PORTHOLE_REACH_UPSTREAM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/buffer.h"
#include "proxy/base/loop.h"
#include "proxy/http/body.h"
#include "proxy/http/forward.h"
#include "proxy/http/response.h"
#include "proxy/reach/target.h"
#include "proxy/report/failure.h"

#define UPSTREAM_MOST_FIELDS 128

enum upstream_request_half {
    UPSTREAM_REQUEST_IDLE,
    UPSTREAM_REQUEST_HEAD,
    UPSTREAM_REQUEST_BODY,
    UPSTREAM_REQUEST_SENT
};
enum upstream_response_half {
    UPSTREAM_RESPONSE_IDLE,
    UPSTREAM_RESPONSE_AWAITED,
    UPSTREAM_RESPONSE_BODY,
    UPSTREAM_RESPONSE_COMPLETE,
    UPSTREAM_RESPONSE_SWITCHED,
};

/* Memory that a worker's upstreams share. */
struct upstream_store {
    struct buffer_store out; /* requests on their way: a head, or a block of body the target did not take */
    struct buffer_store in;  /* responses: a head with the beginning of its body */
};

/* Embedded in its exchange; zero-initialised by upstream_init. One thread. */
struct upstream {
    struct loop *loop;
    struct upstream_store *store;
    struct target *target; /* NULL until upstream_start */
    struct ticket ticket;
    struct connection *connection; /* held; NULL before, and after it went back */
    struct timer timer;            /* the target's: response, idle */

    const struct request *request; /* borrowed from the exchange until the response head is there */
    const struct forward *forward;
    enum upstream_request_half request_half;
    struct buffer *out;     /* owned; NULL while nothing waits to be sent */
    size_t head_bytes;      /* of the request head */
    uint64_t sent_bytes;    /* over the connection in use, head included */
    bool request_ended;     /* no more body will come */
    bool request_abandoned; /* the target answered or left before it had taken all; the rest is discarded */
    bool reused, retried;

    enum upstream_response_half response_half;
    struct buffer *in; /* owned; response bytes received and not yet handed on */
    size_t scanned;
    struct response response; /* valid from BODY on, while `in` is held */
    struct failure failure;   /* unset while nothing is wrong */
    struct field field_items[UPSTREAM_MOST_FIELDS];
    struct chunked chunked;
    struct buffer *trailers;  /* owned; the trailer section as it came, when the client wants it; else NULL */
    uint64_t remaining_bytes; /* BODY_LENGTH */
    bool body_awaited;        /* somebody waits for the next piece of the body */
    bool body_in_buffer;      /* the whole decoded body is in `in` */
    bool continue_seen;       /* a 100 came */
    unsigned n_interim;       /* 1xx responses so far */
    bool got_bytes;           /* something of a response arrived */

    struct instant started, connected, answered; /* for the log; 0 when not reached */

    void (*interim)(
        struct upstream *upstream); /* NULL, or: `response` is a 1xx other than 100 and 101; must not end it */
    void (*changed)(struct upstream *upstream); /* the exchange looks again; never called from inside a call of ours
                                                   that the exchange made */
};

void upstream_store_init(struct upstream_store *store, size_t out_bytes);
/* From now on `out` has at least this size. */
void upstream_store_grow(struct upstream_store *store, size_t out_bytes);
void upstream_store_deinit(struct upstream_store *store);

void upstream_init(struct upstream *upstream, struct loop *loop, struct upstream_store *store,
                   void (*changed)(struct upstream *upstream));
/* Lets go of everything; a connection that is not cleanly at its end is closed. Harmless twice. */
void upstream_deinit(struct upstream *upstream);

/* Asks the target for a connection and prepares the head. What goes wrong is in `failure`. */
void upstream_start(struct upstream *upstream, struct target *target, const struct request *request,
                    const struct forward *forward);
/* Takes a piece of the body, all of it; call only while upstream_takes_body(). */
void upstream_send_body(struct upstream *upstream, const char *data, size_t length);
/* No more body; in the chunked coding it ends with these trailers (NULL: none). */
void upstream_end_body(struct upstream *upstream, const struct fields *trailers);
/* Sends what is waiting (a head kept back to travel with the first piece of body). */
void upstream_flush(struct upstream *upstream);
/* Whether a piece of body can be taken now; if not, `changed` will be called when it can. */
bool upstream_takes_body(const struct upstream *upstream);

/* True when the response head is there. */
bool upstream_has_response(const struct upstream *upstream);
/* Whether that is a 101 to a request that the target has taken whole: the connection is the caller's to take. */
bool upstream_has_switched(const struct upstream *upstream);
/* Hands over the connection. *ret_early is what came behind the 101; valid until upstream_deinit. */
struct connection *upstream_take_connection(struct upstream *upstream, struct text *ret_early);

enum { UPSTREAM_WAIT = 0, UPSTREAM_END = -1, UPSTREAM_CUT = -2 };
/* The next piece of the response body, received straight into `data`: a count, or one of the above (CUT: `failure` says
 * why). */
ssize_t upstream_read(struct upstream *upstream, char *data, size_t size);
/* After UPSTREAM_END: the trailer section, or an empty text. Valid until upstream_deinit. */
struct text upstream_trailers(const struct upstream *upstream);

#endif
