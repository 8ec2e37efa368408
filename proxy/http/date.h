/* The time of a message. Pure. */
#ifndef PORTHOLE_HTTP_DATE_H
#define PORTHOLE_HTTP_DATE_H

#include <stdint.h>

#define DATE_BYTES 30 /* with the terminator */

/* IMF-fixdate (RFC 9110 5.6.7) of so many seconds since 1970, in the years that have four digits. */
void date_write(int64_t seconds, char out[DATE_BYTES]);

#endif
