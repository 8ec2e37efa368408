/* Backlogs: how many connections wait to be accepted, as the kernel has it. */
#ifndef PORTHOLE_LISTEN_BACKLOG_H
#define PORTHOLE_LISTEN_BACKLOG_H

#include <stdbool.h>
#include <stdint.h>

/* Asks about a listening socket, of TCP or Unix; of the latter through what diagnosis_open has given, best before
 * rights are given up and descriptors run out (below 0: none). False: not known, as of a socket that was passed from
 * another network namespace. Never blocks. */
bool backlog_read(int diag_fd, int fd, uint32_t *ret_n);

#endif
