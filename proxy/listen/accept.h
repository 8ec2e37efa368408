/* accept(2) with what Linux makes of it. */
#ifndef PORTHOLE_LISTEN_ACCEPT_H
#define PORTHOLE_LISTEN_ACCEPT_H

/* A descriptor that does not block, or a negative errno: -EAGAIN when nobody is there, -ECONNABORTED when somebody was
 * who is gone, for whatever reason of a network (accept(2), "Error handling"), so that the next may be right. */
int accept_connection(int listening_fd);

#endif
