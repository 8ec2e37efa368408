/* Records of taps as lines of JSON: what the access log has, with the event, both heads and bodies. Pure.
 *
 * What is secret by its name (Authorization, Cookie and what a configuration adds), or because the configuration has it
 * from a file, is "[redacted]", unless the reader may see it. */
#ifndef PORTHOLE_REPORT_TAP_LINE_H
#define PORTHOLE_REPORT_TAP_LINE_H

#include "proxy/report/access_log.h"
#include "proxy/report/tap.h"

/* What the lines before said. Zeroed: nothing. */
struct tap_memo {
    struct record_memo record;
    struct line_memo event, http;
};

/* How a reader wants them. */
struct tap_choice {
    bool heads;
    uint32_t body_bytes;
    bool unredacted;
    char *const *redact;   /* borrowed: more names of fields, NULL at the end; NULL: none */
    struct tap_memo *memo; /* borrowed: this reader's; NULL: there is none */
};

/* Writes one line. Returns its length, or 0 when it does not fit. */
size_t tap_line_write(const struct tap_view *view, const struct tap_choice *choice, char *out, size_t size);
/* One that says how many are missing; `size` is at least TAP_LINE_LOST_BYTES. */
#define TAP_LINE_LOST_BYTES 160u
size_t tap_line_lost(uint64_t n_lost, char *out, size_t size);
/* Whether a field of that name is shown to nobody who may not see it. */
bool tap_line_is_secret(struct text name, char *const *redact);

#endif
