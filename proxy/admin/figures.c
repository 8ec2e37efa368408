#include "proxy/admin/figures.h"

static void figures_add_requests(void *closure, uint32_t key, uint64_t n)
{
    struct figures *figures = closure;
    unsigned code = key >> 16;
    uint32_t outcome = key & 0xff;
    enum fault fault = outcome < N_OUTCOMES ? outcome_info((enum outcome)outcome)->fault : FAULT_NONE;

    figures->requests += n;
    if (fault == FAULT_TARGET || fault == FAULT_SELF || code >= 500)
        figures->errors += n;
    else if (fault == FAULT_RULES || fault == FAULT_CLIENT)
        figures->refused += n;
}

void figures_add_route(struct figures *figures, const struct series *series)
{
    for (size_t i = 0; series && i < series->book->n_workers; i++) {
        const struct route_slot *slot = route_slot(series, i);

        cells_read(&slot->requests, figures_add_requests, figures);
        histogram_read(&slot->duration, &figures->duration);
        figures->received_bytes += counter_read(&slot->received);
        figures->sent_bytes += counter_read(&slot->sent);
    }
}

static void figures_add_count(void *closure, uint32_t key UNUSED, uint64_t n)
{
    *(uint64_t *)closure += n;
}

/* What has begun and not ended; both are read at different moments. */
static uint64_t figures_left(uint64_t begun, uint64_t ended)
{
    return begun > ended ? begun - ended : 0;
}

struct figures_of_listener figures_of_listener(const struct series *series)
{
    struct figures_of_listener figures = {.accepted = 0};
    uint64_t begun = 0, ended = 0, tunnels_begun = 0, tunnels_ended = 0;

    for (size_t i = 0; series && i < series->book->n_workers; i++) {
        const struct listener_slot *slot = listener_slot(series, i);

        figures.accepted += counter_read(&slot->accepted);
        cells_read(&slot->refused, figures_add_count, &figures.refused);
        ended += counter_read(&slot->ended);
        begun += counter_read(&slot->begun);
        for (int protocol = 0; protocol < N_PROTOCOL_LABELS; protocol++) {
            tunnels_ended += counter_read(&slot->tunnels_ended[protocol]);
            tunnels_begun += counter_read(&slot->tunnels_begun[protocol]);
        }
        figures.received_bytes += counter_read(&slot->tunnel_received);
        figures.sent_bytes += counter_read(&slot->tunnel_sent);
    }
    figures.in_flight = figures_left(begun, ended);
    figures.tunnels = figures_left(tunnels_begun, tunnels_ended);
    return figures;
}

uint64_t figures_quantile_us(const struct histogram_sum *sum, const struct histogram_bounds *bounds, double q)
{
    double wanted = q * (double)sum->n, below = 0;

    if (sum->n == 0)
        return 0;
    for (size_t i = 0; i < bounds->n; i++) {
        double n = (double)sum->buckets[i];

        if (n > 0 && below + n >= wanted) {
            double low = i > 0 ? (double)bounds->ns[i - 1] : 0, high = (double)bounds->ns[i];

            return (uint64_t)((low + (high - low) * (wanted - below) / n) / 1000);
        }
        below += n;
    }
    return bounds->ns[bounds->n - 1] / 1000;
}
