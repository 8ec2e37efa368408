#include "proxy/report/recorder.h"

static void recorder_count_series(const struct recorder *recorder, const struct tally *tally, struct instant *ret_ended)
{
    struct route_slot *slot = route_slot(tally->series, recorder->worker);
    enum method_label method = method_label(tally->method);

    cells_add(&slot->requests, request_key(tally->status, method, tally->outcome),
              request_key(REQUEST_CODE_REST, METHOD_OTHER, tally->outcome), 1);
    counter_add(&slot->received, tally->received_bytes);
    counter_add(&slot->sent, tally->sent_bytes);
    if (tally->begun.ns == 0)
        return;
    *ret_ended = instant_now();
    histogram_observe(&slot->duration, &histogram_requests, ret_ended->ns - tally->begun.ns);
}

bool recorder_count(struct recorder *recorder, const struct tally *tally, struct instant *ret_ended)
{
    struct metrics *metrics = recorder->metrics;

    counter_add(&metrics->outcomes[tally->outcome], 1);
    counter_add(&metrics->received_bytes, tally->received_bytes);
    counter_add(&metrics->sent_bytes, tally->sent_bytes);
    *ret_ended = (struct instant){0};
    if (tally->series)
        recorder_count_series(recorder, tally, ret_ended);
    /* What finds no room in a tap need not be described for it. */
    return access_log_wants(recorder->access_log, tally->outcome, tally->status) ||
           (tap_wanted(recorder->tap) && tap_has_room(recorder->tap));
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

/* `ended`: ns 0 is now. */
static void recorder_take_times(struct record *record, struct instant ended)
{
    record->time = wall_time_now();
    record->total_us = instant_elapsed_us(record->begun, ended.ns > 0 ? ended : instant_now());
}

static void recorder_confess(struct recorder *recorder, struct record *record)
{
    record->untold = (uint32_t)recorder->rules_untold;
    recorder->rules_untold = 0;
}

void recorder_tell_early(struct recorder *recorder, struct record *record)
{
    recorder_take_times(record, (struct instant){0});
    recorder_confess(recorder, record);
    access_log_tell_error(record);
}

void recorder_tell(struct recorder *recorder, struct record *record, struct instant ended)
{
    bool by_rules = outcome_info(record->outcome)->fault == FAULT_RULES;

    recorder_take_times(record, ended);
    if (tap_wanted(recorder->tap))
        tap_add(recorder->tap, record);
    if (by_rules && !recorder_has_room_for_rules(recorder)) {
        access_log_add(recorder->access_log, record);
        return;
    }
    if (by_rules)
        recorder_confess(recorder, record);
    access_log_report(recorder->access_log, record);
}

/* What goes through a tunnel is counted as it goes: a tunnel may last for days. */
static struct tally recorder_tally(const struct record *record)
{
    return (struct tally){.series = record->series,
                          .method = record->method,
                          .status = record->status,
                          .outcome = record->outcome,
                          .received_bytes = record->received_bytes - record->tunnel_received_bytes,
                          .sent_bytes = record->sent_bytes - record->tunnel_sent_bytes};
}

void recorder_end(struct recorder *recorder, struct record *record)
{
    struct tally tally = recorder_tally(record);
    struct instant ended;

    tally.begun = record->begun;
    if (recorder_count(recorder, &tally, &ended))
        recorder_tell(recorder, record, ended);
}

void recorder_begin_tunnel(struct recorder *recorder, struct record *record)
{
    if (!tap_wanted(recorder->tap))
        return;
    record->event = RECORD_TUNNEL_BEGIN;
    recorder_take_times(record, (struct instant){0});
    tap_add(recorder->tap, record);
}

void recorder_end_tunnel(struct recorder *recorder, struct record *record)
{
    struct tally tally = recorder_tally(record);
    struct instant ended;

    record->event = RECORD_TUNNEL_END;

    if (tally.series)
        cells_add(&route_slot(tally.series, recorder->worker)->tunnels, tunnel_key(record->protocol, record->outcome),
                  tunnel_key(PROTOCOL_OTHER, record->outcome), 1);
    /* The connection of a stream listener was no request. */
    if (record->protocol == PROTOCOL_STREAM)
        tally.series = NULL;
    if (recorder_count(recorder, &tally, &ended))
        recorder_tell(recorder, record, ended);
}
