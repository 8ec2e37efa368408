/* State machines: which state may follow which, asserted on every move.
 *
 * A machine is a chart above its enum, a table of this kind, and one function of its owner that moves:
 *
 *      static void door_move(struct door *door, enum door_state to)
 *      {
 *          state_check(&door_machine, door->state, to);
 *          door->state = to;
 *      }
 *
 * Moves are our own doing, whatever a peer has sent: one that is not in the table is a bug, and ends the process. */
#ifndef PORTHOLE_BASE_STATE_H
#define PORTHOLE_BASE_STATE_H

#include <stdbool.h>
#include <stdint.h>

#define STATE_MOST 16 /* states of a machine */

/* The bit of a state in struct state_row. */
#define STATE_BIT(state) (UINT32_C(1) << (state))

/* One state. */
struct state_row {
    const char *name; /* as the enum has it, without its prefix */
    uint32_t next;    /* STATE_BIT of each state that may follow; 0: an end */
};

/* One machine: constant, by the enum's values. */
struct state_machine {
    const char *name;
    unsigned n_states; /* 0 is where it begins */
    struct state_row states[STATE_MOST];
};

/* Rows that a machine does not have are empty, and no row has a bit for them. */
static inline bool state_may_move(const struct state_machine *machine, unsigned from, unsigned to)
{
    return from < STATE_MOST && to < STATE_MOST && (machine->states[from].next & STATE_BIT(to)) != 0;
}

/* Says on stderr which move that was, and aborts. */
_Noreturn void state_break(const struct state_machine *machine, unsigned from, unsigned to);

/* Asserts a move. Costs a table lookup, in every build. */
static inline void state_check(const struct state_machine *machine, unsigned from, unsigned to)
{
    if (__builtin_expect(!state_may_move(machine, from, to), 0))
        state_break(machine, from, to);
}

#endif
