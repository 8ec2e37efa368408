#include "proxy/reach/addresses.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

/* "[", an address of IPv6, "]," */
#define ONE_ADDRESS_BYTES (INET6_ADDRSTRLEN + 3)

static bool address_is(const union address_of *address, const struct sockaddr *other)
{
    union address_of same = {.any.sa_family = AF_UNSPEC};

    if (address->any.sa_family != other->sa_family)
        return false;
    if (other->sa_family == AF_INET) {
        memcpy(&same.four, other, sizeof(same.four));
        return same.four.sin_addr.s_addr == address->four.sin_addr.s_addr;
    }
    memcpy(&same.six, other, sizeof(same.six));
    return memcmp(&same.six.sin6_addr, &address->six.sin6_addr, sizeof(same.six.sin6_addr)) == 0;
}

const union address_of *addresses_find(const struct addresses *addresses, const struct sockaddr *address)
{
    for (size_t i = 0; i < addresses->n; i++)
        if (address_is(&addresses->list[i], address))
            return &addresses->list[i];
    return NULL;
}

/* One entry, unless it is of another family, or one of the list already. */
static void addresses_add(struct addresses *addresses, const struct addrinfo *found)
{
    union address_of *next = &addresses->list[addresses->n];

    if ((found->ai_family != AF_INET && found->ai_family != AF_INET6) || found->ai_addrlen > sizeof(*next) ||
        addresses_find(addresses, found->ai_addr))
        return;
    memset(next, 0, sizeof(*next));
    memcpy(next, found->ai_addr, found->ai_addrlen);
    addresses->n++;
}

struct addresses *addresses_new(const struct addrinfo *found)
{
    struct addresses *addresses;
    size_t n = 0;

    for (const struct addrinfo *one = found; one; one = one->ai_next)
        n++;
    n = n < ADDRESSES_MOST ? n : ADDRESSES_MOST;
    addresses = malloc(sizeof(*addresses) + n * sizeof(addresses->list[0]));
    if (!addresses)
        return NULL;
    atomic_init(&addresses->references, 1);
    addresses->n = 0;
    for (const struct addrinfo *one = found; one && addresses->n < n; one = one->ai_next)
        addresses_add(addresses, one);
    if (addresses->n > 0)
        return addresses;
    free(addresses);
    errno = 0;
    return NULL;
}

struct addresses *addresses_ref(struct addresses *addresses)
{
    if (addresses)
        atomic_fetch_add_explicit(&addresses->references, 1, memory_order_relaxed);
    return addresses;
}

struct addresses *addresses_unref(struct addresses *addresses)
{
    if (addresses && atomic_fetch_sub_explicit(&addresses->references, 1, memory_order_acq_rel) == 1)
        free(addresses);
    return NULL;
}

bool addresses_equal(const struct addresses *a, const struct addresses *b)
{
    if (a == b)
        return true;
    if (a->n != b->n)
        return false;
    for (size_t i = 0; i < a->n; i++)
        if (!addresses_find(b, &a->list[i].any))
            return false;
    return true;
}

char *addresses_for_libcurl(const struct addresses *addresses, const char *host, uint16_t port)
{
    size_t size = strlen(host) + sizeof(":65535:") + addresses->n * ONE_ADDRESS_BYTES, used;
    char *text = malloc(size), one[INET6_ADDRSTRLEN];

    if (!text)
        return NULL;
    used = (size_t)snprintf(text, size, "%s:%u:", host, (unsigned)port);
    for (size_t i = 0; i < addresses->n; i++) {
        const union address_of *address = &addresses->list[i];
        bool is_six = address->any.sa_family == AF_INET6;

        inet_ntop(address->any.sa_family,
                  is_six ? (const void *)&address->six.sin6_addr : (const void *)&address->four.sin_addr, one,
                  sizeof(one));
        used += (size_t)snprintf(text + used, size - used, is_six ? "%s[%s]" : "%s%s", i ? "," : "", one);
    }
    return text;
}

bool addresses_are_asked_for(const char *host)
{
    static const char here[] = "localhost";
    struct in_addr four;
    size_t length = strlen(host);

    /* inet_aton takes what libcurl and getaddrinfo take for an address: "127.1", too. */
    if (strchr(host, ':') || inet_aton(host, &four))
        return false;
    if (length < sizeof(here) - 1 || strcasecmp(host + length - (sizeof(here) - 1), here) != 0)
        return true;
    return length >= sizeof(here) && host[length - sizeof(here)] != '.';
}

static int addresses_ask(const char *host, int flags, struct addrinfo **ret_found)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = flags};

    return getaddrinfo(host, NULL, &hints, ret_found);
}

int addresses_look_up(const char *host, struct addresses **ret_addresses)
{
    struct addrinfo *found = NULL;
    struct addresses *addresses;
    int code = addresses_ask(host, AI_ADDRCONFIG, &found);

    /* A machine without IPv6 asks for no such addresses, which saves it from name servers that never answer that. But
     * its /etc/hosts may name ::1. */
    if (code == EAI_NONAME || code == EAI_NODATA || code == EAI_ADDRFAMILY)
        code = addresses_ask(host, 0, &found);
    if (code != 0)
        return code;
    addresses = addresses_new(found);
    freeaddrinfo(found);
    if (!addresses)
        return errno ? EAI_MEMORY : EAI_NONAME;
    *ret_addresses = addresses;
    return 0;
}
