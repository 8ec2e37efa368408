#include "config/address.h"

#include <arpa/inet.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>

#include "proxy/base/real_path.h"
#include "proxy/base/words.h"

/* sockaddr_un without the leading NUL of an abstract name. */
#define ADDRESS_ABSTRACT_MAX (sizeof(((struct sockaddr_un *)0)->sun_path) - 1)
#define ADDRESS_HOST_MAX 253
#define ADDRESS_FD_MAX 255

/* The ways an address can begin. */
struct address_scheme {
    const char *prefix;
    enum address_kind kind; /* of the binding or reaching scheme; unix: is told apart later */
    uint16_t port;          /* when none is given; 0: one must be given */
    bool to_bind, to_reach;
};

static const struct address_scheme address_schemes[] = {
    {"unix:", ADDRESS_UNIX, 0, true, true},        {"tcp:", ADDRESS_TCP, 0, true, true},
    {"fd:", ADDRESS_FD, 0, true, false},           {"http://", ADDRESS_HTTP, 80, false, true},
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

static const char *address_why_relative(const char *path)
{
    if (path[0] == '~')
        return "\"~\" is the shell's; write unix:/absolute/path, or unix:${HOME}/path";
    if (path[0] == '$')
        return "the path is relative; variables of the environment are written ${NAME}, and the path must be absolute";
    return "the path is relative; write unix:/absolute/path";
}

/* Longer than sockaddr_un is fine: sockets are bound and reached through their directory's descriptor. */
static int address_check_path(const char *path, struct error *error)
{
    const char *last = strrchr(path, '/');

    if (path[0] == '\0')
        return address_refuse(error, "\"unix:\" is followed by nothing; write unix:/absolute/path or unix:@name");
    if (path[0] != '/')
        return address_refuse(error, address_why_relative(path));
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

/* What sd_listen_fds_with_names(3) gives names of. */
static int address_parse_fd(const char *rest, struct address *address, struct error *error)
{
    size_t length = strlen(rest);

    if (length == 0)
        return address_refuse(error, "the name is empty; write fd:NAME, as in FileDescriptorName= of a socket unit");
    if (length > ADDRESS_FD_MAX) {
        error_set(error, -EINVAL, "the name has %zu bytes; the service manager allows %d", length, ADDRESS_FD_MAX);
        return 1;
    }
    for (const char *at = rest; *at; at++)
        if (*at < ' ' || *at > '~' || *at == ':')
            return address_refuse(error, "the name of a descriptor has printable ASCII only, and no colon");
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

/* Whether each label is a number. inet_aton(3), and so whoever connects, takes hexadecimal, octal and short forms for
 * an address, too. */
static bool address_is_of_numbers(const char *host)
{
    for (;; host++) {
        bool hexadecimal = host[0] == '0' && (host[1] == 'x' || host[1] == 'X');

        host += hexadecimal ? 2 : 0;
        host += strspn(host, hexadecimal ? "0123456789ABCDEFabcdef" : "0123456789");
        if (*host != '.')
            return *host == '\0';
    }
}

/* What binds to an IPv6 address takes IPv6 only, and the kernel refuses to do that on one that stands for IPv4. */
static int address_check_ip6(const char *host, enum address_use use, struct error *error)
{
    char four[INET_ADDRSTRLEN];
    struct in6_addr ip;

    if (inet_pton(AF_INET6, host, &ip) != 1) {
        error_set(error, -EINVAL, "\"[%s]\" is not an IPv6 address", WORDS_SHOW(host));
        return 1;
    }
    if (use == ADDRESS_TO_REACH || !IN6_IS_ADDR_V4MAPPED(&ip))
        return 0;
    inet_ntop(AF_INET, &ip.s6_addr[12], four, sizeof(four));
    error_set(error, -EINVAL, "\"[%s]\" is an IPv4 address within IPv6; write %s", WORDS_SHOW(host), four);
    return 1;
}

static int address_check_host(const char *host, bool bracketed, enum address_use use, struct error *error)
{
    struct in_addr ignored;
    size_t length = strlen(host);

    if (bracketed)
        return address_check_ip6(host, use, error);
    if (length == 0)
        return address_refuse(error, use == ADDRESS_TO_BIND
                                         ? "the host is empty (to listen everywhere write 0.0.0.0 or [::])"
                                         : "the host is empty");
    if (strchr(host, ':'))
        return address_refuse(error, "an IPv6 address is written in brackets: [::1]");
    if (!address_is_host_name(host) || (address_is_of_numbers(host) && inet_pton(AF_INET, host, &ignored) != 1)) {
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
        return address_refuse(error, "fd:NAME is a socket that listens, and nothing can be reached by it");
    if (text[0] == '/' || text[0] == '@') {
        error_set(error, -EINVAL, "write unix:%s", WORDS_SHOW(text));
        return 1;
    }
    if (use == ADDRESS_TO_BIND)
        return address_refuse(error, "expected unix:/PATH, unix:@NAME, tcp:HOST:PORT or fd:NAME");
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
    else if (scheme->kind == ADDRESS_FD)
        r = address_parse_fd(rest, &address, error);
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

/* The host in one spelling: lower case, IPv6 as the library writes it, and IPv4 inside IPv6 as itself. */
static void address_simplify_host(const char *host, char out[ADDRESS_HOST_MAX + 1])
{
    struct in6_addr ip;
    size_t n = 0;

    if (inet_pton(AF_INET6, host, &ip) == 1) {
        if (IN6_IS_ADDR_V4MAPPED(&ip))
            inet_ntop(AF_INET, &ip.s6_addr[12], out, ADDRESS_HOST_MAX + 1);
        else
            inet_ntop(AF_INET6, &ip, out, ADDRESS_HOST_MAX + 1);
        return;
    }
    for (; n < ADDRESS_HOST_MAX && host[n]; n++)
        out[n] = (char)(host[n] >= 'A' && host[n] <= 'Z' ? host[n] | 0x20 : host[n]);
    out[n] = '\0';
}

static char *address_format_tcp(const char *host, uint16_t port)
{
    char *text = NULL;

    return asprintf(&text, "tcp:[%s]:%u", host, (unsigned)port) < 0 ? NULL : text;
}

char *address_canonical(const struct address *address)
{
    char host[ADDRESS_HOST_MAX + 1];
    char *real, *text = NULL;
    int r;

    switch (address->kind) {
    case ADDRESS_UNIX:
        real = real_path(address->name);
        r = real ? asprintf(&text, "unix:%s", real) : -1;
        free(real);
        return r < 0 ? NULL : text;
    case ADDRESS_ABSTRACT:
        return asprintf(&text, "unix:@%s", address->name) < 0 ? NULL : text;
    case ADDRESS_FD:
        return asprintf(&text, "fd:%s", address->name) < 0 ? NULL : text;
    default:
        address_simplify_host(address->name, host);
        return address_format_tcp(host, address->port);
    }
}

static bool address_is_ipv4_loopback(const char *host)
{
    return strncmp(host, "127.", 4) == 0 && inet_pton(AF_INET, host, &(struct in_addr){0}) == 1;
}

/* The name of the loopback device that all with the same addresses share; NULL: `host`, in one spelling, is no name of
 * it. Everything below localhost is (RFC 6761 6.3), and Debian has two names for ::1. */
static const char *address_loopback_name(const char *host)
{
    static const char here[] = "localhost", six[] = "ip6-localhost", other_six[] = "ip6-loopback";
    size_t length = strlen(host), n = sizeof(here) - 1;

    if (length > 0 && host[length - 1] == '.')
        length--;
    if ((length == sizeof(six) - 1 && memcmp(host, six, length) == 0) ||
        (length == sizeof(other_six) - 1 && memcmp(host, other_six, length) == 0))
        return six;
    if (length < n || memcmp(host + length - n, here, n) != 0 || (length > n && host[length - n - 1] != '.'))
        return NULL;
    return here;
}

bool address_is_loopback(const struct address *address)
{
    char host[ADDRESS_HOST_MAX + 1] = "";

    if (address->kind != ADDRESS_TCP)
        return false;
    address_simplify_host(address->name, host);
    return strcmp(host, "::1") == 0 || address_is_ipv4_loopback(host) || address_loopback_name(host);
}

/* Whose connections to `host` arrive at a socket bound to another host, and which one a listener on `host` may be bound
 * to. A socket on :: takes IPv6 only. */
static const struct {
    enum address_use use;
    const char *host, *taker;
} address_takings[] = {
    {ADDRESS_TO_BIND, "localhost", "127.0.0.1"},
    {ADDRESS_TO_BIND, "localhost", "::1"},
    {ADDRESS_TO_BIND, "ip6-localhost", "::1"},
    {ADDRESS_TO_REACH, "localhost", "127.0.0.1"},
    {ADDRESS_TO_REACH, "localhost", "::1"},
    {ADDRESS_TO_REACH, "localhost", "0.0.0.0"},
    {ADDRESS_TO_REACH, "localhost", "::"},
    {ADDRESS_TO_REACH, "ip6-localhost", "::1"},
    {ADDRESS_TO_REACH, "ip6-localhost", "::"},
    {ADDRESS_TO_REACH, "0.0.0.0", "127.0.0.1"},
    {ADDRESS_TO_REACH, "127.0.0.1", "0.0.0.0"},
    {ADDRESS_TO_REACH, "::", "::1"},
    {ADDRESS_TO_REACH, "::1", "::"},
};

/* Adds one unless memory has run out. */
static bool address_add_taker(char *taker, char *takers[ADDRESS_TAKERS_MAX], size_t *n)
{
    if (taker)
        takers[(*n)++] = taker;
    return taker;
}

/* Those that the table has, and what it cannot list: all of 127.0.0.0/8 is this machine. False: out of memory. */
static bool address_add_takers(const char *host, uint16_t port, enum address_use use, char *takers[ADDRESS_TAKERS_MAX],
                               size_t *n)
{
    bool fine = true;

    for (size_t i = 0; fine && i < ARRAY_LENGTH(address_takings); i++)
        if (address_takings[i].use == use && strcmp(host, address_takings[i].host) == 0)
            fine = address_add_taker(address_format_tcp(address_takings[i].taker, port), takers, n);
    if (fine && use == ADDRESS_TO_REACH && address_is_ipv4_loopback(host) && *n == 1)
        fine = address_add_taker(address_format_tcp("0.0.0.0", port), takers, n);
    return fine;
}

int address_takers(const struct address *address, enum address_use use, char *takers[ADDRESS_TAKERS_MAX], size_t *ret_n)
{
    char host[ADDRESS_HOST_MAX + 1] = "";
    const char *name;
    bool fine;
    size_t n = 0;

    fine = address_add_taker(address_canonical(address), takers, &n);
    if (fine && !address_is_unix(address->kind) && address->kind != ADDRESS_FD) {
        address_simplify_host(address->name, host);
        name = address_loopback_name(host);
        fine = address_add_takers(name ? name : host, address->port, use, takers, &n);
    }
    if (fine) {
        *ret_n = n;
        return 0;
    }
    address_free_takers(takers, n);
    return -ENOMEM;
}

void address_free_takers(char *takers[ADDRESS_TAKERS_MAX], size_t n)
{
    while (n > 0)
        free(takers[--n]);
}
