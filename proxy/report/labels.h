/* Values of labels that others could make up, as one of a few: a method, a protocol. */
#ifndef PORTHOLE_REPORT_LABELS_H
#define PORTHOLE_REPORT_LABELS_H

#include <stdint.h>

#include "proxy/base/text.h"
#include "proxy/report/outcome.h"

enum method_label {
    METHOD_GET,
    METHOD_HEAD,
    METHOD_POST,
    METHOD_PUT,
    METHOD_DELETE,
    METHOD_PATCH,
    METHOD_OPTIONS,
    METHOD_OTHER,
    N_METHOD_LABELS
};

enum protocol_label {
    PROTOCOL_STREAM, /* of a stream listener */
    PROTOCOL_WEBSOCKET,
    PROTOCOL_TCP, /* attach and exec of the Docker API */
    PROTOCOL_SPDY,
    PROTOCOL_H2C,
    PROTOCOL_OTHER,
    N_PROTOCOL_LABELS
};

enum tls_label { TLS_NONE, TLS_1_2, TLS_1_3, TLS_OTHER, N_TLS_LABELS };

extern const char *const method_labels[N_METHOD_LABELS];
extern const char *const protocol_labels[N_PROTOCOL_LABELS];
extern const char *const tls_labels[N_TLS_LABELS]; /* the first is NULL */

/* Methods are case-sensitive (RFC 9110 9.1). */
enum method_label method_label(struct text method);
/* What an Upgrade field names: without its version, in any case (RFC 9110 7.8). */
enum protocol_label protocol_label(struct text upgrade);

/* As OpenSSL names versions; NULL: it is none, or not known. */
enum tls_label tls_label(const char *version);

/* Keys of cells. The code of those that have no cell of their own; 0 is for those to whom nothing was told. */
#define REQUEST_CODE_REST 1023u

static inline uint32_t request_key(unsigned code, enum method_label method, enum outcome outcome)
{
    return code << 16 | (uint32_t)method << 8 | (uint32_t)outcome;
}
static inline uint32_t tunnel_key(enum protocol_label protocol, enum outcome outcome)
{
    return (uint32_t)protocol << 8 | (uint32_t)outcome;
}

#endif
