/* The sandbox: what the process gives up once everything is open, and what a reload may still ask for.
 *
 * It is the process's, entered once and never left, in this order: no new privileges (prctl(2)), capabilities,
 * Landlock, seccomp. Threads inherit it, so that it is entered before the first is made. What the kernel, or the
 * runtime of a container, does not offer is told once in the log, and the rest holds without it. */
#ifndef PORTHOLE_SANDBOX_SANDBOX_H
#define PORTHOLE_SANDBOX_SANDBOX_H

#include "config/snapshot.h"
#include "proxy/base/error.h"

/* Gives up what the snapshot does not need, when all sockets are open and before threads are made, and tells in
 * the log what is in force. Main thread. 0; or -ENOMEM, -EMFILE, -ENFILE with the reason in the error, when there was
 * no room to say what is needed: then nothing may be served, and what was opened can still be taken away. */
int sandbox_enter(const struct snapshot *snapshot, struct error *error) WARN_UNUSED;

/* Whether a configuration that comes by a reload can be served with the rights that are left; to be asked before
 * anything is changed. 0; or -EPERM with the reason in the error, or -ENOMEM. Before sandbox_enter everything is
 * admitted. */
int sandbox_admits(const struct snapshot *snapshot, struct error *error) WARN_UNUSED;

#endif
