/* A request's body, held in memory until rules have judged it, and then until the target has taken it.
 *
 * It takes as much as has come, never as much as was announced. What all workers hold together is bounded, and shared
 * between users as base/shares has it: one user alone gets seven eighths of it. */
#ifndef PORTHOLE_EXCHANGE_HELD_H
#define PORTHOLE_EXCHANGE_HELD_H

#include <stdbool.h>
#include <sys/types.h>

#include "proxy/base/error.h"
#include "proxy/http/fields.h"

#define HELD_MOST_BYTES ((size_t)64 << 20) /* of all bodies of the process */

/* Of one thread; what is counted is the process's. */
struct held;

/* For a body of this user (or SHARES_NOBODY) that will have at most `most_bytes`. NULL when out of memory. */
struct held *held_new(uid_t uid, uint64_t most_bytes);
/* Takes NULL. Always returns NULL. */
struct held *held_free(struct held *held);

enum held_result {
    HELD_DONE,
    HELD_FULL, /* the user may not have more at the moment */
    HELD_NO_MEMORY,
};
/* Adds a piece. */
enum held_result held_add(struct held *held, const char *data, size_t length) WARN_UNUSED;
/* Keeps copies of the trailers. False when out of memory. */
bool held_keep_trailers(struct held *held, const struct fields *trailers) WARN_UNUSED;

/* What there is; valid until the next held_add. */
struct text held_body(const struct held *held);
/* NULL: none. */
const struct fields *held_trailers(const struct held *held);
/* The next piece for the target, of at most `most` bytes, which counts as taken; empty at the end. */
struct text held_take(struct held *held, size_t most);

/* What the process holds, for tests. */
size_t held_bytes_of_all(void);

#endif
