#include "proxy/report/recorder.h"

bool recorder_count(const struct recorder *recorder, enum outcome outcome, uint64_t received_bytes, uint64_t sent_bytes)
{
    struct metrics *metrics = recorder->metrics;

    counter_add(&metrics->outcomes[outcome], 1);
    counter_add(&metrics->received_bytes, received_bytes);
    counter_add(&metrics->sent_bytes, sent_bytes);
    return access_log_wants(recorder->access_log, outcome);
}

void recorder_tell(const struct recorder *recorder, struct record *record)
{
    record->time = wall_time_now();
    record->total_us = instant_elapsed_us(record->begun, instant_now());
    access_log_report(recorder->access_log, record);
}

void recorder_end(const struct recorder *recorder, struct record *record)
{
    /* What goes through a tunnel is counted as it goes: a tunnel may last for days. */
    if (recorder_count(recorder, record->outcome, record->received_bytes - record->tunnel_received_bytes,
                       record->sent_bytes - record->tunnel_sent_bytes))
        recorder_tell(recorder, record);
}
