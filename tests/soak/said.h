/* What the soak's clients and targets have agreed on: the words of a request's path, the bytes of a body, and how both
 * are read. Every exchange has a number, and every byte of its bodies comes of that number: an answer that was meant
 * for somebody else, and a block that was lost, doubled or moved, is seen at once.
 *
 * A path says what its target is to do:
 *   /TARGET/NUMBER/FRAMING/DOWN/UP/CUT/EARLY/FLAGS
 * All but FRAMING are decimal. See struct said. */
#ifndef PORTHOLE_SOAK_SAID_H
#define PORTHOLE_SOAK_SAID_H

#include <errno.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <sys/un.h>

#define SAID_INTERIM 1    /* a 103 comes before the answer */
#define SAID_SLOW 2       /* in pieces, with pauses */
#define SAID_CLOSE 4      /* the target's connection ends with the answer, as it says */
#define SAID_LEAVE 8      /* after an early answer the target does not read on */
#define SAID_ABANDONED 16 /* the client leaves before its request has ended: a target must never see the end */
#define SAID_TUNNEL 32    /* an upgrade: bytes come back as they are */

#define SAID_HEAD_MAX 16384u
#define SAID_BUFFER 65536u
#define SAID_TABLE 1048573u /* a prime, so that no block divides it */
#define SAID_STALL_S 60     /* without a byte for so long: lost */

enum said_framing { SAID_SIZED = 's', SAID_CHUNKED = 'c', SAID_UNTIL_END = 'e' };

struct said {
    unsigned target;
    uint64_t number;
    char framing;      /* of the answer */
    uint64_t down, up; /* bytes of body */
    uint64_t cut;      /* the target's bytes end before this one, counted from 1; 0: all of them come */
    uint64_t early;    /* the answer comes after so many bytes of the body, counted from 1; 0: after all of them */
    unsigned flags;
};

static unsigned char said_table[SAID_TABLE];

/* splitmix64: a good number of each number. */
static inline uint64_t said_mix(uint64_t x)
{
    x += 0x9E3779B97F4A7C15u;
    x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9u;
    x = (x ^ (x >> 27)) * 0x94D049BB133111EBu;
    return x ^ (x >> 31);
}

static inline uint64_t said_random(uint64_t *state)
{
    return said_mix(++*state);
}

/* One of 0 to n - 1. */
static inline uint64_t said_below(uint64_t *state, uint64_t n)
{
    return said_random(state) % n;
}

static inline void said_init(void)
{
    uint64_t state = 1;
    for (size_t i = 0; i < SAID_TABLE; i++)
        said_table[i] = (unsigned char)said_random(&state);
}

/* The bytes of a body from `at` on; `*n` is cut down to those that lie together. `body` is the exchange's number, or
 * for what goes up its complement. */
static inline const unsigned char *said_bytes(uint64_t body, uint64_t at, size_t *n)
{
    size_t begin = (size_t)((said_mix(body) + at) % SAID_TABLE);
    if (*n > SAID_TABLE - begin)
        *n = SAID_TABLE - begin;
    return said_table + begin;
}

static inline bool said_is(uint64_t body, uint64_t at, const char *data, size_t n)
{
    while (n > 0) {
        size_t m = n;
        const unsigned char *bytes = said_bytes(body, at, &m);
        if (memcmp(data, bytes, m) != 0)
            return false;
        data += m;
        at += m;
        n -= m;
    }
    return true;
}

static inline char *said_copy(char *out, uint64_t body, uint64_t at, size_t n)
{
    while (n > 0) {
        size_t m = n;
        const unsigned char *bytes = said_bytes(body, at, &m);
        memcpy(out, bytes, m);
        out += m;
        at += m;
        n -= m;
    }
    return out;
}

/* The most that said_encode writes for so many bytes. */
static inline size_t said_room(uint64_t n)
{
    return (size_t)(n * 7 + 64 < n + 262144 ? n * 7 + 64 : n + 262144);
}

/* A body as it goes over the wire; chunks have sizes of all kinds, by the number, but never too many of them. Returns
 * where it ends. */
static inline char *said_encode(char *out, char framing, uint64_t body, uint64_t n)
{
    if (framing != SAID_CHUNKED)
        return said_copy(out, body, 0, (size_t)n);
    uint64_t state = body, at = 0, least = n / 8192 + 1;
    while (at < n) {
        uint64_t size = least + said_below(&state, (uint64_t)1 << said_below(&state, 16));
        if (size > n - at)
            size = n - at;
        out += sprintf(out, "%" PRIx64 "\r\n", size);
        out = said_copy(out, body, at, (size_t)size);
        at += size;
        *out++ = '\r';
        *out++ = '\n';
    }
    memcpy(out, "0\r\n\r\n", 5);
    return out + 5;
}

/* "unix:/path" or "tcp:127.0.0.1:PORT"; returns the length, 0 when it is neither. */
static inline socklen_t said_address(const char *text, struct sockaddr_storage *address)
{
    memset(address, 0, sizeof(*address));
    if (strncmp(text, "unix:", 5) == 0) {
        struct sockaddr_un *un = (struct sockaddr_un *)address;
        un->sun_family = AF_UNIX;
        if (strlen(text + 5) >= sizeof(un->sun_path))
            return 0;
        strcpy(un->sun_path, text + 5);
        return sizeof(*un);
    }
    struct sockaddr_in *in = (struct sockaddr_in *)address;
    if (strncmp(text, "tcp:127.0.0.1:", 14) != 0)
        return 0;
    in->sin_family = AF_INET;
    in->sin_port = htons((uint16_t)atoi(text + 14));
    in->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return sizeof(*in);
}

#endif
