/* /clients: a round of the workers, each of which says who is with it. */
#ifndef PORTHOLE_ADMIN_CLIENTS_PAGE_H
#define PORTHOLE_ADMIN_CLIENTS_PAGE_H

#include "proxy/admin/admin.h"

#define CLIENTS_PAGE_MOST 1000 /* of all workers together; the rest is counted */

#define CLIENTS_PAGE_WAIT_MS 1000u /* for workers that are busy; then there are those whom the others know of */

/* admin_page.at_once, though the answer comes later. */
void clients_page_ask(struct admin *admin, struct page *page, const struct page_question *question);

#endif
