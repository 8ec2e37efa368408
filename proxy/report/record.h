/* A record: everything that is said of an end, be it an exchange's, a tunnel's, or that of a client that never came as
 * far as an exchange. Metrics and access log live on it. */
#ifndef PORTHOLE_REPORT_RECORD_H
#define PORTHOLE_REPORT_RECORD_H

#include <stdint.h>

#include "proxy/base/clock.h"
#include "proxy/base/text.h"
#include "proxy/report/labels.h"
#include "proxy/report/outcome.h"
#include "proxy/report/series.h"

/* What is told: an end, or to taps the beginning of a tunnel, too. */
enum record_event { RECORD_EXCHANGE, RECORD_TUNNEL_BEGIN, RECORD_TUNNEL_END };

struct tap_message;

/* Made for the moment of the end: texts and reason are borrowed. They may hold any bytes: to be escaped. Texts come
 * first, all of them (tap.c). */
struct record {
    struct text request_id, method, target, listener, route, upstream, peer;
    struct text trace;           /* a traceparent with our span; empty: none */
    struct text upgrade;         /* the protocols that the request offers to go on with; empty: none */
    struct text endpoint;        /* the address behind the target's name */
    const struct series *series; /* borrowed; the route's, or that of none; NULL: counted nowhere */
    unsigned status : 16;        /* told to the client; 0: nothing was */
    unsigned event : 4;          /* enum record_event */
    unsigned minor : 4;          /* HTTP/1.minor of the request */
    unsigned protocol : 8;       /* enum protocol_label, of a tunnel */
    enum outcome outcome;
    const char *reason;                                /* detail of a failure, or NULL */
    uint64_t received_bytes, sent_bytes;               /* of bodies and through the tunnel */
    uint64_t tunnel_received_bytes, tunnel_sent_bytes; /* of these, through the tunnel */
    const struct tap_message *message;                 /* NULL, or: what taps want to see of it */
    struct instant begun;
    int64_t connect_us, first_byte_us; /* -1: not reached */
    uint32_t queue_ms, held_ms; /* waited for a place among the target's connections, for an endpoint to appear */
    uint32_t n_retries : 24;    /* connections and requests that were tried again */
    uint32_t tls : 8;           /* enum tls_label, of the connection to the endpoint */
    uint32_t untold;            /* how many like it the error log was spared since the last */
    struct wall_time time;      /* of the end; this and the next are the recorder's to fill in */
    uint64_t total_us;
};

#endif
