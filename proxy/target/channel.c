#include "proxy/target/channel.h"

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

ssize_t channel_recv(struct channel *channel, void *data, size_t size)
{
    size_t n = 0;
    ssize_t r;

    if (!channel->tls) {
        do
            r = recv(channel->fd, data, size, 0);
        while (r < 0 && errno == EINTR);
        channel->maybe_more = r == (ssize_t)size;
        return r < 0 ? -errno : r;
    }
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
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_LENGTH(parts)};
    ssize_t n;

    if (channel->tls)
        return channel_recv_parts_tls(channel, data, size, extra, extra_size);
    do
        n = recvmsg(channel->fd, &message, 0);
    while (n < 0 && errno == EINTR);
    channel->maybe_more = n == (ssize_t)(size + extra_size);
    return n < 0 ? -errno : n;
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
