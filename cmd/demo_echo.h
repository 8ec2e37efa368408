/* The demonstration's target: an HTTP server that answers with the request it received, as text. */
#ifndef PORTHOLE_CMD_DEMO_ECHO_H
#define PORTHOLE_CMD_DEMO_ECHO_H

#include "proxy/base/error.h"

#define DEMO_ECHO_THREADS 4 /* connections that are served at once */

struct demo_echo;

/* Serves on a new Unix socket at `path`, in threads of its own, which take no signals. */
int demo_echo_new(const char *path, struct demo_echo **ret_echo, struct error *error) WARN_UNUSED;
/* Cuts what is open, waits for the threads and unlinks the socket. Takes NULL. */
void demo_echo_free(struct demo_echo *echo);

#endif
