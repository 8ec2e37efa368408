/* Bytes of requests that were moved beside the library, and that it is to count as received.
 *
 * The library keeps the state of a connection, and what its body still lacks, to itself. So it is told by its own call
 * of recv(2) (receipt.c) that it has received so much; what lies in its memory then means nothing, and
 * whoever is called with these bytes passes over them. */
#ifndef PORTHOLE_SERVE_RECEIPT_H
#define PORTHOLE_SERVE_RECEIPT_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/list.h"

/* Embedded in its client. All zero but for the link when there is nothing to be told. */
struct receipt {
    struct list link;   /* in clients.receipts, or alone */
    int fd;             /* of the connection */
    uint64_t untold;    /* bytes of which the library does not know yet */
    uint64_t unskipped; /* bytes with which it has not called yet */
};

/* So many bytes have been moved. */
static inline void receipt_write(struct receipt *receipt, struct list *receipts, int fd, uint64_t bytes)
{
    if (bytes == 0)
        return;
    receipt->fd = fd;
    receipt->untold += bytes;
    receipt->unskipped += bytes;
    if (!list_linked(&receipt->link))
        list_append(receipts, &receipt->link);
}

/* How many of these bytes, with which the library has called, have been moved. */
static inline size_t receipt_skip(struct receipt *receipt, size_t bytes)
{
    size_t n = bytes < receipt->unskipped ? bytes : (size_t)receipt->unskipped;

    receipt->unskipped -= n;
    return n;
}

/* The connection is over. */
static inline void receipt_drop(struct receipt *receipt)
{
    list_remove(&receipt->link);
    receipt->untold = receipt->unskipped = 0;
}

/* Whether the library receives by the call that hears of these: it has received something so in this thread. One that
 * was built to receive in another way would wait for what has been moved. */
bool receipts_are_heard(void);
/* From here on this thread's calls of recv(2) are the library's, which is told what these say; NULL: no more. */
void receipts_show(struct list *receipts);

#endif
