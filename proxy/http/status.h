/* Reason phrases (RFC 9110 15, and the registry that 16.2 makes). */
#ifndef PORTHOLE_HTTP_STATUS_H
#define PORTHOLE_HTTP_STATUS_H

/* The phrase of a status code; "Unknown" for one that has none. Lives for ever. */
const char *status_phrase(unsigned status);

#endif
