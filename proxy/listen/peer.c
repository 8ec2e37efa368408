#include "proxy/listen/peer.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PEER_FEW_GROUPS 64

/* A peer's supplementary groups, read when first asked for. */
struct peer_groups {
    gid_t few[PEER_FEW_GROUPS];
    gid_t *many;  /* owned; NULL while `few` is enough */
    size_t n_ids; /* in whichever holds them */
    bool read;
    bool unknown;      /* could not be read */
    bool unknown_fits; /* what the asker makes of that */
};

static int peer_read_tcp(int fd, struct peer *peer)
{
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
        struct sockaddr_storage storage;
    } address = {.any = {.sa_family = AF_UNSPEC}};
    socklen_t length = sizeof(address);
    const void *ip;

    if (getpeername(fd, &address.any, &length) < 0)
        return -errno;
    if (address.any.sa_family == AF_INET) {
        ip = &address.v4.sin_addr;
        peer->port = ntohs(address.v4.sin_port);
    } else if (address.any.sa_family == AF_INET6) {
        ip = &address.v6.sin6_addr;
        peer->port = ntohs(address.v6.sin6_port);
    } else {
        return -EAFNOSUPPORT;
    }
    if (!inet_ntop(address.any.sa_family, ip, peer->address, sizeof(peer->address)))
        return -errno;
    return 0;
}

int peer_read(int fd, bool is_unix, struct peer *ret_peer)
{
    struct peer peer = {.is_unix = is_unix, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct ucred credentials;
    socklen_t length = sizeof(credentials);
    int r;

    if (is_unix) {
        if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &credentials, &length) < 0)
            return -errno;
        peer.uid = credentials.uid;
        peer.gid = credentials.gid;
        peer.pid = credentials.pid;
    } else {
        r = peer_read_tcp(fd, &peer);
        if (r < 0)
            return r;
    }
    *ret_peer = peer;
    return 0;
}

/* Leaves the groups empty when they cannot be read. */
static void peer_read_groups(int fd, struct peer_groups *groups)
{
    socklen_t length = sizeof(groups->few);
    int r = getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups->few, &length);

    groups->read = true;
    if (r < 0 && errno == ERANGE) { /* length is now what is needed, at most NGROUPS_MAX of them */
        groups->many = malloc(length);
        r = groups->many ? getsockopt(fd, SOL_SOCKET, SO_PEERGROUPS, groups->many, &length) : -1;
    }
    groups->unknown = r < 0;
    groups->n_ids = r < 0 ? 0 : length / sizeof(gid_t);
}

static bool peer_has_group(const struct peer *peer, int fd, gid_t gid, struct peer_groups *groups)
{
    const gid_t *ids;

    if (peer->gid == gid)
        return true;
    if (!groups->read)
        peer_read_groups(fd, groups);
    ids = groups->many ? groups->many : groups->few;
    for (size_t i = 0; i < groups->n_ids; i++)
        if (ids[i] == gid)
            return true;
    return groups->unknown && groups->unknown_fits;
}

/* A rule without a condition would fit everybody; it is no rule. */
static bool peer_fits_rule(const struct peer *peer, int fd, const struct peer_rule *rule, struct peer_groups *groups)
{
    return (rule->has_uid || rule->has_gid) && (!rule->has_uid || rule->uid == peer->uid) &&
           (!rule->has_gid || peer_has_group(peer, fd, rule->gid, groups));
}

static bool peer_fits_any(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules,
                          struct peer_groups *groups)
{
    for (size_t i = 0; i < n_rules; i++)
        if (peer_fits_rule(peer, fd, &rules[i], groups))
            return true;
    return false;
}

static void peer_groups_init(struct peer_groups *groups)
{
    groups->unknown = false;
    groups->many = NULL;
    groups->n_ids = 0;
    groups->read = false;
}

bool peer_fits(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules, bool unknown_fits,
               struct peer_groups **groups)
{
    if (!peer->is_unix || n_rules == 0)
        return false;
    if (peer->uid == (uid_t)-1)
        return unknown_fits;
    if (!*groups) {
        *groups = malloc(sizeof(**groups));
        if (!*groups)
            return unknown_fits;
        peer_groups_init(*groups);
    }
    (*groups)->unknown_fits = unknown_fits;
    return peer_fits_any(peer, fd, rules, n_rules, *groups);
}

static bool peer_fits_once(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules,
                           bool unknown_fits)
{
    struct peer_groups groups, *once = &groups;
    bool fits;

    peer_groups_init(&groups);
    fits = peer_fits(peer, fd, rules, n_rules, unknown_fits, &once);
    free(groups.many);
    return fits;
}

void peer_groups_free(struct peer_groups *groups)
{
    if (groups)
        free(groups->many);
    free(groups);
}

bool peer_is_allowed(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules)
{
    return n_rules == 0 || peer_fits_once(peer, fd, rules, n_rules, false);
}

bool peer_is_denied(const struct peer *peer, int fd, const struct peer_rule *rules, size_t n_rules)
{
    return peer_fits_once(peer, fd, rules, n_rules, true);
}

size_t peer_format(const struct peer *peer, char *out, size_t size)
{
    int length;

    if (size == 0)
        return 0;
    if (peer->is_unix)
        length = snprintf(out, size, "unix:uid=%u,gid=%u", peer->uid, peer->gid);
    else
        length = snprintf(out, size, strchr(peer->address, ':') ? "[%s]:%u" : "%s:%u", peer->address, peer->port);
    if (length < 0) {
        *out = '\0';
        return 0;
    }
    return (size_t)length < size ? (size_t)length : size - 1;
}

size_t peer_format_rule(const struct peer_rule *rule, char out[PEER_RULE_BYTES])
{
    int n;

    if (rule->has_uid && rule->has_gid)
        n = snprintf(out, PEER_RULE_BYTES, "uid %u and gid %u", rule->uid, rule->gid);
    else
        n = snprintf(out, PEER_RULE_BYTES, "%s %u", rule->has_uid ? "uid" : "gid",
                     rule->has_uid ? rule->uid : rule->gid);
    return (size_t)n;
}
