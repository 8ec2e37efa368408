/* Which values of the configuration are keys by their nature: those of fields and parameters that are called so, and
 * those that begin as credentials do. Pure. */
#ifndef PORTHOLE_CONFIG_SECRET_NAME_H
#define PORTHOLE_CONFIG_SECRET_NAME_H

#include <stdbool.h>

/* Whether a field or a parameter of a query has a name that keys have: X-Api-Key, access_token, Cookie. */
bool secret_name_is_one(const char *name);
/* Whether a text begins with a scheme of HTTP authentication and a blank (RFC 9110 11.4). */
bool secret_name_begins(const char *text);

#endif
