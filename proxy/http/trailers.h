/* Trailer sections: split, checked, rid of what must not come after the content, and written again. Pure.
 * RFC 9110 6.5, RFC 9112 7.1.2. */
#ifndef PORTHOLE_HTTP_TRAILERS_H
#define PORTHOLE_HTTP_TRAILERS_H

#include "proxy/http/fields.h"

/* Splits a complete section as chunked_decode hands it out, field lines and the empty line, into `fields` (items and
 * capacity set by the caller): ids set, values trimmed and borrowed from `section`, drop as below. NULL, or a static
 * sentence that says what is wrong: there are more fields than room, or it is not such a section. */
const char *trailers_parse(struct text section, struct fields *fields);

/* The same for fields that another parser has collected: names must be tokens, values field values, which are trimmed
 * in place. */
const char *trailers_check(struct fields *fields);

/* Both set field.drop on what must not be a trailer (RFC 9110 6.5.1): a recipient may have decided on it when the head
 * was complete, or may merge it into the head where nobody has looked at it. That is framing, routing, what is said
 * about the client, controls of this hop, modifiers and conditions of a request, credentials and cookies, controls of a
 * response, and the format of the content. */

/* Writes the line "Name: value CRLF" of each field that is not dropped; the caller adds the empty line. Returns the
 * length, which may be 0, or SIZE_MAX when `size` is not enough. */
size_t trailers_write(const struct fields *fields, char *out, size_t size);

#endif
