/* What a target says about how long it keeps a connection: Keep-Alive: timeout=5, max=100 (RFC 2068 19.7.1.1, which
 * RFC 9112 C.2.2 leaves to those who know it). Pure. */
#ifndef PORTHOLE_HTTP_KEEP_ALIVE_H
#define PORTHOLE_HTTP_KEEP_ALIVE_H

#include <stdint.h>

#include "proxy/base/text.h"

#define KEEP_ALIVE_SILENT UINT64_MAX

/* Milliseconds for which a connection may be idle, as a field's value says: 0 when it carries no other request
 * ("timeout=0", "max=0"), KEEP_ALIVE_SILENT when it does not say. The least of several; what is no number of seconds
 * does not count. */
uint64_t keep_alive_ms(struct text value);

#endif
