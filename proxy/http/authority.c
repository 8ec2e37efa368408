#include "proxy/http/authority.h"

#include <arpa/inet.h>

#include "proxy/http/bytes.h"

#define AUTHORITY_MAX_PORT 65535

/* RFC 3986 3.2.2 reg-name (IPv4 addresses are among them), less what is no name of a host. An escape is a byte that
 * names cannot have (a NUL, a space, a delimiter) or a second spelling of one, which a route by host would not know. A
 * label is never empty but for the root's, behind the last dot. */
static bool authority_is_reg_name(struct text s)
{
    char before = '.';

    for (size_t i = 0; i < s.length; i++) {
        if (!byte_is(s.data[i], BYTE_REG_NAME) || (s.data[i] == '.' && before == '.'))
            return false;
        before = s.data[i];
    }
    return true;
}

/* RFC 3986 3.2.2 IPv6address. IPvFuture is refused: no such version exists. */
static bool authority_is_ipv6(struct text s)
{
    char terminated[INET6_ADDRSTRLEN];
    struct in6_addr address;

    if (s.length >= sizeof(terminated) || memchr(s.data, '\0', s.length))
        return false;
    memcpy(terminated, s.data, s.length);
    terminated[s.length] = '\0';
    return inet_pton(AF_INET6, terminated, &address) == 1;
}

/* ":" and a port that may be empty (RFC 3986 3.2.3), or nothing at all. */
static bool authority_is_port_suffix(struct text s)
{
    uint64_t port;

    if (s.length == 0)
        return true;
    if (s.data[0] != ':')
        return false;
    return s.length == 1 || (text_to_length(text_skip(s, 1), &port) && port <= AUTHORITY_MAX_PORT);
}

bool authority_is_valid(struct text s)
{
    const char *end;
    size_t n;

    if (s.length == 0)
        return false;
    if (s.data[0] == '[') {
        end = memchr(s.data, ']', s.length);
        if (!end)
            return false;
        n = (size_t)(end - s.data);
        return authority_is_ipv6((struct text){s.data + 1, n - 1}) && authority_is_port_suffix(text_skip(s, n + 1));
    }
    end = memchr(s.data, ':', s.length);
    n = end ? (size_t)(end - s.data) : s.length;
    return n > 0 && authority_is_reg_name((struct text){s.data, n}) && authority_is_port_suffix(text_skip(s, n));
}

/* The prefix is in lower case. Its first byte says no, as a rule. */
static bool text_begins(struct text s, struct text prefix)
{
    return s.length >= prefix.length && (s.data[0] | 0x20) == prefix.data[0] &&
           text_equal_nocase((struct text){s.data, prefix.length}, prefix);
}

static bool authority_has_escaped_slash(struct text s)
{
    for (size_t i = 0; i + 3 <= s.length; i++)
        if (s.data[i] == '%' && text_unescape(text_skip(s, i)) == '/')
            return true;
    return false;
}

/* "2f" and more digits, by pairs, and ":0". */
static bool authority_is_hex_path(struct text s)
{
    size_t n = 0;

    if (!text_begins(s, TEXT_LITERAL("2f")))
        return false;
    while (n < s.length && byte_hex(s.data[n]) >= 0)
        n++;
    return n % 2 == 0 && text_equal(text_skip(s, n), TEXT_LITERAL(":0"));
}

bool authority_names_socket(struct text s, bool is_valid)
{
    if (s.length == 0)
        return true;
    if (is_valid) /* nothing in it is a slash or escaped, and "unix:80" is a host with a port */
        return authority_is_hex_path(s);
    if (memchr(s.data, '/', s.length) || authority_has_escaped_slash(s)) /* "http://..." names a host, badly */
        return !text_begins(s, TEXT_LITERAL("http:")) && !text_begins(s, TEXT_LITERAL("https:"));
    return text_begins(s, TEXT_LITERAL("unix:"));
}
