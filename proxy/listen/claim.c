#include "proxy/listen/claim.h"

#include <inttypes.h>
#include <stdio.h>
#include <time.h>

#define CLAIM_SINCE_DIGITS 16
#define CLAIM_PLACE_DIGITS 8

/* FNV-1a: nobody chooses directories and names to make two of ours equal, for they are the configuration's. */
static uint32_t claim_hash(uint32_t hash, const void *bytes, size_t n)
{
    for (const unsigned char *at = bytes, *end = at + n; at < end; at++)
        hash = (hash ^ *at) * 16777619u;
    return hash;
}

uint32_t claim_place(ino_t directory, const char *name)
{
    return claim_hash(claim_hash(2166136261u, &directory, sizeof(directory)), name, strlen(name));
}

struct claim claim_lay(uint32_t place)
{
    struct timespec ts;

    clock_gettime(CLOCK_BOOTTIME, &ts);
    return (struct claim){.since = (uint64_t)ts.tv_sec * 1000000000u + (uint64_t)ts.tv_nsec, .place = place};
}

void claim_format(const struct claim *claim, char out[CLAIM_LENGTH + 1])
{
    snprintf(out, CLAIM_LENGTH + 1, "@%016" PRIx64 "%08" PRIx32, claim->since, claim->place);
}

/* Lower case only: what claim_format writes, and nothing else. */
static bool claim_parse_hex(const char *digits, size_t n, uint64_t *ret_value)
{
    uint64_t value = 0;

    for (size_t i = 0; i < n; i++) {
        char c = digits[i];

        if (c >= '0' && c <= '9')
            value = value << 4 | (uint64_t)(c - '0');
        else if (c >= 'a' && c <= 'f')
            value = value << 4 | (uint64_t)(c - 'a' + 10);
        else
            return false;
    }
    *ret_value = value;
    return true;
}

struct claim claim_parse(struct text name)
{
    const char *at;
    uint64_t since, place;

    if (name.length < CLAIM_LENGTH)
        return (struct claim){0};
    at = name.data + name.length - CLAIM_LENGTH;
    if (*at != '@' || !claim_parse_hex(at + 1, CLAIM_SINCE_DIGITS, &since) ||
        !claim_parse_hex(at + 1 + CLAIM_SINCE_DIGITS, CLAIM_PLACE_DIGITS, &place))
        return (struct claim){0};
    return (struct claim){.since = since, .place = (uint32_t)place};
}

bool claim_is_later(const struct claim *other, const struct claim *ours)
{
    return other->place == ours->place && other->since > ours->since;
}
