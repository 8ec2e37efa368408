/* How targets and their endpoints do, as far as somebody knows. In the admin worker's thread. */
#ifndef PORTHOLE_ADMIN_TARGETS_H
#define PORTHOLE_ADMIN_TARGETS_H

#include "proxy/admin/facts.h"
#include "proxy/reach/standing.h"

#define TARGETS_MOST_VIEWS (2 * TARGET_MOST_ENDPOINTS)

/* As checks and failures of exchanges have it (reach/standing.h). One that is alone and not checked is not watched: it
 * is UNTRIED until somebody has connected, then GOOD, or UNREACHED, by the last attempt, and is asked in any case. */
enum endpoint_state { ENDPOINT_GOOD, ENDPOINT_EJECTED, ENDPOINT_DOWN, ENDPOINT_UNREACHED, ENDPOINT_UNTRIED };

/* One endpoint that is configured, or an address of a name that is (resolve.all). */
struct endpoint_view {
    const struct endpoint_config *config; /* borrowed from the snapshot; NULL: an address */
    char *address, *canonical;            /* of an address: owned; else config's, borrowed */
    bool is_watched;
    enum endpoint_state state;
    char reason[STANDING_REASON_BYTES]; /* of one that is EJECTED or DOWN: why */
    struct instant since;               /* when it was in or out last, ns 0: it has always been in, or is not watched */
    uint32_t n_busy, n_idle;            /* connections of all targets that lead there, and workers */
    struct histogram_sum response_head; /* of what this target has asked there */
};

struct target_view {
    const struct target_config *config; /* borrowed from the snapshot */
    struct endpoint_view *endpoints;    /* owned; those that are configured, in their order, then addresses */
    size_t n_endpoints;
    uint32_t n_waiting; /* requests, for a connection */
    bool out_of_memory;
};

/* Looks at what decides whether an endpoint is used. False when out of memory. To be given back in any case. */
bool target_view_init(struct target_view *view, const struct facts *facts,
                      const struct target_config *config) WARN_UNUSED;
/* Besides, its connections. */
void target_view_connections(struct target_view *view, const struct facts *facts);
/* Besides, connections, responses, and how those do that nobody watches. */
void target_view_count(struct target_view *view, const struct facts *facts);
void target_view_deinit(struct target_view *view);

/* Whether one of its endpoints is neither ejected nor down. */
bool target_view_is_usable(const struct target_view *view);

#endif
