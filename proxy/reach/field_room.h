/* Where a message's fields are kept: most have few, which find room in place; the others are given memory of their own.
 *
 * What is parsed into it has as much room as there is. When that was too little, field_room_grow makes more, and it is
 * parsed anew or goes on. */
#ifndef PORTHOLE_REACH_FIELD_ROOM_H
#define PORTHOLE_REACH_FIELD_ROOM_H

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/http/fields.h"

#define FIELD_ROOM_FEW 16
#define FIELD_ROOM_MOST 128

/* Embedded beside what is parsed; `many` is NULL at first. */
struct field_room {
    struct field *many; /* owned; FIELD_ROOM_MOST of them, or NULL */
    struct field few[FIELD_ROOM_FEW];
};

/* An empty array with all the room that there is. */
static inline struct fields field_room_fields(struct field_room *room)
{
    if (room->many)
        return (struct fields){.items = room->many, .capacity = FIELD_ROOM_MOST};
    return (struct fields){.items = room->few, .capacity = FIELD_ROOM_FEW};
}

/* More room for what is there. False when there is no more, or when out of memory: nothing has changed. */
static inline bool field_room_grow(struct field_room *room, struct fields *fields)
{
    if (room->many)
        return false;
    room->many = malloc(FIELD_ROOM_MOST * sizeof(*room->many));
    if (!room->many)
        return false;
    memcpy(room->many, room->few, fields->n_items * sizeof(*room->many));
    fields->items = room->many;
    fields->capacity = FIELD_ROOM_MOST;
    return true;
}

/* Gives back what it was given; what is there is gone. Harmless twice. */
static inline void field_room_drop(struct field_room *room)
{
    if (!room->many)
        return;
    free(room->many);
    room->many = NULL;
}

#endif
