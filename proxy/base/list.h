/* A circular doubly linked list whose links are embedded in the members. */
#ifndef PORTHOLE_BASE_LIST_H
#define PORTHOLE_BASE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A list head, or a member's link. A link that is in no list points to itself. */
struct list {
    struct list *previous; /* borrowed, never NULL after list_init */
    struct list *next;
};

#define LIST_INIT(name)  \
    {                    \
        &(name), &(name) \
    }

/* The object of `type` whose field `member` is at `pointer`. */
#define CONTAINER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

static inline void list_init(struct list *l)
{
    l->previous = l;
    l->next = l;
}

static inline bool list_empty(const struct list *l)
{
    return l->next == l;
}

/* True when the link is in some list. */
static inline bool list_linked(const struct list *l)
{
    return l->next != l;
}

/* Puts `link`, which must not be linked, before `at`; at the end when `at` is the head. */
static inline void list_insert_before(struct list *at, struct list *link)
{
    link->previous = at->previous;
    link->next = at;
    at->previous->next = link;
    at->previous = link;
}

static inline void list_append(struct list *head, struct list *link)
{
    list_insert_before(head, link);
}

static inline void list_prepend(struct list *head, struct list *link)
{
    list_insert_before(head->next, link);
}

/* Takes `link` out of its list; harmless when it is in none. */
static inline void list_remove(struct list *link)
{
    link->previous->next = link->next;
    link->next->previous = link->previous;
    list_init(link);
}

/* Takes the first member out and returns its link, NULL when the list is empty. */
static inline struct list *list_pop(struct list *head)
{
    struct list *first = head->next;

    if (first == head)
        return NULL;
    list_remove(first);
    return first;
}

/* Puts all of `from` at the end of `to`, which is empty; `from` is empty afterwards. */
static inline void list_move(struct list *to, struct list *from)
{
    if (list_empty(from))
        return;
    list_insert_before(from, to);
    list_remove(from);
}

#endif
