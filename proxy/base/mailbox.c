#include "proxy/base/mailbox.h"

void mailbox_init(struct mailbox *mailbox, struct loop *loop)
{
    *mailbox = (struct mailbox){.loop = loop, .lock = PTHREAD_MUTEX_INITIALIZER, .end = &mailbox->first};
}

void mailbox_deinit(struct mailbox *mailbox)
{
    if (!mailbox->end)
        return;
    mailbox_close(mailbox);
    pthread_mutex_destroy(&mailbox->lock);
}

void mailbox_post(struct mailbox *mailbox, struct message *message)
{
    bool closed;

    message->next = NULL;
    pthread_mutex_lock(&mailbox->lock);
    closed = mailbox->closed;
    if (!closed) {
        *mailbox->end = message;
        mailbox->end = &message->next;
        atomic_store_explicit(&mailbox->waiting, true, memory_order_relaxed);
        /* With the lock held: once the mailbox is closed, nobody touches the loop. */
        loop_wake(mailbox->loop);
    }
    pthread_mutex_unlock(&mailbox->lock);
    if (closed)
        message->drop(message);
}

struct message *mailbox_take(struct mailbox *mailbox)
{
    struct message *message;

    /* One that is being posted is seen in the next round: its sender wakes the loop after saying so. */
    if (!atomic_load_explicit(&mailbox->waiting, memory_order_relaxed))
        return NULL;
    pthread_mutex_lock(&mailbox->lock);
    message = mailbox->first;
    if (message) {
        mailbox->first = message->next;
        message->next = NULL;
    }
    if (!mailbox->first) {
        mailbox->end = &mailbox->first;
        atomic_store_explicit(&mailbox->waiting, false, memory_order_relaxed);
    }
    pthread_mutex_unlock(&mailbox->lock);
    return message;
}

void mailbox_close(struct mailbox *mailbox)
{
    struct message *left;

    if (!mailbox->end)
        return;
    pthread_mutex_lock(&mailbox->lock);
    mailbox->closed = true;
    left = mailbox->first;
    mailbox->first = NULL;
    mailbox->end = &mailbox->first;
    atomic_store_explicit(&mailbox->waiting, false, memory_order_relaxed);
    pthread_mutex_unlock(&mailbox->lock);
    /* Without the lock: what is dropped may post elsewhere. */
    while (left) {
        struct message *next = left->next;

        left->drop(left);
        left = next;
    }
}
