#include "proxy/listen/acceptor.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define ACCEPT_MOST 16 /* per wake-up, so that accepting never starves those who are in */
#define GUEST_MS 100   /* for other workers to let somebody go */
#define RETRY_MS 50    /* while nobody is idle; who leaves is told at once */

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

static bool acceptor_is_emptying(const struct acceptor *acceptor)
{
    return acceptor->state == ACCEPTOR_EMPTYING;
}

/* ---- what is told ---- */

static struct episode *acceptor_episode(const struct acceptor *acceptor, enum admission_verdict want)
{
    struct admission *admission = acceptor->desk->admission;

    return want == ADMISSION_FULL ? &admission->crowding : &admission->house->shortage;
}

/* What is missing: places of a listener, or descriptors for all of them (the rest of RLIMIT_NOFILE is for targets). */
static struct log_field acceptor_short_of(const struct acceptor *acceptor, enum admission_verdict want)
{
    return want == ADMISSION_FULL ? LOG_NUMBER("limit", acceptor->config->limit_connections)
                                  : LOG_NUMBER("limit", acceptor->desk->admission->house->most_clients);
}

static void acceptor_tell_room(struct acceptor *acceptor, enum admission_verdict want)
{
    uint64_t n = episode_room(acceptor_episode(acceptor, want), loop_now(acceptor->host->loop));

    if (n == 0)
        return;
    LOG_EVENT(LOG_LEVEL_INFO,
              want == ADMISSION_FULL ? "limits.connections is reached: whoever is idle for longest makes room"
                                     : "no descriptors are left for clients: whoever is idle for longest makes room",
              LOG_STRING("listener", acceptor->config->name), acceptor_short_of(acceptor, want),
              LOG_NUMBER("clients", n));
}

static void acceptor_tell_wait(struct acceptor *acceptor, enum admission_verdict want)
{
    if (!episode_wait(acceptor_episode(acceptor, want), loop_now(acceptor->host->loop)))
        return;
    LOG_EVENT(LOG_LEVEL_WARN,
              want == ADMISSION_FULL ? "limits.connections is reached and nobody is idle: new clients wait"
                                     : "no descriptors are left for clients and nobody is idle: new clients wait",
              LOG_STRING("listener", acceptor->config->name), acceptor_short_of(acceptor, want));
}

/* The backlog is empty. */
static void acceptor_tell_calm(struct acceptor *acceptor)
{
    for (enum admission_verdict want = ADMISSION_FULL; want <= ADMISSION_NO_DESCRIPTORS; want++) {
        uint64_t ms = 0;

        if (episode_calm(acceptor_episode(acceptor, want), loop_now(acceptor->host->loop), &ms))
            LOG_EVENT(LOG_LEVEL_INFO,
                      want == ADMISSION_FULL ? "new clients do not wait for a place any more"
                                             : "new clients do not wait for descriptors any more",
                      LOG_STRING("listener", acceptor->config->name), LOG_NUMBER("waited_ms", ms));
    }
}

/* ---- making room ---- */

/* Lets the longest idle of this desk (and this user) go. False when nobody was, and for long enough. */
static bool acceptor_let_one_go(struct acceptor *acceptor, uid_t uid)
{
    struct acceptor_host *host = acceptor->host;
    struct admission_pass *pass;

    while ((pass = admission_longest(acceptor->desk, uid, loop_now(host->loop)))) {
        /* Whatever comes of it, it is not idle any more. */
        admission_busy(pass);
        if (!host->let_go(host, pass))
            continue;
        admission_yield(pass);
        return true;
    }
    return false;
}

/* One that was shut (acceptor_shut) polls as ready for ever: whoever is left in it need not ask for a place. */
static bool acceptor_has_somebody(const struct acceptor *acceptor)
{
    struct pollfd backlog = {.fd = acceptor->fd, .events = POLLIN | POLLRDHUP};

    return poll(&backlog, 1, 0) > 0 && (backlog.revents & POLLRDHUP) == 0;
}

static void acceptor_on_ready(struct source *source, uint32_t events);

/* The kernel watches no more descriptors for now (epoll's max_user_watches, memory): later it may. */
static void acceptor_stay_shut(struct acceptor *acceptor, int error_number)
{
    struct instant now = loop_now(acceptor->host->loop);

    acceptor_move(acceptor, ACCEPTOR_WAITING);
    timer_arm(acceptor->host->loop, &acceptor->retry, RETRY_MS);
    if (instant_before(now, acceptor->next_unwatched_line))
        return;
    LOG_EVENT(LOG_LEVEL_ERROR, "cannot watch a listener", LOG_STRING("listener", acceptor->config->name),
              LOG_STRING("error", strerror(error_number)));
    acceptor->next_unwatched_line = instant_add_ms(now, EPISODE_LINE_MS);
}

static void acceptor_open(struct acceptor *acceptor)
{
    int r;

    admission_stop_waiting(acceptor->desk);
    timer_disarm(&acceptor->retry);
    acceptor_move(acceptor, ACCEPTOR_OPEN);
    r = loop_add(acceptor->host->loop, &acceptor->source, acceptor->fd, EPOLLIN | EPOLLEXCLUSIVE, acceptor_on_ready);
    if (r < 0)
        acceptor_stay_shut(acceptor, -r);
}

static void acceptor_on_retry(struct timer *timer)
{
    struct acceptor *acceptor = CONTAINER_OF(timer, struct acceptor, retry);

    acceptor_open(acceptor);
}

static void acceptor_wait(struct acceptor *acceptor, enum admission_verdict want, uint64_t ms)
{
    acceptor_move(acceptor, ACCEPTOR_WAITING);
    loop_remove(&acceptor->source);
    timer_arm(acceptor->host->loop, &acceptor->retry, ms < RETRY_MS ? ms : RETRY_MS);
    admission_wait(acceptor->desk, want);
}

/* There is no place for who is next. True when there may be one now; else it will be looked for again. */
static bool acceptor_make_room(struct acceptor *acceptor, enum admission_verdict want)
{
    struct admission_desk *longest = NULL;
    uint64_t ms = admission_ask(acceptor->desk, want, loop_now(acceptor->host->loop), &longest);
    bool made = longest && (longest != acceptor->desk || acceptor_let_one_go(acceptor, ADMISSION_NOBODY));

    if (made)
        acceptor_tell_room(acceptor, want);
    else if (ms == ADMISSION_NOBODY_IS_IDLE)
        acceptor_tell_wait(acceptor, want);
    /* Its place is free at once, its descriptor when it has gone. */
    if (made && longest == acceptor->desk && want == ADMISSION_FULL)
        return true;
    acceptor_wait(acceptor, want, made ? RETRY_MS : ms);
    return false;
}

/* ---- one client ---- */

/* At most a line a second: a peer without rights must not fill the log. */
static void acceptor_log_refused(struct acceptor *acceptor, const struct peer *peer, const char *message)
{
    struct instant now = loop_now(acceptor->host->loop);
    char text[80];

    counter_add(&acceptor->host->metrics->peers_refused, 1);
    acceptor->n_refused++;
    if (instant_before(now, acceptor->next_refused_line))
        return;
    peer_format(peer, text, sizeof(text));
    LOG_EVENT(LOG_LEVEL_INFO, message, LOG_STRING("listener", acceptor->config->name), LOG_STRING("peer", text),
              LOG_NUMBER("refused", acceptor->n_refused));
    acceptor->next_refused_line = instant_add_ms(now, 1000);
}

/* Whether there is a place for another of this user; its own longest idle makes room. */
static bool acceptor_knows(struct acceptor *acceptor, struct admission_pass *pass, uid_t uid)
{
    if (admission_know(pass, uid))
        return true;
    return acceptor_let_one_go(acceptor, uid) && admission_know(pass, uid);
}

/* Whether there is somebody, and who is allowed. */
static bool acceptor_welcomes(struct acceptor *acceptor, int fd, struct peer *ret_peer)
{
    const struct listener_config *config = acceptor->config;

    if (peer_read(fd, ret_peer) < 0) {
        LOG_EVENT(LOG_LEVEL_DEBUG, "a client left before it was accepted", LOG_STRING("listener", config->name));
        return false;
    }
    if (!peer_is_allowed(ret_peer, fd, config->peers, config->n_peers)) {
        acceptor_log_refused(acceptor, ret_peer, "a peer is not allowed");
        return false;
    }
    return true;
}

static void acceptor_serve(struct acceptor *acceptor, int fd, const struct peer *peer, struct admission_pass *pass)
{
    struct acceptor_host *host = acceptor->host;

    counter_add(&host->metrics->connections, 1);
    if (host->serve(host, acceptor->config, fd, peer, admission_steal(pass)) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "cannot serve another connection: out of memory",
                  LOG_STRING("listener", acceptor->config->name));
}

static void acceptor_refuse(struct acceptor *acceptor, int fd, const struct peer *peer, struct admission_pass *pass)
{
    acceptor_log_refused(acceptor, peer, "a peer's user has limits.connections_per_uid connections");
    close(fd);
    admission_leave(pass);
}

/* Takes somebody for a moment whose user may have idle clients in other workers. There is one such place, so that a
 * user who comes again and again costs the others nothing. */
static bool acceptor_lodge(struct acceptor *acceptor, int fd, const struct peer *peer, struct admission_pass *pass)
{
    struct acceptor_guest *guest = &acceptor->guest;

    if (guest->fd >= 0 || acceptor_is_emptying(acceptor) || acceptor->desk->admission->n_desks == 1)
        return false;
    guest->fd = fd;
    guest->peer = *peer;
    guest->pass = admission_steal(pass);
    timer_arm(acceptor->host->loop, &guest->patience, GUEST_MS);
    admission_wait(acceptor->desk, ADMISSION_FULL);
    admission_ask_for(acceptor->desk, peer->uid);
    return true;
}

/* Ends the guest's stay: it has a place now, or is refused. */
static void acceptor_settle(struct acceptor *acceptor, bool served)
{
    struct acceptor_guest *guest = &acceptor->guest;
    int fd = guest->fd;

    timer_disarm(&guest->patience);
    guest->fd = -1;
    if (served)
        acceptor_serve(acceptor, fd, &guest->peer, &guest->pass);
    else
        acceptor_refuse(acceptor, fd, &guest->peer, &guest->pass);
}

static void acceptor_on_patience(struct timer *timer)
{
    struct acceptor *acceptor = CONTAINER_OF(timer, struct acceptor, guest.patience);

    acceptor_settle(acceptor, acceptor_knows(acceptor, &acceptor->guest.pass, acceptor->guest.peer.uid));
}

static void acceptor_look_after_guest(struct acceptor *acceptor)
{
    if (acceptor->guest.fd < 0)
        return;
    if (admission_know(&acceptor->guest.pass, acceptor->guest.peer.uid))
        acceptor_settle(acceptor, true);
    else
        admission_wait(acceptor->desk, ADMISSION_FULL);
}

static void acceptor_take(struct acceptor *acceptor, int fd, struct admission_pass *pass)
{
    struct peer peer;

    if (!acceptor_welcomes(acceptor, fd, &peer)) {
        close(fd);
        admission_leave(pass);
    } else if (acceptor_knows(acceptor, pass, peer.uid)) {
        acceptor_serve(acceptor, fd, &peer, pass);
    } else if (!acceptor_lodge(acceptor, fd, &peer, pass)) {
        acceptor_refuse(acceptor, fd, &peer, pass);
    }
}

/* A place for who is next. False when there is nobody, or no place: then it will be looked for again. */
static bool acceptor_enter(struct acceptor *acceptor, struct admission_pass *ret_pass)
{
    bool anyway = acceptor_is_emptying(acceptor);
    enum admission_verdict verdict;

    while ((verdict = admission_enter(acceptor->desk, anyway, ret_pass)) != ADMISSION_IN) {
        if (!acceptor_has_somebody(acceptor)) {
            acceptor_tell_calm(acceptor);
            return false;
        }
        if (acceptor_make_room(acceptor, verdict))
            continue;
        /* It has promised to wait for a place: one may have been given back just before. */
        if (admission_enter(acceptor->desk, anyway, ret_pass) != ADMISSION_IN)
            return false;
        admission_leave(ret_pass);
        return false;
    }
    return true;
}

/* Out of memory, or of descriptors although they were counted: what others have opened, or the whole system. */
static void acceptor_fail(struct acceptor *acceptor, int error_number)
{
    bool emptying = acceptor_is_emptying(acceptor);

    if (emptying || (error_number != EMFILE && error_number != ENFILE &&
                     !atomic_load(&acceptor->desk->admission->house->shortage.waiting)))
        LOG_EVENT(LOG_LEVEL_ERROR, "cannot accept", LOG_STRING("listener", acceptor->config->name),
                  LOG_STRING("error", strerror(error_number)));
    if (!emptying)
        acceptor_make_room(acceptor, ADMISSION_NO_DESCRIPTORS);
}

/* Takes one connection. False when there is none, or none can be taken now. */
static bool acceptor_accept_one(struct acceptor *acceptor)
{
    struct admission_pass pass;
    int fd, error_number;

    if (!acceptor_enter(acceptor, &pass))
        return false;
    fd = accept4(acceptor->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        acceptor_take(acceptor, fd, &pass);
        return true;
    }
    error_number = errno;
    if (error_number == ECONNABORTED || error_number == EINTR || error_number == EAGAIN) {
        admission_leave(&pass);
        if (error_number == EAGAIN)
            acceptor_tell_calm(acceptor);
        return error_number != EAGAIN;
    }
    /* Untold: workers that lack the same would only keep each other busy. */
    admission_cancel(&pass);
    acceptor_fail(acceptor, error_number);
    return false;
}

static void acceptor_on_ready(struct source *source, uint32_t events)
{
    struct acceptor *acceptor = CONTAINER_OF(source, struct acceptor, source);

    for (int i = 0; i < ACCEPT_MOST && acceptor_accept_one(acceptor); i++)
        ;
    /* Another worker has shut it, and it is ready for ever: what is left is taken when we are told to empty it, too. */
    if (events & EPOLLHUP)
        loop_remove(source);
}

/* ---- life ---- */

void acceptor_look(struct acceptor *acceptor)
{
    uid_t uid = atomic_exchange(&acceptor->desk->asked_for, ADMISSION_NOBODY);

    if (atomic_exchange(&acceptor->desk->asked, false))
        acceptor_let_one_go(acceptor, ADMISSION_NOBODY);
    /* Somebody else may have let one go already. */
    if (uid != ADMISSION_NOBODY && admission_user_is_full(acceptor->desk->admission, uid))
        acceptor_let_one_go(acceptor, uid);
    acceptor_look_after_guest(acceptor);
    if (acceptor->state == ACCEPTOR_WAITING)
        acceptor_open(acceptor);
}

static void acceptor_close(struct acceptor *acceptor)
{
    if (acceptor->guest.fd >= 0)
        acceptor_settle(acceptor, false);
    admission_stop_waiting(acceptor->desk);
    timer_disarm(&acceptor->retry);
    loop_remove(&acceptor->source);
    if (acceptor->fd >= 0)
        close(acceptor->fd);
    acceptor->fd = -1;
}

/* From now on nobody else gets into the backlog, whoever else has the socket: who comes between our last look and the
 * last close would wait for an answer and get none. What is in it can still be accepted. */
static void acceptor_shut(const struct acceptor *acceptor)
{
    if (acceptor->config->bind.kind == ADDRESS_UNIX || acceptor->config->bind.kind == ADDRESS_ABSTRACT)
        shutdown(acceptor->fd, SHUT_RDWR);
}

void acceptor_empty(struct acceptor *acceptor)
{
    if (acceptor->state == ACCEPTOR_CLOSED)
        return;
    acceptor_shut(acceptor);
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
    *acceptor = (struct acceptor){
        .host = host, .config = config, .desk = desk, .fd = -1, .source = SOURCE_INIT, .guest.fd = -1};
    timer_init(&acceptor->retry, acceptor_on_retry);
    timer_init(&acceptor->guest.patience, acceptor_on_patience);
}

void acceptor_deinit(struct acceptor *acceptor)
{
    acceptor_close(acceptor);
}
