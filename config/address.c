#include "config/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "proxy/base/words.h"

/* sockaddr_un without the leading NUL of an abstract name. */
#define ADDRESS_ABSTRACT_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define ADDRESS_HOST_MAX 253

/* The ways an address can begin. */
struct address_scheme {
    const char *prefix;
    enum address_kind kind; /* of the binding or reaching scheme; unix: is told apart later */
    uint16_t port;          /* when none is given; 0: one must be given */
    bool to_bind, to_reach;
};

static const struct address_scheme address_schemes[] = {
    {"unix:", ADDRESS_UNIX, 0, true, true},
    {"tcp:", ADDRESS_TCP, 0, true, true},
    {"http://", ADDRESS_HTTP, 80, false, true},
    {"https://", ADDRESS_HTTPS, 443, false, true},
};

static int address_refuse(struct error *error, const char *message)
{
    error_set(error, -EINVAL, "%s", message);
    return 1;
}

static int address_check_component(const char *component, size_t length, struct error *error)
{
    if (length <= NAME_MAX)
        return 0;
    error_set(error, -EINVAL, "the path component \"%s\" has %zu bytes; the system allows %d", WORDS_SHOW(component),
              length, NAME_MAX);
    return 1;
}

/* Longer than sockaddr_un is fine: sockets are bound and reached through their directory's descriptor. */
static int address_check_path(const char *path, struct error *error)
{
    const char *last = strrchr(path, '/');

    if (path[0] == '\0')
        return address_refuse(error, "\"unix:\" is followed by nothing; write unix:/absolute/path or unix:@name");
    if (path[0] != '/')
        return address_refuse(error, "the path is relative; write unix:/absolute/path");
    if (path[1] == '/')
        return address_refuse(error, "write unix:/absolute/path, with one slash");
    if (strlen(path) >= PATH_MAX) {
        error_set(error, -EINVAL, "the path has %zu bytes; the system allows %d", strlen(path), PATH_MAX - 1);
        return 1;
    }
    for (const char *at = path; *at;) {
        size_t length = strcspn(++at, "/");
        if (address_check_component(at, length, error))
            return 1;
        at += length;
    }
    if (last[1] == '\0' || strcmp(last, "/.") == 0 || strcmp(last, "/..") == 0)
        return address_refuse(error, "the path names a directory; a socket's name is expected at its end");
    return 0;
}

static int address_parse_unix(const char *rest, struct address *address, struct error *error)
{
    if (rest[0] != '@') {
        if (address_check_path(rest, error))
            return 1;
        address->name = strdup(rest);
        return address->name ? 0 : -ENOMEM;
    }
    rest++;
    if (rest[0] == '\0')
        return address_refuse(error, "the abstract name is empty; write unix:@name");
    if (strlen(rest) > ADDRESS_ABSTRACT_MAX) {
        error_set(error, -EINVAL, "the abstract name has %zu bytes; the system allows %zu", strlen(rest),
                  ADDRESS_ABSTRACT_MAX);
        return 1;
    }
    address->kind = ADDRESS_ABSTRACT;
    address->name = strdup(rest);
    return address->name ? 0 : -ENOMEM;
}

/* Digits only, 1 to 65535: what strtoul would also take is not a port. */
static bool address_parse_port(const char *text, uint16_t *ret_port)
{
    size_t length = strspn(text, "0123456789");
    bool is_number = length > 0 && length <= 5 && text[length] == '\0' && text[0] != '0';
    unsigned long port = is_number ? strtoul(text, NULL, 10) : 0;

    if (port < 1 || port > UINT16_MAX)
        return false;
    *ret_port = (uint16_t)port;
    return true;
}

bool address_is_host_name(const char *host)
{
    size_t length = strlen(host);

    return length > 0 && length <= ADDRESS_HOST_MAX &&
           strspn(host, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_") == length;
}

static int address_check_host(const char *host, bool bracketed, enum address_use use, struct error *error)
{
    struct in6_addr ignored;
    size_t length = strlen(host);

    if (bracketed) {
        if (inet_pton(AF_INET6, host, &ignored) == 1)
            return 0;
        error_set(error, -EINVAL, "\"[%s]\" is not an IPv6 address", WORDS_SHOW(host));
        return 1;
    }
    if (length == 0)
        return address_refuse(error, use == ADDRESS_TO_BIND
                                         ? "the host is empty (to listen everywhere write 0.0.0.0 or [::])"
                                         : "the host is empty");
    if (strchr(host, ':'))
        return address_refuse(error, "an IPv6 address is written in brackets: [::1]");
    if (!address_is_host_name(host) ||
        (strspn(host, "0123456789.") == length && inet_pton(AF_INET, host, &ignored) != 1)) {
        error_set(error, -EINVAL, "\"%s\" is not a host name or an IPv4 address", WORDS_SHOW(host));
        return 1;
    }
    return 0;
}

/* HOST:PORT, [IPv6]:PORT; without the port where the scheme has one. Takes `rest` apart in place. */
static int address_parse_host(char *rest, enum address_use use, struct address *address, struct error *error)
{
    bool bracketed = rest[0] == '[';
    char *host = rest + bracketed;
    char *port = NULL;

    if (rest[strcspn(rest, "/?#@")] != '\0')
        return address_refuse(error, "expected a host and a port, without user, path or query");
    if (bracketed) {
        char *end = strchr(host, ']');
        if (!end || (end[1] != ':' && end[1] != '\0'))
            return address_refuse(error, "an IPv6 address is written in brackets: [::1]");
        port = end[1] == ':' ? end + 2 : NULL;
        *end = '\0';
    } else {
        port = strrchr(host, ':');
        if (port)
            *port++ = '\0';
    }
    if (address_check_host(host, bracketed, use, error))
        return 1;
    if (!port && address->port == 0)
        return address_refuse(error, "the port is missing; write tcp:HOST:PORT");
    if (port && !address_parse_port(port, &address->port)) {
        error_set(error, -EINVAL, "\"%s\" is not a port; expected 1 to 65535", WORDS_SHOW(port));
        return 1;
    }
    address->name = strdup(host);
    return address->name ? 0 : -ENOMEM;
}

/* Says what was expected in place of an address that begins with no scheme that may stand here. */
static int address_refuse_scheme(const char *text, enum address_use use, struct error *error)
{
    if (strncmp(text, "fd:", 3) == 0)
        return address_refuse(error, "fd:NAME is not supported by this version");
    if (text[0] == '/' || text[0] == '@') {
        error_set(error, -EINVAL, "write unix:%s", WORDS_SHOW(text));
        return 1;
    }
    if (use == ADDRESS_TO_BIND)
        return address_refuse(error, "expected unix:/PATH, unix:@NAME or tcp:HOST:PORT");
    return address_refuse(error, "expected unix:/PATH, unix:@NAME, http://HOST[:PORT], https://HOST[:PORT] or, for a "
                                 "stream, tcp:HOST:PORT");
}

static const struct address_scheme *address_find_scheme(const char *text, enum address_use use)
{
    for (size_t i = 0; i < ARRAY_LENGTH(address_schemes); i++) {
        const struct address_scheme *scheme = &address_schemes[i];
        if ((use == ADDRESS_TO_BIND ? scheme->to_bind : scheme->to_reach) &&
            strncmp(text, scheme->prefix, strlen(scheme->prefix)) == 0)
            return scheme;
    }
    return NULL;
}

int address_parse(const char *text, enum address_use use, struct address *ret_address, struct error *error)
{
    const struct address_scheme *scheme = address_find_scheme(text, use);
    struct address address = {0};
    char *rest;
    int r;

    if (!scheme)
        return address_refuse_scheme(text, use, error);
    address.kind = scheme->kind;
    address.port = scheme->port;
    address.text = strdup(text);
    rest = strdup(text + strlen(scheme->prefix));
    if (!address.text || !rest)
        r = -ENOMEM;
    else if (scheme->kind == ADDRESS_UNIX)
        r = address_parse_unix(rest, &address, error);
    else
        r = address_parse_host(rest, use, &address, error);
    free(rest);
    if (r == 0)
        *ret_address = address;
    else
        address_deinit(&address);
    return r;
}

void address_deinit(struct address *address)
{
    free(address->text);
    free(address->name);
    *address = (struct address){0};
}

/* Leaves out repeated slashes and "." components; ".." stays, for what it means depends on symbolic links. */
static void address_simplify_path(char *path)
{
    const char *from = path;
    char *to = path;

    while (*from) {
        size_t length = strcspn(++from, "/");
        if (length > 0 && !(length == 1 && from[0] == '.')) {
            *to++ = '/';
            memmove(to, from, length);
            to += length;
        }
        from += length;
    }
    *to = '\0';
}

char *address_canonical(const struct address *address)
{
    char *text = NULL;

    if (address->kind == ADDRESS_UNIX) {
        text = strdup(address->name);
        if (text)
            address_simplify_path(text);
    } else if (address->kind == ADDRESS_ABSTRACT) {
        if (asprintf(&text, "@%s", address->name) < 0)
            return NULL;
    } else if (asprintf(&text, "[%s]:%u", address->name, address->port) < 0) {
        return NULL;
    }
    return text;
}

/* True when a socket bound to every address of a family takes connections to `host`. A socket on "::" takes those to
 * IPv4 addresses too, as long as nobody tells it otherwise. */
static bool address_any_takes(const char *bind, const char *host)
{
    bool ipv6 = strcmp(host, "::1") == 0 || strcmp(host, "::") == 0;
    bool ipv4 = strncmp(host, "127.", 4) == 0 || strcmp(host, "0.0.0.0") == 0;
    bool both = strcmp(host, "localhost") == 0;

    if (strcmp(bind, "0.0.0.0") == 0)
        return ipv4 || both;
    return strcmp(bind, "::") == 0 && (ipv4 || ipv6 || both);
}

bool address_reaches(const struct address *endpoint, const struct address *bind)
{
    bool is_host = !address_is_unix(endpoint->kind);
    char *a, *b;
    bool same;

    if (!endpoint->name || !bind->name)
        return false;
    if (is_host != (bind->kind == ADDRESS_TCP))
        return false;
    if (is_host && endpoint->port == bind->port && address_any_takes(bind->name, endpoint->name))
        return true;
    a = address_canonical(endpoint);
    b = address_canonical(bind);
    same = a && b && strcmp(a, b) == 0;
    free(a);
    free(b);
    return same;
}
