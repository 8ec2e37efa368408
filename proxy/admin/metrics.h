/* The page of metrics: what is counted, and what the main thread knows, as a scraper reads it. */
#ifndef PORTHOLE_ADMIN_METRICS_H
#define PORTHOLE_ADMIN_METRICS_H

#include "proxy/admin/admin.h"

/* Inquires, in the format that is asked for: an enum exposition_format. */
void metrics_ask(struct admin *admin, struct page *page, const struct page_question *question);
/* Answers in that. */
void metrics_tell(struct page *page, const struct facts *facts, unsigned format);

#endif
