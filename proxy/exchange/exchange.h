/* An exchange: one request with its response, from the first line to the log.
 *
 *   NEW ------> RECEIVING ------> WAITING ------> ANSWERED ------> (exchange_end)
 *    |  head       |   body at       |   answer       |   delivered, or not
 *    |  checked    |   its end       |   taken        |
 *    +-------------+--- a failure makes an answer of our own: WAITING
 *
 * It sees its client only through struct exchange_client, which the frontend implements (and a test can), and its
 * target only through upstream. One thread: its worker's. */
#ifndef PORTHOLE_EXCHANGE_EXCHANGE_H
#define PORTHOLE_EXCHANGE_EXCHANGE_H

#include "config/snapshot.h"
#include "proxy/base/loop.h"
#include "proxy/http/request.h"
#include "proxy/reach/generation.h"
#include "proxy/reach/upstream.h"
#include "proxy/report/recorder.h"
#include "proxy/tunnel/tunnel.h"

struct exchange;

/* What a worker lends to all its exchanges. */
struct exchange_env {
    struct loop *loop;
    struct generation *generation; /* a reference: the newest, which clients move to between two requests */
    struct upstream_store store;
    struct recorder recorder;
    struct tunnels tunnels;
    struct list unsent;     /* of exchange: a head waits for its first piece of body */
    struct exchange *spare; /* free list */
    size_t n_spare;
    uint64_t id_prefix, id_counter; /* of request ids */
    char *path_scratch;             /* owned; what paths are matched in */
    size_t path_scratch_bytes;
    bool stopping; /* answers close their connections */
};

/* 0 or -ENOMEM. loop and recorder have been set. */
int exchange_env_init(struct exchange_env *env, struct generation *generation) WARN_UNUSED;
/* Another generation is the newest from now on. 0 or -ENOMEM: then nothing has changed. */
int exchange_env_renew(struct exchange_env *env, struct generation *generation) WARN_UNUSED;
void exchange_env_deinit(struct exchange_env *env);

/* The client's side, implemented by the frontend. */
struct exchange_client {
    /* Something changed: look at the exchange again (body room, answer, bytes of a body). May be called at any time
     * outside of a call into the exchange; must not call back at once. */
    void (*wake)(struct exchange_client *client);
    /* NULL, or: tells a 1xx before the answer; must not call back. Names and values are terminated. */
    void (*interim)(struct exchange_client *client, unsigned status, const struct fields *fields);
    struct generation *generation;          /* a reference; stays what it is as long as there is an exchange */
    const struct listener_config *listener; /* borrowed from the generation */
    bool leaving;                           /* its listener is not served any more: answers close the connection */
    struct text address;                    /* struct forward: client_address, client_node */
    struct text node;
    struct text peer; /* for the log */
};

/* Begins when the request-target is known, which is copied. NULL when out of memory. */
struct exchange *exchange_new(struct exchange_env *env, struct exchange_client *client, struct text target);

enum exchange_verdict {
    EXCHANGE_FORWARD, /* take the body (if any), then poll */
    EXCHANGE_EXPECT,  /* the target has not said yet whether it wants the body: wait for a wake, then ask again */
    EXCHANGE_REFUSE,  /* an answer is there and the body is not wanted: answer and close */
};

/* The array that the head's fields are collected in (UPSTREAM_MOST_FIELDS of them); texts are borrowed until the
 * end of the request. */
struct fields *exchange_fields(struct exchange *exchange);
/* The head is complete. head_bytes counts the request line and fields; room_bytes is what is left for a response head.
 */
enum exchange_verdict exchange_head(struct exchange *exchange, struct text method, unsigned minor, size_t head_bytes,
                                    size_t room_bytes);
/* Whether a waiting expectation has been settled. */
enum exchange_verdict exchange_expectation(struct exchange *exchange);
/* The head or the request-target is too large for us. */
void exchange_refuse(struct exchange *exchange, enum outcome outcome, const char *reason);

enum exchange_body_result {
    EXCHANGE_BODY_MORE,
    EXCHANGE_BODY_FULL,  /* taken, but wait for a wake before giving more */
    EXCHANGE_BODY_EARLY, /* an answer is there and too much of the body is still to come: answer now, then close */
};
/* Whether the request's body comes in the chunked coding. */
bool exchange_is_chunked(const struct exchange *exchange);
/* Whether the target can take a piece of a body that is still coming. */
bool exchange_is_receiving(const struct exchange *exchange);
/* Whether a piece of body may be given now. */
bool exchange_takes_body(const struct exchange *exchange);
/* A piece of body; always taken (or discarded) whole. Only while exchange_takes_body(). */
enum exchange_body_result exchange_body(struct exchange *exchange, const char *data, size_t length);
/* The request is complete, with the trailers that the parser found (checked here; NULL: none). May be called more than
 * once. */
void exchange_body_end(struct exchange *exchange, struct fields *trailers);

enum answer_body { ANSWER_NONE, ANSWER_BUFFER, ANSWER_STREAM, ANSWER_TUNNEL };

/* A final response, ready to be told. Texts are borrowed from the exchange; names and values are terminated. */
struct answer {
    unsigned status;
    const struct field *fields; /* all; those with .drop set are not for the client */
    size_t n_fields;
    enum answer_body body;
    const char *data; /* ANSWER_BUFFER */
    uint64_t length;  /* of data; of the stream, or of what HEAD or 304 stand for, when has_length */
    bool has_length;
    bool chunkable; /* the client knows the chunked coding (HTTP/1.1) */
    bool is_head;   /* to HEAD: a body of any kind is not sent */
    bool close;     /* the connection ends after it */
};

/* True with the answer when it can be told, false while it must be waited for. Tells it once. What is left of the
 * request's body may be given while the answer is read. */
bool exchange_answer(struct exchange *exchange, struct answer *ret_answer);
/* Whether an answer is there although the client has not sent all of its body. */
bool exchange_has_early_answer(const struct exchange *exchange);
/* Whether the answer has been handed out whole: what follows is up to the client's side. */
bool exchange_is_told(const struct exchange *exchange);
/* As upstream_read: the next piece of an ANSWER_STREAM. */
ssize_t exchange_read(struct exchange *exchange, char *data, size_t size);

/* After the end of an ANSWER_STREAM: the trailers for the client, their names and values terminated. NULL: none. */
const struct fields *exchange_trailers(struct exchange *exchange);

/* An ANSWER_TUNNEL has been told: the exchange goes on as a tunnel (tunnel_join) and its own end tells nothing more.
 * client->fd and its pass are taken over in any case. 0 or a negative errno: then it has failed. */
int exchange_tunnel(struct exchange *exchange, struct tunnel_client *client, struct text early) WARN_UNUSED;

/* Begins a stream listener's tunnel. The same contract; there is no exchange. */
int exchange_stream(struct exchange_env *env, struct tunnel_client *client, struct text peer) WARN_UNUSED;

/* The exchange fails with an outcome of the client's side (timeouts, gone); the target's connection is closed at once.
 */
void exchange_fail(struct exchange *exchange, enum outcome outcome);
/* Whether it has ended badly already. */
bool exchange_failed(const struct exchange *exchange);
/* The end: records and frees. `delivered`: the client has been given the whole answer. Takes NULL. */
void exchange_end(struct exchange *exchange, bool delivered);
/* Records the end of a request that never was an exchange. status: what the client was told, 0 for nothing. */
void exchange_none(struct exchange_env *env, const struct exchange_client *client, struct instant begun,
                   enum outcome outcome, unsigned status);

/* Sends the heads that waited for their first piece of body. Once per round of the loop. */
void exchange_flush_unsent(struct exchange_env *env);

#endif
