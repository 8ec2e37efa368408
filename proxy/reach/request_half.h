/* The request half of an upstream: a head of our making, and a body that goes on as it comes.
 *
 * Chunks are gathered: what a client says in many small ones is one chunk for the target. A head with the beginning of
 * a short body waits for its end, if that comes in the same round. Both are sent by the owner's request_half_flush,
 * which must come before it sleeps, or as soon as there is enough.
 *
 *   IDLE ---> HEAD ---> BODY ---> SENT
 *              | ^ ^     | |       |
 *              +-+ +-----|-+-------+    once more over a fresh connection
 *              |         |
 *              +---------+---> ABANDONED   failed, or answered before the target had taken all: what is still to
 *                                          come is discarded
 *
 * HEAD: waiting for a connection, or the head is not yet sent whole. It knows nothing of responses and deadlines: its
 * owner acts on what its steps return. */
#ifndef PORTHOLE_REACH_REQUEST_HALF_H
#define PORTHOLE_REACH_REQUEST_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/buffer.h"
#include "proxy/base/error.h"
#include "proxy/base/pipe.h"
#include "proxy/base/state.h"
#include "proxy/http/forward.h"
#include "proxy/reach/half.h"
#include "proxy/reach/pool.h"
#include "proxy/report/failure.h"

#define REQUEST_HALF_GATHER_BYTES 16384u /* behind the head; then they are sent at once */

enum request_half_state {
    REQUEST_HALF_IDLE,
    REQUEST_HALF_HEAD,
    REQUEST_HALF_BODY,
    REQUEST_HALF_SENT,
    REQUEST_HALF_ABANDONED,
    N_REQUEST_HALF_STATES
};

extern const struct state_machine request_half_machine;

/* Embedded in its upstream. */
struct request_half {
    enum request_half_state state;
    const struct request *request; /* borrowed from the exchange, like the next */
    const struct forward *forward;
    struct buffer_store *store; /* borrowed, like the next */
    struct failure *failure;    /* the upstream's */
    struct buffer *out;         /* owned; NULL while nothing waits to be sent */
    struct pipe_store *pipes;   /* borrowed; where the next one is from */
    struct pipe *piped;         /* owned; a piece of body that waits to be sent, when there is no `out`; or NULL */
    size_t head_bytes;          /* of the request head */
    size_t chunk_bytes;         /* of content in the chunk that `out` ends with; 0: with none */
    uint64_t sent_bytes;        /* over the connection in use, head included */
    int error_number;           /* of HALF_LOST */
    bool full;                  /* the target has not taken all of `out`: no more until it has */
    bool ended;                 /* no more body will come */
};

/* The half is all zero but for store and failure. */
static inline void request_half_start(struct request_half *half, const struct request *request,
                                      const struct forward *forward)
{
    half->request = request;
    half->forward = forward;
    half->ended = request->body == BODY_NONE;
}
/* Prepares the head for a connection, the first or another one. HALF_MORE or HALF_FAILED. */
enum half_result request_half_begin(struct request_half *half);
/* There is no connection yet: the head waits in as little memory as it needs. */
void request_half_rest(struct request_half *half);
/* Sends what is waiting. HALF_DONE when that was the end of the request. */
enum half_result request_half_flush(struct request_half *half, struct connection *connection);
/* Takes a piece of the body, all of it; only while request_half_takes_body. `company`: so much more is soon to come,
 * for which it may wait; 0: for nothing. HALF_MORE: sent, or kept back. */
enum half_result request_half_send(struct request_half *half, struct connection *connection, const char *data,
                                   size_t length, uint64_t company);
/* Receives a piece of a body of known length, to be flushed; only while BODY and request_half_takes_body. A count, 0 at
 * the end of file, -EAGAIN when nothing is there, -EOPNOTSUPP when it must be sent, or another negative errno. */
ssize_t request_half_splice(struct request_half *half, struct pipe_store *pipes, int fd, size_t most);
/* No more body; in the chunked coding it ends with these trailers (NULL: none). HALF_MORE, to be flushed, or
 * HALF_FAILED. */
enum half_result request_half_end(struct request_half *half, const struct fields *trailers);
/* Nobody will read the rest. */
void request_half_abandon(struct request_half *half);
/* Gives its memory back. */
void request_half_drop(struct request_half *half);

/* Whether a piece of body can be taken; `connected` says whether there is a connection. */
bool request_half_takes_body(const struct request_half *half, bool connected);
/* Whether something is kept back, for company, that could be sent. */
static inline bool request_half_keeps_back(const struct request_half *half)
{
    return half->out && !half->full;
}
/* Whether the connection in use was not even sent the whole head; it is still here then. */
static inline bool request_half_is_unsent(const struct request_half *half)
{
    return half->sent_bytes < half->head_bytes;
}

static inline bool request_half_is_abandoned(const struct request_half *half)
{
    return half->state == REQUEST_HALF_ABANDONED;
}

#endif
