/* Backlogs: how many connections wait to be accepted, as the kernel has it. */
#ifndef PORTHOLE_LISTEN_BACKLOG_H
#define PORTHOLE_LISTEN_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

/* What the kernel is asked through about Unix sockets (sock_diag(7)), for the caller to close; -1: it cannot be asked.
 * To be had before rights are given up, and before descriptors run out. */
int backlog_open(void);
/* Asks about a listening socket, of TCP or Unix. False: not known, as of a socket that was passed from another network
 * namespace. Never blocks. */
bool backlog_read(int diag_fd, int fd, uint32_t *ret_n);

#endif
