/* The filter of system calls: only those that serving needs (calls.def), on all threads, for good (seccomp(2)).
 *
 * Some depend on their arguments:
 *
 *   socket            Unix, IPv4, IPv6, netlink (which addresses this machine has, what a socket has not sent yet)
 *   clone             threads of this process; clone3, whose arguments a filter cannot see, is ENOSYS as in containers
 *   mmap, mprotect    no memory that can be executed; with patterns in the configuration anonymous one, for PCRE2's JIT
 *   ioctl             how much is to be read or sent, whether something is a terminal
 *   prctl             names of threads and of memory
 *   tgkill, prlimit64 of this process
 *
 * An architecture other than the program's own ends the process. */
#ifndef PORTHOLE_SANDBOX_FILTER_H
#define PORTHOLE_SANDBOX_FILTER_H

#include <stdbool.h>

#include "proxy/base/error.h"

/* `with_jit`: code may be generated. 0; or a negative errno, with what is not in force in the error, for people. */
int filter_enter(bool with_jit, struct error *error) WARN_UNUSED;

#endif
