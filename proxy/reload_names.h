/* Hosts of new listeners, for a reload: looked up by the resolver's threads, so that the main thread goes on meanwhile.
 * A name service may take as long as it likes; who reloads waits for RELOAD_NAMES_MS at most. */
#ifndef PORTHOLE_RELOAD_NAMES_H
#define PORTHOLE_RELOAD_NAMES_H

#include <stddef.h>

#include "proxy/base/error.h"
#include "proxy/base/loop.h"
#include "proxy/listeners.h"
#include "proxy/reach/resolver.h"

#define RELOAD_NAMES_MS 10000

struct reload_names;

/* One listener's. */
struct reload_name {
    struct reload_names *names;         /* borrowed, like the next */
    struct served *served;              /* its `known` is what was found out */
    struct resolver_question *question; /* owned; NULL: answered, or given up */
};

/* Embedded in the plan; all zero at first. Main thread. */
struct reload_names {
    struct loop *loop; /* borrowed */
    struct resolver_desk desk;
    struct reload_name *items; /* owned */
    size_t n_items, n_open;    /* that are asked for; that are not answered yet */
    struct timer patience;     /* while some are open */
    struct error error;        /* why one of them is not known, the first; code 0: all are */
    void (*fn)(struct reload_names *names, void *closure);
    void *closure;
};

/* Asks for the hosts of those of `served` that are new, `n` at most. 0: nothing is open; 1: fn will be called once,
 * when nothing is; -ENOMEM. To be followed by reload_names_deinit in any case. */
int reload_names_ask(struct reload_names *names, struct loop *loop, const struct resolver_desk *desk,
                     struct served *const *served, const bool *is_new, size_t n,
                     void (*fn)(struct reload_names *names, void *closure), void *closure) WARN_UNUSED;
/* Those that are still open are not waited for any more, and fn is called. Nothing happens when none is. */
void reload_names_give_up(struct reload_names *names, const char *why);
/* fn is not called any more. Harmless on one of zeros. */
void reload_names_deinit(struct reload_names *names);

#endif
