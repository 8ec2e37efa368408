/* The client side of the verbs that ask somebody over HTTP: one libcurl transfer at a time. */
#ifndef PORTHOLE_CMD_FETCH_H
#define PORTHOLE_CMD_FETCH_H

#include <stdint.h>
#include <stdio.h>

#include "proxy/base/error.h"

struct fetch;

/* Takes an address apart: unix:/path, unix:@name, tcp:HOST:PORT, http://..., https://.... `path` replaces a URL's path;
 * NULL leaves it, or is "/". 0, -EINVAL with a sentence for an address that is none, -ENOMEM. */
int fetch_new(const char *address, const char *path, struct fetch **ret_client, struct error *error) WARN_UNUSED;
/* Takes NULL. */
void fetch_free(struct fetch *client);

/* Sends one GET on a connection of its own and reads the answer. With `to` (head and body go there) to its end; with
 * NULL the head is enough. Redirects are not followed. Returns 0 with the status, or a negative errno with a sentence
 * in *error. */
int fetch_get(struct fetch *client, uint64_t timeout_ms, FILE *to, long *ret_status, struct error *error) WARN_UNUSED;

#endif
