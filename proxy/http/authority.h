/* Authorities: what Host and an absolute-form target name. Pure. RFC 3986 3.2, RFC 9110 7.2. */
#ifndef PORTHOLE_HTTP_AUTHORITY_H
#define PORTHOLE_HTTP_AUTHORITY_H

#include "proxy/http/fields.h"

/* uri-host [ ":" port ] with a host that isn't empty. Refused are userinfo ('@' is in no host), IPvFuture, escapes, and
 * empty labels but the root's ("a..b", ".a"; "a." is a name). */
bool authority_is_valid(struct text s);

/* Whether a Host names no host but the socket that its client called, as clients of Unix sockets in several languages
 * invent it: nothing at all, a path ("/run/app.sock", "./app.sock", "run/app.sock"; cpp-httplib), a URI of one
 * ("unix:/run/app.sock", "unix:run/x", "http+unix://..."), a path with its slashes escaped ("%2Frun%2Fapp.sock";
 * requests-unixsocket, clients of Docker) or in hexadecimal digits with port 0 (hyperlocal). `is_valid`:
 * authority_is_valid. */
bool authority_names_socket(struct text s, bool is_valid);

#endif
