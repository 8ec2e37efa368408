/* Authorities: what Host and an absolute-form target name. Pure. RFC 3986 3.2, RFC 9110 7.2. */
#ifndef PORTHOLE_HTTP_AUTHORITY_H
#define PORTHOLE_HTTP_AUTHORITY_H

#include "proxy/http/fields.h"

/* uri-host [ ":" port ] with a host that isn't empty. Refused are userinfo ('@' is in no host), IPvFuture, and escapes
 * of characters that need none. */
bool authority_is_valid(struct text s);

#endif
