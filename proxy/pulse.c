#include "proxy/pulse.h"

#include <errno.h>
#include <stdlib.h>

#define SOON_MS 5 /* until the first answers, and where one is late */

static void pulse_on_beat(struct message *message)
{
    atomic_store(&CONTAINER_OF(message, struct pulse_beat, message)->asked, false);
}

static void pulse_on_drop(struct message *message)
{
    atomic_store(&CONTAINER_OF(message, struct pulse_beat, message)->gone, true);
    pulse_on_beat(message);
}

static void pulse_ask(struct pulse *pulse)
{
    for (size_t i = 0; i < pulse->n_made; i++)
        if (!atomic_exchange(&pulse->beats[i].asked, true))
            mailbox_post(pulse->beats[i].mailbox, &pulse->beats[i].message);
}

static bool pulse_is_there(const struct pulse *pulse)
{
    for (size_t i = 0; i < pulse->n_made; i++)
        if (atomic_load(&pulse->beats[i].asked) || (atomic_load(&pulse->beats[i].gone) && !pulse->ending))
            return false;
    return true;
}

static uint64_t pulse_pause_ms(const struct pulse *pulse)
{
    uint64_t ms = pulse->notify->watchdog_us / 2000;

    return ms > 0 ? ms : 1;
}

static void pulse_on_timer(struct timer *timer)
{
    struct pulse *pulse = CONTAINER_OF(timer, struct pulse, timer);

    if (!pulse_is_there(pulse)) {
        timer_arm(pulse->loop, timer, SOON_MS);
        return;
    }
    if (!pulse->ready)
        notify_ready(pulse->notify, pulse->status);
    pulse->ready = true;
    if (pulse->notify->watchdog_us == 0)
        return;
    notify_watchdog(pulse->notify);
    pulse_ask(pulse);
    timer_arm(pulse->loop, timer, pulse_pause_ms(pulse));
}

int pulse_init(struct pulse *pulse, struct loop *loop, struct notify *notify, size_t n_workers)
{
    *pulse = (struct pulse){.notify = notify, .loop = loop};
    timer_init(&pulse->timer, pulse_on_timer);
    if (!notify_is_wanted(notify))
        return 0;
    pulse->beats = calloc(n_workers, sizeof(*pulse->beats));
    pulse->n_beats = pulse->beats ? n_workers : 0;
    return pulse->beats ? 0 : -ENOMEM;
}

void pulse_add(struct pulse *pulse, struct mailbox *mailbox)
{
    if (pulse->n_made == pulse->n_beats)
        return;
    pulse->beats[pulse->n_made++] =
        (struct pulse_beat){.message = {.run = pulse_on_beat, .drop = pulse_on_drop}, .mailbox = mailbox};
}

void pulse_start(struct pulse *pulse, const char *status)
{
    if (!pulse->beats)
        return;
    pulse->status = status;
    pulse_ask(pulse);
    timer_arm(pulse->loop, &pulse->timer, SOON_MS);
}

void pulse_end(struct pulse *pulse)
{
    pulse->ending = true;
}

void pulse_deinit(struct pulse *pulse)
{
    if (pulse->timer.fn)
        timer_disarm(&pulse->timer);
    free(pulse->beats);
    pulse->beats = NULL;
}
