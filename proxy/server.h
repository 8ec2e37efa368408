/* The server: publishes the listeners, runs the workers, and stops without losing a request. Main thread. */
#ifndef PORTHOLE_SERVER_H
#define PORTHOLE_SERVER_H

#include <stdbool.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"

struct server;

struct server_options {
    bool takeover; /* replace a living process at a listener's path */
};

/* Makes the workers and every socket, and takes nothing from anybody yet: no socket is shown at a path, and who serves
 * an abstract or TCP address that is taken over goes on. Takes a reference to the snapshot. On failure nothing is left
 * behind. 0 or a negative errno with the error set. */
int server_new(struct snapshot *snapshot, const struct server_options *options, struct server **ret_server,
               struct error *error) WARN_UNUSED;

/* Starts the workers' threads, which is what may still fail, and then shows the sockets: clients are served. Once, by
 * the thread that made it. 0; or a negative errno with the error set and nobody's path taken: free it. */
int server_start(struct server *server, struct error *error) WARN_UNUSED;

/* After server_start: serves until SIGTERM, SIGINT, SIGQUIT, server_stop, or another process has taken over every path.
 * Upon a signal it serves on for shutdown.delay; then it drains. Each further signal hastens that by a step
 * (proxy/stop.h), unless it comes within a second of the last. SIGUSR1 opens log files again. Blocks those signals, and
 * what else would end the process, for the calling thread. 0 or a negative errno. */
int server_run(struct server *server) WARN_UNUSED;

/* Loads the file that the snapshot came from anew, and serves what it says, or nothing of it (proxy/reload.h): soon, in
 * server_run, which SIGHUP asks for, too. What becomes of it is logged. Any thread. */
void server_reload(struct server *server);
/* Makes server_run drain and end, without shutdown.delay: whoever asks knows that nobody else wants anything. Any
 * thread, once or more. */
void server_stop(struct server *server);

/* Withdraws what is still published and frees. Takes NULL. */
void server_free(struct server *server);

#endif
