#include "proxy/exchange/problem.h"

#include <inttypes.h>
#include <stdio.h>

#include "proxy/base/log.h"
#include "proxy/exchange/state.h"
#include "proxy/http/status.h"

static unsigned problem_status(const struct exchange *exchange, const struct outcome_info *info)
{
    if (exchange->refused_status)
        return exchange->refused_status;
    if (info->status)
        return info->status;
    /* An outcome of a body that breaks off, before anything was told. */
    return exchange->failure.outcome == OUTCOME_TARGET_STALLED ? 504 : info->fault == FAULT_TARGET ? 502 : 500;
}

/* RFC 9110 10.2.3. */
static struct text problem_retry_after(struct exchange *exchange)
{
    int n = snprintf(exchange->retry_after, sizeof(exchange->retry_after), "%" PRIu64, exchange->retry_after_s);

    return (struct text){exchange->retry_after, (size_t)n};
}

/* Nothing of the request is repeated but its id. */
int problem_write(struct exchange *exchange, char *out, size_t size, unsigned status, const char *outcome,
                  const char *detail)
{
    char id[2 * REQUEST_ID_MOST_BYTES + 1]; /* of visible ASCII only quote and backslash are escaped, with one byte */
    struct text given;

    exchange_need_id(exchange);
    given = exchange->forward.request_id;
    id[line_escape(id, sizeof(id), given.data, given.length)] = '\0';
    return snprintf(out, size,
                    "{\"type\":\"about:blank\",\"title\":\"%s\",\"status\":%u,\"outcome\":\"%s\",\"detail\":\"%s\","
                    "\"request_id\":\"%s\"}\n",
                    status_phrase(status), status, outcome, detail, id);
}

static bool problem_answer(struct exchange *exchange, struct answer *answer)
{
    const struct outcome_info *info;
    unsigned status;
    int n;

    if (!failure_is_set(&exchange->failure))
        return false;
    info = outcome_info(exchange->failure.outcome);
    status = problem_status(exchange, info);
    n = problem_write(exchange, exchange->problem, sizeof(exchange->problem), status, info->name, info->sentence);
    exchange->own_fields[0] =
        (struct field){.name = TEXT_LITERAL("Content-Type"), .value = TEXT_LITERAL("application/problem+json")};
    if (exchange->retry_after_s > 0)
        exchange->own_fields[1] =
            (struct field){.name = TEXT_LITERAL("Retry-After"), .value = problem_retry_after(exchange)};
    *answer = (struct answer){.status = status,
                              .fields = exchange->own_fields,
                              .n_fields = exchange->retry_after_s > 0 ? 2 : 1,
                              .body = ANSWER_BUFFER,
                              .data = exchange->problem,
                              .length = (uint64_t)n,
                              .has_length = true};
    return true;
}

static bool problem_is_there(const struct exchange *exchange)
{
    return failure_is_set(&exchange->failure);
}

const struct exchange_source problem_source = {
    .outcome = OUTCOME_PENDING,
    SOURCE_OF_READY_ANSWER,
    .begin = source_nothing,
    .has_answer = problem_is_there,
    .is_whole = problem_is_there,
    .answer = problem_answer,
};
