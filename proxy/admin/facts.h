/* What the main thread knows of the process, for pages that tell of it: gathered there, then owned by the admin worker,
 * who reads it in its own time. Texts are copies. */
#ifndef PORTHOLE_ADMIN_FACTS_H
#define PORTHOLE_ADMIN_FACTS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/clock.h"
#include "proxy/listen/admission.h"
#include "proxy/report/process.h"
#include "proxy/report/series.h"

/* What is served: a socket, and its file as it is found. */
struct facts_listener {
    const struct listener_config *config; /* borrowed from facts.snapshot */
    bool up;                              /* published, and still ours */
    bool has_file;                        /* the next three are known */
    mode_t mode;
    uid_t owner;
    gid_t group;
    struct admission_counts counts;
    bool has_backlog; /* the next is known */
    uint32_t backlog;
};

enum facts_state { FACTS_SERVING, FACTS_LEAVING, FACTS_DRAINING };

/* Of the last look at it (proxy/pressure.h). */
struct facts_memory {
    uint64_t limit_bytes, used_bytes; /* UINT64_MAX: there is no limit, and nobody looks */
    enum brake_state brake;
    uint64_t n_pauses; /* times that it has not been off */
};

struct commons;

struct facts {
    struct snapshot *snapshot; /* a reference: what is in effect */
    enum facts_state state;
    pid_t pid;
    struct wall_time started;
    struct wall_time loaded; /* when what is in effect was */
    uint64_t uptime_ms;
    size_t n_workers; /* without the admin worker */
    bool reload_tried, reload_good;
    struct wall_time reload_time;
    uint64_t n_reloads, n_refused;    /* good ones, and others */
    char *reload_problem;             /* owned; of the last one, all its lines; NULL: it was good, or there was none */
    struct facts_listener *listeners; /* owned; by listener_config.index */
    size_t n_listeners;
    struct series_book *series; /* borrowed, like the next; both outlive workers */
    struct commons *commons;
    struct process_figures process;
    struct facts_memory memory;
    uint64_t n_dropped_lines; /* of access logs */
    bool out_of_memory;       /* something of all this is missing */
};

void facts_deinit(struct facts *facts);

#endif
