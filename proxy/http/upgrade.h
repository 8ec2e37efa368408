/* Upgrade: which protocols of a client's may be offered to a target, and whether the target took one of them. Pure.
 * RFC 9110 7.8. */
#ifndef PORTHOLE_HTTP_UPGRADE_H
#define PORTHOLE_HTTP_UPGRADE_H

#include "proxy/http/request.h"

/* `allowed`, here and below, are names without version, in lower case, terminated by NULL. NULL itself allows every
 * protocol but those that carry requests past all that looks at them, which must be named: "http", "tls" and whatever
 * begins with "h2" ("h2c" is HTTP/2 in the clear).
 * Elements that are not token ["/" token] are never offered, nor is anything unless request->upgrade. */

/* A walk over what a request offers; begins as {request, allowed}. */
struct upgrade_offers {
    const struct request *request; /* borrowed, checked */
    char *const *allowed;          /* borrowed */
    size_t i_field;                /* private: the field that comes next */
    struct text rest;              /* private: what is left of the one before it */
};

/* The next protocol that is allowed, as the client spelled it; false at the end. */
bool upgrade_next_offer(struct upgrade_offers *offers, struct text *ret_protocol);

/* Whether anything is offered. */
bool upgrade_is_offered(const struct request *request, char *const *allowed);

/* Whether the response names protocols (1 to 16), each of which was offered: the same name in any case, and the same
 * version where the client asked for one. Field ids of the response must be set; its Connection is not looked at. */
bool upgrade_is_agreed(const struct request *request, char *const *allowed, const struct fields *response);

#endif
