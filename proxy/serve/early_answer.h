/* Answers past the library, which cannot queue one while the client is still sending: written to the client's
 * descriptor by hand. Here is what leaves at once; what does not is relayed (relay.h). */
#ifndef PORTHOLE_SERVE_EARLY_ANSWER_H
#define PORTHOLE_SERVE_EARLY_ANSWER_H

#include "proxy/exchange/source.h"
#include "proxy/http/head_writer.h"
#include "proxy/serve/client.h"

/* Sends an interim response, unless the client has no room for it. Never ends the exchange. */
void early_answer_interim(struct client *client, unsigned status, struct text reason, const struct fields *fields);
/* Sends an answer that has no body, unless the client has no room for it, and ends the connection. */
void early_answer_tell(struct client *client, const struct answer *answer);

/* The head of an answer; with `close` it is the last one on its connection. Returns its length, 0 when it does not
 * fit. */
size_t early_answer_write_head(const struct answer *answer, bool chunked, bool close, char *out, size_t size);
/* Whether a body that lies in memory goes with it. */
bool early_answer_has_body(const struct answer *answer);
/* The lines of fields, but for those that are dropped; with a length the one of them that told it is told (NULL: not).
 */
void early_answer_put_fields(struct head_writer *writer, const struct field *fields, size_t n_fields,
                             const uint64_t *length);
/* Closes our half, and takes what the client still sends for a moment, so that it reads the answer instead of a reset.
 */
void early_answer_end(struct client *client);
/* Memory for a head, or a piece of body. */
struct buffer_store *early_answer_blocks(const struct client *client);

#endif
