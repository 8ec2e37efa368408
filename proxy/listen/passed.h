/* Sockets that whoever started us has opened: sd_listen_fds(3), without its library.
 *
 * Descriptors are the process's, so this is, too. They are collected once, before other threads start; each is taken by
 * the listener that names it, and stays its starter's: it is never unlinked, never given a mode, and never shut. What
 * nobody takes at the start is closed. Main thread. */
#ifndef PORTHOLE_LISTEN_PASSED_H
#define PORTHOLE_LISTEN_PASSED_H

#include "config/snapshot.h"
#include "proxy/base/error.h"

/* Reads LISTEN_PID, LISTEN_FDS and LISTEN_FDNAMES, and takes them away: whatever is started by us is another's. */
void passed_collect(void);

/* The socket of a listener with fd:NAME, checked, non-blocking and close-on-exec: a stream socket that listens, of Unix
 * or TCP, for which the listener's rules mean something. NAME is a name, or where there is none such, a number of a
 * descriptor. The caller closes it. 0 or a negative errno with the error set. */
int passed_take(const struct listener_config *config, int *ret_fd, struct error *error) WARN_UNUSED;

/* Closes what nobody has taken, and says so; nothing can be taken any more. */
void passed_close_rest(void);

/* Where a socket is, as address_canonical spells it. The caller owns it; NULL: it cannot be told, or out of memory. */
char *passed_address(int fd);

/* Whether requests that this snapshot forwards would come back to a socket at this address: -ELOOP with the error
 * set. 0 or another negative errno. */
int passed_check_loops(const char *address, const struct snapshot *snapshot, struct error *error) WARN_UNUSED;

#endif
