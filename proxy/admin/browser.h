/* Requests that a browser sends because some site on the network made it: they come over TCP with a name that leads to
 * us (DNS rebinding), or from another origin. Pure. */
#ifndef PORTHOLE_ADMIN_BROWSER_H
#define PORTHOLE_ADMIN_BROWSER_H

#include <stdbool.h>

#include "config/pages.h"
#include "proxy/exchange/pages.h"

/* NULL, or a text that says why it is refused. `changes`: the page changes something. */
const char *browser_objection(const struct page_question *question, enum page_id page, bool changes);

#endif
