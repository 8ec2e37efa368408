/* Answers of pages that are JSON. */
#ifndef PORTHOLE_ADMIN_REPLY_H
#define PORTHOLE_ADMIN_REPLY_H

#include <jansson.h>

#include "proxy/base/line.h"
#include "proxy/exchange/pages.h"

/* Takes the document over; NULL: there was no memory for it. */
void reply_json(struct page *page, unsigned status, json_t *document);
/* A string of any bytes: what is not UTF-8 becomes "?". NULL when out of memory. */
json_t *reply_text(struct text text);
/* A moment (RFC 3339), terminated, in `out`; NULL where it is not known (ns 0). */
#define REPLY_TIME_BYTES (LINE_TIME_BYTES + 1)
const char *reply_time(struct wall_time at, char out[REPLY_TIME_BYTES]);
/* A member, unless there is nothing to say. An object that is NULL stays so. */
void reply_set_text(json_t *object, const char *key, struct text text);

#endif
