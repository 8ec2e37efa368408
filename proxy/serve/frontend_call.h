/* What libmicrohttpd calls, and what it is told. Private to frontend*.c, the only files that know libmicrohttpd. */
#ifndef PORTHOLE_SERVE_FRONTEND_CALL_H
#define PORTHOLE_SERVE_FRONTEND_CALL_H

#include <microhttpd.h>

#include "proxy/exchange/source.h"
#include "proxy/serve/client.h"

/* MHD_AccessHandlerCallback: a head, a piece of body, or the end of a request. */
enum MHD_Result frontend_on_call(void *closure, struct MHD_Connection *connection, const char *url, const char *method,
                                 const char *version, const char *upload_data, size_t *upload_bytes, void **context);
/* MHD_OPTION_URI_LOG_CALLBACK; the closure is the clients: the request line is there. */
void *frontend_on_target(void *closure, const char *target, struct MHD_Connection *connection);
/* MHD_OPTION_NOTIFY_COMPLETED: a request is over. */
void frontend_on_completed(void *closure, struct MHD_Connection *connection, void **context,
                           enum MHD_RequestTerminationCode how);

/* Queues the answer; with `close` the connection ends after it. */
enum MHD_Result frontend_tell(struct client *client, const struct answer *answer, bool close);
/* Ends a request that was answered by hand, so that the connection goes on. */
enum MHD_Result frontend_tell_nobody(struct client *client);

#endif
