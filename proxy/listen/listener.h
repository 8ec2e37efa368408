/* Listeners: publishing a socket and taking it away again.
 *
 * A Unix socket is bound under a temporary name inside a mode-0700 directory of our own beside its place, gets
 * owner and mode, has them checked, listens, and is then renamed over its path; so the path is never absent and
 * never open to the wrong process. Everything is done relative to a descriptor of the directory (through
 * /proc/self/fd), so a path may be longer than sockaddr_un. Publishers of one directory wait for each other (lock), and
 * tell each other who came later (claim). */
#ifndef PORTHOLE_LISTEN_LISTENER_H
#define PORTHOLE_LISTEN_LISTENER_H

#include <stdbool.h>
#include <sys/stat.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/error.h"
#include "proxy/base/line.h"
#include "proxy/listen/bind.h"
#include "proxy/listen/claim.h"

struct addresses;
struct publish;

/* A listening socket and, for a Unix path, the file it was published as. Owned by the server (main thread);
 * workers borrow the descriptor. */
struct listener {
    const struct listener_config *config; /* borrowed from the snapshot the server holds */
    int fd;                               /* owned; non-blocking, close-on-exec; -1 when closed */
    int directory_fd;                     /* owned; O_DIRECTORY, -1 unless ADDRESS_UNIX */
    char *real_directory;                 /* owned; where its directory was first: no link leads elsewhere later */
    char *file_name;                      /* owned; last component of the path, NULL unless ADDRESS_UNIX */
    dev_t device;                         /* of the published file: what is still ours */
    ino_t inode;
    struct claim claim; /* what the socket says of us to other portholes */
    bool published;
    bool made_directory;       /* its directory is of our making, for this listener */
    struct publish *publish;   /* owned; from listener_prepare to listener_settle, of one with a path */
    struct bound bound;        /* of an abstract or TCP one */
    struct handover *handover; /* owned; with whoever served the socket before; NULL: nobody, or it has left */
    /* Somebody else has the socket and goes on with it: who gave it to us, or to whom we gave it. Then it is not ours
     * to shut, and what is left in its backlog is theirs. Settled before a worker is told to empty it. */
    bool shared;
};

enum listener_place {
    LISTENER_OURS,     /* our file is at the path (always for abstract and TCP) */
    LISTENER_ABSENT,   /* nothing is there: somebody removed it */
    LISTENER_REPLACED, /* something else is there: a successor's socket, or somebody else's (listener_is_succeeded) */
};

/* Makes all of it but what others would see at a path: an abstract or TCP socket is bound, or had from whoever serves
 * it, a Unix socket is made and not shown. With takeover a living process of our user at the path is going to be
 * replaced, and one that serves an abstract or TCP address is asked for its socket (succession_begin tells it to
 * leave); without, it is -EADDRINUSE. Errors say what to do (uid, gid, mode of what is in the way). On failure nothing
 * is left behind and nothing is changed, as when it is freed before it is shown. `known`: where the host of a TCP
 * address leads to; NULL: that is asked, for as long as it takes. */
int listener_prepare(const struct listener_config *config, bool takeover, const struct addresses *known,
                     struct listener **ret_listener, struct error *error) WARN_UNUSED;
/* Whether showing it takes a path from a living process. */
bool listener_replaces(const struct listener *listener);
/* Shows what was prepared; harmless without a path, and twice. On failure it is to be freed, and what was at the path
 * is untouched. Freed before listener_settle, it gives the path back to who had it. */
int listener_show(struct listener *listener, struct error *error) WARN_UNUSED;
/* What was shown stays. Harmless twice. */
void listener_settle(struct listener *listener);

/* These three in one. */
int listener_publish(const struct listener_config *config, bool takeover, struct listener **ret_listener,
                     struct error *error) WARN_UNUSED;

/* Publishes the same, still open, descriptor's replacement when the path is lost: makes a new socket at the path and
 * stores its descriptor in the listener; the old one is returned for the caller to drain and close. Whoever serves what
 * is there is replaced, unless it is a successor. Negative errno on failure, with the listener as it was. */
int listener_publish_again(struct listener *listener, struct error *error) WARN_UNUSED;

/* Whether a file is the one that was published. */
bool listener_is_file(const struct listener *listener, const struct stat *st);

/* Binds an abstract or TCP address that a successor had taken over and serves no more. 0, -EADDRINUSE while somebody
 * does, or another negative errno, with the listener as it was. */
int listener_bind_again(struct listener *listener) WARN_UNUSED;
/* Gives a socket that another process made listen the backlog that the configuration says, and our name: its clients
 * are told who listened last (SO_PEERCRED). 0 or a negative errno. */
int listener_listen_again(struct listener *listener) WARN_UNUSED;

/* What is at the path now. */
enum listener_place listener_look(const struct listener *listener);

/* After LISTENER_REPLACED: whether what is there is a successor's: served by a process of our user that says it claimed
 * this place after us. 1, with a descriptor of its process in *ret_process (vigil_peer, for the caller to close; below
 * 0: there is none); 0, or -EAGAIN when its backlog is too full to ask, without. */
int listener_is_succeeded(const struct listener *listener, int *ret_process) WARN_UNUSED;

/* Puts what an operator wants to know of it: address (as bound), mode, owner, peer rules and limits. */
void listener_describe(const struct listener *listener, struct line *line);

/* Closes the descriptor: whoever still tries to connect is refused. Harmless twice. */
void listener_close(struct listener *listener);

/* Unlinks the file if, and only if, it is still ours. The descriptor stays open: the backlog can be drained. */
void listener_withdraw(struct listener *listener);

/* Withdraws (or revokes what is not settled), closes and frees. Takes NULL. */
void listener_free(struct listener *listener);

#endif
