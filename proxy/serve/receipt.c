#include "proxy/serve/receipt.h"

#include <sys/socket.h>

#include "proxy/serve/interest.h"

#define MARK_BYTES 128 /* less than the least that is looked for */

static _Thread_local struct list *receipts_shown;
static _Thread_local bool receipts_heard;

void receipts_show(struct list *receipts)
{
    receipts_shown = receipts;
}

bool receipts_are_heard(void)
{
    return receipts_heard;
}

static struct receipt *receipt_find(int fd)
{
    for (struct list *link = receipts_shown->next; link != receipts_shown; link = link->next)
        if (CONTAINER_OF(link, struct receipt, link)->fd == fd)
            return CONTAINER_OF(link, struct receipt, link);
    return NULL;
}

/* As if all of it had come: a library that looks for what it has used, to clear it, ends where nothing is. */
static void receipt_mark(char *data, size_t n)
{
    for (size_t i = 0; i < n; i += MARK_BYTES)
        data[i] = '?';
    if (n > 0)
        data[n - 1] = '?';
}

/* What has been moved, and behind it what has come since: a library whose epoll is edge-triggered takes a short receive
 * for a sign that nothing more is there. What has been moved leaves the library's memory as it is, of which parts that
 * nobody has touched are not resident. */
static ssize_t receipt_tell(struct receipt *receipt, char *data, size_t size, int flags)
{
    size_t n = size < receipt->untold ? size : (size_t)receipt->untold;
    ssize_t more = 0;

    receipt->untold -= n;
    if (receipt->untold == 0)
        list_remove(&receipt->link);
    if (n < size)
        more = recvfrom(receipt->fd, data + n, size - n, flags | MSG_DONTWAIT, NULL, NULL);
    if (more <= 0)
        return (ssize_t)n;
    receipt_mark(data, n);
    return (ssize_t)n + more;
}

/* recv(2) as libmicrohttpd is to hear it. This definition stands before libc's; whoever else calls it gets what that
 * does. */
ssize_t recv(int fd, void *data, size_t size, int flags)
{
    struct receipt *receipt = receipts_shown && !(flags & MSG_PEEK) ? receipt_find(fd) : NULL;

    receipts_heard = receipts_heard || receipts_shown;
    if (receipt)
        return receipt_tell(receipt, data, size, flags);
    return flags & MSG_PEEK ? recvfrom(fd, data, size, flags, NULL, NULL) : interest_receive(fd, data, size, flags);
}
