/* Claims: the fields by which a client says who it is, or what it asks for, in a proxy's place (claims.def). Pure. */
#ifndef PORTHOLE_HTTP_CLAIMS_H
#define PORTHOLE_HTTP_CLAIMS_H

#include <stdbool.h>

#include "proxy/base/text.h"

/* Whether the field of this name is one, in any case. */
bool claim_is(struct text name);

#endif
