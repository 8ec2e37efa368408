#include "proxy/seats.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

/* One listener as a worker sees it. */
struct seat {
    struct list link; /* in seats.list */
    struct seats *seats;
    struct acceptor acceptor;
    struct message look; /* posted by whoever gives a place back, or needs one */
    atomic_bool look_posted;
};

/* Turns a seat to another descriptor. */
struct seat_change {
    struct message message;
    struct seat *seat;
    int fd; /* owned */
};

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

/* ---- another descriptor ---- */

static void seat_change_drop(struct message *message)
{
    struct seat_change *change = CONTAINER_OF(message, struct seat_change, message);

    close(change->fd);
    free(change);
}

static void seat_change_run(struct message *message)
{
    struct seat_change *change = CONTAINER_OF(message, struct seat_change, message);

    acceptor_change(&change->seat->acceptor, change->fd);
    free(change);
}

int seats_change(struct seats *seats, struct admission *admission, int fd)
{
    struct seat_change *change = malloc(sizeof(*change));
    int own;

    if (!change)
        return -ENOMEM;
    own = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (own < 0) {
        int r = -errno;

        free(change);
        return r;
    }
    *change = (struct seat_change){.message = {.drop = seat_change_drop, .run = seat_change_run},
                                   .seat = admission->desks[seats->worker].closure,
                                   .fd = own};
    mailbox_post(seats->mailbox, &change->message);
    return 0;
}

/* ---- life ---- */

int seats_add(struct seats *seats, struct admission *admission, const struct listener_config *config)
{
    struct admission_desk *desk = &admission->desks[seats->worker];
    struct seat *seat = calloc(1, sizeof(*seat));

    if (!seat)
        return -ENOMEM;
    seat->seats = seats;
    seat->look = (struct message){.drop = seat_keep, .run = seat_on_look};
    acceptor_init(&seat->acceptor, seats->host, config, desk);
    desk->told = seat_on_told;
    desk->closure = seat;
    list_init(&seat->link);
    list_append(&seats->list, &seat->link);
    return 0;
}

static void seat_free(struct seat *seat)
{
    list_remove(&seat->link);
    acceptor_deinit(&seat->acceptor);
    free(seat);
}

static void seat_empty(struct seat *seat)
{
    acceptor_empty(&seat->acceptor, seat->acceptor.desk->admission->shared);
}

void seats_empty(struct seats *seats)
{
    for (struct list *link = seats->list.next; link != &seats->list; link = link->next)
        seat_empty(CONTAINER_OF(link, struct seat, link));
}

void seats_init(struct seats *seats, struct acceptor_host *host, struct mailbox *mailbox, size_t worker)
{
    *seats = (struct seats){.host = host, .mailbox = mailbox, .worker = worker};
    list_init(&seats->list);
}

void seats_deinit(struct seats *seats)
{
    while (seats->list.next && !list_empty(&seats->list))
        seat_free(CONTAINER_OF(seats->list.next, struct seat, link));
}
