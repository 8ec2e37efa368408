/* How something failed, as one value on its way from where it was seen (a system call, libcurl, a parser) to where it
 * is told: the client's answer, the access log and the error log. */
#ifndef PORTHOLE_REPORT_FAILURE_H
#define PORTHOLE_REPORT_FAILURE_H

#include <stdbool.h>

#include "proxy/base/error.h"
#include "proxy/report/outcome.h"

#define FAILURE_REASON_BYTES 160

/* Copied freely; holds nothing that has to be freed. */
struct failure {
    enum outcome outcome;              /* OUTCOME_PENDING: nothing has failed */
    int error_number;                  /* an errno, 0 where none says more */
    char reason[FAILURE_REASON_BYTES]; /* terminated; "": the errno, or the outcome, says it all. May hold any bytes of
                                          a peer: to be escaped */
};

/* Costs two stores: the reason is not worth clearing. */
static inline void failure_init(struct failure *failure)
{
    failure->outcome = OUTCOME_PENDING;
    failure->error_number = 0;
    failure->reason[0] = '\0';
}

static inline bool failure_is_set(const struct failure *failure)
{
    return failure->outcome != OUTCOME_PENDING;
}

/* Sets it, whatever it was; a reason (NULL: none) that is too long is cut. */
void failure_set(struct failure *failure, enum outcome outcome, int error_number, const char *reason);
/* The same, unless it is set already: the first failure is the cause, what follows from it is not. */
void failure_note(struct failure *failure, enum outcome outcome, int error_number, const char *reason);
/* What a log says: the reason, else what the errno means, else NULL. Lives as long as the failure. */
const char *failure_reason(const struct failure *failure);

#endif
