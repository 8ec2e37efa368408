#include "proxy/listen/waiting_room.h"

#include <errno.h>
#include <stdlib.h>
#include <unistd.h>

#include "proxy/base/log.h"

void waiting_room_init(struct waiting_room *room, struct loop *loop, struct admission *admission, size_t most,
                       void (*left)(struct waiting_room *room))
{
    *room = (struct waiting_room){.loop = loop, .admission = admission, .most = most, .left = left};
    shares_init(&room->shares);
    room->shares.first_come = true; /* admission has the say */
}

void waiting_room_deinit(struct waiting_room *room)
{
    struct guest *guest;

    while ((guest = waiting_room_next(room))) {
        waiting_room_take(room, guest);
        close(guest->fd);
        free(guest);
    }
    shares_deinit(&room->shares);
}

/* A hang-up is told without being asked for. With less than that it is only silent, or has sent all of its request. */
static void waiting_room_on_hang_up(struct source *source, uint32_t events)
{
    struct guest *guest = CONTAINER_OF(source, struct guest, source);
    struct waiting_room *room = guest->room;

    (void)events;
    waiting_room_take(room, guest);
    close(guest->fd);
    free(guest);
    room->left(room);
}

int waiting_room_add(struct waiting_room *room, int fd, const struct peer *peer, struct guest **ret_leaver)
{
    struct guest *guest = malloc(sizeof(*guest));
    bool more;

    if (!guest)
        return -ENOMEM;
    *guest = (struct guest){.share = shares_find(&room->shares, peer->uid),
                            .fd = fd,
                            .peer = *peer,
                            .room = room,
                            .since = loop_now(room->loop),
                            .source = SOURCE_INIT};
    more = admission_lodge(room->admission);
    shares_wait(&room->shares, guest->share, &guest->link);
    *ret_leaver = NULL;
    if (waiting_room_n_guests(room) > room->most) {
        *ret_leaver = CONTAINER_OF(shares_crowd(&room->shares)->waiting.previous, struct guest, link);
        waiting_room_take(room, *ret_leaver);
    }
    if (*ret_leaver != guest && loop_add(room->loop, &guest->source, fd, 0, waiting_room_on_hang_up) < 0)
        LOG_EVENT(LOG_LEVEL_DEBUG, "somebody who waits for a place cannot be watched, and stays until its turn");
    return more ? WAITING_ROOM_OPEN : WAITING_ROOM_LAST;
}

static void waiting_room_count(struct waiting_room *room)
{
    for (struct list *link = room->shares.list.next; link != &room->shares.list; link = link->next) {
        struct share *share = CONTAINER_OF(link, struct share, link);

        share->n_held = share->n_waiting > 0 ? admission_n_of(room->admission, share->uid) : 0;
    }
    room->shares.rest.n_held = admission_n_of(room->admission, ADMISSION_NOBODY);
}

struct guest *waiting_room_next(struct waiting_room *room)
{
    struct share *share;

    if (waiting_room_n_guests(room) == 0)
        return NULL;
    waiting_room_count(room);
    share = shares_choose(&room->shares, 1);
    return CONTAINER_OF(share->waiting.next, struct guest, link);
}

void waiting_room_take(struct waiting_room *room, struct guest *guest)
{
    loop_remove(&guest->source);
    shares_unwait(&room->shares, guest->share, &guest->link);
    admission_unlodge(room->admission);
    if (waiting_room_n_guests(room) == 0)
        waiting_room_crowd(room, NULL);
}

void waiting_room_crowd(struct waiting_room *room, struct series *series)
{
    if (waiting_room_n_guests(room) == 0)
        series = NULL;
    if (series == room->crowded)
        return;
    if (series)
        spell_begin(&series->saturated);
    if (room->crowded)
        spell_end(&room->crowded->saturated);
    room->crowded = series;
}
