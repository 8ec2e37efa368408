/* Where keys have a meaning: what else their section must be. */
#include "config/keys_scope.h"

#include "config/snapshot.h"

static bool keys_scope_file_holds(const void *section)
{
    const struct listener_config *listener = section;

    return !listener->bind.text || listener->bind.kind == ADDRESS_UNIX;
}

static bool keys_scope_peers_holds(const void *section)
{
    const struct listener_config *listener = section;

    return !listener->bind.text || listener->bind.kind != ADDRESS_TCP;
}

static bool keys_scope_made_holds(const void *section)
{
    const struct listener_config *listener = section;

    return !listener->bind.text || listener->bind.kind != ADDRESS_FD;
}

static bool keys_scope_http_holds(const void *section)
{
    const struct listener_config *listener = section;

    return !listener->stream || listener->routes;
}

static bool keys_scope_tls_holds(const void *section)
{
    const struct target_config *target = section;

    for (size_t i = 0; i < target->n_endpoints; i++) {
        const struct address *address = &target->endpoints[i].address;

        if (!address->text || address->kind == ADDRESS_HTTPS)
            return true;
    }
    return target->n_endpoints == 0;
}

static bool keys_scope_forwards_holds(const void *section)
{
    const struct route_config *route = section;

    return route->action == ROUTE_TARGET || route->target;
}

static bool keys_scope_responds_holds(const void *section)
{
    const struct route_config *route = section;

    return route->action == ROUTE_RESPOND;
}

static bool keys_scope_denies_holds(const void *section)
{
    const struct route_config *route = section;

    return route->action == ROUTE_DENY;
}

static bool keys_scope_redirects_holds(const void *section)
{
    const struct route_config *route = section;

    return route->action == ROUTE_REDIRECT;
}

static bool keys_scope_no_file_holds(const void *section)
{
    const struct route_config *route = section;

    return !route->respond.file;
}

const struct key_scope keys_scope_file = {keys_scope_file_holds, "is for unix:/PATH listeners; this one is not a file"};
const struct key_scope keys_scope_peers = {keys_scope_peers_holds, "is for Unix sockets; a TCP peer has no uid or gid"};
const struct key_scope keys_scope_made = {keys_scope_made_holds,
                                          "is for sockets that porthole opens; this one is opened already"};
const struct key_scope keys_scope_http = {keys_scope_http_holds, "is for HTTP; a stream has no requests"};
const struct key_scope keys_scope_http_time = {
    keys_scope_http_holds, "is for HTTP; a stream has \"timeouts\": {\"tunnel\": ...} on its target"};
const struct key_scope keys_scope_tls = {keys_scope_tls_holds, "needs an https:// endpoint"};
const struct key_scope keys_scope_forwards = {keys_scope_forwards_holds,
                                              "is for routes with \"target\"; this one answers by itself"};
/* Not so only where the other is there as well, and was read later. */
const struct key_scope keys_scope_responds = {keys_scope_responds_holds,
                                              "cannot stand beside \"deny\" or \"redirect\""};
const struct key_scope keys_scope_denies = {keys_scope_denies_holds, "cannot stand beside \"respond\" or \"redirect\""};
const struct key_scope keys_scope_redirects = {keys_scope_redirects_holds,
                                               "cannot stand beside \"respond\" or \"deny\""};
const struct key_scope keys_scope_no_file = {keys_scope_no_file_holds,
                                             "cannot stand beside \"file\": a response has one body"};
