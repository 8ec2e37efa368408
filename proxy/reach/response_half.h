/* The response half of an upstream: strict parsing of heads, and a body that is pulled.
 *
 *   IDLE ---> AWAITED ---> BODY ---> COMPLETE   a final head is there, bytes of its body may be to come
 *     ^          | |         |          |
 *     +----------+-|---------+----------+       once more over another connection
 *                  +-----> SWITCHED             101: what follows is not HTTP
 *
 * It knows nothing of requests under way and of deadlines: its owner acts on what its steps return. */
#ifndef PORTHOLE_REACH_RESPONSE_HALF_H
#define PORTHOLE_REACH_RESPONSE_HALF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/base/buffer.h"
#include "proxy/base/pipe.h"
#include "proxy/base/state.h"
#include "proxy/http/body.h"
#include "proxy/http/forward.h"
#include "proxy/http/response.h"
#include "proxy/reach/channel.h"
#include "proxy/reach/field_room.h"
#include "proxy/reach/half.h"
#include "proxy/report/failure.h"

#define RESPONSE_HALF_MOST_FIELDS FIELD_ROOM_MOST

enum response_half_state {
    RESPONSE_HALF_IDLE,
    RESPONSE_HALF_AWAITED,
    RESPONSE_HALF_BODY,
    RESPONSE_HALF_COMPLETE,
    RESPONSE_HALF_SWITCHED,
    N_RESPONSE_HALF_STATES
};

extern const struct state_machine response_half_machine;

/* Embedded in its upstream. */
struct response_half {
    enum response_half_state state;
    const struct request *request; /* borrowed from the exchange, like the next; until the head is there */
    const struct forward *forward;
    struct buffer_store *store; /* borrowed, like the next */
    struct failure *failure;    /* the upstream's */
    struct buffer *in;          /* owned; bytes received and not yet handed on */
    bool unparsed;              /* some of them may be another head */
    bool more;                  /* it waits for its next turn, not for the target */
    size_t scanned;
    size_t head_bytes;        /* of the final head as it came; 0 before */
    struct response response; /* valid from BODY on, while `in` is held */
    struct chunked chunked;
    size_t receive_bytes;     /* of chunks, that the next receive may bring; 0: whatever there is room for */
    struct buffer *trailers;  /* owned; the trailer section as it came, when the client wants it; else NULL */
    uint64_t remaining_bytes; /* BODY_LENGTH */
    int error_number;         /* of HALF_LOST */
    unsigned n_interim;       /* 1xx responses so far */
    bool body_in_buffer;      /* the whole decoded body is in `in` */
    bool continue_seen;       /* a 100 came */
    bool personal;            /* a head has to do with one client alone, an interim one or the final one */
    bool got_bytes;           /* something of a response arrived */
    struct field_room room;   /* of response.fields; its `few` are not cleared */
};

/* The half is all zero but for store, failure and room.few. */
static inline void response_half_start(struct response_half *half, const struct request *request,
                                       const struct forward *forward)
{
    half->request = request;
    half->forward = forward;
}
/* For this file's own use: the one way from state to state. */
static inline void response_half_move(struct response_half *half, enum response_half_state to)
{
    state_check(&response_half_machine, half->state, to);
    half->state = to;
}
/* There is a connection, on which a response is to come. */
static inline void response_half_await(struct response_half *half)
{
    response_half_move(half, RESPONSE_HALF_AWAITED);
}
/* It will come on another connection, if on any: what came is forgotten, but for `personal`. */
void response_half_leave(struct response_half *half);
/* Gives its memory back. Harmless twice. */
void response_half_drop(struct response_half *half);

/* While AWAITED: receives and parses, a few pieces at most (HALF_WAIT, with `more`). HALF_MORE: an interim response is
 * in `response`, call again. HALF_DONE: BODY, COMPLETE or SWITCHED. */
enum half_result response_half_receive(struct response_half *half, struct channel *channel);

enum { RESPONSE_HALF_WAIT = 0, RESPONSE_HALF_END = -1, RESPONSE_HALF_CUT = -2, RESPONSE_HALF_COPY = -3 };
/* While BODY or COMPLETE: the next piece of the body, straight into `data`: a count, or one of the above (WAIT: for the
 * target, or with `more` for another turn; CUT: the upstream's failure says why). */
ssize_t response_half_read(struct response_half *half, struct channel *channel, char *data, size_t size);
/* While BODY: as much of a body of known length as has arrived and `data` has room for; without `receive` only what
 * came with the head. A count. That the target has gone is for response_half_read to find. */
size_t response_half_gather(struct response_half *half, struct channel *channel, char *data, size_t size, bool receive);
/* What is still to come of a body of known length, not counting what came with its head. */
uint64_t response_half_to_come(const struct response_half *half);
/* While BODY: as response_half_read over a plain channel, but into an empty pipe. COPY: the next piece must be read, as
 * must one of a chunk of which less than so much is to come. */
ssize_t response_half_splice(struct response_half *half, struct channel *channel, struct pipe *pipe,
                             uint64_t least_of_chunk);
/* The trailer section, or an empty text. */
struct text response_half_trailers(const struct response_half *half);

#endif
