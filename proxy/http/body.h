/* Bodies on the target's connection: the chunked coding, both ways. Pure. RFC 9112 7.1. */
#ifndef PORTHOLE_HTTP_BODY_H
#define PORTHOLE_HTTP_BODY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/text.h"

/* Longest "HEX CRLF" a chunk can begin with, plus room for the CRLF that ends the previous chunk. */
#define CHUNK_HEAD_BYTES 20
#define CHUNK_LAST "0\r\n" /* the trailer section follows, and CRLF */

/* Where a chunked message is. Zero-initialised at its start. */
struct chunked {
    unsigned char state;      /* private */
    unsigned char n_digits;   /* of the chunk size so far */
    uint64_t remaining_bytes; /* of the current chunk's data */
    uint32_t n_line_bytes;    /* of this line's extensions, or of all trailers, against their ceiling */
};

enum chunked_result {
    CHUNKED_MORE,    /* everything given was used */
    CHUNKED_DATA,    /* *ret_data is a piece of the body inside `in`; call again with the rest */
    CHUNKED_TRAILER, /* the same of the trailer section; call again with the rest, even if that is empty */
    CHUNKED_END,     /* the message is complete; bytes after *ret_used belong to nobody */
    CHUNKED_BAD,
};

/* Takes some of `in`. Strict: CRLF line ends, 1 to 16 hex digits below 2^63 without padding, extensions and trailers
 * without control bytes, at most 16 KiB of extensions on a line and of trailer section in all. The trailer
 * section is handed out as it is, up to and with the empty line that ends it, which every message has; its syntax is
 * checked, its meaning is not (proxy/http/trailers.h). How the message is split over calls makes no difference to what
 * is handed out in all, unless it turns out bad. After BAD it stays BAD, after END it stays END and uses nothing. On
 * BAD the outputs are untouched; *ret_data is set for DATA and TRAILER only, and never empty. */
enum chunked_result chunked_decode(struct chunked *chunked, struct text in, size_t *ret_used, struct text *ret_data);

/* How much of the current chunk's data comes next; 0: framing does. */
uint64_t chunked_data_to_come(const struct chunked *chunked);
/* So much of that has come past chunked_decode. */
void chunked_skip_data(struct chunked *chunked, uint64_t n);

/* Writes the line that begins a chunk of n > 0 bytes ("HEX CRLF"). Returns its length. */
size_t chunk_write_head(char out[CHUNK_HEAD_BYTES], uint64_t n);

#endif
