/* The listeners that the process serves. Main thread.
 *
 *   listeners        the process: all of them, and the house of their admissions
 *     served         one listener, for as long as it is served, whatever snapshots come and go
 *       listener     its socket and its file
 *       admission    who is in, in all workers
 *       charge       whether the socket is still ours
 *       succession   from whom it came, and to whom it goes
 *
 * What it is, is the socket's address in the one spelling that all have in common (address_canonical): by that it is
 * found again in another snapshot. Nobody knows it by its place in one. */
#ifndef PORTHOLE_LISTENERS_H
#define PORTHOLE_LISTENERS_H

#include "config/snapshot.h"
#include "proxy/base/error.h"
#include "proxy/listen/admission.h"
#include "proxy/listen/keeper.h"
#include "proxy/listen/listener.h"
#include "proxy/listen/succession.h"

#define LISTENERS_LATE_MS 250 /* for the rest of a handshake of TCP that has begun */

struct served {
    struct list link;          /* in listeners.all, or alone */
    char *address;             /* owned; address_canonical */
    struct snapshot *snapshot; /* a reference: `config` and the listener's are of it */
    const struct listener_config *config;
    struct addresses *known;   /* a reference; where its host leads to, NULL: that is asked when it is prepared */
    struct listener *listener; /* owned; NULL before it is prepared */
    struct admission admission;
    struct keeper_charge charge;
    bool prepared; /* the listener is, and not shown for good */
    bool late;     /* removed, and workers still serve who comes late (served_refuse) */
    bool retired;  /* admission_retire */
    struct succession succession;
};

/* Embedded in the server. */
struct listeners {
    struct list all; /* of served, in the order in which they came */
    struct admission_house house;
    size_t n_workers;
};

void listeners_init(struct listeners *listeners, size_t n_workers);
/* Withdraws what is published, and frees. Nobody holds a pass any more. Harmless on one of zeros. */
void listeners_deinit(struct listeners *listeners);

/* Makes one, with its admission in the house, and puts it at the end; nothing is published. NULL with the error set. */
struct served *listeners_add(struct listeners *listeners, struct snapshot *snapshot,
                             const struct listener_config *config, struct error *error);
/* The one with this canonical address, or NULL. */
struct served *listeners_find(const struct listeners *listeners, const char *address);

/* Nobody can begin to connect to it any more. Whether somebody may still be about to get into its backlog: in the
 * middle of a handshake of TCP. */
bool served_refuse(const struct served *served);
/* Whether requests that the snapshot forwards would come back to a socket that was passed to it: nobody knew its
 * address when the configuration was read. -ELOOP with the error set, 0 or another negative errno. */
int served_check_loops(const struct served *served, const struct snapshot *snapshot, struct error *error) WARN_UNUSED;
/* What another snapshot says of it: for the main thread, and for who may come in. */
void served_configure(struct served *served, struct snapshot *snapshot, const struct listener_config *config);
/* Its socket was made again, for whoever counts that. */
void served_count_again(const struct served *served);
/* Says what it is now. */
void served_tell(const struct served *served, const char *message);
/* Makes the sockets of all that have none, and shows nothing at a path yet: whatever can fail does so before anything
 * is taken from anybody. Those without a path come first, in an order that all processes have in common, so that no two
 * of them that take over from a third wait for each other. 0; or a negative errno, with nothing left behind. */
int listeners_prepare(struct listeners *listeners, bool takeover, struct error *error) WARN_UNUSED;
/* Shows what was prepared, and says so: first where that takes nothing from a living process. 0; or a negative errno:
 * those that were shown already are taken back. */
int listeners_show(struct listeners *listeners, struct error *error) WARN_UNUSED;
/* Takes back what was prepared and is not shown for good: whoever had a path has it still, or again. */
void listeners_take_back(struct listeners *listeners);
/* Withdraws, closes and frees; takes it out of the list and the house. Nobody holds a pass of it. */
void served_free(struct served *served);

/* We stop: whoever asks for a listener is told so. */
void listeners_drain(struct listeners *listeners);
/* Before workers are told to empty the backlogs: which of them are somebody else's, too. */
void listeners_settle(struct listeners *listeners);
/* After that: nobody can begin to connect to TCP sockets of ours any more. Whether there are any: then some may still
 * be about to get into their backlogs. */
bool listeners_refuse(struct listeners *listeners);
/* Takes all paths away. */
void listeners_withdraw(struct listeners *listeners);
/* Nobody accepts any more: whoever still connects (TCP, abstract) is refused at once. Harmless twice. */
void listeners_close(struct listeners *listeners);
/* What a stop still waits for, in a line for each listener that has clients. */
void listeners_tell_clients(const struct listeners *listeners);

#endif
