/* Requests: the checks that RFC 9110 and RFC 9112 ask for, and the head that goes to the target. Pure. */
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
    bool local; /* came over a Unix socket: a Host that is a path (some clients send the socket's) counts as none */

    /* set by request_check */
    struct text authority; /* Host, or the authority of an absolute-form target, or "localhost"; may be empty */
    struct text origin;    /* path and query as forwarded: origin-form, "*", or "?QUERY" for "/?QUERY" */
    enum body_kind body;   /* NONE, LENGTH or CHUNKED */
    uint64_t content_length;
    bool is_head;         /* method is HEAD */
    bool is_safe;         /* GET, HEAD, OPTIONS, TRACE (RFC 9110 9.2.1) */
    bool expect_continue; /* and there is a body to wait with */
    bool close;           /* the client asked for Connection: close, or is HTTP/1.0 without keep-alive */
    bool upgrade;         /* Connection: upgrade with an Upgrade field, in HTTP/1.1 */
    bool trailers;        /* the client takes trailers: TE lists them (RFC 9110 10.1.4), in HTTP/1.1 */
};

/* Validates a head and fills in the second half. Returns NULL when it is good; otherwise a static sentence
 * that says what is wrong (for the log and the error body), and *ret_status is 400, 417, 501 or 505.
 * Refused: a method or name that is not a token; control bytes or spaces in the target or in values;
 * no Host in HTTP/1.1, several, or one that is neither empty nor uri-host[:port] (IPvFuture and escaped unreserved
 * characters are refused too); Content-Length more than once, not a number below 2^63, or beside Transfer-Encoding;
 * Transfer-Encoding repeated, not exactly "chunked", or in HTTP/1.0; a Connection that is not a list of tokens; an
 * Expect other than 100-continue (417); a minor version above 1 (505); CONNECT (501); authority-form, schemes other
 * than http and https, userinfo; "*" but for OPTIONS; a fragment. Values are trimmed in place. request_write,
 * request_given_id and path_view expect a request that was found good. */
const char *request_check(struct request *request, unsigned *ret_status);

/* What we say about the client in the forwarded head. */
struct forward {
    struct text client_address; /* IP address without port for TCP peers, empty for Unix sockets */
    struct text client_node;    /* RFC 7239 node, never empty: "192.0.2.1", "\"[2001:db8::1]\"", "_uid-1000.gid-1000" */
    struct text request_id;     /* empty: no X-Request-Id is written */
    bool expect_continue;       /* forward Expect: 100-continue */

    /* Protocols that may be offered to the target: names in lower case, terminated by NULL, borrowed; NULL means any
     * that does not carry HTTP. See proxy/http/upgrade.h. */
    char *const *upgrade_allowed;
};

/* Writes the head for the target: origin-form, HTTP/1.1, Host (empty when the client gave none), the forwardable fields
 * in their order (Trailer only with a chunked body, Forwarded only if its quotes are closed), framing, what is offered
 * to this hop, Via and Forwarded (a line of ours after the client's), X-Forwarded-For (for TCP peers one line with the
 * client's and ours, otherwise kept), X-Forwarded-Host and -Proto (kept, or set when absent), X-Request-Id. The hop is
 * offered the protocols of the client's Upgrade that are allowed and the trailers that the client takes, with a
 * Connection field that names both; without them none is written (HTTP/1.1 is persistent). Returns the length, or 0
 * when `size` bytes are not enough. */
size_t request_write(const struct request *request, const struct forward *forward, char *out, size_t size);

/* A client's X-Request-Id that may be passed on: the only one, 1..128 bytes of token characters; else empty. */
struct text request_given_id(const struct request *request);

#endif
