#include "proxy/listen/acceptor.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/listen/accept.h"
#include "proxy/listen/shut.h"
#include "proxy/listen/socket_option.h"

#define ACCEPT_MOST 16  /* per wake-up, so that accepting never starves those who are in */
#define REFUSE_MOST 256 /* the same, of those who may not come in: a millisecond of them */
#define PATIENCE_MS 100 /* for other workers to let somebody go */
#define RETRY_MS 50     /* while nobody is idle; who leaves is told at once */
#define ACCEPTOR_NEWS(acceptor)                                                                  \
    ((struct acceptor_news){(acceptor)->desk->admission, (acceptor)->config, &(acceptor)->lines, \
                            loop_now((acceptor)->host->loop)})
#define SHED_MOST 64 /* idle clients that go at once for want of memory */

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

/* ---- opening and waiting ---- */

static void acceptor_on_ready(struct source *source, uint32_t events);

static void acceptor_watch(struct acceptor *acceptor)
{
    int r =
        loop_add(acceptor->host->loop, &acceptor->source, acceptor->fd, EPOLLIN | EPOLLEXCLUSIVE, acceptor_on_ready);

    if (r == 0)
        return;
    /* No more descriptors are watched for now (epoll's max_user_watches, memory). */
    acceptor_move(acceptor, ACCEPTOR_WAITING);
    timer_arm(acceptor->host->loop, &acceptor->retry, RETRY_MS);
    acceptor_news_error(&ACCEPTOR_NEWS(acceptor), "cannot watch a listener", -r);
}

static void acceptor_open(struct acceptor *acceptor)
{
    acceptor_move(acceptor, ACCEPTOR_OPEN);
    acceptor_watch(acceptor);
}

static void acceptor_pause(struct acceptor *acceptor)
{
    if (acceptor->state != ACCEPTOR_OPEN)
        return;
    acceptor_move(acceptor, ACCEPTOR_WAITING);
    loop_remove(&acceptor->source);
}

/* Looks again when somebody leaves, or after a while. */
static void acceptor_wait(struct acceptor *acceptor, enum admission_verdict why, uint64_t ms)
{
    if (acceptor_is_emptying(acceptor))
        return;
    timer_arm(acceptor->host->loop, &acceptor->retry, ms < RETRY_MS ? ms : RETRY_MS);
    admission_wait(acceptor->desk, why);
}

/* ---- making room ---- */

/* Of this desk, the one whose place is for this user; it is not idle any more. NULL when there is none. */
static struct admission_pass *acceptor_let_one_go(struct acceptor *acceptor, uid_t uid, enum admission_verdict why)
{
    struct acceptor_host *host = acceptor->host;
    struct admission_pass *pass;

    while ((pass = admission_longest(acceptor->desk, uid, why, loop_now(host->loop)))) {
        admission_busy(pass);
        if (host->let_go(host, pass))
            return pass;
    }
    return NULL;
}

/* The same for somebody who is not here: the place is free. */
static bool acceptor_yield_one(struct acceptor *acceptor, uid_t uid, enum admission_verdict why)
{
    struct admission_pass *pass = acceptor_let_one_go(acceptor, uid, why);

    if (pass)
        admission_yield(pass);
    return pass != NULL;
}

/* A pass for this user, if need be that of an idle client of this desk. */
static enum admission_verdict acceptor_enter(struct acceptor *acceptor, uid_t uid, struct admission_pass *ret_pass)
{
    enum admission_verdict why = admission_enter(acceptor->desk, uid, acceptor_is_emptying(acceptor), ret_pass);
    struct admission_pass *old;

    if (why != ADMISSION_FULL && why != ADMISSION_USER_FULL)
        return why;
    old = acceptor_let_one_go(acceptor, uid, why);
    if (!old)
        return why;
    if (why == ADMISSION_FULL)
        acceptor_news_room(&ACCEPTOR_NEWS(acceptor), why);
    return admission_replace(old, uid, ret_pass);
}

/* Whoever has been idle for longest, on any listener, makes room: stores its desk. Otherwise as admission_ask. */
static uint64_t acceptor_ask_longest(struct acceptor *acceptor, struct admission_desk **ret_desk)
{
    uint64_t ms = admission_ask(acceptor->desk, loop_now(acceptor->host->loop), ret_desk);

    if (*ret_desk == acceptor->desk)
        acceptor_yield_one(acceptor, ADMISSION_NOBODY, ADMISSION_NO_DESCRIPTORS);
    return ms;
}

/* Its descriptor is free when it has gone. */
static void acceptor_want_descriptor(struct acceptor *acceptor)
{
    struct admission_desk *longest = NULL;
    uint64_t ms = acceptor_ask_longest(acceptor, &longest);

    if (longest)
        acceptor_news_room(&ACCEPTOR_NEWS(acceptor), ADMISSION_NO_DESCRIPTORS);
    else if (ms == ADMISSION_NOBODY_IS_IDLE)
        acceptor_news_wait(&ACCEPTOR_NEWS(acceptor), ADMISSION_NO_DESCRIPTORS);
    acceptor_wait(acceptor, ADMISSION_NO_DESCRIPTORS, longest ? RETRY_MS : ms);
}

/* Nobody is accepted until a look at the memory allows it, or somebody has left (brake). */
static void acceptor_wait_for_memory(struct acceptor *acceptor)
{
    acceptor_pause(acceptor);
    brake_want_look(&acceptor->desk->admission->house->brake);
    acceptor_wait(acceptor, ADMISSION_NO_MEMORY, RETRY_MS);
}

/* The same for somebody who is there: whoever is idle for longest makes room. */
static void acceptor_want_memory(struct acceptor *acceptor)
{
    struct admission_desk *longest = NULL;

    acceptor_wait_for_memory(acceptor);
    if (brake_state(&acceptor->desk->admission->house->brake) == BRAKE_SLOW)
        (void)acceptor_ask_longest(acceptor, &longest);
}

/* Other workers are asked for a place for this user. */
static void acceptor_want_place(struct acceptor *acceptor, uid_t uid)
{
    uint64_t ms = admission_idle_in_ms(acceptor->desk, loop_now(acceptor->host->loop));

    if (!admission_ask_for(acceptor->desk, uid) && ms == ADMISSION_NOBODY_IS_IDLE)
        acceptor_news_wait(&ACCEPTOR_NEWS(acceptor), ADMISSION_FULL);
    acceptor_wait(acceptor, ADMISSION_FULL, ms > 0 ? ms : RETRY_MS);
}

/* Nobody is in the backlog; and when nobody is in the room, nobody waits. */
static void acceptor_tell_calm(struct acceptor *acceptor)
{
    if (waiting_room_n_guests(&acceptor->room) == 0)
        acceptor_news_calm(&ACCEPTOR_NEWS(acceptor));
}

/* ---- one client ---- */

/* NULL: it is counted nowhere. */
static struct listener_slot *acceptor_slot(const struct acceptor *acceptor)
{
    const struct series *series = acceptor->config->series;

    return series ? listener_slot(series, acceptor->host->worker) : NULL;
}

static void acceptor_count_refused(const struct acceptor *acceptor, enum series_refusal why)
{
    struct listener_slot *slot = acceptor_slot(acceptor);

    counter_add(&acceptor->host->metrics->peers_refused, 1);
    if (slot)
        cells_add(&slot->refused, why, why, 1);
}

/* Whether a peer is allowed; says so when it is not. */
static bool acceptor_allows(struct acceptor *acceptor, int fd, const struct peer *peer)
{
    const struct listener_config *config = acceptor->config;

    if (!peer_is_denied(peer, fd, config->denied, config->n_denied) &&
        peer_is_allowed(peer, fd, config->peers, config->n_peers))
        return true;
    acceptor_count_refused(acceptor, REFUSED_PEER);
    acceptor_news_refused(&ACCEPTOR_NEWS(acceptor), peer, "a peer is not allowed");
    return false;
}

/* Whether there is somebody, and who is allowed. */
static bool acceptor_welcomes(struct acceptor *acceptor, int fd, struct peer *ret_peer)
{
    if (peer_read(fd, acceptor->is_unix, ret_peer) == 0)
        return acceptor_allows(acceptor, fd, ret_peer);
    LOG_EVENT(LOG_LEVEL_DEBUG, "a client left before it was accepted", LOG_STRING("listener", acceptor->config->name));
    return false;
}

static void acceptor_serve(struct acceptor *acceptor, int fd, const struct peer *peer, struct admission_pass *pass)
{
    struct acceptor_host *host = acceptor->host;
    struct listener_slot *slot = acceptor_slot(acceptor);

    counter_add(&host->metrics->connections, 1);
    if (slot)
        counter_add(&slot->accepted, 1);
    if (host->serve(host, acceptor->config, fd, peer, admission_steal(pass)) < 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "cannot serve another connection: out of memory",
                  LOG_STRING("listener", acceptor->config->name));
}

/* The same for one who has waited: the rules may be others by now. */
static void acceptor_serve_guest(struct acceptor *acceptor, int fd, const struct peer *peer,
                                 struct admission_pass *pass)
{
    if (acceptor_allows(acceptor, fd, peer)) {
        acceptor_serve(acceptor, fd, peer, pass);
        return;
    }
    close(fd);
    admission_leave(pass);
}

static void acceptor_refuse(struct acceptor *acceptor, int fd, const struct peer *peer)
{
    acceptor_count_refused(acceptor, REFUSED_USER_FULL);
    acceptor_news_refused(&ACCEPTOR_NEWS(acceptor), peer, "a peer's user has limits.connections_per_uid connections");
    close(fd);
}

/* ---- those who wait for a place ---- */

static void acceptor_lodge(struct acceptor *acceptor, int fd, const struct peer *peer)
{
    struct guest *leaver = NULL;
    int r = waiting_room_add(&acceptor->room, fd, peer, &leaver);

    if (r < 0) {
        close(fd);
        return;
    }
    if (leaver) {
        acceptor_count_refused(acceptor, REFUSED_USER_FULL);
        acceptor_news_refused(&ACCEPTOR_NEWS(acceptor), &leaver->peer, "too many of a peer's user wait for a place");
        close(leaver->fd);
        free(leaver);
    }
    if (r == WAITING_ROOM_LAST)
        acceptor_pause(acceptor);
}

/* Gives places to those who wait, as far as there are any. */
static void acceptor_serve_room(struct acceptor *acceptor)
{
    enum admission_verdict why = ADMISSION_IN;
    struct admission_pass pass;
    struct guest *guest;
    bool waits = false;

    while ((guest = waiting_room_next(&acceptor->room))) {
        /* Its descriptor counts in its pass, if it gets one. */
        admission_unlodge(acceptor->desk->admission);
        why = acceptor_enter(acceptor, guest->peer.uid, &pass);
        (void)admission_lodge(acceptor->desk->admission);
        if ((why == ADMISSION_FULL || why == ADMISSION_NO_DESCRIPTORS) && waits)
            break;
        if (why == ADMISSION_FULL || why == ADMISSION_NO_DESCRIPTORS) {
            /* Somebody may have left before it was known that somebody waits: once more. */
            if (why == ADMISSION_FULL)
                acceptor_want_place(acceptor, guest->peer.uid);
            else
                acceptor_want_descriptor(acceptor);
            waits = true;
            continue;
        }
        waiting_room_take(&acceptor->room, guest);
        counter_raise(&acceptor->host->metrics->longest_wait_ms,
                      instant_elapsed_us(guest->since, loop_now(acceptor->host->loop)) / 1000);
        if (why == ADMISSION_IN)
            acceptor_serve_guest(acceptor, guest->fd, &guest->peer, &pass);
        else
            acceptor_refuse(acceptor, guest->fd, &guest->peer);
        free(guest);
    }
    waiting_room_crowd(&acceptor->room, why == ADMISSION_FULL ? acceptor->config->series : NULL);
}

/* ---- somebody whose user has as many as it may ---- */

/* Takes somebody for a moment whose user may have idle clients in other workers. There is one such place, so that a
 * user who comes again and again costs the others nothing. */
static bool acceptor_hears(struct acceptor *acceptor, int fd, const struct peer *peer)
{
    struct acceptor_petitioner *petitioner = &acceptor->petitioner;

    if (petitioner->fd >= 0 || acceptor_is_emptying(acceptor) || !admission_ask_for(acceptor->desk, peer->uid))
        return false;
    petitioner->fd = fd;
    petitioner->peer = *peer;
    timer_arm(acceptor->host->loop, &petitioner->patience, PATIENCE_MS);
    admission_wait(acceptor->desk, ADMISSION_USER_FULL);
    return true;
}

/* It has a place now, or goes on waiting; `at_last` it is refused. */
static void acceptor_answer_petitioner(struct acceptor *acceptor, bool at_last)
{
    struct acceptor_petitioner *petitioner = &acceptor->petitioner;
    struct admission_pass pass;
    bool served;
    int fd = petitioner->fd;

    if (fd < 0)
        return;
    served = acceptor_enter(acceptor, petitioner->peer.uid, &pass) == ADMISSION_IN;
    if (!served && !at_last) {
        admission_wait(acceptor->desk, ADMISSION_USER_FULL);
        return;
    }
    timer_disarm(&petitioner->patience);
    petitioner->fd = -1;
    if (served)
        acceptor_serve_guest(acceptor, fd, &petitioner->peer, &pass);
    else
        acceptor_refuse(acceptor, fd, &petitioner->peer);
}

static void acceptor_on_patience(struct timer *timer)
{
    acceptor_answer_petitioner(CONTAINER_OF(timer, struct acceptor, petitioner.patience), true);
}

/* ---- accepting ---- */

/* A place may be free that those who wait have not been told of: it is not for who comes now. */
static void acceptor_serve_earlier(struct acceptor *acceptor)
{
    struct admission *admission = acceptor->desk->admission;
    const struct acceptor_petitioner *petitioner = &acceptor->petitioner;
    const struct guest *guest = waiting_room_next(&acceptor->room);

    if (petitioner->fd >= 0 && admission_look(admission, petitioner->peer.uid) == ADMISSION_IN)
        acceptor_answer_petitioner(acceptor, false);
    if (guest && admission_look(admission, guest->peer.uid) == ADMISSION_IN)
        acceptor_serve_room(acceptor);
}

/* Whoever is welcome: is served, waits, or is refused. */
static void acceptor_take(struct acceptor *acceptor, int fd, const struct peer *peer)
{
    struct admission_pass pass;
    enum admission_verdict why;

    acceptor_serve_earlier(acceptor);
    why = acceptor_enter(acceptor, peer->uid, &pass);
    if (why == ADMISSION_IN) {
        acceptor_serve(acceptor, fd, peer, &pass);
    } else if (why == ADMISSION_USER_FULL) {
        if (!acceptor_hears(acceptor, fd, peer))
            acceptor_refuse(acceptor, fd, peer);
    } else {
        acceptor_lodge(acceptor, fd, peer);
        /* The retry is under way for those who have been waiting. */
        if (waiting_room_n_guests(&acceptor->room) == 1)
            acceptor_serve_room(acceptor);
    }
}

/* What the system as a whole has no more of. Others may take what an idle client of ours gives back, so that only one
 * goes for each try; and its going does not hasten the next. */
static void acceptor_outwait_system(struct acceptor *acceptor, int error_number)
{
    struct admission_desk *longest = NULL;

    acceptor_news_error(&ACCEPTOR_NEWS(acceptor), "cannot accept", error_number);
    if (error_number == ENFILE)
        (void)acceptor_ask_longest(acceptor, &longest);
    timer_arm(acceptor->host->loop, &acceptor->retry, RETRY_MS);
}

/* Out of descriptors although they were counted, for others have opened some here; or the system is out of them, or of
 * memory. */
static void acceptor_fail(struct acceptor *acceptor, int error_number)
{
    struct listener_slot *slot = acceptor_slot(acceptor);

    if (slot)
        cells_add(&slot->accept_errors, (uint32_t)error_number, 0, 1);
    if (acceptor_is_emptying(acceptor)) {
        acceptor_news_error(&ACCEPTOR_NEWS(acceptor), "cannot accept", error_number);
        return;
    }
    acceptor_pause(acceptor);
    if (error_number == EMFILE)
        acceptor_want_descriptor(acceptor);
    else
        acceptor_outwait_system(acceptor, error_number);
}

enum acceptance { ACCEPTED_NONE, ACCEPTED_REFUSED, ACCEPTED_ONE };

/* Takes one connection. NONE when there is none, or none can be taken now. */
static enum acceptance acceptor_accept_one(struct acceptor *acceptor)
{
    int fd = accept_connection(acceptor->fd);
    struct peer peer;

    if (fd >= 0) {
        if (acceptor_welcomes(acceptor, fd, &peer)) {
            acceptor_take(acceptor, fd, &peer);
            return ACCEPTED_ONE;
        }
        close(fd);
        return ACCEPTED_REFUSED;
    }
    if (fd == -ECONNABORTED)
        return ACCEPTED_REFUSED;
    if (fd != -EAGAIN)
        acceptor_fail(acceptor, -fd);
    else
        acceptor_tell_calm(acceptor);
    return ACCEPTED_NONE;
}

static void acceptor_on_ready(struct source *source, uint32_t events)
{
    struct acceptor *acceptor = CONTAINER_OF(source, struct acceptor, source);
    int n_left[] = {[ACCEPTED_REFUSED] = REFUSE_MOST, [ACCEPTED_ONE] = ACCEPT_MOST};
    enum acceptance accepted;

    do {
        if (!admission_has_memory(acceptor->desk->admission)) {
            acceptor_want_memory(acceptor);
            break;
        }
        accepted = acceptor_accept_one(acceptor);
    } while (accepted != ACCEPTED_NONE && --n_left[accepted] > 0 && acceptor->state == ACCEPTOR_OPEN);
    /* Another worker has shut it, and it is ready for ever: what is left is taken when we are told to empty it, too. */
    if (events & EPOLLHUP)
        loop_remove(source);
}

/* ---- life ---- */

/* There may be places, for whoever waits and for whoever is in the backlog. */
static void acceptor_look_again(struct acceptor *acceptor)
{
    admission_stop_waiting(acceptor->desk);
    timer_disarm(&acceptor->retry);
    acceptor_answer_petitioner(acceptor, false);
    acceptor_serve_room(acceptor);
    if (acceptor->state != ACCEPTOR_WAITING) {
        acceptor_tell_calm(acceptor);
        return;
    }
    /* With nobody in the room one more can be taken in any case, and waits for its descriptor there. */
    if (!admission_has_memory(acceptor->desk->admission))
        acceptor_wait_for_memory(acceptor);
    else if (waiting_room_n_guests(&acceptor->room) == 0 || admission_has_descriptor(acceptor->desk->admission))
        acceptor_open(acceptor);
}

static void acceptor_on_retry(struct timer *timer)
{
    acceptor_look_again(CONTAINER_OF(timer, struct acceptor, retry));
}

/* Who stays in the backlog for want of a descriptor may have one now. */
static void acceptor_on_guest_left(struct waiting_room *room)
{
    struct acceptor *acceptor = CONTAINER_OF(room, struct acceptor, room);

    if (acceptor->state == ACCEPTOR_WAITING)
        acceptor_look_again(acceptor);
    else
        acceptor_tell_calm(acceptor);
}

/* As many as are idle, up to so many. */
static void acceptor_yield(struct acceptor *acceptor, int most)
{
    while (most-- > 0 && acceptor_yield_one(acceptor, ADMISSION_NOBODY, ADMISSION_NO_DESCRIPTORS))
        ;
}

void acceptor_look(struct acceptor *acceptor)
{
    struct admission_desk *desk = acceptor->desk;
    uid_t uid = atomic_load(&desk->asked_for);

    if (atomic_exchange(&desk->asked, false))
        acceptor_yield(acceptor, brake_state(&desk->admission->house->brake) == BRAKE_FULL ? SHED_MOST : 1);
    if (atomic_exchange(&desk->asked_by_user, false)) {
        enum admission_verdict why = admission_look(desk->admission, uid);

        /* Somebody else may have let one go already. */
        if (why != ADMISSION_IN)
            acceptor_yield_one(acceptor, uid, why);
    }
    acceptor_look_again(acceptor);
}

static void acceptor_close(struct acceptor *acceptor)
{
    if (acceptor->petitioner.fd >= 0)
        close(acceptor->petitioner.fd);
    acceptor->petitioner.fd = -1;
    timer_disarm(&acceptor->petitioner.patience);
    admission_stop_waiting(acceptor->desk);
    timer_disarm(&acceptor->retry);
    loop_remove(&acceptor->source);
    if (acceptor->fd >= 0)
        close(acceptor->fd);
    acceptor->fd = -1;
}

void acceptor_empty(struct acceptor *acceptor, bool shared)
{
    if (acceptor->state == ACCEPTOR_CLOSED)
        return;
    if (shared)
        /* Who comes from now on wakes others, and not us: of those who wait for it one is woken. */
        loop_remove(&acceptor->source);
    else
        shut_listening_socket(acceptor->fd);
    acceptor_move(acceptor, ACCEPTOR_EMPTYING);
    acceptor_answer_petitioner(acceptor, true);
    acceptor_serve_room(acceptor);
    /* What can have been in it, and no more: a peer that is refused and comes again must not hold up a stop. */
    for (uint32_t i = 0; i <= acceptor->config->backlog && acceptor_accept_one(acceptor) != ACCEPTED_NONE; i++)
        ;
    acceptor_close(acceptor);
    acceptor_move(acceptor, ACCEPTOR_CLOSED);
}

void acceptor_configure(struct acceptor *acceptor, const struct listener_config *config)
{
    acceptor->config = config;
    acceptor->room.most = config->backlog;
}

void acceptor_watch_again(struct acceptor *acceptor)
{
    if (acceptor->state != ACCEPTOR_OPEN)
        return;
    loop_remove(&acceptor->source);
    acceptor_watch(acceptor);
}

void acceptor_change(struct acceptor *acceptor, int fd)
{
    acceptor_empty(acceptor, false); /* published again: the old one was ours alone */
    acceptor->fd = fd;
    acceptor->is_unix = socket_option(fd, SO_DOMAIN) == AF_UNIX;
    acceptor_open(acceptor);
}

void acceptor_init(struct acceptor *acceptor, struct acceptor_host *host, const struct listener_config *config,
                   struct admission_desk *desk)
{
    *acceptor = (struct acceptor){
        .host = host, .config = config, .desk = desk, .fd = -1, .source = SOURCE_INIT, .petitioner.fd = -1};
    waiting_room_init(&acceptor->room, host->loop, desk->admission, config->backlog, acceptor_on_guest_left);
    timer_init(&acceptor->retry, acceptor_on_retry);
    timer_init(&acceptor->petitioner.patience, acceptor_on_patience);
}

void acceptor_deinit(struct acceptor *acceptor)
{
    acceptor_close(acceptor);
    waiting_room_deinit(&acceptor->room);
}
