/* Peers: who is at the other end of an accepted connection. */
#ifndef PORTHOLE_LISTEN_PEER_H
#define PORTHOLE_LISTEN_PEER_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/snapshot.h"

/* Read once at accept and kept with the connection (unix(7) SO_PEERCRED: as of connect). */
struct peer {
    bool is_unix;
    uid_t uid; /* is_unix only; (uid_t)-1 when it cannot be told */
    gid_t gid;
    pid_t pid;                      /* 0 across pid namespaces: for logs only, never for rules */
    char address[INET6_ADDRSTRLEN]; /* TCP only: without port; "" for Unix sockets */
    in_port_t port;                 /* TCP only, host order */
};

/* Of a Unix socket, or of TCP. 0 or a negative errno (the connection is gone already). */
int peer_read(int fd, bool is_unix, struct peer *ret_peer) WARN_UNUSED;

/* True when no rule is given or one matches. Supplementary groups (SO_PEERGROUPS) are read from fd only when a gid rule
 * needs them; what cannot be read does not match. TCP peers match nothing. */
bool peer_is_allowed(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules);
/* True when a rule matches, or could for all that can be read: nobody gets in by hiding. TCP peers match nothing. */
bool peer_is_denied(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules);

/* The same question for those who ask again and again: whether one of the rules matches, `unknown_fits` where it cannot
 * be told. Groups that a rule asks for are read once and kept in *groups (NULL at first; the caller's, to be freed). */
struct peer_groups;
bool peer_fits(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules, bool unknown_fits,
               struct peer_groups **groups);
/* Takes NULL. */
void peer_groups_free(struct peer_groups *groups);

/* "unix:uid=1000,gid=1000" or "192.0.2.1:4711" or "[2001:db8::1]:4711", terminated. Returns its length. */
size_t peer_format(const struct peer *peer, char *out, size_t size);

/* A rule in words, terminated: "uid 1000 and gid 100". Returns its length. */
#define PEER_RULE_BYTES 48
size_t peer_format_rule(const struct peer_rule *rule, char out[PEER_RULE_BYTES]);

#endif
