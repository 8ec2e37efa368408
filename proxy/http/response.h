/* Response heads from targets: a strict parser. Pure.
 * RFC 9112 2.1, 4, 5, 6.3. A target that is lax here is a bad target: nothing ambiguous is passed on. */
#ifndef PORTHOLE_HTTP_RESPONSE_H
#define PORTHOLE_HTTP_RESPONSE_H

#include "proxy/http/keep_alive.h"
#include "proxy/http/request.h"

/* A response head; every text is borrowed from the buffer that was parsed. */
struct response {
    unsigned status; /* 100..999 */
    unsigned minor;
    struct text reason;   /* may be empty */
    struct fields fields; /* .items and .capacity set by the caller; hop-by-hop and framing fields have .drop */

    /* RFC 9112 6.3, given the request's method */
    enum body_kind body;
    uint64_t content_length; /* BODY_LENGTH; for HEAD and 304 the length the field names */
    bool has_content_length; /* the field was there (where there is no body, too) */
    uint64_t keep_ms;        /* for how long the target says it keeps the connection; KEEP_ALIVE_SILENT, never 0 where
                                it is reusable */
    bool reusable;           /* the connection may carry another exchange after a clean end */
    bool personal;           /* the connection has to do with one client alone (authentication.h) */
    bool upgrade;            /* Connection: upgrade with an Upgrade field, as a 101 must have them (RFC 9110 7.8) */
};

enum response_result { RESPONSE_DONE, RESPONSE_MORE, RESPONSE_BAD };

/* Parses the head at the start of `data`. RESPONSE_DONE: *ret_used is its length and *response is filled in.
 * RESPONSE_MORE: it is not complete yet; what doesn't begin like a status line and lines that end in a bare LF are
 * refused as soon as they are seen, fields are judged when the head is complete. RESPONSE_BAD: *ret_why is a static
 * sentence. `*scanned` (start with 0) remembers how far the search for the end has come, so that a head that comes
 * byte by byte costs linear time.
 * Line ends are CRLF; a bare LF or CR, obs-fold, space before the colon, control bytes, an empty name,
 * differing or malformed lengths, Content-Length beside Transfer-Encoding, any coding but one "chunked",
 * a version other than 1.0 or 1.1, a status line above 1 KiB, and more fields than there is room for are
 * RESPONSE_BAD. Repeated equal Content-Length fields are one. A 1xx or 204 that announces content is not reusable,
 * nor is what "Keep-Alive: max=0" or "timeout=0" says is the last. */
enum response_result response_parse(const char *data, size_t length, size_t *scanned, bool to_head,
                                    struct response *response, size_t *ret_used, const char **ret_why);

#endif
