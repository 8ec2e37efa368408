/* Whether a message says of its body that it is JSON. Pure. */
#ifndef PORTHOLE_HTTP_JSON_MEDIA_H
#define PORTHOLE_HTTP_JSON_MEDIA_H

#include "proxy/http/fields.h"

/* NULL when the body is JSON in UTF-8 and not coded, by all that its fields say: no Content-Type, or one of JSON
 * (application/json or SOMETHING+json, RFC 6839 3.1) without parameters but charset=utf-8; no Content-Encoding but
 * identity. Else what is wrong, a literal. Each may come once, and under no name that some take for the same. */
const char *json_media_objection(const struct fields *fields);

#endif
