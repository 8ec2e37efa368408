/* One exchange as a line of the JSON access log, or of tap --json, tells it. Pure. */
#ifndef PORTHOLE_CMD_SEEN_H
#define PORTHOLE_CMD_SEEN_H

#include "proxy/http/json_tape.h"

/* A line that is longer is none of porthole's: its logs cut lines at 4 KiB, tap's with heads and bodies have up to
 * TAP_LINE_BYTES (proxy/report/tap.h). */
#define SEEN_MOST_BYTES ((size_t)1 << 20)
#define SEEN_TEXT_BYTES 4096

/* What is not told is empty, or 0. */
struct seen {
    struct text event, listener, method, request, upgrade, outcome, target, endpoint;
    unsigned status;
    char texts[SEEN_TEXT_BYTES]; /* where they lie */
};

enum seen_verdict {
    SEEN_EXCHANGE,
    SEEN_OTHER,     /* an object that tells of something else */
    SEEN_MALFORMED, /* no object, or one that two readers could take for different ones */
};

/* `tokens` has room for json_tape_tokens(line.length). */
enum seen_verdict seen_read(struct text line, struct json_token *tokens, struct seen *ret_seen);

#endif
