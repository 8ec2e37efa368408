/* traceparent (W3C Trace Context, level 1 and 2): which trace a request belongs to, and the span that asks. Pure.
 *
 *   00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01
 *   version, trace, span, flags: 2, 32, 16 and 2 hex digits in lower case */
#ifndef PORTHOLE_HTTP_TRACE_H
#define PORTHOLE_HTTP_TRACE_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/text.h"

#define TRACE_BYTES 55
#define TRACE_ID_BYTES 32
#define TRACE_SPAN_BYTES 16

/* Reads a value of the field: strictly, of a version after 00 only the part that 00 has, of which all that follows must
 * be set off (2.2.4 "versioning"). Refused: version ff, a trace or a span of nothing but zeros. Writes it as version
 * 00, with the flags that are known there (sampled, random). False, and nothing written, when it is none. */
bool trace_read(struct text value, char out[TRACE_BYTES]);
/* Begins a trace, which is sampled: a target that asks nobody else would have begun one, too. The numbers are drawn by
 * chance; zeros are mended. */
void trace_begin(char out[TRACE_BYTES], uint64_t high, uint64_t low, uint64_t span);
/* Puts another span in place of the one that asked. */
void trace_set_span(char out[TRACE_BYTES], uint64_t span);

static inline struct text trace_id(const char trace[TRACE_BYTES])
{
    return (struct text){trace + 3, TRACE_ID_BYTES};
}
static inline struct text trace_span(const char trace[TRACE_BYTES])
{
    return (struct text){trace + 4 + TRACE_ID_BYTES, TRACE_SPAN_BYTES};
}

#endif
