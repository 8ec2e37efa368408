/* What the process tells of itself on the pages of admin listeners: the main thread's side. */
#ifndef PORTHOLE_SELF_H
#define PORTHOLE_SELF_H

#include "proxy/admin/admin.h"
#include "proxy/crew.h"
#include "proxy/listeners.h"
#include "proxy/pressure.h"
#include "proxy/reload.h"
#include "proxy/stop.h"

/* Embedded in the server. All pointers are borrowed; they are looked at when an inquiry comes. */
struct self {
    struct admin admin;
    struct admin_desk desk;
    struct snapshot *const *snapshot; /* what is in effect at the time */
    const struct listeners *listeners;
    struct stop *stop;
    struct reload *reload;
    struct series_book *series;
    struct commons *commons;
    const struct crew *crew;
    const struct pressure *pressure;
    struct process process; /* owned, like the next */
    int backlogs;           /* diagnosis_open */
    struct instant begun;
    struct wall_time started;
};

/* Its pointers are set, and desk.main. 0 or -ENOMEM. */
int self_init(struct self *self, const struct self *lent) WARN_UNUSED;
/* Harmless on one of zeros. */
void self_deinit(struct self *self);

#endif
