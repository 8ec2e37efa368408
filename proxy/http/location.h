/* The Location of a redirect (RFC 9110 10.2.2), from a template. Pure.
 *
 * It leads where the configuration says, never where a client would have it: what a client says is only ever a host, a
 * path or a query of it, and a path that would read as a host ("//evil") is refused. */
#ifndef PORTHOLE_HTTP_LOCATION_H
#define PORTHOLE_HTTP_LOCATION_H

#include "proxy/http/template.h"

#define LOCATION_KINDS \
    (TEMPLATE_BIT(TEMPLATE_REQUEST_HOST) | TEMPLATE_BIT(TEMPLATE_REQUEST_PATH) | TEMPLATE_BIT(TEMPLATE_REQUEST_QUERY))

/* NULL when the template, of LOCATION_KINDS, can be one; else what is wrong with it, a literal that reads behind "the
 * location". It is a path, or a URL of http or https whose host is there, whatever the references become. */
const char *location_check(const struct template *template);

enum location_verdict {
    LOCATION_DONE,
    LOCATION_ELSEWHERE, /* it would lead to a host that the request's path names */
    LOCATION_NO_HOST,   /* there is none in the request */
    LOCATION_FULL,      /* no room */
};

/* Writes it to `out`, with what a URI may not have percent-encoded; *ret_length says how much that is. A "?" in front
 * of an empty query at its end is left out. `scratch` has `size` bytes, too. */
enum location_verdict location_write(const struct template *template, const struct template_values *values,
                                     char *scratch, char *out, size_t size, size_t *ret_length);

#endif
