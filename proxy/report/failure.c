#include "proxy/report/failure.h"

#include <stdio.h>
#include <string.h>

void failure_set(struct failure *failure, enum outcome outcome, int error_number, const char *reason)
{
    failure->outcome = outcome;
    failure->error_number = error_number;
    snprintf(failure->reason, sizeof(failure->reason), "%s", reason ? reason : "");
}

void failure_note(struct failure *failure, enum outcome outcome, int error_number, const char *reason)
{
    if (!failure_is_set(failure))
        failure_set(failure, outcome, error_number, reason);
}

const char *failure_reason(const struct failure *failure)
{
    if (failure->reason[0] != '\0')
        return failure->reason;
    return failure->error_number ? strerrordesc_np(failure->error_number) : NULL;
}
