/* Until it hands on, the target knows nothing of the exchange. A client that asks whether to send its body (Expect:
 * 100-continue) is told yes by us, after the head was found good; the target is not asked then. What is refused is
 * refused as exchange_deny does it, so that a listener that only observes lets it pass.
 *
 * How much may come is exchange_body's to see to: the route has made the limit of bodies as low as what may be held. */
#include "proxy/exchange/judge.h"

#include <stdlib.h>

#include "proxy/base/block.h"
#include "proxy/exchange/body_rules.h"
#include "proxy/exchange/denial.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/fetch.h"
#include "proxy/exchange/held.h"
#include "proxy/exchange/respond.h"
#include "proxy/exchange/state.h"

#define JUDGE_RETRY_AFTER_S 1
/* Enough for a body of 5 KiB. */
#define JUDGE_KEPT_BYTES ((size_t)64 << 10)

/* From here on it is fetch's. */
static void judge_hand_on(struct exchange *exchange)
{
    exchange->source = &fetch_source;
    fetch_source.begin(exchange);
}

/* In the words of the route, if it has some. False where the listener only observes. */
static bool judge_deny(struct exchange *exchange, const char *reason)
{
    const struct route_answer *deny = &exchange->route->body.deny;

    if (!exchange_deny(exchange, reason))
        return false;
    exchange->refused_status = deny->status;
    if (deny->body)
        exchange->source = &deny_source;
    return true;
}

/* ---- the head ---- */

static void judge_begin(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    const char *objection = body_rules_objection(request);
    uint64_t most_bytes = exchange->limit_body_bytes;

    if (objection) {
        if (!judge_deny(exchange, objection))
            judge_hand_on(exchange);
        return;
    }
    if (request->body == BODY_LENGTH && request->content_length < most_bytes)
        most_bytes = request->content_length;
    exchange->held = held_new(exchange->client->uid, most_bytes);
    if (!exchange->held)
        exchange_fail(exchange, OUTCOME_INTERNAL);
}

static enum exchange_verdict judge_expectation(const struct exchange *exchange UNUSED)
{
    return EXCHANGE_FORWARD;
}

/* ---- the body ---- */

static bool judge_body(struct exchange *exchange, const char *data, size_t length)
{
    switch (held_add(exchange->held, data, length)) {
    case HELD_DONE:
        return true;
    case HELD_FULL:
        exchange->retry_after_s = JUDGE_RETRY_AFTER_S;
        exchange_fail(exchange, OUTCOME_BODIES_FULL);
        break;
    case HELD_NO_MEMORY:
        exchange_fail(exchange, OUTCOME_INTERNAL);
        break;
    }
    return false;
}

/* To be given back. */
static void *judge_take_memory(struct exchange_env *env, size_t bytes)
{
    if (bytes > JUDGE_KEPT_BYTES)
        return block_resize(NULL, 0, bytes);
    if (!env->judging)
        env->judging = malloc(JUDGE_KEPT_BYTES);
    return env->judging;
}

static void judge_give_memory(void *memory, size_t bytes)
{
    if (bytes > JUDGE_KEPT_BYTES)
        block_free(memory, bytes);
}

/* Whether the exchange may go on. */
static bool judge_rules(struct exchange *exchange)
{
    const struct route_config *route = exchange->route;
    struct text body = held_body(exchange->held);
    size_t bytes = body_rules_bytes(route, body.length);
    void *memory = judge_take_memory(exchange->env, bytes);
    char reason[FAILURE_REASON_BYTES];
    bool good;

    if (!memory) {
        exchange_refuse(exchange, OUTCOME_INTERNAL, NULL);
        return false;
    }
    good = body_rules_hold(route, body, memory, exchange->env->patterns, reason);
    judge_give_memory(memory, bytes);
    return good || !judge_deny(exchange, reason);
}

static void judge_end_of_body(struct exchange *exchange, const struct fields *trailers)
{
    if (!judge_rules(exchange))
        return;
    if (trailers && !held_keep_trailers(exchange->held, trailers)) {
        exchange_refuse(exchange, OUTCOME_INTERNAL, NULL);
        return;
    }
    /* The client has been told by us. */
    exchange->request.expect_continue = false;
    judge_hand_on(exchange);
}

/* ---- there is never an answer ---- */

static bool judge_never(const struct exchange *exchange UNUSED)
{
    return false;
}

static bool judge_answer(struct exchange *exchange UNUSED, struct answer *answer UNUSED)
{
    return false;
}

static void judge_end(struct exchange *exchange)
{
    exchange->held = held_free(exchange->held);
}

const struct exchange_source judge_source = {
    .outcome = OUTCOME_PENDING,
    .begin = judge_begin,
    .expectation = judge_expectation,
    .takes_body = source_always,
    .body = judge_body,
    .end_of_body = judge_end_of_body,
    .turn = source_nothing,
    .has_answer = judge_never,
    .is_whole = judge_never,
    .answer = judge_answer,
    .read = source_cut,
    .gather = source_gathers_nothing,
    .splice = source_copy,
    .splices_body = source_splices_none,
    .splice_body = source_copy_body,
    .trailers = source_no_trailers,
    .end = judge_end,
};
