/* Connections that end in stages (RFC 9112 9.6): everything is said, the other side may still be sending.
 *
 * Closed at once, the kernel would answer what comes with a reset. The client then finds its connection broken while it
 * sends, and on TCP what it has not received of the answer by then is lost. */
#ifndef PORTHOLE_SERVE_FAREWELL_H
#define PORTHOLE_SERVE_FAREWELL_H

#include "proxy/base/loop.h"
#include "proxy/listen/admission.h"

/* Ends our side of a connection, of which the caller is about to close its descriptor, and takes what still comes, for
 * a moment. Takes the pass over; leaves it where it is when that cannot be done for want of memory or descriptors. */
void farewell_begin(struct list *farewells, struct loop *loop, int fd, struct admission_pass *pass);
/* Closes them all. */
void farewells_end(struct list *farewells);

#endif
