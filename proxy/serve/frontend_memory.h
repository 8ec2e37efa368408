/* What libmicrohttpd keeps of a request in its memory for the connection, and whether a response head fits beside it.
 * Private to frontend*.c. */
#ifndef PORTHOLE_SERVE_FRONTEND_MEMORY_H
#define PORTHOLE_SERVE_FRONTEND_MEMORY_H

#include "proxy/exchange/source.h"
#include "proxy/serve/client.h"

/* What the library is to have for each connection when heads may have up to header_bytes. */
size_t frontend_memory_bytes(size_t header_bytes);

/* Whether the client's listener allows larger heads than when it came, for which it has no memory. */
bool frontend_memory_is_outgrown(const struct client *client);

/* The head of a request has been read, with n_fields in it. */
void frontend_memory_head(struct client *client, const char *method, const struct fields *fields, size_t n_fields,
                          size_t head_bytes);
/* A piece of its body. */
void frontend_memory_body(struct client *client, size_t bytes);
/* It has trailers. */
void frontend_memory_trailers(struct client *client);

/* Whether the library can build the head of this answer, for sure. It closes the connection without a word where it
 * cannot. */
bool frontend_memory_suffices(const struct client *client, const struct answer *answer);

#endif
