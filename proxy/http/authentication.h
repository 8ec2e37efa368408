/* Authentication that holds for a connection: NTLM and Negotiate (RFC 4559 6), against RFC 9110 11.1, let a server take
 * whatever comes over the same connection afterwards for the same user's. Pure. */
#ifndef PORTHOLE_HTTP_AUTHENTICATION_H
#define PORTHOLE_HTTP_AUTHENTICATION_H

#include <stdbool.h>

#include "proxy/base/text.h"

/* Whether the value of a field that authenticates, or asks for it, names such a scheme: among several challenges, too,
 * and wherever the word stands, since not everybody quotes the parameters of the others well. */
bool authentication_is_personal(struct text value);
/* The same of whole field lines, each ended by CR LF. */
bool authentication_lines_are_personal(struct text lines);

#endif
