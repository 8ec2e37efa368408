/* Digests of 64 bits: whether two things are the same, where nobody tries to make two others look so (FNV-1a). */
#ifndef PORTHOLE_DIGEST_H
#define PORTHOLE_DIGEST_H

#include <stddef.h>
#include <stdint.h>

#define DIGEST_SEED UINT64_C(14695981039346656037)

/* Goes on from `digest`, which is DIGEST_SEED at first. */
static inline uint64_t digest_bytes(uint64_t digest, const void *bytes, size_t n)
{
    for (const unsigned char *at = bytes, *end = at + n; at < end; at++)
        digest = (digest ^ *at) * UINT64_C(1099511628211);
    return digest;
}

#endif
