/* The page of taps: a stream of exchanges as they end, for each who asks.
 *
 *   rings of the workers --> tap_page_turn, some times a second --> each reader's filter --> its buffer --> its client
 *
 * A buffer is bounded: what a reader does not take is lost to it, and counted. When nobody has room the rings are left
 * as they are, so that workers see at a glance that there is none. In the admin worker's thread. */
#ifndef PORTHOLE_ADMIN_TAP_H
#define PORTHOLE_ADMIN_TAP_H

#include "proxy/admin/admin.h"

/* GET /tap. */
void tap_page_ask(struct admin *admin, struct page *page, const struct page_question *question);

#endif
