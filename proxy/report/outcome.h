/* Outcomes: how an exchange ended. Each exchange gets exactly one. */
#ifndef PORTHOLE_REPORT_OUTCOME_H
#define PORTHOLE_REPORT_OUTCOME_H

enum outcome {
#define OUTCOME(id, name, status, fault, sentence) OUTCOME_##id,
#include "proxy/report/outcome.def"
#undef OUTCOME
    N_OUTCOMES,
    OUTCOME_PENDING = N_OUTCOMES, /* not ended yet */
};

enum fault { FAULT_NONE, FAULT_CLIENT, FAULT_RULES, FAULT_TARGET, FAULT_SELF };

/* A row of the table. */
struct outcome_info {
    const char *name;
    unsigned status; /* 0: not ours to say */
    enum fault fault;
    const char *sentence;
};

/* The row of an outcome below N_OUTCOMES; lives for ever. */
const struct outcome_info *outcome_info(enum outcome outcome);

#endif
