#include "proxy/reach/connect_name.h"

void connect_name_end(struct connect_name *name)
{
    resolver_withdraw(name->question);
    name->question = NULL;
    timer_disarm(&name->timer);
}

static void connect_name_on_answer(void *closure, const struct resolver_answer *answer)
{
    struct connect_name *name = closure;

    name->question = NULL;
    connect_name_end(name);
    name->fn(name, addresses_ref(answer->found), answer);
}

/* The answer may have come while the process was not running, and not have been taken from the mailbox. */
static void connect_name_on_timer(struct timer *timer)
{
    struct connect_name *name = CONTAINER_OF(timer, struct connect_name, timer);
    struct resolver_answer answer;
    struct resolver_question *question = NULL;
    enum resolver_result result;

    connect_name_end(name);
    result = resolver_ask(name->desk, name->host, name->every_ms, loop_now(name->loop), connect_name_on_answer, name,
                          &answer, &question);
    resolver_withdraw(question);
    name->fn(name, answer.found, result == RESOLVER_WAIT ? NULL : &answer);
}

void connect_name_init(struct connect_name *name, const struct resolver_desk *desk, struct loop *loop, const char *host,
                       uint64_t every_ms, connect_name_fn *fn)
{
    *name = (struct connect_name){.desk = desk, .loop = loop, .host = host, .every_ms = every_ms, .fn = fn};
    timer_init(&name->timer, connect_name_on_timer);
}

enum resolver_result connect_name_ask(struct connect_name *name, uint64_t left_ms, struct resolver_answer *ret_answer)
{
    enum resolver_result result = resolver_ask(name->desk, name->host, name->every_ms, loop_now(name->loop),
                                               connect_name_on_answer, name, ret_answer, &name->question);

    if (result != RESOLVER_WAIT)
        return result;
    timer_arm(name->loop, &name->timer, ret_answer->found && left_ms > RESOLVER_GRACE_MS ? RESOLVER_GRACE_MS : left_ms);
    addresses_unref(ret_answer->found);
    return result;
}
