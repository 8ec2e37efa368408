/* Who is connected to a worker at this moment, and what for. In its thread. */
#ifndef PORTHOLE_SERVE_CENSUS_H
#define PORTHOLE_SERVE_CENSUS_H

#include "proxy/serve/client.h"
#include "proxy/tunnel/tunnel.h"

enum census_state { CENSUS_IDLE, CENSUS_EXCHANGE, CENSUS_TUNNEL };

/* One connection. Texts are borrowed until the function that gets it returns, and may hold any bytes. */
struct census_entry {
    enum census_state state;
    struct text listener, peer;
    struct text method, request, route, target; /* of what is under way; empty: nothing, or not known yet */
    bool has_uid;
    uid_t uid;
    pid_t pid;        /* 0: not known */
    uint64_t here_us; /* since it was accepted; of a tunnel, since its exchange began */
    uint64_t age_us;  /* of what is under way */
    uint64_t received_bytes, sent_bytes;
};

typedef void census_fn(void *closure, const struct census_entry *entry);

/* Calls it for each, clients first, for at most so many. How many were left out. */
size_t census_take(const struct clients *clients, const struct tunnels *tunnels, size_t most, census_fn *fn,
                   void *closure);

#endif
