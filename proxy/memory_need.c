#include "proxy/memory_need.h"

#include <stdbool.h>

#include "config/pages.h"
#include "proxy/exchange/env.h"
#include "proxy/exchange/held.h"
#include "proxy/listen/admission.h"
#include "proxy/report/tap.h"
#include "proxy/serve/frontend.h"
#include "proxy/tunnel/tunnel_half.h"

#define KIB ((uint64_t)1024)
#define MIB (1024 * KIB)

#define PROGRAM_BYTES (16 * MIB)
#define WORKER_BYTES (1 * MIB)
#define ROUTE_BYTES (4 * KIB)
#define TARGET_BYTES (16 * KIB) /* with its endpoints */
#define CLIENT_BYTES (4 * KIB)  /* its record, the library's, and what is allocated for an answer */
#define EXCHANGE_BYTES (16 * KIB)
#define STREAM_BYTES (2 * KIB)
#define TLS_BYTES (64 * KIB)
#define PAGE_BYTES (64 * KIB) /* of an admin listener */
#define TAPS_BYTES (17 * MIB) /* 16 readers, and the line that one is told */
#define GAPS 4                /* a part of as many */

uint32_t memory_need_clients(const struct listener_config *listener)
{
    return admission_most(listener);
}

/* Sizes are those of the largest heads that any listener allows: a worker's blocks are for all its clients. */
static size_t memory_header_bytes(const struct snapshot *snapshot)
{
    uint64_t most = 0;

    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++)
        if (snapshot_socket(snapshot, i)->limit_header_bytes > most)
            most = snapshot_socket(snapshot, i)->limit_header_bytes;
    return (size_t)most;
}

uint64_t memory_need_each(const struct snapshot *snapshot, const struct listener_config *listener)
{
    size_t header_bytes = memory_header_bytes(snapshot), heads_bytes = exchange_heads_bytes(header_bytes);
    size_t edit_bytes = snapshot->edit_bytes > 0 ? snapshot->edit_bytes + header_bytes : 0;

    if (listener->stream)
        return STREAM_BYTES + 2 * (uint64_t)TUNNEL_BLOCK_BYTES;
    if (listener->pages)
        return CLIENT_BYTES + EXCHANGE_BYTES + frontend_client_bytes(header_bytes) + PAGE_BYTES + TUNNEL_BLOCK_BYTES;
    /* The request, on its way to the target; the answer's head as it came, as the library has it, and a block of body.
     */
    return CLIENT_BYTES + EXCHANGE_BYTES + frontend_client_bytes(header_bytes) +
           exchange_out_bytes(header_bytes, edit_bytes) + 2 * (uint64_t)heads_bytes + 2 * (uint64_t)edit_bytes +
           TUNNEL_BLOCK_BYTES;
}

static bool memory_judges_bodies(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_listeners; i++)
        for (size_t j = 0; j < snapshot->listeners[i].n_routes; j++)
            if (snapshot->listeners[i].routes[j].has_body)
                return true;
    return false;
}

static bool memory_has_taps(const struct snapshot *snapshot)
{
    for (size_t i = 0; i < snapshot->n_admin; i++)
        if (snapshot->admin[i].pages & (1u << PAGE_TAP))
            return true;
    return false;
}

static bool target_has_tls(const struct target_config *target)
{
    for (size_t i = 0; i < target->n_endpoints; i++)
        if (target->endpoints[i].address.kind == ADDRESS_HTTPS)
            return true;
    return false;
}

void memory_need(const struct snapshot *snapshot, struct memory_need *ret_need)
{
    struct memory_need need = {.program = PROGRAM_BYTES + snapshot->n_workers * WORKER_BYTES +
                                          snapshot->n_targets * TARGET_BYTES};

    for (size_t i = 0; i < snapshot->n_listeners; i++)
        need.program += snapshot->listeners[i].n_routes * ROUTE_BYTES;
    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++) {
        const struct listener_config *listener = snapshot_socket(snapshot, i);

        need.clients += memory_need_clients(listener) * memory_need_each(snapshot, listener);
    }
    for (size_t i = 0; i < snapshot->n_targets; i++)
        if (target_has_tls(&snapshot->targets[i]))
            need.tls += snapshot->targets[i].connections_max * TLS_BYTES;
    need.bodies = memory_judges_bodies(snapshot) ? HELD_MOST_BYTES : 0;
    need.taps = memory_has_taps(snapshot) ? TAPS_BYTES + snapshot->n_workers * (uint64_t)TAP_RING_BYTES : 0;
    need.gaps = (need.clients + need.tls) / GAPS;
    *ret_need = need;
}

uint64_t memory_need_total(const struct memory_need *need)
{
    return need->program + need->clients + need->tls + need->bodies + need->taps + need->gaps;
}
