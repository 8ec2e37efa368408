/* The client side of the verbs that ask somebody over HTTP: one libcurl transfer at a time. */
#ifndef PORTHOLE_CMD_FETCH_H
#define PORTHOLE_CMD_FETCH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "proxy/base/error.h"

struct fetch;

/* First of all, while there is one thread: what the others need of libcurl, until the process ends. CMD_OK, or
 * CMD_FAILED after a line of this verb's was written. */
int fetch_use_libcurl(const char *verb) WARN_UNUSED;

/* Takes an address apart: unix:/path, unix:@name, tcp:HOST:PORT, http://..., https://.... `path` replaces a URL's path;
 * NULL leaves it, or is "/". 0, -EINVAL with a sentence for an address that is none, -ENOMEM. */
int fetch_new(const char *address, const char *path, struct fetch **ret_client, struct error *error) WARN_UNUSED;
/* Takes NULL. */
void fetch_free(struct fetch *client);

/* Sends one GET on a connection of its own and reads the answer. With `to` (head and body go there) to its end; with
 * NULL the head is enough. Redirects are not followed. Returns 0 with the status, or a negative errno with a sentence
 * in *error. */
int fetch_get(struct fetch *client, uint64_t timeout_ms, FILE *to, long *ret_status, struct error *error) WARN_UNUSED;

/* A piece of a body; at first one of nothing, when the head has come. False: no more is wanted. */
typedef bool fetch_sink(void *closure, const char *data, size_t length);

/* Sends one GET, and hands the body of a 200 on as it comes, for as long as it comes. Returns 0 at its end, when no
 * more is wanted, or when *stop is not 0 (which a signal handler may set); else a negative errno with a sentence, which
 * is the answer's first line where that is another than 200. */
int fetch_stream(struct fetch *client, fetch_sink *sink, void *closure, const volatile sig_atomic_t *stop,
                 struct error *error) WARN_UNUSED;

/* Writes the line of a verb that has asked `address` in vain: the sentence, and of a socket that is not there, may not
 * be opened or has no server any more, why that is so. `code` is the negative errno that came with the sentence. */
void fetch_complain(const char *verb, const char *address, int code, const struct error *error);

#endif
