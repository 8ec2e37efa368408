#include "proxy/stop.h"

#include "proxy/base/log.h"

#define NEWS_MS 5000 /* between two lines about what a stop waits for */

const struct state_machine stop_machine = {
    .name = "stop",
    .n_states = N_STOP_STEPS,
    .states = {
        [STOP_SERVING] = {"SERVING", STATE_BIT(STOP_LEAVING) | STATE_BIT(STOP_REFUSING)},
        [STOP_LEAVING] = {"LEAVING", STATE_BIT(STOP_REFUSING)},
        [STOP_REFUSING] = {"REFUSING", STATE_BIT(STOP_DRAINING)},
        [STOP_DRAINING] = {"DRAINING", STATE_BIT(STOP_CUTTING)},
        [STOP_CUTTING] = {"CUTTING", 0},
    }};

void stop_move(struct stop *stop, enum stop_step to)
{
    state_check(&stop_machine, stop->step, to);
    stop->step = to;
}

/* ---- what is told ---- */

static uint64_t stop_ms_since(const struct stop *stop, struct instant since)
{
    return instant_elapsed_us(since, loop_now(stop->loop)) / 1000;
}

static void stop_on_news(struct timer *timer)
{
    struct stop *stop = CONTAINER_OF(timer, struct stop, news);
    uint64_t gone_ms = stop_ms_since(stop, stop->drain_begun);

    LOG_EVENT(LOG_LEVEL_INFO, "still stopping", LOG_NUMBER("for_ms", gone_ms),
              LOG_NUMBER("left_ms", stop->drain_ms > gone_ms ? stop->drain_ms - gone_ms : 0));
    stop->host->tell(stop);
    timer_arm(stop->loop, timer, NEWS_MS);
}

const char *stop_result(const struct stop *stop)
{
    if (stop->step == STOP_CUTTING)
        return "hastened";
    return stop_ms_since(stop, stop->drain_begun) < stop->drain_ms ? "drained" : "deadline";
}

/* ---- steps ---- */

static void stop_leave(struct stop *stop, const char *why, uint64_t delay_ms)
{
    stop_move(stop, STOP_LEAVING);
    LOG_EVENT(LOG_LEVEL_INFO, "about to stop: everything is served for a while still", LOG_STRING("why", why),
              LOG_NUMBER("delay_ms", delay_ms));
    timer_arm(stop->loop, &stop->step_over, delay_ms);
    stop->host->leave(stop);
}

static void stop_drain(struct stop *stop)
{
    uint64_t gone_ms = stop_ms_since(stop, stop->drain_begun);

    timer_disarm(&stop->step_over);
    stop_move(stop, STOP_DRAINING);
    stop->host->drain(stop, stop->drain_ms > gone_ms ? stop->drain_ms - gone_ms : 0);
}

static void stop_refuse(struct stop *stop, const char *why)
{
    uint64_t wait_ms;

    timer_disarm(&stop->step_over);
    stop_move(stop, STOP_REFUSING);
    stop->drain_begun = loop_now(stop->loop);
    LOG_EVENT(LOG_LEVEL_INFO, "stopping: what is under way may finish", LOG_STRING("why", why),
              LOG_NUMBER("drain_ms", stop->drain_ms));
    stop->host->tell(stop);
    timer_arm(stop->loop, &stop->news, NEWS_MS);
    wait_ms = stop->host->refuse(stop);
    if (wait_ms > stop->drain_ms)
        wait_ms = stop->drain_ms;
    if (wait_ms > 0)
        timer_arm(stop->loop, &stop->step_over, wait_ms);
    else
        stop_drain(stop);
}

static void stop_cut(struct stop *stop, const char *why)
{
    stop_move(stop, STOP_CUTTING);
    LOG_EVENT(LOG_LEVEL_WARN, "stopping at once", LOG_STRING("why", why));
    stop->host->cut(stop);
}

static void stop_on_step_over(struct timer *timer)
{
    struct stop *stop = CONTAINER_OF(timer, struct stop, step_over);

    if (stop->step == STOP_LEAVING)
        stop_refuse(stop, "the delay is over");
    else
        stop_drain(stop);
}

static void stop_begin(struct stop *stop, uint64_t drain_ms)
{
    stop->begun = loop_now(stop->loop);
    stop->drain_ms = drain_ms;
}

void stop_ask_to_leave(struct stop *stop, const char *why, uint64_t delay_ms, uint64_t drain_ms)
{
    if (stop->step != STOP_SERVING)
        return;
    stop_begin(stop, drain_ms);
    if (delay_ms > 0)
        stop_leave(stop, why, delay_ms);
    else
        stop_refuse(stop, why);
}

void stop_ask(struct stop *stop, const char *why, uint64_t delay_ms, uint64_t drain_ms)
{
    bool again = stop->asked;

    stop->asked = true;
    if (!again && stop->step != STOP_SERVING)
        return; /* whoever wants it to stop has not yet said so twice */
    switch (stop->step) {
    case STOP_SERVING:
        stop_ask_to_leave(stop, why, delay_ms, drain_ms);
        break;
    case STOP_LEAVING:
        stop_refuse(stop, why);
        break;
    case STOP_REFUSING:
        stop_drain(stop);
        stop_cut(stop, why);
        break;
    case STOP_DRAINING:
        stop_cut(stop, why);
        break;
    case STOP_CUTTING:
    case N_STOP_STEPS:
        break;
    }
}

void stop_ask_to_drain(struct stop *stop, const char *why, uint64_t drain_ms)
{
    if (stop->step == STOP_SERVING)
        stop_begin(stop, drain_ms);
    if (stop->step == STOP_SERVING || stop->step == STOP_LEAVING)
        stop_refuse(stop, why);
}

/* ---- life ---- */

void stop_init(struct stop *stop, struct loop *loop, const struct stop_host *host)
{
    *stop = (struct stop){.host = host, .loop = loop};
    timer_init(&stop->step_over, stop_on_step_over);
    timer_init(&stop->news, stop_on_news);
}

void stop_deinit(struct stop *stop)
{
    if (!stop->host)
        return;
    timer_disarm(&stop->step_over);
    timer_disarm(&stop->news);
}
