#include "proxy/base/state.h"

#include <stdio.h>
#include <stdlib.h>

static const char *state_name(const struct state_machine *machine, unsigned state)
{
    return state < machine->n_states ? machine->states[state].name : "?";
}

void state_break(const struct state_machine *machine, unsigned from, unsigned to)
{
    fprintf(stderr, "porthole: %s: no way from %s (%u) to %s (%u)\n", machine->name, state_name(machine, from), from,
            state_name(machine, to), to);
    abort();
}
