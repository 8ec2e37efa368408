#include "proxy/reach/inbox.h"

#include <assert.h>

void inbox_init(struct inbox *inbox)
{
    pthread_mutex_init(&inbox->lock, NULL);
    for (int i = 0; i < N_INBOX_KINDS; i++)
        list_init(&inbox->lists[i]);
    atomic_init(&inbox->told, false);
    inbox->fn = NULL;
}

void inbox_listen(struct inbox *inbox, void (*fn)(void *closure), void *closure)
{
    inbox->fn = fn;
    inbox->closure = closure;
}

void inbox_deinit(struct inbox *inbox)
{
    for (int i = 0; i < N_INBOX_KINDS; i++)
        assert(list_empty(&inbox->lists[i]));
    pthread_mutex_destroy(&inbox->lock);
}

void inbox_put(struct inbox *inbox, enum inbox_kind kind, struct list *link, const bool *is_open)
{
    bool put;

    pthread_mutex_lock(&inbox->lock);
    put = !list_linked(link) && (!is_open || *is_open);
    if (put)
        list_append(&inbox->lists[kind], link);
    pthread_mutex_unlock(&inbox->lock);
    if (put && !atomic_exchange(&inbox->told, true) && inbox->fn)
        inbox->fn(inbox->closure);
}

void inbox_open(struct inbox *inbox)
{
    atomic_store(&inbox->told, false);
}

struct list *inbox_take(struct inbox *inbox, enum inbox_kind kind)
{
    struct list *link;

    pthread_mutex_lock(&inbox->lock);
    link = list_pop(&inbox->lists[kind]);
    pthread_mutex_unlock(&inbox->lock);
    return link;
}

void inbox_admit(struct inbox *inbox, bool *is_open)
{
    pthread_mutex_lock(&inbox->lock);
    *is_open = true;
    pthread_mutex_unlock(&inbox->lock);
}

void inbox_shut(struct inbox *inbox, bool *is_open, struct list *link)
{
    pthread_mutex_lock(&inbox->lock);
    *is_open = false;
    list_remove(link);
    pthread_mutex_unlock(&inbox->lock);
}

void inbox_forget(struct inbox *inbox, struct list *link)
{
    pthread_mutex_lock(&inbox->lock);
    list_remove(link);
    pthread_mutex_unlock(&inbox->lock);
}
