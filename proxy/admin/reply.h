/* Answers of pages that are JSON. */
#ifndef PORTHOLE_ADMIN_REPLY_H
#define PORTHOLE_ADMIN_REPLY_H

#include <jansson.h>

#include "proxy/exchange/pages.h"

/* Takes the document over; NULL: there was no memory for it. */
void reply_json(struct page *page, unsigned status, json_t *document);
/* A string of any bytes: what is not UTF-8 becomes "?". NULL when out of memory. */
json_t *reply_text(struct text text);
/* A member, unless there is nothing to say. An object that is NULL stays so. */
void reply_set_text(json_t *object, const char *key, struct text text);

#endif
