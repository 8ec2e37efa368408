#include "proxy/listen/brake.h"

#include <stddef.h>

const struct state_machine brake_machine = {.name = "brake",
                                            .n_states = N_BRAKE_STATES,
                                            .states = {
                                                [BRAKE_OFF] = {"OFF", STATE_BIT(BRAKE_SLOW) | STATE_BIT(BRAKE_FULL)},
                                                [BRAKE_SLOW] = {"SLOW", STATE_BIT(BRAKE_OFF) | STATE_BIT(BRAKE_FULL)},
                                                [BRAKE_FULL] = {"FULL", STATE_BIT(BRAKE_OFF) | STATE_BIT(BRAKE_SLOW)},
                                            }};

void brake_init(struct brake *brake)
{
    *brake = (struct brake){.state = BRAKE_OFF, .most = UINT32_MAX};
}

void brake_move(struct brake *brake, enum brake_state to)
{
    state_check(&brake_machine, brake_state(brake), to);
    atomic_store_explicit(&brake->state, to, memory_order_relaxed);
}

/* So many percent of the limit, in bytes. */
static uint64_t brake_mark(const struct memory_figures *figures, unsigned percent)
{
    return figures->limit_bytes / 100 * percent;
}

enum brake_state brake_judge(enum brake_state state, const struct memory_figures *figures)
{
    uint64_t used = figures->used_bytes;

    if (figures->limit_bytes == UINT64_MAX)
        return BRAKE_OFF;
    if (used >= brake_mark(figures, state == BRAKE_FULL ? BRAKE_FULL_TO : BRAKE_FULL_FROM))
        return BRAKE_FULL;
    return used >= brake_mark(figures, state == BRAKE_OFF ? BRAKE_SLOW_FROM : BRAKE_SLOW_TO) ? BRAKE_SLOW : BRAKE_OFF;
}

uint32_t brake_room(enum brake_state state, const struct memory_figures *figures, uint64_t each_bytes)
{
    uint64_t mark = brake_mark(figures, BRAKE_FULL_FROM), n;

    if (figures->limit_bytes == UINT64_MAX)
        return UINT32_MAX;
    if (state == BRAKE_FULL)
        return 0;
    n = mark > figures->used_bytes ? (mark - figures->used_bytes) / each_bytes : 0;
    if (state == BRAKE_SLOW)
        n /= BRAKE_SLOWNESS;
    return n < 1 ? 1 : n < UINT32_MAX ? (uint32_t)n : UINT32_MAX - 1;
}

uint32_t brake_least(const struct memory_figures *figures, uint64_t each_bytes)
{
    uint64_t n = figures->limit_bytes / BRAKE_LEAST_PART / each_bytes;

    return n < BRAKE_LEAST ? BRAKE_LEAST : n < UINT32_MAX ? (uint32_t)n : UINT32_MAX;
}

void brake_allow(struct brake *brake, uint32_t n_clients, uint32_t room, uint32_t least)
{
    uint32_t most = room < UINT32_MAX - n_clients ? n_clients + room : UINT32_MAX;

    /* Whoever has left makes room for nobody then. */
    if (brake_state(brake) == BRAKE_FULL)
        most = 0;
    atomic_store_explicit(&brake->most, most < least ? least : most, memory_order_relaxed);
}

void brake_want_look(struct brake *brake)
{
    if (brake->want && !atomic_exchange(&brake->wanted, true))
        brake->want(brake);
}
