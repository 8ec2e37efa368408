/* Requests: the checks that RFC 9110 and RFC 9112 ask for. Pure. */
#ifndef PORTHOLE_HTTP_REQUEST_H
#define PORTHOLE_HTTP_REQUEST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/http/fields.h"

enum body_kind {
    BODY_NONE,
    BODY_LENGTH,      /* content_length bytes, may be 0 */
    BODY_CHUNKED,     /* RFC 9112 7.1 */
    BODY_UNTIL_CLOSE, /* responses only */
};

/* A request as the client sent it, and what request_check found out. */
struct request {
    /* from the parser, borrowed until the end of the request */
    struct text method;
    struct text target; /* request-target, exactly as sent */
    unsigned minor;     /* HTTP/1.minor: 0 or 1 */
    struct fields fields;
    bool trusted; /* what the peer claims about the client (claims.def) is passed on */
    bool local;   /* came over a Unix socket: a Host that names no host but a socket counts as none */

    /* set by request_check */
    struct text authority; /* Host, or the authority of an absolute-form target, or "localhost"; may be empty */
    struct text origin;    /* path and query as forwarded: origin-form, "*", or "?QUERY" for "/?QUERY" */
    enum body_kind body;   /* NONE, LENGTH or CHUNKED */
    uint64_t content_length;
    bool is_head;         /* method is HEAD */
    bool is_safe;         /* GET, HEAD, OPTIONS, TRACE (RFC 9110 9.2.1) */
    bool is_idempotent;   /* these, PUT and DELETE (RFC 9110 9.2.2) */
    bool expect_continue; /* and there is a body to wait with */
    bool close;           /* the client asked for Connection: close, or is HTTP/1.0 without keep-alive */
    bool upgrade;         /* Connection: upgrade with an Upgrade field, in HTTP/1.1 */
    bool personal;        /* says who asks for the whole connection (authentication.h) */
    bool trailers;        /* the client takes trailers: TE lists them (RFC 9110 10.1.4), in HTTP/1.1 */
};

/* Validates a head and fills in the second half. Returns NULL when it is good; otherwise a static sentence
 * that says what is wrong (for the log and the error body), and *ret_status is 400, 417, 501 or 505.
 * Refused: a method or name that is not a token; control bytes or spaces in the target or in values;
 * no Host in HTTP/1.1, several, or one that is neither empty nor uri-host[:port] (IPvFuture, escapes and empty
 * labels are refused too); Content-Length more than once, not a number below 2^63, or beside Transfer-Encoding;
 * Transfer-Encoding repeated, not exactly "chunked", or in HTTP/1.0; a Connection that is not a list of tokens; an
 * Expect other than 100-continue (417); a minor version above 1 (505); CONNECT (501); authority-form, schemes other
 * than http and https, userinfo; "*" but for OPTIONS; a fragment. Fields are as field_of makes them. Dropped are fields
 * of this hop, claims of a peer that is not trusted, and what only looks like a field of ours (field_is_alias).
 * forward_write, request_given_id and path_view expect a request that was found good. */
const char *request_check(struct request *request, unsigned *ret_status);

/* A client's traceparent as it came, the only one; of several none counts; else empty. See proxy/http/trace.h. */
struct text request_given_trace(const struct request *request);

#define REQUEST_ID_MOST_BYTES 256

/* A client's X-Request-Id, which is passed on as it came: the only one, 1 to REQUEST_ID_MOST_BYTES bytes of visible
 * ASCII (0x21 to 0x7e); else empty. Of several none counts: logs on either side could name different ones. It may hold
 * quotes and backslashes, so whoever prints it escapes it. */
struct text request_given_id(const struct request *request);

#endif
