#include "proxy/reload_names.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

static bool reload_name_is_asked_for(const struct address *bind)
{
    return bind->kind == ADDRESS_TCP && bind->name && *bind->name && addresses_are_asked_for(bind->name);
}

static void reload_name_fail(const struct reload_name *name, const char *why)
{
    struct error *error = &name->names->error;

    if (error->code == 0)
        error_set(error, -EADDRNOTAVAIL, "cannot listen on %s: %s", name->served->config->bind.text, why);
}

/* Takes over the addresses. */
static void reload_name_take(const struct reload_name *name, const struct resolver_answer *answer)
{
    char why[256];

    name->served->known = answer->found;
    if (answer->found)
        return;
    resolver_explain(name->served->config->bind.name, answer, why, sizeof(why));
    reload_name_fail(name, why);
}

static void reload_names_close_one(struct reload_names *names)
{
    if (--names->n_open > 0)
        return;
    timer_disarm(&names->patience);
    names->fn(names, names->closure);
}

static void reload_name_on_answer(void *closure, const struct resolver_answer *answer)
{
    struct reload_name *name = closure;
    struct resolver_answer own = *answer;

    name->question = NULL;
    addresses_ref(own.found);
    reload_name_take(name, &own);
    reload_names_close_one(name->names);
}

static void reload_name_ask(struct reload_name *name)
{
    struct reload_names *names = name->names;
    struct resolver_answer answer = {.found = NULL};

    if (resolver_ask(&names->desk, name->served->config->bind.name, RESOLVER_PAUSE_MS, loop_now(names->loop),
                     reload_name_on_answer, name, &answer, &name->question) == RESOLVER_WAIT) {
        addresses_unref(answer.found); /* old */
        names->n_open++;
    } else {
        reload_name_take(name, &answer);
    }
}

static void reload_names_on_patience(struct timer *timer)
{
    char why[64];

    snprintf(why, sizeof(why), "no answer within %d s", RELOAD_NAMES_MS / 1000);
    reload_names_give_up(CONTAINER_OF(timer, struct reload_names, patience), why);
}

int reload_names_ask(struct reload_names *names, struct loop *loop, const struct resolver_desk *desk,
                     struct served *const *served, const bool *is_new, size_t n,
                     void (*fn)(struct reload_names *names, void *closure), void *closure)
{
    *names = (struct reload_names){.loop = loop, .desk = *desk, .error = ERROR_INIT, .fn = fn, .closure = closure};
    timer_init(&names->patience, reload_names_on_patience);
    names->items = calloc(n, sizeof(*names->items));
    if (!names->items)
        return -ENOMEM;
    for (size_t i = 0; i < n; i++) {
        if (!is_new[i] || !reload_name_is_asked_for(&served[i]->config->bind))
            continue;
        names->items[names->n_items] = (struct reload_name){.names = names, .served = served[i]};
        reload_name_ask(&names->items[names->n_items++]);
    }
    if (names->n_open > 0)
        timer_arm(loop, &names->patience, RELOAD_NAMES_MS);
    return names->n_open > 0;
}

void reload_names_give_up(struct reload_names *names, const char *why)
{
    if (names->n_open == 0)
        return;
    for (size_t i = 0; i < names->n_items; i++) {
        struct reload_name *name = &names->items[i];
        char text[256];

        if (!name->question)
            continue;
        resolver_withdraw(name->question);
        name->question = NULL;
        snprintf(text, sizeof(text), "cannot resolve %s: %s", name->served->config->bind.name, why);
        reload_name_fail(name, text);
    }
    names->n_open = 1;
    reload_names_close_one(names);
}

void reload_names_deinit(struct reload_names *names)
{
    for (size_t i = 0; i < names->n_items; i++)
        resolver_withdraw(names->items[i].question);
    free(names->items);
    if (names->loop)
        timer_disarm(&names->patience);
    *names = (struct reload_names){.items = NULL};
}
