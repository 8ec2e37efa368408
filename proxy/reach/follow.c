#include "proxy/reach/follow.h"

void follow_init(struct follow *follow, const struct resolver_desk *desk, struct loop *loop, const char *host,
                 follow_fn *changed)
{
    *follow = (struct follow){.loop = loop, .changed = changed};
    if (!desk || !addresses_are_asked_for(host))
        return;
    follow->desk = *desk;
    follow->host = host;
}

void follow_deinit(struct follow *follow)
{
    resolver_withdraw(follow->question);
    follow->question = NULL;
    follow->known = addresses_unref(follow->known);
    follow->host = NULL;
}

/* Takes over what was found. What is not found any more may still answer: connections that are there stay. */
static void follow_take(struct follow *follow, struct addresses *found)
{
    bool same = follow->known && found && addresses_equal(follow->known, found);

    if (!found)
        return;
    addresses_unref(follow->known);
    follow->known = found;
    if (!same)
        follow->changed(follow);
}

static void follow_on_answer(void *closure, const struct resolver_answer *answer)
{
    struct follow *follow = closure;

    follow->question = NULL;
    follow_take(follow, addresses_ref(answer->found));
}

void follow_ask(struct follow *follow)
{
    struct instant now = loop_now(follow->loop);
    struct resolver_answer answer;

    follow->due = instant_add_ms(now, follow->every_ms / FOLLOW_LOOKS);
    if (follow->question)
        return;
    if (resolver_ask(&follow->desk, follow->host, follow->every_ms, now, follow_on_answer, follow, &answer,
                     &follow->question) == RESOLVER_FOUND)
        follow_take(follow, answer.found);
    else
        addresses_unref(answer.found); /* an old one, known already; a newer one comes */
}

void follow_every(struct follow *follow, uint64_t every_ms)
{
    bool is_first = follow->every_ms == 0;

    follow->every_ms = every_ms;
    if (follow->host && is_first)
        follow_ask(follow);
}
