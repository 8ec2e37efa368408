/* Where an attempt's host name leads to: asks the resolver, and waits for as long as that is worth it. */
#ifndef PORTHOLE_REACH_CONNECT_NAME_H
#define PORTHOLE_REACH_CONNECT_NAME_H

#include "proxy/base/loop.h"
#include "proxy/reach/resolver.h"

struct connect_name;

/* Called once after RESOLVER_WAIT. `found` is a reference that is the callee's, or NULL and *answer says why; then
 * too when the time was over, of which *answer is NULL. */
typedef void connect_name_fn(struct connect_name *name, struct addresses *found, const struct resolver_answer *answer);

/* One question of an attempt. Embedded in it; may be asked again when it was answered. */
struct connect_name {
    const struct resolver_desk *desk; /* borrowed, as are loop and host */
    struct loop *loop;
    const char *host;
    uint64_t every_ms;
    connect_name_fn *fn;
    struct resolver_question *question; /* NULL: nothing is waited for */
    struct timer timer;                 /* while there is a question */
};

void connect_name_init(struct connect_name *name, const struct resolver_desk *desk, struct loop *loop, const char *host,
                       uint64_t every_ms, connect_name_fn *fn);

/* Asks, and waits for at most left_ms. RESOLVER_FOUND: *ret_answer, whose addresses are the caller's reference.
 * RESOLVER_FAILED: *ret_answer says why. RESOLVER_WAIT: fn is called, unless connect_name_end is. */
enum resolver_result connect_name_ask(struct connect_name *name, uint64_t left_ms,
                                      struct resolver_answer *ret_answer) WARN_UNUSED;
/* Nothing is waited for any more. Harmless when nothing was. */
void connect_name_end(struct connect_name *name);

#endif
