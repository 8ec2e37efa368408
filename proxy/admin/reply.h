/* Answers of pages that are JSON. */
#ifndef PORTHOLE_ADMIN_REPLY_H
#define PORTHOLE_ADMIN_REPLY_H

#include <jansson.h>

#include "proxy/exchange/pages.h"

/* Takes the document over; NULL: there was no memory for it. */
void reply_json(struct page *page, unsigned status, json_t *document);

#endif
