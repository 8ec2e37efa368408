/* What the library is told of its connections' readiness, which our own loop knows already.
 *
 * libmicrohttpd keeps an epoll set of its own. That set in our loop would be a second system call for every wake-up, a
 * registration that is undone and made anew for every request that waits, and a wake-up each time a client reads, since
 * the library asks for room in every socket at any time. So its calls of epoll(7) are answered here (interest.c): each
 * connection is registered once, with our loop, and the library's epoll_wait gives what that has seen. Room is asked
 * for only when the library has found none. */
#ifndef PORTHOLE_SERVE_INTEREST_H
#define PORTHOLE_SERVE_INTEREST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/epoll.h>
#include <sys/types.h>

#include "proxy/base/error.h"
#include "proxy/base/list.h"

#define INTEREST_EVENTS (EPOLLIN | EPOLLPRI | EPOLLRDHUP)

/* With so many clients, one receive brings no more than a page: what is still to come of a large body needs no memory
 * of the library's (upload.h), which each of them keeps as long as it is busy, and few of the others are larger. */
#define INTEREST_MANY_CLIENTS 128
#define INTEREST_FEW_BYTES 4096u

/* All of a worker. Embedded in its daemons. */
struct interests {
    struct list sets;        /* of interest_set */
    struct interest **by_fd; /* owned */
    size_t n_fds;
    unsigned n_share;        /* how many of those that are ready the library is still told of */
    const size_t *n_clients; /* borrowed; how many there are; none at first */
};

/* An epoll set of the library's. Embedded in its daemon. */
struct interest_set {
    struct interests *all; /* borrowed */
    struct list link;      /* in all->sets; alone: the library is not heard, and its set is a real one */
    struct list ready;     /* of interest: what the next epoll_wait gives */
    int fd;                /* the library's */
};

/* One connection. Embedded in its client; all zero but for the links when it is in no set. */
struct interest {
    struct list ready;        /* in set.ready, or alone */
    struct interest_set *set; /* borrowed; NULL: none, and what follows means nothing */
    void *connection;         /* the library's name for it */
    int fd;
    uint32_t events;                            /* since the library was told */
    bool nothing_there;                         /* the library has received all that our loop has seen come */
    bool ended;                                 /* the other side has */
    bool full;                                  /* the library has found no room: EPOLLOUT is needed */
    bool silenced;                              /* what the library sends is for nobody: an answer by hand is there */
    void (*on_full)(struct interest *interest); /* that has changed */
};

void interests_init(struct interests *all);
/* No set is left. */
void interests_deinit(struct interests *all);
/* From here on the library is told of so many connections, those who are ready longest first; the others wait for the
 * next share. At first there is no limit. */
static inline void interests_share(struct interests *all, unsigned n)
{
    all->n_share = n;
}
/* Whether one is ready that the library has not been told of. */
bool interests_wait(const struct interests *all);
/* From here on calls of epoll(7) in this thread for these sets are answered. */
void interests_enter(struct interests *all);
/* From here on this thread's calls of send(2) and sendmsg(2) are the library's, and of interest_receive; or no more. */
void interests_show(bool shown);

/* From here on epoll_create1 shows whether the library is heard. */
void interest_listen(void);
/* The library has made its set, in this thread. False: it is not heard, so that its descriptor has to be watched. */
bool interest_set_begin(struct interest_set *set, struct interests *all, int fd);
/* Harmless when it was not begun, but initialised. */
void interest_set_end(struct interest_set *set);

/* The one of this thread that has this descriptor, or NULL. */
struct interest_set *interest_set_find(int fd);
/* What epoll_wait gives, once: how many. */
int interest_set_take(struct interest_set *set, struct epoll_event *events, int n_most);

static inline void interest_set_init(struct interest_set *set)
{
    *set = (struct interest_set){.fd = -1};
    list_init(&set->link);
    list_init(&set->ready);
}

static inline bool interest_set_is_heard(const struct interest_set *set)
{
    return list_linked(&set->link);
}

static inline void interest_init(struct interest *interest)
{
    *interest = (struct interest){0};
    list_init(&interest->ready);
}

/* Enters the connection into the set. 0 or a negative errno. */
int interest_begin(struct interest *interest, struct interest_set *set, int fd, void *connection,
                   void (*on_full)(struct interest *interest)) WARN_UNUSED;
/* Harmless when it is in none. */
void interest_end(struct interest *interest);
/* Our loop has seen these. True when the library is to be told: `told` says whether it may be, which it must not while
 * the connection is suspended: that it looks for itself afterwards. */
bool interest_note(struct interest *interest, uint32_t events, bool told);
/* Whether the library is yet to be told. */
static inline bool interest_waits(const struct interest *interest)
{
    return list_linked(&interest->ready);
}
/* The connection is suspended: what the library was to be told is of no use. */
void interest_forget(struct interest *interest);
/* What our loop is to look for on its behalf. */
static inline uint32_t interest_events(const struct interest *interest)
{
    return !interest->set ? 0 : INTEREST_EVENTS | (interest->full ? EPOLLOUT : 0);
}

/* recv(2) for the library: without a system call where our loop has seen nothing come. What comes after it has looked
 * it will see the next time, as what it was not given at once. */
ssize_t interest_receive(int fd, void *data, size_t size, int flags);

#endif
