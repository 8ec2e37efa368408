/* How targets and their endpoints do, as far as somebody knows. In the admin worker's thread. */
#ifndef PORTHOLE_ADMIN_TARGETS_H
#define PORTHOLE_ADMIN_TARGETS_H

#include "proxy/admin/facts.h"
#include "proxy/reach/standing.h"

#define TARGETS_MOST_VIEWS (TARGET_MOST_ENDPOINTS + TARGET_MOST_ENDPOINTS)

/* UNKNOWN: nobody has asked there, or nobody wants to know. */
enum endpoint_state { ENDPOINT_GOOD, ENDPOINT_EJECTED, ENDPOINT_DOWN, ENDPOINT_UNKNOWN };

/* One endpoint that is configured, or an address of a name that is (resolve.all). */
struct endpoint_view {
    const struct endpoint_config *config; /* borrowed from the snapshot; NULL: an address */
    char *address;                        /* of an address: owned; else config's, borrowed */
    enum endpoint_state state;
};

struct target_view {
    const struct target_config *config; /* borrowed from the snapshot */
    struct endpoint_view *endpoints;    /* owned; those that are configured, in their order, then addresses */
    size_t n_endpoints;
    bool out_of_memory;
};

/* Looks. False when out of memory. To be given back in any case. */
bool target_view_init(struct target_view *view, const struct facts *facts,
                      const struct target_config *config) WARN_UNUSED;
void target_view_deinit(struct target_view *view);

/* Whether one of its endpoints is neither ejected nor down. */
bool target_view_is_usable(const struct target_view *view);

#endif
