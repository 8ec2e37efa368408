/* Channels: open connections to endpoints, plain or TLS, as connect makes them. */
#ifndef PORTHOLE_REACH_CHANNEL_H
#define PORTHOLE_REACH_CHANNEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "proxy/report/labels.h"

struct curl_slist;

#define CHANNEL_REASON_BYTES 256 /* what libcurl wants to be given */

/* What was agreed on when it was made. */
struct channel_tls_facts {
    enum tls_label version; /* NONE: not known */
    int64_t not_after;      /* the other side's certificate is good until then, in seconds since 1970; 0: not known */
    int64_t own_not_after;  /* the one that was shown to it; 0: none was, or not known */
};

/* What a TLS connection is made of, besides its descriptor. */
struct channel_tls {
    void *easy;              /* owned easy handle */
    void *multi;             /* borrowed: the multi handle it lives in */
    struct curl_slist *list; /* owned: of the handle's options, NULL */
    struct channel_tls_facts facts;
    char reason[CHANNEL_REASON_BYTES]; /* why it broke, as libcurl says; "" */
};

/* An open connection: non-blocking. Embedded in its owner. */
struct channel {
    int fd;                  /* owned, -1 when closed */
    struct channel_tls *tls; /* owned, NULL for a plain connection */
    bool maybe_more;         /* the last receive got all it asked for: there may be more to read */
};

#define CHANNEL_INIT \
    {                \
        .fd = -1     \
    }

/* As send(2) and recv(2) without flags: a count, 0 at the end (recv), -EAGAIN, or another negative errno. */
ssize_t channel_send(struct channel *channel, const void *data, size_t length);
ssize_t channel_recv(struct channel *channel, void *data, size_t size);
/* Sends from two places in one call; over a plain channel. The count is over both. */
ssize_t channel_send_parts(struct channel *channel, const void *first, size_t first_length, const void *second,
                           size_t second_length);
/* Receives into two places, the second of at most CHANNEL_EXTRA_BYTES; the count is over both. */
#define CHANNEL_EXTRA_BYTES 16
ssize_t channel_recv_parts(struct channel *channel, void *data, size_t size, void *extra, size_t extra_size);
/* Whether nothing more has arrived; a byte that has is lost. Costs no system call where the last receive has told it
 * already. */
bool channel_is_silent(struct channel *channel);
/* What TLS has to say of a receive that failed: a fatal alert of the other side (a client certificate that it
 * does not accept, RFC 8446 4.4.2.4), a broken record. NULL: no more than its errno. Lives as long as the channel. */
const char *channel_reason(const struct channel *channel);
static inline enum tls_label channel_tls_version(const struct channel *channel)
{
    return channel->tls ? channel->tls->facts.version : TLS_NONE;
}
/* Closes; harmless when closed. */
void channel_close(struct channel *channel);

#endif
