/* Walking the table of a state machine: every move that it allows is made, every other one is tried. */
#ifndef PORTHOLE_TESTS_UNIT_STATE_WALK_H
#define PORTHOLE_TESTS_UNIT_STATE_WALK_H

#include "proxy/base/state.h"

/* Puts an object into state `from` as a test can, moves it to `to` with its owner's function, and returns its state.
 * NULL where the object is its owner's secret: then only the table is asked. */
typedef unsigned state_walk_fn(unsigned from, unsigned to);

/* Fails unless: every state has a name, can be reached from the first one and leads to an end (or back); `move` makes
 * every move of the table, and aborts on every other one; and the table is what `chart` says, a line for each state
 * that has a way out, in their order: "HEAD: BODY SENT\n". */
void state_walk(const struct state_machine *machine, state_walk_fn *move, const char *chart);

#endif
