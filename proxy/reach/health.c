#include "proxy/reach/health.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "config/value.h"
#include "config/version.h"
#include "proxy/base/loop.h"

#define WHY_BYTES 256

void health_check_end(struct health_check *check)
{
    connect_cancel(check->attempt);
    check->attempt = NULL;
    loop_remove(&check->source);
    channel_close(&check->channel);
    timer_disarm(&check->timer);
}

static void health_check_conclude(struct health_check *check, const char *why)
{
    char text[WHY_BYTES];

    /* What says why goes with the channel. */
    if (why)
        snprintf(text, sizeof(text), "%s", why);
    health_check_end(check);
    check->done(check, why ? text : NULL);
}

/* ---- the answer ---- */

enum health_verdict { HEALTH_MORE, HEALTH_STATUS, HEALTH_RUBBISH };

/* The status line at the beginning (RFC 9112 4). */
static enum health_verdict health_parse(const char *head, size_t length, unsigned *ret_status)
{
    static const char shape[] = "HTTP/1.? ???";
    unsigned status = 0;

    for (size_t i = 0; i < length && i < sizeof(shape) - 1; i++) {
        bool is_digit = head[i] >= '0' && head[i] <= '9';

        if (shape[i] == '?' ? !is_digit : head[i] != shape[i])
            return HEALTH_RUBBISH;
        if (i >= 9)
            status = status * 10 + (unsigned)(head[i] - '0');
    }
    if (length < sizeof(shape))
        return HEALTH_MORE;
    if (head[sizeof(shape) - 1] != ' ' && head[sizeof(shape) - 1] != '\r')
        return HEALTH_RUBBISH;
    *ret_status = status;
    return HEALTH_STATUS;
}

/* Takes away what is not the answer yet (RFC 9110 15.2): false when more has to come. */
static bool health_skip_interim(struct health_check *check)
{
    const char *end = memmem(check->head, check->got, "\r\n\r\n", 4);
    size_t used;

    if (!end)
        return false;
    used = (size_t)(end + 4 - check->head);
    memmove(check->head, check->head + used, check->got - used);
    check->got -= used;
    return true;
}

/* Whether that was the end. */
static bool health_check_judge(struct health_check *check)
{
    char why[WHY_BYTES];
    unsigned status;

    for (;;) {
        switch (health_parse(check->head, check->got, &status)) {
        case HEALTH_MORE:
            return false;
        case HEALTH_RUBBISH:
            health_check_conclude(check, "the answer is no HTTP");
            return true;
        case HEALTH_STATUS:
            break;
        }
        if (status >= 200)
            break;
        if (!health_skip_interim(check)) {
            if (check->got < sizeof(check->head))
                return false;
            health_check_conclude(check, "no answer in its first KiB");
            return true;
        }
    }
    snprintf(why, sizeof(why), "status %u", status);
    health_check_conclude(check, status >= check->least && status <= check->most ? NULL : why);
    return true;
}

static void health_check_receive(struct health_check *check)
{
    for (;;) {
        ssize_t n = channel_recv(&check->channel, check->head + check->got, sizeof(check->head) - check->got);

        if (n == -EAGAIN)
            return;
        if (n <= 0) {
            const char *why = channel_reason(&check->channel);

            health_check_conclude(check, why ? why : n == 0 ? "closed without an answer" : strerror((int)-n));
            return;
        }
        check->got += (size_t)n;
        if (health_check_judge(check))
            return;
    }
}

/* ---- the question ---- */

static void health_check_turn(struct health_check *check)
{
    size_t length = strlen(check->request);

    while (check->sent < length) {
        ssize_t n = channel_send(&check->channel, check->request + check->sent, length - check->sent);

        if (n == -EAGAIN)
            return;
        if (n < 0)
            break; /* the receive knows why */
        check->sent += (size_t)n;
    }
    health_check_receive(check);
}

static void health_check_on_event(struct source *source, uint32_t events)
{
    (void)events;
    health_check_turn(CONTAINER_OF(source, struct health_check, source));
}

/* A connection that stands is all there is to learn where nothing is asked. */
static void health_check_connected(struct health_check *check, struct channel *channel, const struct failure *failure)
{
    const char *why = channel ? NULL : failure_reason(failure);
    int r;

    check->attempt = NULL;
    if (channel)
        check->channel = *channel;
    if (channel && channel->tls)
        check->tls = channel->tls->facts;
    if (!channel || check->request[0] == '\0') {
        health_check_conclude(check, channel ? NULL : why ? why : outcome_info(failure->outcome)->name);
        return;
    }
    r = loop_add(connector_loop(check->connector), &check->source, check->channel.fd,
                 EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLET, health_check_on_event);
    if (r < 0)
        health_check_conclude(check, strerror(-r));
    else
        health_check_turn(check);
}

static void health_check_on_attempt(void *closure, struct channel *channel, const struct failure *failure)
{
    health_check_connected(closure, channel, failure);
}

static void health_check_on_timer(struct timer *timer)
{
    struct health_check *check = CONTAINER_OF(timer, struct health_check, timer);
    char why[WHY_BYTES], ms[VALUE_BYTES];

    snprintf(why, sizeof(why), "%s in %s", check->attempt ? "no connection" : "no answer",
             value_format(check->config->timeout_ms, UNIT_MS, ms));
    health_check_conclude(check, why);
}

void health_check_begin(struct health_check *check)
{
    struct channel channel = CHANNEL_INIT;
    enum connect_result result;
    struct failure failure;

    check->sent = check->got = 0;
    failure_init(&failure);
    timer_arm(connector_loop(check->connector), &check->timer, check->config->timeout_ms);
    /* Its own deadline is the later one, or nobody would know what it was that took so long. */
    result = connect_start(check->connector, &check->to, check->config->timeout_ms, health_check_on_attempt, check,
                           &channel, &check->attempt, &failure);
    if (result != CONNECT_WAIT)
        health_check_connected(check, result == CONNECT_DONE ? &channel : NULL, &failure);
}

/* ---- making ---- */

/* The host as exchanges have it where nobody says another: the endpoint's own. */
static void health_check_host(const struct health_check *check, char *out, size_t size)
{
    const struct address *address = check->to.address;
    bool is_default = address->port == (address->kind == ADDRESS_HTTPS ? 443 : 80);

    if (check->config->host)
        snprintf(out, size, "%s", check->config->host);
    else if (address_is_unix(address->kind))
        snprintf(out, size, "localhost");
    else
        snprintf(out, size, strchr(address->name, ':') ? "[%s]%s%.0u" : "%s%s%.0u", address->name,
                 is_default ? "" : ":", is_default ? 0u : (unsigned)address->port);
}

int health_check_init(struct health_check *check)
{
    char host[512];
    int n;

    check->attempt = NULL;
    check->channel = (struct channel)CHANNEL_INIT;
    check->source = (struct source)SOURCE_INIT;
    timer_init(&check->timer, health_check_on_timer);
    check->request[0] = '\0';
    if (!check->config->path)
        return 0;
    health_check_host(check, host, sizeof(host));
    n = snprintf(check->request, sizeof(check->request),
                 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: porthole/%s (health)\r\nAccept: */*\r\n"
                 "Connection: close\r\n\r\n",
                 check->config->path, host, PORTHOLE_VERSION);
    return n < (int)sizeof(check->request) ? 0 : -ENOSPC;
}
