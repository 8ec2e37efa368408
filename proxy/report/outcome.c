#include "proxy/report/outcome.h"

#include <assert.h>

static const struct outcome_info outcome_table[N_OUTCOMES] = {
#define OUTCOME(id, name, status, fault, sentence) [OUTCOME_##id] = {name, status, FAULT_##fault, sentence},
#include "proxy/report/outcome.def"
#undef OUTCOME
};

const struct outcome_info *outcome_info(enum outcome outcome)
{
    assert(outcome < N_OUTCOMES);
    return &outcome_table[outcome];
}
