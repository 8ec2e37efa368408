/* /status: the whole process on one page, as JSON. Numbers are since the process began; rates are differences that the
 * reader takes. */
#ifndef PORTHOLE_ADMIN_STATUS_H
#define PORTHOLE_ADMIN_STATUS_H

#include <jansson.h>

#include "proxy/admin/facts.h"

/* The caller owns it. NULL when out of memory. Nothing in it is a secret: fields of requests and conditions on them are
 * not told. */
json_t *status_document(const struct facts *facts);

#endif
