#include "proxy/report/recorder.h"

void recorder_end(const struct recorder *recorder, struct record *record)
{
    struct metrics *metrics = recorder->metrics;

    counter_add(&metrics->outcomes[record->outcome], 1);
    /* What goes through a tunnel is counted as it goes: a tunnel may last for days. */
    counter_add(&metrics->received_bytes, record->received_bytes - record->tunnel_received_bytes);
    counter_add(&metrics->sent_bytes, record->sent_bytes - record->tunnel_sent_bytes);
    if (!access_log_wants(recorder->access_log, record->outcome))
        return;
    record->time = wall_time_now();
    record->total_us = instant_elapsed_us(record->begun, instant_now());
    access_log_report(recorder->access_log, record);
}
