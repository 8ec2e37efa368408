#include "proxy/listen/offer.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "proxy/base/log.h"
#include "proxy/listen/vigil.h"

#define ASK_MS 2000    /* for somebody who has connected to say what for */
#define SERVE_MS 20000 /* for a successor to serve: it may have to wait for others on its way */
#define REST_MS 100    /* after strangers, and when nobody can be accepted */
#define NAME_MS 5000   /* between two tries to have the name */
#define NEWS_MS 10000  /* between two lines about strangers */
#define ACCEPT_MOST 8  /* of each wake-up */

const struct state_machine offer_machine = {
    .name = "offer",
    .n_states = 4,
    .states = {
        [OFFER_OPEN] = {"OPEN", STATE_BIT(OFFER_GRANTED) | STATE_BIT(OFFER_DRAINING)},
        [OFFER_GRANTED] = {"GRANTED", STATE_BIT(OFFER_OPEN) | STATE_BIT(OFFER_LEFT) | STATE_BIT(OFFER_DRAINING)},
        [OFFER_DRAINING] = {"DRAINING", 0},
        [OFFER_LEFT] = {"LEFT", 0},
    }};

void offer_move(struct offer *offer, enum offer_state to)
{
    state_check(&offer_machine, offer->state, to);
    offer->state = to;
}

static void offer_on_ready(struct source *source, uint32_t events);

/* ---- listening ---- */

/* Nobody is heard until then. */
static void offer_rest(struct offer *offer, uint64_t ms)
{
    loop_remove(&offer->source);
    timer_arm(offer->loop, &offer->again, ms);
}

static void offer_tell_squatter(struct offer *offer, int error_number)
{
    if (offer->name_is_taken)
        return;
    offer->name_is_taken = true;
    LOG_EVENT(
        LOG_LEVEL_WARN, "a listener cannot be taken over for now: its private socket cannot be had",
        LOG_STRING("listener", offer->name), LOG_STRING("address", offer->address),
        LOG_STRING("error", error_number == EADDRINUSE ? "another process has its name" : strerror(error_number)));
}

/* Begins to listen, or tries again later. */
static void offer_listen(struct offer *offer)
{
    int r = 0;

    if (offer->fd < 0) {
        r = handover_listen(offer->address);
        if (r < 0) {
            offer_tell_squatter(offer, -r);
            timer_arm(offer->loop, &offer->again, NAME_MS);
            return;
        }
        offer->fd = r;
        if (offer->name_is_taken)
            LOG_EVENT(LOG_LEVEL_INFO, "a listener can be taken over again", LOG_STRING("listener", offer->name),
                      LOG_STRING("address", offer->address));
        offer->name_is_taken = false;
    }
    if (!offer->source.loop)
        r = loop_add(offer->loop, &offer->source, offer->fd, EPOLLIN, offer_on_ready);
    if (r < 0)
        timer_arm(offer->loop, &offer->again, REST_MS);
}

static void offer_on_again(struct timer *timer)
{
    offer_listen(CONTAINER_OF(timer, struct offer, again));
}

static void offer_tell_strangers(struct offer *offer, const struct handover_peer *peer)
{
    struct instant now = loop_now(offer->loop);

    offer->n_strangers++;
    if (instant_before(now, offer->next_line))
        return;
    LOG_EVENT(LOG_LEVEL_WARN, "somebody of another user asks for a listener, and is refused",
              LOG_STRING("listener", offer->name), LOG_STRING("address", offer->address), LOG_NUMBER("uid", peer->uid),
              LOG_NUMBER("pid", (uint64_t)peer->pid), LOG_NUMBER("times", offer->n_strangers));
    offer->n_strangers = 0;
    offer->next_line = instant_add_ms(now, NEWS_MS);
}

/* ---- those who have come ---- */

static void offer_dismiss(struct offer_guest *guest)
{
    timer_disarm(&guest->patience);
    loop_remove(&guest->source);
    if (guest->fd >= 0)
        close(guest->fd);
    guest->fd = -1;
}

static void offer_give_up_successor(struct offer *offer, const char *why)
{
    LOG_EVENT(LOG_LEVEL_WARN, "a successor has not come to serve a listener, which stays ours",
              LOG_STRING("listener", offer->name), LOG_STRING("address", offer->address),
              LOG_NUMBER("pid", (uint64_t)offer->successor->pid), LOG_STRING("why", why));
    offer->successor = NULL;
    offer_move(offer, OFFER_OPEN);
    offer->host->shared(offer->host, false);
}

/* The guest leaves, whatever it was. */
static void offer_part(struct offer_guest *guest, const char *why)
{
    struct offer *offer = guest->offer;

    offer_dismiss(guest);
    if (guest == offer->successor && offer->state == OFFER_GRANTED)
        offer_give_up_successor(offer, why);
    else if (guest == offer->successor)
        offer->successor = NULL;
    /* There is a place again. */
    if (offer->state != OFFER_LEFT && !timer_armed(&offer->again))
        offer_listen(offer);
}

static void offer_on_patience(struct timer *timer)
{
    struct offer_guest *guest = CONTAINER_OF(timer, struct offer_guest, patience);

    if (guest == guest->offer->successor)
        (void)!handover_send(guest->fd, HANDOVER_LATE, NULL, NULL);
    offer_part(guest, "it has taken too long");
}

static bool offer_grant(struct offer_guest *guest)
{
    struct offer *offer = guest->offer;
    const int fds[HANDOVER_N_DESCRIPTORS] = {[HANDOVER_LISTENER] = offer->listener_fd, [HANDOVER_PRIVATE] = offer->fd};
    int r;

    offer_move(offer, OFFER_GRANTED);
    offer->successor = guest;
    offer->host->shared(offer->host, true);
    r = handover_send(guest->fd, HANDOVER_HERE, NULL, fds);
    if (r < 0) {
        offer_part(guest, strerror(-r));
        return false;
    }
    timer_arm(offer->loop, &guest->patience, SERVE_MS);
    LOG_EVENT(LOG_LEVEL_INFO, "a successor has a listener, too", LOG_STRING("listener", offer->name),
              LOG_STRING("address", offer->address), LOG_NUMBER("pid", (uint64_t)guest->pid));
    return true;
}

/* Somebody asks. False when it has left. */
static bool offer_answer(struct offer_guest *guest, const struct handover_message *message)
{
    struct offer *offer = guest->offer;
    enum handover_word word = HANDOVER_BUSY;

    if (message->version != HANDOVER_VERSION || !text_equal(message->address, text_of(offer->address)))
        word = HANDOVER_UNKNOWN;
    else if (offer->state == OFFER_OPEN)
        return offer_grant(guest);
    else if (offer->state == OFFER_DRAINING)
        word = HANDOVER_DRAINING;
    (void)!handover_send(guest->fd, word, NULL, NULL);
    offer_part(guest, "");
    return false;
}

/* The successor serves. Nobody is here any more after that. */
static void offer_leave(struct offer *offer)
{
    int process = -1;

    (void)!handover_send(offer->successor->fd, HANDOVER_LEFT, NULL, NULL);
    if (offer->state == OFFER_DRAINING) {
        offer_part(offer->successor, "");
        return;
    }
    offer_move(offer, OFFER_LEFT);
    process = vigil_peer(offer->successor->fd);
    timer_disarm(&offer->again);
    loop_remove(&offer->source);
    for (size_t i = 0; i < OFFER_MOST_GUESTS; i++)
        offer_dismiss(&offer->guests[i]);
    close(offer->fd);
    offer->fd = -1;
    offer->host->taken(offer->host, process);
}

static void offer_on_guest(struct source *source, uint32_t events)
{
    struct offer_guest *guest = CONTAINER_OF(source, struct offer_guest, source);
    bool is_successor = guest == guest->offer->successor;
    struct handover_packet packet;
    int r = handover_receive(guest->fd, false, &packet);

    (void)events;
    if (r == -EAGAIN)
        return;
    if (r < 0)
        offer_part(guest, r == -ECONNRESET ? "it has gone" : strerror(-r));
    else if (is_successor && packet.message.word == HANDOVER_SERVING)
        offer_leave(guest->offer);
    else if (!is_successor && (packet.message.word == HANDOVER_TAKE || packet.message.word == HANDOVER_OTHER))
        (void)offer_answer(guest, &packet.message);
    else
        offer_part(guest, "it has said what it may not say");
}

/* ---- accepting ---- */

static struct offer_guest *offer_find_place(struct offer *offer)
{
    for (size_t i = 0; i < OFFER_MOST_GUESTS; i++)
        if (offer->guests[i].fd < 0)
            return &offer->guests[i];
    return NULL;
}

static void offer_seat(struct offer_guest *guest, int fd, pid_t pid)
{
    struct loop *loop = guest->offer->loop;

    guest->fd = fd;
    guest->pid = pid;
    if (loop_add(loop, &guest->source, fd, EPOLLIN, offer_on_guest) < 0)
        offer_dismiss(guest);
    else
        timer_arm(loop, &guest->patience, ASK_MS);
}

/* Takes one who has connected. False when nobody is there, or nobody can be heard now. */
static bool offer_accept_one(struct offer *offer, unsigned *n_strangers)
{
    struct offer_guest *guest = offer_find_place(offer);
    struct handover_peer peer = {.uid = (uid_t)-1};
    int fd;

    if (!guest) { /* until one of them leaves */
        loop_remove(&offer->source);
        return false;
    }
    fd = accept4(offer->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0) {
        if (errno != EAGAIN && errno != ECONNABORTED && errno != EINTR)
            offer_rest(offer, REST_MS);
        return false;
    }
    if (handover_peer(fd, &peer) == 0 && peer.ours) {
        offer_seat(guest, fd, peer.pid);
        return true;
    }
    close(fd);
    (*n_strangers)++;
    offer_tell_strangers(offer, &peer);
    return true;
}

static void offer_on_ready(struct source *source, uint32_t events)
{
    struct offer *offer = CONTAINER_OF(source, struct offer, source);
    unsigned n_strangers = 0;

    (void)events;
    for (int i = 0; i < ACCEPT_MOST && offer_accept_one(offer, &n_strangers); i++)
        ;
    if (n_strangers > 0)
        offer_rest(offer, REST_MS);
}

/* ---- life ---- */

static void offer_init(struct offer *offer, struct loop *loop, struct offer_host *host, int listener_fd, int private_fd)
{
    offer->loop = loop;
    offer->host = host;
    offer->listener_fd = listener_fd;
    offer->fd = private_fd;
    offer->source = (struct source)SOURCE_INIT;
    timer_init(&offer->again, offer_on_again);
    for (size_t i = 0; i < OFFER_MOST_GUESTS; i++) {
        struct offer_guest *guest = &offer->guests[i];

        *guest = (struct offer_guest){.offer = offer, .fd = -1, .source = SOURCE_INIT};
        timer_init(&guest->patience, offer_on_patience);
    }
}

int offer_new(struct loop *loop, struct offer_host *host, const char *name, int listener_fd, int private_fd,
              struct offer **ret_offer)
{
    struct offer *offer = calloc(1, sizeof(*offer));
    int r = -ENOMEM;

    if (!offer) {
        if (private_fd >= 0)
            close(private_fd);
        return r;
    }
    offer_init(offer, loop, host, listener_fd, private_fd);
    offer->name = strdup(name);
    if (offer->name)
        r = handover_address_of(listener_fd, offer->address);
    /* From now on it is said to be ours. */
    if (r == 0 && private_fd >= 0)
        r = handover_listen_again(private_fd);
    if (r < 0) {
        offer_free(offer);
        return r;
    }
    offer_listen(offer);
    *ret_offer = offer;
    return 0;
}

void offer_drain(struct offer *offer)
{
    if (offer->state == OFFER_OPEN || offer->state == OFFER_GRANTED)
        offer_move(offer, OFFER_DRAINING);
}

void offer_free(struct offer *offer)
{
    if (!offer)
        return;
    timer_disarm(&offer->again);
    loop_remove(&offer->source);
    for (size_t i = 0; i < OFFER_MOST_GUESTS; i++)
        offer_dismiss(&offer->guests[i]);
    if (offer->fd >= 0)
        close(offer->fd);
    free(offer->name);
    free(offer);
}
