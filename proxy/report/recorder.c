#include "proxy/report/recorder.h"

bool recorder_count(struct recorder *recorder, enum outcome outcome, uint64_t received_bytes, uint64_t sent_bytes)
{
    struct metrics *metrics = recorder->metrics;

    counter_add(&metrics->outcomes[outcome], 1);
    counter_add(&metrics->received_bytes, received_bytes);
    counter_add(&metrics->sent_bytes, sent_bytes);
    return access_log_wants(recorder->access_log, outcome);
}

bool recorder_has_room_for_rules(struct recorder *recorder)
{
    struct instant now = instant_now();

    if (recorder->rules_second.ns == 0 || instant_elapsed_us(recorder->rules_second, now) >= 1000000) {
        recorder->rules_second = now;
        recorder->rules_lines = 0;
    }
    if (recorder->rules_lines < RECORDER_RULES_LINES) {
        recorder->rules_lines++;
        return true;
    }
    recorder->rules_untold++;
    return false;
}

static void recorder_take_times(struct record *record)
{
    record->time = wall_time_now();
    record->total_us = instant_elapsed_us(record->begun, instant_now());
}

static void recorder_confess(struct recorder *recorder, struct record *record)
{
    record->untold = recorder->rules_untold;
    recorder->rules_untold = 0;
}

void recorder_tell_early(struct recorder *recorder, struct record *record)
{
    recorder_take_times(record);
    recorder_confess(recorder, record);
    access_log_tell_error(record);
}

void recorder_tell(struct recorder *recorder, struct record *record)
{
    bool by_rules = outcome_info(record->outcome)->fault == FAULT_RULES;

    recorder_take_times(record);
    if (by_rules && !recorder_has_room_for_rules(recorder)) {
        access_log_add(recorder->access_log, record);
        return;
    }
    if (by_rules)
        recorder_confess(recorder, record);
    access_log_report(recorder->access_log, record);
}

void recorder_end(struct recorder *recorder, struct record *record)
{
    /* What goes through a tunnel is counted as it goes: a tunnel may last for days. */
    if (recorder_count(recorder, record->outcome, record->received_bytes - record->tunnel_received_bytes,
                       record->sent_bytes - record->tunnel_sent_bytes))
        recorder_tell(recorder, record);
}
