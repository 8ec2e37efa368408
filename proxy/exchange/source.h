/* Who answers an exchange: its route's target (fetch), a route's fixed response (respond), or a problem when it has
 * failed, whoever was to answer before. Nobody else asks which of them it is.
 *
 *   begin -> expectation (only if the client asks) -> body ... -> end_of_body -> answer -> read ... -> trailers -> end
 *
 * An answer may be there at any time from `begin` on, in the middle of the body, too. A source that fails says so with
 * exchange_fail: from then on the problem answers, or cuts what has been told already. */
#ifndef PORTHOLE_EXCHANGE_SOURCE_H
#define PORTHOLE_EXCHANGE_SOURCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/http/fields.h"
#include "proxy/report/outcome.h"

struct exchange;
struct pipe;

enum answer_body { ANSWER_NONE, ANSWER_BUFFER, ANSWER_STREAM, ANSWER_TUNNEL };

/* What is added to a response head on its way: status line, Date, Connection and framing, generously. */
#define ANSWER_HEAD_MORE_BYTES 256u

/* A final response, ready to be told. Texts are borrowed from the exchange; names and values are terminated. */
struct answer {
    unsigned status;
    struct text reason;         /* the target's own; empty: that of the status (http/status.h) */
    const struct field *fields; /* all; those with .drop set are not for the client */
    size_t n_fields;
    enum answer_body body;
    const char *data; /* ANSWER_BUFFER */
    uint64_t length;  /* of data; of the stream, or of what HEAD or 304 stand for, when has_length */
    bool has_length;
    bool names_length; /* one of the fields, dropped as framing, told it: that is where it belongs */
    bool chunkable; /* this and what follows is the exchange's to say: the client knows the chunked coding (HTTP/1.1) */
    bool is_head;   /* to HEAD: a body of any kind is not sent */
    bool close;     /* the connection ends after it */
    bool spliceable; /* a stream that is better had by exchange_splice; without a length: if much of it comes at once */
};

enum exchange_verdict {
    EXCHANGE_FORWARD, /* take the body (if any), then poll */
    EXCHANGE_EXPECT,  /* nobody has said yet whether the body is wanted: wait for a wake, then ask again */
    EXCHANGE_REFUSE,  /* an answer is there and the body is not wanted: answer and close */
};

/* What reading may return instead of a count. */
enum { SOURCE_WAIT = 0, SOURCE_END = -1, SOURCE_CUT = -2, SOURCE_COPY = -3 };

/* Constant; all functions are there. Each gets the exchange that it answers. */
struct exchange_source {
    enum outcome outcome; /* of an exchange that it has answered; OUTCOME_PENDING: the failure is */
    bool is_ready;        /* its answer is there from the beginning, whatever the body will say */

    /* The head has been checked and the route found. */
    void (*begin)(struct exchange *exchange);
    /* Whether a client that asks (Expect: 100-continue) is to send its body. */
    enum exchange_verdict (*expectation)(const struct exchange *exchange);
    /* Whether a piece of body may come now; if not, the client is woken when it may. */
    bool (*takes_body)(const struct exchange *exchange);
    /* A piece of body. False when it is not wanted (any more). */
    bool (*body)(struct exchange *exchange, const char *data, size_t length);
    /* Of how much still to come pieces of a body of known length are better moved by splice_body. 0: they cannot be. */
    uint64_t (*splices_body)(const struct exchange *exchange);
    /* Moves a piece of it, of at most `most` bytes, from a socket. A count, or one of SOURCE_*. */
    ssize_t (*splice_body)(struct exchange *exchange, int fd, uint64_t most);
    /* No more will come; trailers have been checked (NULL: none). */
    void (*end_of_body)(struct exchange *exchange, const struct fields *trailers);
    /* The round ends: what was kept back for company goes now, and what was too much for one turn goes on. */
    void (*turn)(struct exchange *exchange);
    /* Whether the answer is there. */
    bool (*has_answer)(const struct exchange *exchange);
    /* Whether all of it is, with nothing more to be waited for or read. */
    bool (*is_whole)(const struct exchange *exchange);
    /* Fills in the answer; false while it must be waited for. */
    bool (*answer)(struct exchange *exchange, struct answer *answer);
    /* The next piece of an ANSWER_STREAM: a count, or one of SOURCE_*. */
    ssize_t (*read)(struct exchange *exchange, char *data, size_t size);
    /* As much of a stream of known length as has arrived and `data` has room for; without `receive` only what lies in
     * memory. A count. What is wrong with it only `read` says. */
    size_t (*gather)(struct exchange *exchange, char *data, size_t size, bool receive);
    /* The next piece of a spliceable answer into an empty pipe, without a copy: as `read`, or SOURCE_COPY: it must be
     * read. */
    ssize_t (*splice)(struct exchange *exchange, struct pipe *pipe);
    /* After SOURCE_END: the trailers for the client, their names and values terminated. NULL: none. */
    const struct fields *(*trailers)(struct exchange *exchange);
    /* Lets go of everything. */
    void (*end)(struct exchange *exchange);
};

/* What those have in common who answer without having been asked about the body, all at once and from memory. */
void source_nothing(struct exchange *exchange);
enum exchange_verdict source_refuse_body(const struct exchange *exchange);
bool source_always(const struct exchange *exchange);
bool source_discard_body(struct exchange *exchange, const char *data, size_t length);
void source_ignore_end(struct exchange *exchange, const struct fields *trailers);
ssize_t source_cut(struct exchange *exchange, char *data, size_t size);
size_t source_gathers_nothing(struct exchange *exchange, char *data, size_t size, bool receive);
ssize_t source_copy(struct exchange *exchange, struct pipe *pipe);
uint64_t source_splices_none(const struct exchange *exchange);
ssize_t source_copy_body(struct exchange *exchange, int fd, uint64_t most);
const struct fields *source_no_trailers(struct exchange *exchange);

/* Members of those that have their answer from the beginning, in memory: the body is taken as long as it is short, and
 * read by nobody. */
#define SOURCE_OF_READY_ANSWER                                                                                      \
    .is_ready = true, .expectation = source_refuse_body, .takes_body = source_always, .body = source_discard_body,  \
    .end_of_body = source_ignore_end, .turn = source_nothing, .read = source_cut, .gather = source_gathers_nothing, \
    .splice = source_copy, .splices_body = source_splices_none, .splice_body = source_copy_body,                    \
    .trailers = source_no_trailers, .end = source_nothing

#endif
