/* What the client says: the head, which is checked and finds its route, and the body. */
#ifndef PORTHOLE_EXCHANGE_REQUEST_H
#define PORTHOLE_EXCHANGE_REQUEST_H

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/source.h"

/* The array that the head's fields are collected in; texts are borrowed until the end of the request. */
struct fields *exchange_fields(struct exchange *exchange);
/* Makes its capacity the most that a head may have, for those that have more fields than most. False when it is that
 * already, or when out of memory. */
bool exchange_grow_fields(struct exchange *exchange);
/* The head is complete. head_bytes counts the request line and fields. */
enum exchange_verdict exchange_head(struct exchange *exchange, struct text method, unsigned minor, size_t head_bytes);
/* Whether a waiting expectation has been settled. */
enum exchange_verdict exchange_expectation(const struct exchange *exchange);

enum exchange_body_result {
    EXCHANGE_BODY_MORE,
    EXCHANGE_BODY_FULL,  /* taken, but wait for a wake before giving more */
    EXCHANGE_BODY_EARLY, /* an answer is there and too much of the body is still to come: answer now, then close */
};
/* Whether the request has a body, which may be empty. */
bool exchange_has_body(const struct exchange *exchange);
/* Whether it comes in the chunked coding. */
bool exchange_is_chunked(const struct exchange *exchange);
/* Whether all of it has come. */
bool exchange_has_request(const struct exchange *exchange);
/* Whether what is still to come of the body is little enough to be taken for the sake of a connection that goes on,
 * although nobody reads it: as far as that is known. */
bool exchange_rest_is_short(const struct exchange *exchange);
/* Whether a piece of a body that is still coming can be taken. */
bool exchange_is_receiving(const struct exchange *exchange);
/* Whether a piece of body may be given now. */
bool exchange_takes_body(const struct exchange *exchange);
/* A piece of body; always taken (or discarded) whole. Only while exchange_takes_body(). */
enum exchange_body_result exchange_body(struct exchange *exchange, const char *data, size_t length);
/* How much of a body of known length, of which nothing is to be looked at, is still to come; else 0. */
uint64_t exchange_spliceable_body(const struct exchange *exchange);
/* Whether that is enough for exchange_splice_body to pay. */
bool exchange_has_bulk(const struct exchange *exchange);
/* Moves a piece of that from the client's socket to the target's. Only while exchange_takes_body(). A count, or one of
 * SOURCE_*: WAIT when the client has sent nothing more, END when it has closed its side or is broken, COPY when the
 * next piece must be read. */
ssize_t exchange_splice_body(struct exchange *exchange, int fd);
/* The request is complete, with the trailers that the parser found (checked here; NULL: none). May be called more than
 * once. */
void exchange_body_end(struct exchange *exchange, struct fields *trailers);

/* Whether the next exchanges_turn has something to do, so that the loop must not sleep. */
static inline bool exchanges_are_ready(const struct exchange_env *env)
{
    return !list_empty(&env->ready);
}

/* For exchanges_turn, where there is something to do. */
void exchanges_turn_ready(struct exchange_env *env);

/* Sends what was kept back, and goes on with what was too much for one turn. Once per round of the loop, at its end. */
static inline void exchanges_turn(struct exchange_env *env)
{
    if (exchanges_are_ready(env))
        exchanges_turn_ready(env);
}

#endif
