/* The end of a listening socket, without losing whom the kernel has let in already. */
#ifndef PORTHOLE_LISTEN_SHUT_H
#define PORTHOLE_LISTEN_SHUT_H

/* From now on nobody else gets into the backlog, whoever else has the socket; what is in it can still be accepted. Any
 * thread, also again. */
void shut_listening_socket(int fd);

#endif
