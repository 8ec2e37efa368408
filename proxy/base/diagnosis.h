/* What the kernel knows of a Unix socket that nothing the socket can be asked tells: sock_diag(7), by its inode, of
 * sockets of our network namespace, to anybody. */
#ifndef PORTHOLE_BASE_DIAGNOSIS_H
#define PORTHOLE_BASE_DIAGNOSIS_H

#include <stddef.h>
#include <stdint.h>

/* What it is asked through, for the caller to close; or a negative errno. */
int diagnosis_open(void);
/* Asks for one attribute (UNIX_DIAG_*, with what shows it, UDIAG_SHOW_*) of `size` bytes. 0 or a negative errno. Never
 * blocks: the kernel has answered when the question has been sent. */
int diagnosis_ask(int netlink, uint32_t inode, uint32_t show, unsigned short type, void *ret, size_t size);

#endif
