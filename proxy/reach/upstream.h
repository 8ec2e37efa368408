/* Upstream: one exchange's other half. Gets a connection, writes the request, reads the response.
 *
 * Each direction is a half of its own (request_half.h, response_half.h), which knows of nothing but its messages. The
 * upstream owns both, the connection and the deadline: it acts on what their steps return, sends a request again
 * where that does no harm (retry.h), and ends both when one has failed.
 *
 * The connection goes back to its pool the moment both halves have ended cleanly, which may be long before the client
 * has taken the response. */
#ifndef PORTHOLE_REACH_UPSTREAM_H
#define PORTHOLE_REACH_UPSTREAM_H

#include "proxy/reach/request_half.h"
#include "proxy/reach/response_half.h"
#include "proxy/reach/target.h"

#define UPSTREAM_MOST_FIELDS RESPONSE_HALF_MOST_FIELDS

/* Memory that a worker's upstreams share. */
struct upstream_store {
    struct buffer_store out; /* requests on their way: a head, or a block of body the target did not take */
    struct buffer_store in;  /* responses: a head with the beginning of its body */
};

/* Embedded in its exchange; zero-initialised by upstream_init. One thread. */
struct upstream {
    struct loop *loop;
    struct target *target; /* NULL until upstream_start */
    const struct target_times *times;
    struct ticket ticket;
    struct connection *connection; /* held; NULL before, and after it went back */
    struct timer timer;            /* the target's: response, idle */
    bool reused;
    const struct retry_config *retries; /* borrowed */
    uint32_t n_retries;
    struct instant asked; /* when the request was first sent whole; 0 before */
    bool personal;        /* the request says who asks for the whole connection */
    uint64_t unread;   /* 1 and unread_look, when the target was found not to take more; 0 before, and since it has */
    bool body_awaited; /* somebody waits for the next piece of the response's body */

    enum tls_label tls;                          /* of the last connection */
    struct instant started, connected, answered; /* for the log; 0 when not reached */

    void (*interim)(
        struct upstream *upstream); /* NULL, or: the response is a 1xx other than 100 and 101; must not end it */
    void (*changed)(struct upstream *upstream); /* the exchange looks again; never called from inside a call of ours
                                                   that the exchange made */
    struct request_half request_half;
    struct response_half response_half;
    struct failure failure; /* unset while nothing is wrong */
};

void upstream_store_init(struct upstream_store *store, size_t out_bytes, size_t answer_head_bytes);
/* From now on `out` and the heads of responses may have at least this size. */
void upstream_store_grow(struct upstream_store *store, size_t out_bytes, size_t answer_head_bytes);
/* The spare ones are given back. */
void upstream_store_empty(struct upstream_store *store);
void upstream_store_deinit(struct upstream_store *store);
/* buffer_store_rest for all of it. */
static inline void upstream_store_rest(struct upstream_store *store)
{
    buffer_store_rest(&store->out);
    buffer_store_rest(&store->in);
}

void upstream_init(struct upstream *upstream, struct loop *loop, struct upstream_store *store,
                   void (*changed)(struct upstream *upstream));
/* Lets go of everything; a connection that is not cleanly at its end is closed. Harmless twice. */
void upstream_deinit(struct upstream *upstream);

/* Asks the target for a connection and prepares the head; `times` and `retries` are borrowed, and say how long it may
 * take and when it is sent again. What goes wrong is in `failure`. */
void upstream_start(struct upstream *upstream, struct target *target, const struct target_times *times,
                    const struct retry_config *retries, const struct request *request, const struct forward *forward);
/* Takes a piece of the body, all of it; call only while upstream_takes_body(). `company`: so much more is soon to come,
 * for which it may wait until upstream_turn; 0: for nothing. */
void upstream_send_body(struct upstream *upstream, const char *data, size_t length, uint64_t company);
/* Whether its connection is to a Unix socket. */
bool upstream_is_unix(const struct upstream *upstream);
/* Whether pieces of a body of known length can be moved by upstream_splice_body: over this connection, once the head is
 * gone. */
bool upstream_splices_body(const struct upstream *upstream);
/* Moves a piece of the body, of at most `most` bytes, from a socket; call only while upstream_takes_body(). A count, or
 * UPSTREAM_WAIT (nothing is there), _END (of the file, or it is broken), _COPY (the next piece must be sent). */
ssize_t upstream_splice_body(struct upstream *upstream, struct pipe_store *pipes, int fd, uint64_t most);
/* No more body; in the chunked coding it ends with these trailers (NULL: none). */
void upstream_end_body(struct upstream *upstream, const struct fields *trailers);
/* Sends what is waiting. */
void upstream_flush(struct upstream *upstream);
/* Whether there is something for upstream_turn to do before the loop may sleep. */
static inline bool upstream_wants_turn(const struct upstream *upstream)
{
    return upstream->connection && (request_half_keeps_back(&upstream->request_half) || upstream->response_half.more);
}
/* Sends what was kept back (a head to travel with the first piece of body, small pieces to travel together), and goes
 * on with what was too much for one turn: a head is looked for, a body may be read on. */
void upstream_turn(struct upstream *upstream);
/* Whether a piece of body can be taken now; if not, `changed` will be called when it can. */
bool upstream_takes_body(const struct upstream *upstream);

/* Whether what is still to come of the request is discarded: the target answered or left before it had taken all. */
static inline bool upstream_discards(const struct upstream *upstream)
{
    return request_half_is_abandoned(&upstream->request_half);
}
/* Whether the target has said that it wants the body: by a 100, or by a 101 before its time. */
static inline bool upstream_is_expecting(const struct upstream *upstream)
{
    return upstream->response_half.continue_seen || upstream->response_half.state == RESPONSE_HALF_SWITCHED;
}
/* How often a connection or the request was tried again. */
static inline uint32_t upstream_n_retries(const struct upstream *upstream)
{
    return upstream->n_retries + upstream->ticket.n_passed;
}
/* The response's head: the final one, or during `interim` that. Its texts lie in the upstream's memory, each followed
 * by a byte that is of no more use. */
static inline struct response *upstream_response(struct upstream *upstream)
{
    return &upstream->response_half.response;
}
/* True when the response head is there, a 101 included. */
static inline bool upstream_has_response(const struct upstream *upstream)
{
    return upstream->response_half.state >= RESPONSE_HALF_BODY;
}
/* Whether that is a 101: the target has agreed, perhaps before it had taken all of the request. */
static inline bool upstream_is_switching(const struct upstream *upstream)
{
    return upstream->response_half.state == RESPONSE_HALF_SWITCHED;
}
/* Whether it has taken it whole: the connection is the caller's to take. */
static inline bool upstream_has_switched(const struct upstream *upstream)
{
    return upstream_is_switching(upstream) && upstream->request_half.state == REQUEST_HALF_SENT;
}
/* Hands over the connection. *ret_early is what came behind the 101; valid until upstream_deinit. */
struct connection *upstream_take_connection(struct upstream *upstream, struct text *ret_early);
/* Whether the whole body, decoded, came with the head: *ret_body, valid until upstream_deinit. */
bool upstream_has_body(const struct upstream *upstream, struct text *ret_body);
/* Whether nothing of the response is left to be read, or all that is left is that body. */
bool upstream_is_read(const struct upstream *upstream);

enum {
    UPSTREAM_WAIT = RESPONSE_HALF_WAIT,
    UPSTREAM_END = RESPONSE_HALF_END,
    UPSTREAM_CUT = RESPONSE_HALF_CUT,
    UPSTREAM_COPY = RESPONSE_HALF_COPY
};
/* The next piece of the response body, received straight into `data`: a count, or one of the above (CUT: `failure` says
 * why). */
ssize_t upstream_read(struct upstream *upstream, char *data, size_t size);
/* As much of a body of known length as has arrived and `data` has room for, and no word of what is wrong; without
 * `receive` only what came with the head. A count. */
size_t upstream_gather(struct upstream *upstream, char *data, size_t size, bool receive);
/* How much of a body of known length upstream_splice can move; 0: it is to be read. */
uint64_t upstream_spliceable(const struct upstream *upstream);
/* Whether upstream_splice can move pieces of a body of which the length is not known. */
bool upstream_flows(const struct upstream *upstream);
/* As upstream_read, but into an empty pipe; COPY: the next piece must be read, as must one of a chunk of which less
 * than so much is to come. */
ssize_t upstream_splice(struct upstream *upstream, struct pipe *pipe, uint64_t least_of_chunk);
/* For upstream_splice.c: act on what a step of the request half has returned, and on what reading has. */
void upstream_sent(struct upstream *upstream, enum half_result result);
ssize_t upstream_has_read(struct upstream *upstream, ssize_t n);
/* After UPSTREAM_END: the trailer section, or an empty text. Valid until upstream_deinit. */
struct text upstream_trailers(const struct upstream *upstream);
/* The array of the response's fields, empty: the head has been told, and its trailers may be parsed into it. */
struct fields *upstream_empty_fields(struct upstream *upstream);

#endif
