/* What happens to clients: their deadlines and hang-ups, and what their exchanges tell. */
#ifndef PORTHOLE_SERVE_CLIENT_EVENTS_H
#define PORTHOLE_SERVE_CLIENT_EVENTS_H

#include "proxy/serve/client.h"

/* What clients_init takes. */
extern const struct client_events client_events;

/* Has just come: in phase HEAD when it has said something already, else NEW and watched for its first byte. */
void client_begin(struct client *client);
/* Lets the holder of this pass go, if it has nothing under way: not a byte of a request. */
bool client_make_room(struct admission_pass *pass);

#endif
