/* What the client is told: the answer of the exchange's source, once, and its body. */
#ifndef PORTHOLE_EXCHANGE_ANSWER_H
#define PORTHOLE_EXCHANGE_ANSWER_H

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/source.h"

/* True with the answer when it can be told, false while it must be waited for. Tells it once, unless it
 * cannot be told and exchange_refuse has made a problem of it: then it tells that. What is left of the request's body
 * may be given while the answer is read. */
bool exchange_answer(struct exchange *exchange, struct answer *ret_answer);
/* Whether an answer is there although the client has not sent all of its body. */
bool exchange_has_early_answer(const struct exchange *exchange);
/* Whether the answer has been handed out whole: what follows is up to the client's side. */
bool exchange_is_told(const struct exchange *exchange);
/* Whether it breaks off: the exchange has failed since. What it lent of the answer is gone. */
bool exchange_has_broken_off(const struct exchange *exchange);
/* The next piece of an ANSWER_STREAM, received straight into `data`: a count, or one of SOURCE_*. */
ssize_t exchange_read(struct exchange *exchange, char *data, size_t size);
/* As much of an ANSWER_STREAM of known length as has arrived and `data` has room for; without `receive` only what lies
 * in memory. A count. What is wrong with it only exchange_read says. */
size_t exchange_gather(struct exchange *exchange, char *data, size_t size, bool receive);
/* As exchange_read of an answer that is spliceable, but into an empty pipe; or SOURCE_COPY: read the next piece. */
ssize_t exchange_splice(struct exchange *exchange, struct pipe *pipe);
/* What is recorded of the request is kept from here on: what the parser lent may go. False when there is no room for
 * it. */
bool exchange_keep_request(struct exchange *exchange);
/* After the end of an ANSWER_STREAM: the trailers for the client, their names and values terminated. NULL: none. */
const struct fields *exchange_trailers(struct exchange *exchange);

#endif
