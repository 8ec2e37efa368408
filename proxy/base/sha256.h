/* SHA-256 (FIPS 180-4) of text in memory: which file is in effect. Our own, because the start of the static build must
 * not set up OpenSSL, which costs more than all the rest of it. Not for secrets. Pure. */
#ifndef PORTHOLE_BASE_SHA256_H
#define PORTHOLE_BASE_SHA256_H

#include <stddef.h>

/* 64 hexadecimal digits, terminated. */
#define SHA256_HEX_BYTES 65

/* `data` is never NULL. */
void sha256_hex(const void *data, size_t length, char out[SHA256_HEX_BYTES]);

#endif
