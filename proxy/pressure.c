#include "proxy/pressure.h"

#include "config/limit.h"
#include "proxy/base/give_back.h"
#include "proxy/base/log.h"
#include "proxy/memory_need.h"

#define LOOK_MS 1000
#define LOOK_NEAR_MS 250
#define LOOK_LEAST_MS 10  /* between looks that acceptors ask for */
#define NEAR_PERCENT 50u  /* of the limit */
#define GIVE_BACK_MS 1000 /* between two times that memory is given back */
#define LINE_MS 10000     /* between two episodes that are told */

/* ---- what is told ---- */

static const char *pressure_whose(const struct pressure *pressure)
{
    return pressure->limit_bytes == LIMIT_MEMORY_AUTO ? "the control group" : "limits.memory";
}

static void pressure_warn(const struct pressure *pressure, const char *message)
{
    LOG_EVENT(
        LOG_LEVEL_WARN, message, LOG_NUMBER("used_bytes", pressure->figures.used_bytes),
        LOG_NUMBER("limit_bytes", pressure->figures.limit_bytes), LOG_STRING("of", pressure_whose(pressure)),
        LOG_NUMBER("clients", atomic_load(&pressure->house->n_clients)),
        LOG_STRING("hint", "raise the limit, or lower limits.connections: porthole check --memory tells the need"));
}

static void pressure_tell_begin(struct pressure *pressure, struct instant now)
{
    pressure->began = now;
    pressure->n_episodes++;
    pressure->told = !instant_before(now, pressure->next_line);
    pressure->told_full = false;
    if (!pressure->told)
        return;
    pressure->next_line = instant_add_ms(now, LINE_MS);
    pressure_warn(pressure, "memory is short: new clients come in slowly, and whoever is idle makes room");
}

static void pressure_tell_full(struct pressure *pressure)
{
    if (pressure->told && !pressure->told_full)
        pressure_warn(pressure, "memory is almost used up: new clients wait, and whoever is idle leaves");
    pressure->told_full = pressure->told;
}

static void pressure_tell_end(const struct pressure *pressure, struct instant now)
{
    if (pressure->told)
        LOG_EVENT(LOG_LEVEL_INFO, "memory is not short any more",
                  LOG_NUMBER("used_bytes", pressure->figures.used_bytes),
                  LOG_NUMBER("limit_bytes", pressure->figures.limit_bytes),
                  LOG_NUMBER("lasted_ms", instant_elapsed_us(pressure->began, now) / 1000));
}

/* ---- looking ---- */

static struct memory_figures pressure_read(const struct pressure *pressure)
{
    if (pressure->limit_bytes == LIMIT_MEMORY_AUTO)
        return memory_gauge_look(&pressure->gauge);
    if (pressure->limit_bytes == UINT64_MAX)
        return (struct memory_figures){.limit_bytes = UINT64_MAX};
    return (struct memory_figures){.used_bytes = memory_gauge_own_bytes(&pressure->gauge),
                                   .limit_bytes = pressure->limit_bytes};
}

static void pressure_move(struct pressure *pressure, enum brake_state to, struct instant now)
{
    struct brake *brake = &pressure->house->brake;
    enum brake_state from = brake_state(brake);

    if (to == from)
        return;
    brake_move(brake, to);
    if (from == BRAKE_OFF)
        pressure_tell_begin(pressure, now);
    if (to == BRAKE_FULL)
        pressure_tell_full(pressure);
    if (to == BRAKE_OFF)
        pressure_tell_end(pressure, now);
}

/* The C library keeps what was freed, also by workers, who give back what they keep at their next beat. It takes time,
 * a millisecond for some ten MiB. */
static void pressure_give_back(struct pressure *pressure, struct instant now)
{
    if (instant_before(now, instant_add_ms(pressure->given_back, GIVE_BACK_MS)))
        return;
    pressure->given_back = now;
    give_back_free_memory();
}

static uint64_t pressure_pause_ms(const struct pressure *pressure)
{
    const struct memory_figures *figures = &pressure->figures;

    return figures->used_bytes >= figures->limit_bytes / 100 * NEAR_PERCENT ? LOOK_NEAR_MS : LOOK_MS;
}

/* How many clients more may come now. */
static uint32_t pressure_room(struct pressure *pressure, enum brake_state state, uint32_t n_clients, struct instant now)
{
    uint32_t room = brake_room(state, &pressure->figures, pressure->each_bytes), n_new;

    if (n_clients < pressure->n_counted || !instant_before(now, instant_add_ms(pressure->counted, LOOK_NEAR_MS))) {
        pressure->counted = now;
        pressure->n_counted = n_clients;
    }
    n_new = n_clients - pressure->n_counted;
    return room == UINT32_MAX ? room : room > n_new ? room - n_new : 0;
}

static void pressure_look(struct pressure *pressure)
{
    struct admission_house *house = pressure->house;
    uint32_t n_clients = atomic_load(&house->n_clients);
    struct instant now = loop_now(pressure->loop);
    enum brake_state state;

    pressure->looked = now;
    pressure->figures = pressure_read(pressure);
    state = brake_judge(brake_state(&house->brake), &pressure->figures);
    pressure_move(pressure, state, now);
    brake_allow(&house->brake, n_clients, pressure_room(pressure, state, n_clients, now),
                brake_least(&pressure->figures, pressure->each_bytes));
    if (state != BRAKE_OFF)
        pressure_give_back(pressure, now);
    if (state == BRAKE_FULL)
        admission_ask_all(house);
    else
        admission_tell_short(house);
    timer_disarm(&pressure->look);
    if (pressure->figures.limit_bytes != UINT64_MAX)
        timer_arm(pressure->loop, &pressure->look, pressure_pause_ms(pressure));
}

static void pressure_on_timer(struct timer *timer)
{
    pressure_look(CONTAINER_OF(timer, struct pressure, look));
}

/* As many have come as the last look allowed. Where memory is short they wait for the next. */
static void pressure_on_wanted(struct message *message)
{
    struct pressure *pressure = CONTAINER_OF(message, struct pressure, wanted);
    struct brake *brake = &pressure->house->brake;
    struct instant now = loop_now(pressure->loop), next = instant_add_ms(pressure->looked, LOOK_LEAST_MS);

    atomic_store(&brake->wanted, false);
    if (brake_state(brake) != BRAKE_OFF)
        return;
    if (instant_before(now, next))
        timer_arm(pressure->loop, &pressure->look, instant_elapsed_us(now, next) / 1000 + 1);
    else
        pressure_look(pressure);
}

/* Of a message that lies here. */
static void pressure_keep(struct message *message)
{
    (void)message;
}

static void pressure_on_want(struct brake *brake)
{
    struct pressure *pressure = brake->closure;

    mailbox_post(pressure->mailbox, &pressure->wanted);
}

/* ---- life ---- */

static uint64_t pressure_each(const struct snapshot *snapshot)
{
    uint64_t most = 1;

    for (size_t i = 0; i < snapshot->n_listeners; i++) {
        uint64_t each = memory_need_each(snapshot, &snapshot->listeners[i]);

        most = each > most ? each : most;
    }
    return most;
}

void pressure_open(struct pressure *pressure)
{
    *pressure = (struct pressure){.figures.limit_bytes = UINT64_MAX};
    memory_gauge_open(&pressure->gauge, "/proc/self/cgroup", "/proc/self/mountinfo");
}

void pressure_close(struct pressure *pressure)
{
    memory_gauge_close(&pressure->gauge);
}

void pressure_configure(struct pressure *pressure, const struct snapshot *snapshot)
{
    pressure->limit_bytes = snapshot->limit_memory_bytes;
    pressure->each_bytes = pressure_each(snapshot);
    if (pressure->loop)
        pressure_look(pressure);
}

void pressure_start(struct pressure *pressure, struct loop *loop, struct mailbox *mailbox,
                    struct admission_house *house, const struct snapshot *snapshot)
{
    struct brake *brake = &house->brake;

    pressure->loop = loop;
    pressure->mailbox = mailbox;
    pressure->house = house;
    pressure->wanted = (struct message){.run = pressure_on_wanted, .drop = pressure_keep};
    timer_init(&pressure->look, pressure_on_timer);
    brake->closure = pressure;
    brake->want = pressure_on_want;
    pressure_configure(pressure, snapshot);
}

void pressure_stop(struct pressure *pressure)
{
    if (!pressure->loop)
        return;
    timer_disarm(&pressure->look);
    pressure->house->brake.want = NULL;
    pressure->loop = NULL;
}
