#include "proxy/reach/channel.h"

#include <curl/curl.h>
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/error.h"

#define TLS_RECORD_BYTES 16384

static ssize_t channel_tls_result(CURLcode code, const size_t *n)
{
    if (code == CURLE_OK)
        return (ssize_t)*n;
    return code == CURLE_AGAIN ? -EAGAIN : -ECONNRESET;
}

ssize_t channel_send(struct channel *channel, const void *data, size_t length)
{
    size_t n = 0;
    ssize_t r;

    if (!channel->tls) {
        do
            r = send(channel->fd, data, length, MSG_NOSIGNAL);
        while (r < 0 && errno == EINTR);
        return r < 0 ? -errno : r;
    }
    return channel_tls_result(curl_easy_send(channel->tls, data, length, &n), &n);
}

/* A short receive means that nothing more is there, unless it ended at descriptors that were passed (unix(7)): there is
 * no room for them, which shows. */
static ssize_t channel_recv_message(struct channel *channel, struct iovec *parts, size_t n_parts, size_t size)
{
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = n_parts};
    ssize_t n;

    do
        n = recvmsg(channel->fd, &message, 0);
    while (n < 0 && errno == EINTR);
    channel->maybe_more = n == (ssize_t)size || (n > 0 && (message.msg_flags & MSG_CTRUNC));
    return n < 0 ? -errno : n;
}

ssize_t channel_recv(struct channel *channel, void *data, size_t size)
{
    struct iovec part = {data, size};
    size_t n = 0;

    if (!channel->tls)
        return channel_recv_message(channel, &part, 1, size);
    return channel_tls_result(curl_easy_recv(channel->tls, data, size, &n), &n);
}

/* TLS gives no scattered receive: the end of what is asked for goes through a piece of our own. */
static ssize_t channel_recv_parts_tls(struct channel *channel, char *data, size_t size, char *extra, size_t extra_size)
{
    char piece[TLS_RECORD_BYTES];
    size_t first;
    ssize_t n;

    if (size + extra_size > sizeof(piece))
        return channel_recv(channel, data, size - 1);
    n = channel_recv(channel, piece, size + extra_size);
    if (n <= 0)
        return n;
    first = (size_t)n < size ? (size_t)n : size;
    memcpy(data, piece, first);
    memcpy(extra, piece + first, (size_t)n - first);
    return n;
}

ssize_t channel_recv_parts(struct channel *channel, void *data, size_t size, void *extra, size_t extra_size)
{
    struct iovec parts[2] = {{data, size}, {extra, extra_size}};

    if (channel->tls)
        return channel_recv_parts_tls(channel, data, size, extra, extra_size);
    return channel_recv_message(channel, parts, ARRAY_LENGTH(parts), size + extra_size);
}

bool channel_is_silent(struct channel *channel)
{
    char byte;

    return (!channel->tls && !channel->maybe_more) || channel_recv(channel, &byte, 1) == -EAGAIN;
}

void channel_close(struct channel *channel)
{
    if (channel->fd < 0)
        return;
    if (channel->tls) {
        struct curl_slist *connect_to = NULL;

        curl_easy_getinfo(channel->tls, CURLINFO_PRIVATE, (char **)&connect_to);
        curl_multi_remove_handle(channel->multi, channel->tls);
        curl_easy_cleanup(channel->tls);
        curl_slist_free_all(connect_to);
    } else {
        close(channel->fd);
    }
    *channel = (struct channel)CHANNEL_INIT;
}
