/* What a reader of a tap asks for, as it stands in a query:
 *
 *   listener=NAME&route=NAME&status=4xx&min_duration=10ms&peer=TEXT&method=GET&path_prefix=/a&headers=1&bodies=N
 *
 * Everything that is given must hold. Pure. */
#ifndef PORTHOLE_REPORT_TAP_FILTER_H
#define PORTHOLE_REPORT_TAP_FILTER_H

#include <stdbool.h>
#include <stdint.h>

#include "proxy/base/error.h"
#include "proxy/report/record.h"

#define TAP_FILTER_TEXT_BYTES 256

/* Texts are terminated; "" asks for nothing. */
struct tap_filter {
    char listener[TAP_FILTER_TEXT_BYTES], route[TAP_FILTER_TEXT_BYTES], method[TAP_FILTER_TEXT_BYTES];
    char path_prefix[TAP_FILTER_TEXT_BYTES];
    char peer[TAP_FILTER_TEXT_BYTES];   /* a part of how logs show it: "uid=1000", "10.0.0.5" */
    unsigned status_least, status_most; /* 0 and 0: any */
    uint64_t least_us;
    uint32_t body_bytes;
    bool heads;
    bool unredacted;
};

/* `query` is what follows the "?". 0, or -EINVAL with a sentence that says what is wrong: then *ret is untouched. */
int tap_filter_parse(struct text query, struct tap_filter *ret, struct error *error) WARN_UNUSED;
bool tap_filter_fits(const struct tap_filter *filter, const struct record *record);

#endif
