/* Why libcurl could not connect, in words: the same in logs and from the verbs of the command line. */
#ifndef PORTHOLE_REACH_CONNECT_REASON_H
#define PORTHOLE_REACH_CONNECT_REASON_H

#include <stddef.h>

/* Writes one line of text, cut to `size`. error_number is the system's verdict, or 0; `where` the address that was
 * tried last, or ""; `said` is the handle's CURLOPT_ERRORBUFFER, and code its CURLcode. */
void connect_reason(char *out, size_t size, int code, int error_number, const char *where, const char *said);

#endif
