/* Landlock: only what the needs name can be opened, made and connected to, by the calling thread and those that it
 * starts from then on, for good (landlock(7)).
 *
 *   ABI 1     nothing could be renamed into another directory, which publishing does: Landlock is left alone
 *   ABI 2     files and directories
 *   ABI 3, 5  and truncating, and devices
 *   ABI 4     and TCP: ports to connect to and to listen on
 *   ABI 6     and abstract sockets and signals: nobody outside is reached */
#ifndef PORTHOLE_SANDBOX_LANDLOCK_H
#define PORTHOLE_SANDBOX_LANDLOCK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/sandbox/needs.h"

/* What one rule opened. */
struct landlock_grant {
    dev_t device;
    ino_t inode;
    uint64_t rights;
    int fd; /* owned; -1, or what keeps an entry of /proc the same one */
};

/* What is held, for as long as the process lives. */
struct landlock {
    int abi;                       /* 0: none is in force */
    struct landlock_grant *grants; /* owned */
    size_t n_grants;
    struct needs needs; /* ports; its places are not used */
    bool holds_ports, holds_abstract, holds_signals;
};

/* 0; or a negative errno, with what is not in force in the error, for people. *ret is to be kept. */
int landlock_enter(const struct needs *needs, struct landlock *ret, struct error *error) WARN_UNUSED;

/* Whether what is needed now was opened then; 0, or -EPERM with the first that was not. */
int landlock_admits(const struct landlock *landlock, const struct needs *needs, struct error *error) WARN_UNUSED;

#endif
