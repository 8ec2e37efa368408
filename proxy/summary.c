#include "proxy/summary.h"

#include <stddef.h>

#include "proxy/base/log.h"
#include "proxy/report/metrics.h"

struct summary {
    struct worker *const *workers;
    size_t n_workers;
};

/* A counter of all workers, by where it is in struct metrics. */
static const struct counter *summary_counter(const struct summary *summary, size_t worker, size_t offset)
{
    const char *metrics = (const char *)worker_metrics(summary->workers[worker]);

    return (const struct counter *)(const void *)(metrics + offset);
}

static uint64_t summary_sum(const struct summary *summary, size_t offset)
{
    uint64_t n = 0;

    for (size_t i = 0; i < summary->n_workers; i++)
        n += counter_read(summary_counter(summary, i, offset));
    return n;
}

static uint64_t summary_most(const struct summary *summary, size_t offset)
{
    uint64_t most = 0;

    for (size_t i = 0; i < summary->n_workers; i++) {
        uint64_t n = counter_read(summary_counter(summary, i, offset));

        most = n > most ? n : most;
    }
    return most;
}

static uint64_t summary_of_outcome(const struct summary *summary, enum outcome outcome)
{
    return summary_sum(summary, offsetof(struct metrics, outcomes) + (size_t)outcome * sizeof(struct counter));
}

static uint64_t summary_of_fault(const struct summary *summary, enum fault fault)
{
    uint64_t n = 0;

    for (int outcome = 0; outcome < N_OUTCOMES; outcome++)
        if (outcome_info((enum outcome)outcome)->fault == fault)
            n += summary_of_outcome(summary, (enum outcome)outcome);
    return n;
}

static void summary_tell_outcomes(const struct summary *summary)
{
    for (int outcome = 0; outcome < N_OUTCOMES; outcome++) {
        uint64_t n = summary_of_outcome(summary, (enum outcome)outcome);

        if (n > 0)
            LOG_EVENT(LOG_LEVEL_INFO, "ended so since the start",
                      LOG_STRING("outcome", outcome_info((enum outcome)outcome)->name), LOG_NUMBER("count", n));
    }
}

static void summary_tell_retries(const struct summary *summary)
{
    uint64_t n = summary_sum(summary, offsetof(struct metrics, retries));

    if (n > 0)
        LOG_EVENT(LOG_LEVEL_INFO, "connections and requests tried again since the start", LOG_NUMBER("count", n));
}

#define SUM(field) summary_sum(&summary, offsetof(struct metrics, field))

void summary_tell(struct worker *const *workers, size_t n_workers, const struct summary_end *end)
{
    const struct summary summary = {workers, n_workers};

    summary_tell_outcomes(&summary);
    summary_tell_retries(&summary);
    LOG_EVENT(LOG_LEVEL_INFO, "stopped", LOG_NUMBER("after_ms", end->after_ms),
              LOG_NUMBER("cut", summary_of_outcome(&summary, OUTCOME_STOPPED)), LOG_STRING("how", end->how),
              LOG_NUMBER("uptime_ms", end->uptime_ms), LOG_NUMBER("connections", SUM(connections)),
              LOG_NUMBER("peers_refused", SUM(peers_refused)),
              LOG_NUMBER("fine", summary_of_fault(&summary, FAULT_NONE)),
              LOG_NUMBER("by_clients", summary_of_fault(&summary, FAULT_CLIENT)),
              LOG_NUMBER("by_rules", summary_of_fault(&summary, FAULT_RULES)),
              LOG_NUMBER("by_targets", summary_of_fault(&summary, FAULT_TARGET)),
              LOG_NUMBER("by_self", summary_of_fault(&summary, FAULT_SELF)),
              LOG_NUMBER("received_bytes", SUM(received_bytes) + SUM(tunnel_received_bytes)),
              LOG_NUMBER("sent_bytes", SUM(sent_bytes) + SUM(tunnel_sent_bytes)),
              LOG_NUMBER("longest_wait_ms", summary_most(&summary, offsetof(struct metrics, longest_wait_ms))));
}
