/* The head of a request as its target gets it: the client's, less what was for our hop, and what we say about the
 * client. Pure. */
#ifndef PORTHOLE_HTTP_FORWARD_H
#define PORTHOLE_HTTP_FORWARD_H

#include "proxy/http/edits.h"
#include "proxy/http/request.h"

/* What a route makes of the head; texts are borrowed. */
struct forward_edit {
    const struct edits *edits; /* of the request */
    struct text lines;         /* what they set and add, written out: whole lines */
    struct text host;          /* instead of the authority; empty: that stays */
    struct text origin;        /* path and query instead of request.origin; empty: that stays */
    bool secret;               /* lines have what a file holds: whoever copied them wipes the copy */
};

/* What we say about the client in the forwarded head. */
struct forward {
    struct text client_address; /* IP address without port for TCP peers, empty for Unix sockets */
    struct text client_node;    /* RFC 7239 node, never empty: "192.0.2.1", "\"[2001:db8::1]\"", "_uid-1000.gid-1000" */
    struct text request_id;     /* empty: no X-Request-Id is written */
    struct text trace;          /* the traceparent that is written; empty: the client's is kept */
    bool trace_begun;           /* by us: the client's tracestate is not kept */
    bool expect_continue;       /* forward Expect: 100-continue */
    bool silent;                /* we say nothing about the client: no Forwarded, no X-Forwarded-* */
    const struct forward_edit *edit; /* borrowed; NULL: nothing is changed */

    /* Protocols that may be offered to the target: names in lower case, terminated by NULL, borrowed; NULL means any
     * that does not carry HTTP. See proxy/http/upgrade.h. */
    char *const *upgrade_allowed;
};

/* Writes the head for the target: origin-form, HTTP/1.1, Host (empty when the client gave none), the forwardable fields
 * in their order (Trailer only with a chunked body, Forwarded only if its quotes are closed), framing, what is offered
 * to this hop, Via and Forwarded (a line of ours after the client's), X-Forwarded-For (for TCP peers one line with the
 * client's and ours, otherwise kept), X-Forwarded-Host and -Proto (kept, or set when absent), X-Request-Id. What is
 * "kept" is what request_check has not dropped. The hop is
 * offered the protocols of the client's Upgrade that are allowed and the trailers that the client takes, with a
 * Connection field that names both; without them none is written (HTTP/1.1 is persistent). What a route sets or removes
 * is neither kept nor said by us; its own lines stand before Via. Returns the length, or 0 when `size` bytes are not
 * enough. */
size_t forward_write(const struct request *request, const struct forward *forward, char *out, size_t size);

#endif
