/* epoll(7) as libmicrohttpd is to hear it, and its sends.
 *
 * These definitions stand before libc's. Whoever calls them for descriptors that are not the library's, or while it
 * does not run, gets what libc's do, but for being points of cancellation (pthreads(7)), which costs and is not used.
 */
#include "proxy/serve/interest.h"

#include <errno.h>
#include <limits.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#define FDS_LEAST 256u

static _Thread_local struct interests *interests;   /* of the library that runs in this thread, or has; NULL: none */
static _Thread_local bool interests_shown;          /* it runs */
static _Thread_local bool interest_is_heard_making; /* epoll_create1 has been called */

/* ---- sets ---- */

void interests_init(struct interests *all)
{
    static const size_t nobody;

    *all = (struct interests){.n_share = UINT_MAX, .n_clients = &nobody};
    list_init(&all->sets);
}

void interests_deinit(struct interests *all)
{
    free(all->by_fd);
    all->by_fd = NULL;
    all->n_fds = 0;
    if (interests == all)
        interests = NULL;
}

bool interests_wait(const struct interests *all)
{
    for (const struct list *link = all->sets.next; link != &all->sets; link = link->next)
        if (!list_empty(&CONTAINER_OF(link, struct interest_set, link)->ready))
            return true;
    return false;
}

void interests_enter(struct interests *all)
{
    interests = all;
}

void interests_show(bool shown)
{
    interests_shown = shown;
}

void interest_listen(void)
{
    interest_is_heard_making = false;
}

bool interest_set_begin(struct interest_set *set, struct interests *all, int fd)
{
    if (!interest_is_heard_making)
        return false;
    set->fd = fd;
    set->all = all;
    list_append(&all->sets, &set->link);
    return true;
}

void interest_set_end(struct interest_set *set)
{
    list_remove(&set->link);
}

struct interest_set *interest_set_find(int fd)
{
    if (!interests)
        return NULL;
    for (struct list *link = interests->sets.next; link != &interests->sets; link = link->next)
        if (CONTAINER_OF(link, struct interest_set, link)->fd == fd)
            return CONTAINER_OF(link, struct interest_set, link);
    return NULL;
}

/* ---- connections ---- */

static int interests_grow(struct interests *all, size_t fd)
{
    size_t n = all->n_fds > 0 ? all->n_fds : FDS_LEAST;
    struct interest **grown;

    while (n <= fd)
        n *= 2;
    grown = realloc(all->by_fd, n * sizeof(struct interest *));
    if (!grown)
        return -ENOMEM;
    for (size_t i = all->n_fds; i < n; i++)
        grown[i] = NULL;
    all->by_fd = grown;
    all->n_fds = n;
    return 0;
}

int interest_begin(struct interest *interest, struct interest_set *set, int fd, void *connection,
                   void (*on_full)(struct interest *interest))
{
    struct interests *all = set->all;
    int r = (size_t)fd < all->n_fds ? 0 : interests_grow(all, (size_t)fd);

    if (r < 0)
        return r;
    interest->set = set;
    interest->fd = fd;
    interest->connection = connection;
    interest->on_full = on_full;
    all->by_fd[fd] = interest;
    return 0;
}

void interest_end(struct interest *interest)
{
    if (!interest->set)
        return;
    list_remove(&interest->ready);
    interest->set->all->by_fd[interest->fd] = NULL;
    interest->set = NULL;
}

bool interest_note(struct interest *interest, uint32_t events, bool told)
{
    if (!interest->set)
        return false;
    interest->ended = interest->ended || (events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR));
    if (events & ~(uint32_t)EPOLLOUT)
        interest->nothing_there = false;
    /* What it asks for itself, and what epoll always gives. */
    events &= EPOLLIN | EPOLLPRI | EPOLLOUT | EPOLLHUP | EPOLLERR;
    if (!told || events == 0)
        return false;
    interest->events |= events;
    if (!list_linked(&interest->ready))
        list_append(&interest->set->ready, &interest->ready);
    return true;
}

void interest_forget(struct interest *interest)
{
    if (!interest->set)
        return;
    list_remove(&interest->ready);
    interest->events = 0;
}

static struct interest *interest_of(int fd)
{
    return interests_shown && fd >= 0 && (size_t)fd < interests->n_fds ? interests->by_fd[fd] : NULL;
}

/* A short receive means that nothing more is there, unless it ended at descriptors that were passed (unix(7)): what is
 * behind them is found when the client's silence is looked into, which looks again. */
ssize_t interest_receive(int fd, void *data, size_t size, int flags)
{
    struct interest *interest = interest_of(fd);
    bool less = interest && size > INTEREST_FEW_BYTES && *interests->n_clients >= INTEREST_MANY_CLIENTS;
    ssize_t n;

    if (less)
        size = INTEREST_FEW_BYTES;
    if (interest && interest->nothing_there && !interest->ended) {
        errno = EAGAIN;
        return -1;
    }
    n = syscall(SYS_recvfrom, fd, data, size, flags, NULL, NULL);
    if (interest && (n < 0 ? errno == EAGAIN : n > 0 && (size_t)n < size))
        interest->nothing_there = true;
    else if (less && n > 0)
        interest_note(interest, EPOLLIN, true); /* a library that got less than it asked for looks no further */
    return n;
}

int interest_set_take(struct interest_set *set, struct epoll_event *events, int n_most)
{
    int n = 0;

    for (; n < n_most && set->all->n_share > 0 && !list_empty(&set->ready); set->all->n_share--) {
        struct interest *interest = CONTAINER_OF(list_pop(&set->ready), struct interest, ready);

        events[n++] = (struct epoll_event){.events = interest->events, .data.ptr = interest->connection};
        interest->events = 0;
    }
    return n;
}

/* ---- the library's calls ----
 *
 * These definitions stand before libc's; for descriptors that are not the library's they do the same. They are in one
 * object, so that all of them are taken or none: sanitizers bring their own, and a linker that has one of those looks
 * for no other. (Weak: a test may stand before them in turn.) */

int epoll_create1(int flags)
{
    interest_is_heard_making = true;
    return (int)syscall(SYS_epoll_create1, flags);
}

/* A connection of the library's is always watched, unless it is suspended, whether it wants that or not: it does not
 * mind. */
__attribute__((weak)) int epoll_ctl(int set_fd, int operation, int fd, struct epoll_event *event)
{
    if (interest_set_find(set_fd))
        return 0;
    return (int)syscall(SYS_epoll_ctl, set_fd, operation, fd, event);
}

/* The library never waits: the loop has. */
__attribute__((weak)) int epoll_wait(int set_fd, struct epoll_event *events, int n_most, int timeout_ms)
{
    struct interest_set *set = interest_set_find(set_fd);

    return set ? interest_set_take(set, events, n_most)
               : (int)syscall(SYS_epoll_pwait, set_fd, events, n_most, timeout_ms, NULL, 0);
}

/* A send that did not take everything: the library waits for room. */
static void interest_sent(int fd, size_t size, ssize_t n)
{
    struct interest *interest = n == (ssize_t)size ? NULL : interest_of(fd);

    if (!interest || interest->full || (n < 0 && errno != EAGAIN))
        return;
    interest->full = true;
    interest->on_full(interest);
}

/* The library refuses the rest of a request by an answer of its own, whatever the client has been told already: that
 * would stand in the middle of it. So it is taken to be sent. (We use sendto(2).) */
static bool interest_is_silenced(int fd)
{
    const struct interest *interest = interest_of(fd);

    return interest && interest->silenced;
}

ssize_t send(int fd, const void *data, size_t size, int flags)
{
    ssize_t n = interest_is_silenced(fd) ? (ssize_t)size : syscall(SYS_sendto, fd, data, size, flags, NULL, 0);
    int saved_errno = errno;

    interest_sent(fd, size, n);
    errno = saved_errno;
    return n;
}

ssize_t sendmsg(int fd, const struct msghdr *message, int flags)
{
    size_t size = 0;
    ssize_t n;
    int saved_errno;

    for (size_t i = 0; interests_shown && i < message->msg_iovlen; i++)
        size += message->msg_iov[i].iov_len;
    n = interest_is_silenced(fd) ? (ssize_t)size : syscall(SYS_sendmsg, fd, message, flags);
    saved_errno = errno;
    if (interests_shown)
        interest_sent(fd, size, n);
    errno = saved_errno;
    return n;
}
