#include "proxy/seats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <unistd.h>

/* One listener as a worker sees it. */
struct seat {
    struct list link; /* in one of the lists of seats */
    struct seats *seats;
    struct acceptor acceptor;
    struct message look; /* posted by whoever gives a place back, or needs one */
    atomic_bool look_posted;
    struct snapshot *snapshot; /* a reference, when closed: the acceptor's configuration is of it */
    struct timer drain;        /* when closed */
    bool late;                 /* it is going, and served on for who is about to get into the backlog */
    struct seat_change *first; /* owned; what the first change needs (seats_reserve), or NULL */
    struct message leave;      /* posted by the main thread, like the next */
    struct message watch;
    atomic_bool leave_posted, watch_posted;
};

/* Turns a seat to another descriptor. */
struct seat_change {
    struct message message;
    struct seat *seat;
    int fd; /* owned; -1: the seat goes */
};

static struct seat *seats_at(const struct seats *seats, const struct admission *admission)
{
    return admission->desks[seats->worker].closure;
}

/* ---- being told ---- */

/* Any thread. One message is enough for all that happens in a moment. */
static void seat_on_told(struct admission_desk *desk)
{
    struct seat *seat = desk->closure;

    if (!atomic_exchange(&seat->look_posted, true))
        mailbox_post(seat->seats->mailbox, &seat->look);
}

static void seat_on_look(struct message *message)
{
    struct seat *seat = CONTAINER_OF(message, struct seat, look);

    atomic_store(&seat->look_posted, false);
    acceptor_look(&seat->acceptor);
}

/* Of a message that lies in its seat. */
static void seat_keep(struct message *message)
{
    (void)message;
}

/* ---- processes that share the socket ---- */

static void seat_on_leave(struct message *message)
{
    struct seat *seat = CONTAINER_OF(message, struct seat, leave);

    atomic_store(&seat->leave_posted, false);
    acceptor_empty(&seat->acceptor, true);
}

static void seat_on_watch(struct message *message)
{
    struct seat *seat = CONTAINER_OF(message, struct seat, watch);

    atomic_store(&seat->watch_posted, false);
    acceptor_watch_again(&seat->acceptor);
}

void seats_leave(struct seats *seats, struct admission *admission)
{
    struct seat *seat = admission->desks[seats->worker].closure;

    if (!atomic_exchange(&seat->leave_posted, true))
        mailbox_post(seats->mailbox, &seat->leave);
}

void seats_watch_again(struct seats *seats, struct admission *admission)
{
    struct seat *seat = admission->desks[seats->worker].closure;

    if (!atomic_exchange(&seat->watch_posted, true))
        mailbox_post(seats->mailbox, &seat->watch);
}

/* ---- another descriptor ---- */

static void seat_change_drop(struct message *message)
{
    struct seat_change *change = CONTAINER_OF(message, struct seat_change, message);

    if (change->fd >= 0)
        close(change->fd);
    free(change);
}

static void seat_free(struct seat *seat)
{
    struct admission_desk *desk = seat->acceptor.desk;

    if (seat->first)
        seat_change_drop(&seat->first->message);
    list_remove(&seat->link);
    timer_disarm(&seat->drain);
    acceptor_deinit(&seat->acceptor);
    snapshot_unref(seat->snapshot);
    desk->closure = NULL;
    free(seat);
    atomic_fetch_sub(&desk->admission->n_seats, 1); /* with the last one it may go */
}

static void seat_change_run(struct message *message)
{
    struct seat_change *change = CONTAINER_OF(message, struct seat_change, message);

    if (change->fd >= 0)
        acceptor_change(&change->seat->acceptor, change->fd);
    else
        seat_free(change->seat);
    free(change);
}

/* Takes the descriptor over. */
static int seats_post(struct seats *seats, struct admission *admission, int fd)
{
    struct seat_change *change = malloc(sizeof(*change));

    if (!change)
        return -ENOMEM;
    *change = (struct seat_change){
        .message = {.drop = seat_change_drop, .run = seat_change_run}, .seat = seats_at(seats, admission), .fd = fd};
    mailbox_post(seats->mailbox, &change->message);
    return 0;
}

int seats_reserve(struct seats *seats, struct admission *admission)
{
    struct seat *seat = seats_at(seats, admission);
    struct seat_change *change = malloc(sizeof(*change));
    int r;

    if (!change)
        return -ENOMEM;
    *change = (struct seat_change){
        .message = {.drop = seat_change_drop, .run = seat_change_run}, .seat = seat, .fd = eventfd(0, EFD_CLOEXEC)};
    if (change->fd < 0) {
        r = -errno;
        free(change);
        return r;
    }
    seat->first = change;
    return 0;
}

/* With what has been reserved. */
static int seat_change_first(struct seat *seat, int fd)
{
    struct seat_change *change = seat->first;

    while (dup3(fd, change->fd, O_CLOEXEC) < 0)
        if (errno != EINTR && errno != EBUSY)
            return -errno;
    seat->first = NULL;
    mailbox_post(seat->seats->mailbox, &change->message);
    return 0;
}

int seats_change(struct seats *seats, struct admission *admission, int fd)
{
    struct seat *seat = seats_at(seats, admission);
    int own, r;

    if (seat && seat->first)
        return seat_change_first(seat, fd);
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0)
        return -errno;
    r = seats_post(seats, admission, own);
    if (r < 0)
        close(own);
    return r;
}

int seats_forget(struct seats *seats, struct admission *admission)
{
    return seats_post(seats, admission, -1);
}

/* ---- coming and going ---- */

static void seat_on_drain(struct timer *timer)
{
    struct seat *seat = CONTAINER_OF(timer, struct seat, drain);

    seat->seats->cut(seat->seats, seat->acceptor.desk);
}

int seats_add(struct seats *seats, struct admission *admission, const struct listener_config *config)
{
    struct admission_desk *desk = &admission->desks[seats->worker];
    struct seat *seat = calloc(1, sizeof(*seat));

    if (!seat)
        return -ENOMEM;
    seat->seats = seats;
    seat->look = (struct message){.drop = seat_keep, .run = seat_on_look};
    timer_init(&seat->drain, seat_on_drain);
    seat->leave = (struct message){.drop = seat_keep, .run = seat_on_leave};
    seat->watch = (struct message){.drop = seat_keep, .run = seat_on_watch};
    acceptor_init(&seat->acceptor, seats->host, config, desk);
    desk->told = seat_on_told;
    desk->closure = seat;
    atomic_fetch_add(&admission->n_seats, 1);
    list_init(&seat->link);
    list_append(&seats->fresh, &seat->link);
    return 0;
}

bool seats_have(const struct seats *seats, const struct admission *admission)
{
    return seats_at(seats, admission);
}

static void seats_free_all(struct list *list)
{
    while (list->next && !list_empty(list))
        seat_free(CONTAINER_OF(list->next, struct seat, link));
}

void seats_drop_fresh(struct seats *seats)
{
    seats_free_all(&seats->fresh);
}

void seats_open(struct seats *seats, struct admission *admission, int fd)
{
    struct seat *seat = seats_at(seats, admission);

    list_remove(&seat->link);
    list_append(&seats->served, &seat->link);
    if (fd >= 0)
        acceptor_change(&seat->acceptor, fd);
}

void seats_configure(struct seats *seats, struct admission *admission, const struct listener_config *config)
{
    acceptor_configure(&seats_at(seats, admission)->acceptor, config);
}

void seats_wait_for_late(struct seats *seats, struct admission *admission)
{
    seats_at(seats, admission)->late = true;
}

bool seats_is_late(const struct admission_desk *desk)
{
    const struct seat *seat = desk->closure;

    return seat->late;
}

static void seat_empty(struct seat *seat)
{
    acceptor_empty(&seat->acceptor, seat->acceptor.desk->admission->shared);
}

void seats_close(struct seats *seats, struct admission *admission, struct snapshot *snapshot, uint64_t drain_ms)
{
    struct seat *seat = seats_at(seats, admission);

    seat->snapshot = snapshot_ref(snapshot);
    seat_empty(seat);
    list_remove(&seat->link);
    list_append(&seats->closed, &seat->link);
    timer_arm(seats->host->loop, &seat->drain, drain_ms);
}

void seats_empty(struct seats *seats)
{
    for (struct list *link = seats->served.next; link != &seats->served; link = link->next)
        seat_empty(CONTAINER_OF(link, struct seat, link));
}

/* ---- life ---- */

void seats_init(struct seats *seats, struct acceptor_host *host, struct mailbox *mailbox, size_t worker)
{
    *seats = (struct seats){.host = host, .mailbox = mailbox, .worker = worker};
    list_init(&seats->fresh);
    list_init(&seats->served);
    list_init(&seats->closed);
}

void seats_deinit(struct seats *seats)
{
    seats_free_all(&seats->fresh);
    seats_free_all(&seats->served);
    seats_free_all(&seats->closed);
}
