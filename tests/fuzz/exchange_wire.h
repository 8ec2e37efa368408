/* A second reader of HTTP/1.1 messages, for the judge of fuzz_exchange: nothing of it is shared with the proxy, so that
 * the two can disagree. It reads from the whole of what one end said. */
#ifndef PORTHOLE_TESTS_EXCHANGE_WIRE_H
#define PORTHOLE_TESTS_EXCHANGE_WIRE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/text.h"

enum wire_state {
    WIRE_PARTIAL, /* it stops before the message's end */
    WIRE_WHOLE,
    WIRE_BROKEN, /* not a message */
};

enum wire_body { WIRE_NONE, WIRE_LENGTH, WIRE_CHUNKED, WIRE_TO_THE_END };

struct wire_line {
    struct text name, value; /* value without the white space around it */
};

struct wire_message {
    enum wire_state state;
    const char *why;             /* BROKEN */
    bool has_head;               /* the head is whole and good: what follows is filled in */
    size_t start, head_end, end; /* offsets; end: as far as it was read */
    struct text method, target;  /* requests */
    unsigned status;             /* responses */
    unsigned minor;
    struct wire_line *lines; /* in the arena */
    size_t n_lines;
    enum wire_body framing;
    uint64_t length; /* Content-Length, where there is one */
    bool has_length;
    struct text body; /* decoded, as far as it came; in the arena when chunked */
    struct wire_line *trailers;
    size_t n_trailers;
};

/* Forgets every message read so far. */
void wire_reset(void);

enum wire_reader {
    WIRE_STRICT,
    WIRE_OF_CLIENTS, /* empty lines may stand in front (RFC 9112 2.2); heads as libmicrohttpd 0.9.75 reads them */
    WIRE_LAX,        /* and chunks and trailers as well: a line ends at a bare LF, and more */
};

/* The message at an offset of what was said. */
void wire_read_request(struct text said, size_t at, enum wire_reader reader, struct wire_message *ret_message);
/* `to_head`: the request was HEAD. `ended`: nothing will follow what was said. */
void wire_read_response(struct text said, size_t at, bool to_head, bool ended, struct wire_message *ret_message);

/* The n-th line of that name (in lower case), counted from 0; NULL when there are not so many. */
const struct wire_line *wire_find(const struct wire_message *message, const char *name, size_t n);
bool wire_equal(struct text a, struct text b);
/* Without regard to case. */
bool wire_is(struct text text, const char *lower);
/* Whether a comma-separated list in any line of that name has this element. */
bool wire_lists(const struct wire_message *message, const char *name, const char *element);

#endif
