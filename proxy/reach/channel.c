#include "proxy/reach/channel.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/base/error.h"

#define TLS_RECORD_BYTES 16384

static_assert(CHANNEL_REASON_BYTES >= CURL_ERROR_SIZE, "libcurl writes as much as it likes");

static ssize_t channel_tls_result(CURLcode code, const size_t *n)
{
    if (code == CURLE_OK)
        return (ssize_t)*n;
    return code == CURLE_AGAIN ? -EAGAIN : -ECONNRESET;
}

static int channel_tls_on_text(CURL *easy, curl_infotype kind, char *data, size_t length, void *closure)
{
    struct channel_tls *tls = closure;

    (void)easy;
    if (kind != CURLINFO_TEXT || tls->reason[0] != '\0')
        return 0;
    while (length > 0 && (data[length - 1] == '\n' || data[length - 1] == '\r'))
        length--;
    snprintf(tls->reason, sizeof(tls->reason), "%.*s", (int)length, data);
    return 0;
}

/* That a write failed is never the cause: an alert that explains it waits to be read. A handle's error buffer gets only
 * the first text of its life, so that from here on what libcurl says aloud is listened to. */
static void channel_tls_listen(struct channel_tls *tls)
{
    tls->reason[0] = '\0';
    curl_easy_setopt(tls->easy, CURLOPT_ERRORBUFFER, NULL);
    curl_easy_setopt(tls->easy, CURLOPT_DEBUGFUNCTION, channel_tls_on_text);
    curl_easy_setopt(tls->easy, CURLOPT_DEBUGDATA, tls);
    curl_easy_setopt(tls->easy, CURLOPT_VERBOSE, 1L);
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
    r = channel_tls_result(curl_easy_send(channel->tls->easy, data, length, &n), &n);
    if (r < 0 && r != -EAGAIN)
        channel_tls_listen(channel->tls);
    return r;
}

ssize_t channel_send_parts(struct channel *channel, const void *first, size_t first_length, const void *second,
                           size_t second_length)
{
    struct iovec parts[2] = {{(void *)(uintptr_t)first, first_length}, {(void *)(uintptr_t)second, second_length}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = ARRAY_LENGTH(parts)};
    ssize_t n;

    do
        n = sendmsg(channel->fd, &message, MSG_NOSIGNAL);
    while (n < 0 && errno == EINTR);
    return n < 0 ? -errno : n;
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
    return channel_tls_result(curl_easy_recv(channel->tls->easy, data, size, &n), &n);
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

const char *channel_reason(const struct channel *channel)
{
    return channel->tls && channel->tls->reason[0] ? channel->tls->reason : NULL;
}

static void channel_tls_free(struct channel_tls *tls)
{
    curl_multi_remove_handle(tls->multi, tls->easy);
    curl_easy_cleanup(tls->easy);
    curl_slist_free_all(tls->list);
    free(tls);
}

void channel_close(struct channel *channel)
{
    if (channel->fd < 0)
        return;
    if (channel->tls)
        channel_tls_free(channel->tls);
    else
        close(channel->fd);
    *channel = (struct channel)CHANNEL_INIT;
}
