/* Amending a listener that is served on: its mode, owner, group, backlog and the mode and group of its directory become
 * what another configuration says. Socket, file and clients stay, and there is no moment in which somebody may connect
 * whom neither configuration lets in. */
#ifndef PORTHOLE_LISTEN_AMEND_H
#define PORTHOLE_LISTEN_AMEND_H

#include <stdbool.h>
#include <sys/stat.h>

#include "proxy/listen/listener.h"

/* What was changed, to be undone if something else fails. On its user's stack or in its heap; owns nothing. */
struct amendment {
    struct listener *listener; /* borrowed; NULL: nothing was changed */
    struct stat file;          /* as it was; st_nlink 0: not changed */
    struct stat directory;     /* the same */
    bool backlog;
};

/* Makes it as `config` says, which is of the same socket and which the listener has not got yet. What is not at its
 * path any more is left alone: the keeper publishes it again, as it then is to be. 0 or a negative errno with the error
 * set and nothing changed. */
int listener_amend(struct listener *listener, const struct listener_config *config, struct amendment *ret_amendment,
                   struct error *error) WARN_UNUSED;
/* Makes it as it was, as far as it still can be. Harmless on one of zeros, and twice. */
void amendment_undo(struct amendment *amendment);
/* Whether anything was changed. */
static inline bool amendment_is_some(const struct amendment *amendment)
{
    return amendment->listener;
}

#endif
