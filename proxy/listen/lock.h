/* The lock of a directory: publishers of one user wait for each other, and for nobody else.
 *
 * It is a file that only we can open, so whoever may merely read the directory cannot hold it. Whoever may write there
 * can take the file away or put another in its place; then publishers go without. What is lost by that is order, not
 * safety: of two that publish one path at once the later claim wins, and a path that was taken away from under its
 * owner is published again (keeper). */
#ifndef PORTHOLE_LISTEN_LOCK_H
#define PORTHOLE_LISTEN_LOCK_H

/* Waits a bounded time, once for all that is published or withdrawn in a row. A descriptor for lock_give, or -1 when
 * the lock cannot be had: then nobody is kept out. The main thread's. */
int lock_take(int directory_fd);
/* Takes -1. */
void lock_give(int directory_fd, int lock);

#endif
