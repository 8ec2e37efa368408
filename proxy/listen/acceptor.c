#include "proxy/listen/acceptor.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_MOST 16 /* per wake-up, so that accepting never starves those who are in */
#define RETRY_MS 100

const struct state_machine acceptor_machine = {
    .name = "acceptor",
    .n_states = 4,
    .states = {
        [ACCEPTOR_CLOSED] = {"CLOSED", STATE_BIT(ACCEPTOR_OPEN)},
        [ACCEPTOR_OPEN] = {"OPEN", STATE_BIT(ACCEPTOR_WAITING) | STATE_BIT(ACCEPTOR_EMPTYING)},
        [ACCEPTOR_WAITING] = {"WAITING", STATE_BIT(ACCEPTOR_OPEN) | STATE_BIT(ACCEPTOR_EMPTYING)},
        [ACCEPTOR_EMPTYING] = {"EMPTYING", STATE_BIT(ACCEPTOR_CLOSED)},
    }};

void acceptor_move(struct acceptor *acceptor, enum acceptor_state to)
{
    state_check(&acceptor_machine, acceptor->state, to);
    acceptor->state = to;
}

/* ---- waiting ---- */

static void acceptor_on_retry(struct timer *timer)
{
    acceptor_retry(CONTAINER_OF(timer, struct acceptor, retry));
}

static void acceptor_wait(struct acceptor *acceptor)
{
    acceptor_move(acceptor, ACCEPTOR_WAITING);
    loop_remove(&acceptor->source);
    timer_arm(acceptor->host->loop, &acceptor->retry, RETRY_MS);
}

static bool acceptor_is_emptying(const struct acceptor *acceptor)
{
    return acceptor->state == ACCEPTOR_EMPTYING;
}

/* ---- one client ---- */

/* At most a line a second: a peer without rights must not fill the log. */
static void acceptor_log_refused(struct acceptor *acceptor, const struct peer *peer, const char *why)
{
    struct instant now = loop_now(acceptor->host->loop);
    char text[80];

    counter_add(&acceptor->host->metrics->peers_refused, 1);
    acceptor->n_refused++;
    if (instant_before(now, acceptor->next_refused_line))
        return;
    peer_format(peer, text, sizeof(text));
    log_info("peer %s %s %s (%llu refused so far)", text, why, acceptor->config->name,
             (unsigned long long)acceptor->n_refused);
    acceptor->next_refused_line = instant_add_ms(now, 1000);
}

/* Reads who is there and whether it may be. */
static bool acceptor_lets_in(struct acceptor *acceptor, int fd, struct admission_pass *pass, struct peer *ret_peer)
{
    const struct listener_config *config = acceptor->config;

    if (peer_read(fd, ret_peer) < 0) {
        log_debug("a client of %s left before it was accepted", config->name);
        return false;
    }
    if (!peer_is_allowed(ret_peer, fd, config->peers, config->n_peers)) {
        acceptor_log_refused(acceptor, ret_peer, "is not allowed on");
        return false;
    }
    if (!admission_know(pass, ret_peer->uid)) {
        acceptor_log_refused(acceptor, ret_peer, "has limits.connections_per_uid connections on");
        return false;
    }
    return true;
}

static void acceptor_take(struct acceptor *acceptor, int fd, struct admission_pass *pass)
{
    struct acceptor_host *host = acceptor->host;
    struct peer peer;

    if (!acceptor_lets_in(acceptor, fd, pass, &peer)) {
        close(fd);
        admission_leave(pass);
        return;
    }
    counter_add(&host->metrics->connections, 1);
    if (host->serve(host, acceptor->config, fd, &peer, admission_steal(pass)) < 0)
        log_error("cannot serve another connection on %s: out of memory", acceptor->config->name);
}

/* A place, or the promise to be told of the next one. */
static bool acceptor_enter(struct acceptor *acceptor, struct admission_pass *ret_pass)
{
    bool anyway = acceptor_is_emptying(acceptor);

    if (admission_enter(acceptor->desk, anyway, ret_pass))
        return true;
    admission_wait(acceptor->desk);
    if (!admission_enter(acceptor->desk, anyway, ret_pass))
        return false;
    admission_stop_waiting(acceptor->desk);
    return true;
}

/* Takes one connection. False when there is none, or none can be taken now. */
static bool acceptor_accept_one(struct acceptor *acceptor)
{
    struct admission_pass pass;
    int fd;

    if (!acceptor_enter(acceptor, &pass)) {
        acceptor_wait(acceptor);
        return false;
    }
    fd = accept4(acceptor->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        acceptor_take(acceptor, fd, &pass);
        /* Descriptors are given out lowest first. The last ones are for connections to targets. */
        if (fd < acceptor->host->most_client_fd || acceptor_is_emptying(acceptor))
            return true;
        acceptor_wait(acceptor);
        return false;
    }
    admission_leave(&pass);
    if (errno == ECONNABORTED || errno == EINTR)
        return true;
    if (errno != EAGAIN) {
        log_error("cannot accept on %s: %s; trying again in %d ms", acceptor->config->name, strerror(errno), RETRY_MS);
        if (!acceptor_is_emptying(acceptor))
            acceptor_wait(acceptor);
    }
    return false;
}

static void acceptor_on_ready(struct source *source, uint32_t events)
{
    struct acceptor *acceptor = CONTAINER_OF(source, struct acceptor, source);

    (void)events;
    for (int i = 0; i < ACCEPT_MOST && acceptor_accept_one(acceptor); i++)
        ;
}

/* ---- life ---- */

static void acceptor_open(struct acceptor *acceptor)
{
    int r;

    acceptor_move(acceptor, ACCEPTOR_OPEN);
    r = loop_add(acceptor->host->loop, &acceptor->source, acceptor->fd, EPOLLIN | EPOLLEXCLUSIVE, acceptor_on_ready);
    if (r < 0)
        log_error("cannot watch listener %s: %s", acceptor->config->name, strerror(-r));
}

void acceptor_retry(struct acceptor *acceptor)
{
    if (acceptor->state != ACCEPTOR_WAITING)
        return;
    timer_disarm(&acceptor->retry);
    acceptor_open(acceptor);
}

static void acceptor_close(struct acceptor *acceptor)
{
    admission_stop_waiting(acceptor->desk);
    timer_disarm(&acceptor->retry);
    loop_remove(&acceptor->source);
    if (acceptor->fd >= 0)
        close(acceptor->fd);
    acceptor->fd = -1;
}

void acceptor_empty(struct acceptor *acceptor)
{
    if (acceptor->state == ACCEPTOR_CLOSED)
        return;
    acceptor_move(acceptor, ACCEPTOR_EMPTYING);
    /* What can have been in it, and no more: a peer that is refused and comes again must not hold up a stop. */
    for (uint32_t i = 0; i <= acceptor->config->backlog && acceptor_accept_one(acceptor); i++)
        ;
    acceptor_close(acceptor);
    acceptor_move(acceptor, ACCEPTOR_CLOSED);
}

void acceptor_change(struct acceptor *acceptor, int fd)
{
    acceptor_empty(acceptor);
    acceptor->fd = fd;
    acceptor_open(acceptor);
}

void acceptor_init(struct acceptor *acceptor, struct acceptor_host *host, const struct listener_config *config,
                   struct admission_desk *desk)
{
    *acceptor = (struct acceptor){.host = host, .config = config, .desk = desk, .fd = -1, .source = SOURCE_INIT};
    timer_init(&acceptor->retry, acceptor_on_retry);
}

void acceptor_deinit(struct acceptor *acceptor)
{
    acceptor_close(acceptor);
}
