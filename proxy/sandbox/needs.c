#include "proxy/sandbox/needs.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/reach/trust.h"

#define DNS_PORT 53 /* over TCP, for answers that do not fit (RFC 7766) */

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define NEEDS_OF_SANITIZER
#endif

/* One list under way. */
struct needs_list {
    struct needs *needs;
    bool failed; /* out of memory */
};

static void needs_add(struct needs_list *list, const struct needs_place *place)
{
    struct needs *needs = list->needs;
    struct needs_place *places;

    if (!place->path || list->failed)
        return;
    places = realloc(needs->places, (needs->n_places + 1) * sizeof(*places));
    if (!places) {
        list->failed = true;
        return;
    }
    places[needs->n_places++] = *place;
    needs->places = places;
}

static void needs_add_path(struct needs_list *list, enum needs_kind kind, const char *path, const char *what)
{
    const struct needs_place place = {.kind = kind, .path = path, .what = what};

    needs_add(list, &place);
}

static void needs_add_port(struct needs_list *list, uint16_t port, uint16_t **ports, size_t *n_ports)
{
    uint16_t *more;

    for (size_t i = 0; i < *n_ports; i++)
        if ((*ports)[i] == port)
            return;
    more = realloc(*ports, (*n_ports + 1) * sizeof(*more));
    if (!more) {
        list->failed = true;
        return;
    }
    more[(*n_ports)++] = port;
    *ports = more;
}

/* ---- hosts ---- */

static bool needs_is_name(const char *host)
{
    unsigned char address[sizeof(struct in6_addr)];

    return host && *host && inet_pton(AF_INET, host, address) != 1 && inet_pton(AF_INET6, host, address) != 1;
}

/* What getaddrinfo(3) and those who read /etc/passwd look into. Where these files are mounted by themselves, as in
 * containers, they are all that is opened; otherwise others take their place by a rename, which only a look into their
 * directory survives. */
static void needs_add_names(struct needs_list *list)
{
    static const char *const files[] = {"/etc/resolv.conf", "/etc/hosts",     "/etc/nsswitch.conf",
                                        "/etc/gai.conf",    "/etc/host.conf", "/etc/services"};

    for (size_t i = 0; i < ARRAY_LENGTH(files); i++)
        needs_add_path(list, NEEDS_FILE, files[i], "name service");
    needs_add_port(list, DNS_PORT, &list->needs->connect, &list->needs->n_connect);
}

/* ---- targets ---- */

/* What Debian and others have; absent ones do no harm. */
static void needs_add_system_authorities(struct needs_list *list)
{
    static const char *const trees[] = {"/etc/ssl/certs", "/usr/share/ca-certificates",
                                        "/usr/local/share/ca-certificates", "/etc/pki/tls/certs",
                                        "/etc/pki/ca-trust/extracted"};

    for (size_t i = 0; i < ARRAY_LENGTH(trees); i++)
        needs_add_path(list, NEEDS_TREE, trees[i], "certificates of authorities");
}

static void needs_add_tls(struct needs_list *list, const struct tls_config *tls)
{
    needs_add_path(list, NEEDS_FILE, trust_ca_file(tls), "certificates of authorities");
    needs_add_path(list, NEEDS_TREE, trust_ca_directory(tls), "certificates of authorities");
    needs_add_path(list, NEEDS_FILE, tls->cert, "a certificate");
    needs_add_path(list, NEEDS_FILE, tls->key, "a key");
    if (!tls->ca)
        needs_add_system_authorities(list);
}

static void needs_add_endpoint(struct needs_list *list, const struct target_config *target,
                               const struct address *address)
{
    switch (address->kind) {
    case ADDRESS_UNIX:
        needs_add_path(list, NEEDS_TARGET, address->name, "a target");
        return;
    case ADDRESS_ABSTRACT:
        list->needs->abstract = true;
        return;
    case ADDRESS_FD: /* of no endpoint */
        return;
    case ADDRESS_HTTPS:
        needs_add_tls(list, &target->tls);
        break;
    case ADDRESS_HTTP:
    case ADDRESS_TCP:
        break;
    }
    list->needs->names = list->needs->names || needs_is_name(address->name);
    needs_add_port(list, address->port, &list->needs->connect, &list->needs->n_connect);
}

/* ---- listeners ---- */

static bool needs_has_pattern(const struct condition *conditions, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (conditions[i].kind == CONDITION_FITS)
            return true;
    return false;
}

static bool needs_matches_patterns(const struct route_config *route)
{
    if (route->path_regex || route->rewrite.regex || needs_has_pattern(route->headers, route->n_headers) ||
        needs_has_pattern(route->queries, route->n_queries))
        return true;
    for (size_t i = 0; i < route->body.n_rules; i++)
        if (route->body.rules[i].regex)
            return true;
    return false;
}

static void needs_add_route(struct needs_list *list, const struct route_config *route)
{
    list->needs->patterns = list->needs->patterns || needs_matches_patterns(route);
    needs_add_path(list, NEEDS_FILE, route->respond.file, "a response");
    needs_add_path(list, NEEDS_FILE, route->deny.file, "a response");
}

static void needs_add_listener(struct needs_list *list, const struct listener_config *listener)
{
    const struct needs_place socket = {.kind = NEEDS_PUBLISHED,
                                       .path = listener->bind.name,
                                       .with_directory = listener->has_directory_mode,
                                       .what = "the socket of a listener",
                                       .owner = listener->owner,
                                       .group = listener->group};

    if (listener->bind.kind == ADDRESS_UNIX)
        needs_add(list, &socket);
    if (listener->bind.kind == ADDRESS_TCP) {
        list->needs->names = list->needs->names || needs_is_name(listener->bind.name);
        needs_add_port(list, listener->bind.port, &list->needs->bind, &list->needs->n_bind);
    }
    for (size_t i = 0; i < listener->n_routes; i++)
        needs_add_route(list, &listener->routes[i]);
}

/* ---- all of it ---- */

static void needs_add_log(struct needs_list *list, const struct log_config *log)
{
    if (log->access && log->access_to && log->access_to[0] == '/')
        needs_add_path(list, NEEDS_LOG, log->access_to, "the access log");
}

/* A reload reads these again. */
static void needs_add_configuration(struct needs_list *list, const struct snapshot *snapshot)
{
    needs_add_path(list, NEEDS_FILE, snapshot->source, "the configuration");
    if (snapshot->has_user_names) {
        needs_add_path(list, NEEDS_FILE, "/etc/passwd", "names of users");
        needs_add_path(list, NEEDS_FILE, "/etc/group", "names of groups");
    }
    if (snapshot->has_auto_workers) {
        needs_add_path(list, NEEDS_ONE_FILE, "/proc/self/cgroup", "the quota of processors");
        needs_add_path(list, NEEDS_ONE_FILE, "/proc/self/mountinfo", "the quota of processors");
        needs_add_path(list, NEEDS_TREE, "/sys/fs/cgroup", "the quota of processors");
    }
}

/* What a build for tests reads and writes besides: a sanitizer looks at the process's memory and at the program,
 * coverage is kept where it was built. */
static void needs_add_build(struct needs_list *list)
{
#ifdef NEEDS_OF_SANITIZER
    needs_add_path(list, NEEDS_TREE, "/proc/self", "the sanitizer");
    needs_add_path(list, NEEDS_FILE, "/proc/self/exe", "the sanitizer");
#endif
#ifdef NEEDS_COVERAGE_DIRECTORY
    needs_add_path(list, NEEDS_DATA, NEEDS_COVERAGE_DIRECTORY, "coverage");
#endif
    (void)list;
}

int needs_init(struct needs *needs, const struct snapshot *snapshot)
{
    struct needs_list list = {.needs = needs};

    *needs = (struct needs){.abstract = false};
    needs_add_configuration(&list, snapshot);
    needs_add_log(&list, &snapshot->log);
    for (size_t i = 0; i < snapshot->n_secrets; i++)
        needs_add_path(&list, NEEDS_FILE, snapshot->secrets[i], "a file in a value");
    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++)
        needs_add_listener(&list, snapshot_socket(snapshot, i));
    for (size_t i = 0; i < snapshot->n_targets; i++)
        for (size_t j = 0; j < snapshot->targets[i].n_endpoints; j++)
            needs_add_endpoint(&list, &snapshot->targets[i], &snapshot->targets[i].endpoints[j].address);
    if (needs->names)
        needs_add_names(&list);
    needs_add_build(&list);
    if (!list.failed)
        return 0;
    needs_deinit(needs);
    return -ENOMEM;
}

void needs_deinit(struct needs *needs)
{
    free(needs->places);
    free(needs->connect);
    free(needs->bind);
    *needs = (struct needs){0};
}
