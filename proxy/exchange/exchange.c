/* The life of an exchange.
 *
 * Whatever goes wrong, wherever it is seen, becomes the exchange's failure once (exchange_fail_as); later ones are
 * consequences and do not count. From then on the problem is the source: it answers if nothing was told yet, and cuts
 * the answer off if it was. What was held of a target has been let go by then, so that its end (exchange_end) is the
 * same for all: one record, and the memory.
 *
 * Memory comes from a free list that keeps what is hot; only what lies before `id` in the struct is cleared. */
#include "proxy/exchange/exchange.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/exchange/capture.h"
#include "proxy/exchange/problem.h"
#include "proxy/exchange/report.h"
#include "proxy/exchange/state.h"

/* ---- beginning ---- */

/* How many are under way. */
static struct listener_slot *exchange_slot(const struct exchange *exchange)
{
    const struct series *series = exchange->client->listener->series;

    return series ? listener_slot(series, exchange->env->recorder.worker) : NULL;
}

static bool exchange_keep_target(struct exchange *exchange, struct text target)
{
    char *copy = exchange->target_inline;

    if (target.length > sizeof(exchange->target_inline)) {
        copy = malloc(target.length);
        if (!copy)
            return false;
    }
    memcpy(copy, target.data, target.length);
    exchange->target = (struct text){copy, target.length};
    return true;
}

static struct exchange *exchange_allocate(struct exchange_env *env)
{
    struct buffer *buffer;

    if (!env->exchanges.spare)
        buffer_store_grow(&env->exchanges, sizeof(struct exchange));
    buffer = buffer_take(&env->exchanges);
    return buffer ? (void *)buffer->data : NULL;
}

static void exchange_deallocate(struct exchange_env *env, struct exchange *exchange)
{
    void *buffer = exchange ? (char *)exchange - offsetof(struct buffer, data) : NULL;

    buffer_give(&env->exchanges, buffer);
}

static void exchange_free(struct exchange *exchange)
{
    struct exchange_env *env = exchange->env;

    if (exchange->target.data != exchange->target_inline)
        free((char *)exchange->target.data);
    field_room_drop(&exchange->room);
    exchange_deallocate(env, exchange);
}

struct exchange *exchange_new(struct exchange_env *env, struct exchange_client *client, struct text target)
{
    struct exchange *exchange = exchange_allocate(env);
    struct listener_slot *slot;

    if (exchange) {
        memset(exchange, 0, offsetof(struct exchange, id));
        exchange->env = env;
    }
    if (!exchange || !exchange_keep_target(exchange, target)) {
        exchange_report_none(env, client, loop_now(env->loop), OUTCOME_INTERNAL, 0);
        exchange_deallocate(env, exchange);
        return NULL;
    }
    exchange->client = client;
    exchange->source = &problem_source;
    exchange->begun = loop_now(env->loop);
    failure_init(&exchange->failure);
    list_init(&exchange->ready);
    memset(&exchange->request, 0, sizeof(exchange->request));
    exchange->room.many = NULL;
    exchange->request.fields = field_room_fields(&exchange->room);
    exchange->upstream.started = exchange->upstream.connected = exchange->upstream.answered = (struct instant){0};
    exchange->upstream.tls = TLS_NONE;
    exchange->upstream.ticket.endpoint = exchange->upstream.ticket.held = NULL;
    exchange->upstream.n_retries = exchange->upstream.ticket.n_passed = 0;
    exchange->upstream.ticket.queue_us = exchange->upstream.ticket.held_us = 0; /* of those who ask no target, too */
    exchange->generation = generation_ref(client->generation);
    slot = exchange_slot(exchange);
    if (slot)
        counter_add(&slot->begun, 1);
    return exchange;
}

/* ---- failing ---- */

void exchange_fail_as(struct exchange *exchange, const struct failure *failure)
{
    if (failure_is_set(&exchange->failure))
        return;
    exchange->failure = *failure;
    exchange->source->end(exchange);
    exchange->source = &problem_source;
}

static void exchange_fail_because(struct exchange *exchange, enum outcome outcome, const char *reason)
{
    struct failure failure;

    failure_set(&failure, outcome, 0, reason);
    exchange_fail_as(exchange, &failure);
}

void exchange_fail(struct exchange *exchange, enum outcome outcome)
{
    exchange_fail_because(exchange, outcome, NULL);
}

void exchange_refuse(struct exchange *exchange, enum outcome outcome, const char *reason)
{
    exchange_fail_because(exchange, outcome, reason);
    if (exchange->state < EXCHANGE_WAITING)
        exchange_move(exchange, EXCHANGE_WAITING);
    /* Nothing is wrong with the message of one that finds no route, or is denied. */
    if (outcome_info(outcome)->fault == FAULT_CLIENT && outcome != OUTCOME_NO_ROUTE)
        exchange->close = true;
}

bool exchange_failed(const struct exchange *exchange)
{
    return failure_is_set(&exchange->failure);
}

/* ---- the end ---- */

void exchange_end(struct exchange *exchange, bool delivered)
{
    struct listener_slot *slot;

    if (!exchange)
        return;
    exchange_report(exchange, delivered);
    slot = exchange_slot(exchange);
    if (slot)
        counter_add(&slot->ended, 1);
    list_remove(&exchange->ready);
    exchange->source->end(exchange);
    target_forget(&exchange->upstream.ticket);
    if (exchange->request_block)
        exchange_drop_request(exchange);
    if (exchange->answer_block)
        exchange_drop_answer(exchange);
    if (exchange->capture)
        capture_free(exchange->capture);
    free((char *)(uintptr_t)exchange->shown.data);
    generation_unref(exchange->generation);
    exchange_free(exchange);
}
