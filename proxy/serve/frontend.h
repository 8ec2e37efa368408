/* The frontend: libmicrohttpd in a worker's loop. The only files that know libmicrohttpd.
 *
 * frontend.c is its life and its clients' connections, frontend_call.c are requests, frontend_answer.c responses.
 *
 * Its daemons (frontend_daemon) have no listening socket: the worker accepts and hands descriptors over. Exchanges wait
 * unsuspended while the loop has other work, and are suspended when it is about to sleep ("late suspension"). */
#ifndef PORTHOLE_SERVE_FRONTEND_H
#define PORTHOLE_SERVE_FRONTEND_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/exchange/exchange.h"
#include "proxy/listen/peer.h"
#include "proxy/serve/client.h"

struct frontend;

/* Makes a worker's daemon. NULL with the error set. */
struct frontend *frontend_new(struct exchange_env *env, struct error *error);
/* The two steps of a reload. There will be room for heads as large as this generation allows them: 0 or a negative
 * errno with the error set, and in any case what there is goes on. Then env's newest generation, for which there is
 * room, is what clients move to. A client that came before keeps the room that it has; where its listener allows more
 * by now, its next answer closes its connection. */
int frontend_prepare(struct frontend *frontend, const struct generation *generation, struct error *error) WARN_UNUSED;
void frontend_renew(struct frontend *frontend);
/* Cuts all clients. Takes NULL. */
void frontend_free(struct frontend *frontend);

/* Takes over an accepted, non-blocking descriptor and the pass, in any case. The listener is of the generation, which
 * is the newest unless that has the listener no more. 0 or a negative errno. */
int frontend_add(struct frontend *frontend, int fd, struct generation *generation,
                 const struct listener_config *listener, const struct peer *peer,
                 struct admission_pass pass) WARN_UNUSED;

/* Whether the next frontend_turn has something to do, so that the loop must not sleep. */
bool frontend_is_busy(const struct frontend *frontend);
/* One round after the loop has called so many: none when it would sleep next. */
void frontend_turn(struct frontend *frontend, int n_called);
/* Heartbeat: lets the library look at everything once, and gives back what was kept and is not wanted. */
void frontend_beat(struct frontend *frontend);

/* Its clients; lives as long as the frontend. */
struct clients *frontend_clients(struct frontend *frontend);

/* What the library has for each connection when heads may have up to header_bytes. */
size_t frontend_client_bytes(size_t header_bytes);

/* libmicrohttpd as it runs, which need not be the one that this was compiled with. */
const char *frontend_library_version(void);
/* Whether it is new enough to be trusted with clients. frontend_new fails where it is not. */
bool frontend_library_will_do(void);

#endif
