#include "proxy/base/sha256.h"

#include <endian.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define SHA256_BLOCK_BYTES 64

/* The first 32 bits of the fractional parts of the cube roots of the first 64 primes (FIPS 180-4 4.2.2). */
static const uint32_t sha256_constants[64] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2,
};

static uint32_t sha256_rotate(uint32_t x, unsigned n)
{
    return x >> n | x << (32 - n);
}

/* FIPS 180-4 6.2.2 step 1. */
static void sha256_schedule(const unsigned char *block, uint32_t words[64])
{
    memcpy(words, block, SHA256_BLOCK_BYTES);
    for (size_t t = 0; t < 16; t++)
        words[t] = be32toh(words[t]);
    for (size_t t = 16; t < 64; t++) {
        uint32_t a = words[t - 15], b = words[t - 2];
        words[t] = words[t - 16] + (sha256_rotate(a, 7) ^ sha256_rotate(a, 18) ^ a >> 3) + words[t - 7] +
                   (sha256_rotate(b, 17) ^ sha256_rotate(b, 19) ^ b >> 10);
    }
}

/* Steps 2 to 4; v is a to h. */
static void sha256_block(uint32_t hash[8], const unsigned char *block)
{
    uint32_t words[64], v[8];

    sha256_schedule(block, words);
    memcpy(v, hash, sizeof(v));
    for (size_t t = 0; t < 64; t++) {
        uint32_t s1 = sha256_rotate(v[4], 6) ^ sha256_rotate(v[4], 11) ^ sha256_rotate(v[4], 25);
        uint32_t s0 = sha256_rotate(v[0], 2) ^ sha256_rotate(v[0], 13) ^ sha256_rotate(v[0], 22);
        uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + sha256_constants[t] + words[t];
        uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
        memmove(v + 1, v, 7 * sizeof(*v));
        v[4] += t1;
        v[0] = t1 + t2;
    }
    for (size_t i = 0; i < 8; i++)
        hash[i] += v[i];
}

/* The last bytes, a one bit, and the length in bits at the end of a block (FIPS 180-4 5.1.1). */
static void sha256_finish(uint32_t hash[8], const unsigned char *rest, size_t n_rest, uint64_t length)
{
    unsigned char blocks[2 * SHA256_BLOCK_BYTES] = {0};
    size_t n = n_rest < SHA256_BLOCK_BYTES - sizeof(length) ? SHA256_BLOCK_BYTES : sizeof(blocks);
    uint64_t n_bits = htobe64(length * 8);

    memcpy(blocks, rest, n_rest);
    blocks[n_rest] = 0x80;
    memcpy(blocks + n - sizeof(n_bits), &n_bits, sizeof(n_bits));
    for (size_t at = 0; at < n; at += SHA256_BLOCK_BYTES)
        sha256_block(hash, blocks + at);
}

void sha256_hex(const void *data, size_t length, char out[SHA256_HEX_BYTES])
{
    uint32_t hash[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a, 0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    const unsigned char *bytes = data;
    size_t whole = length - length % SHA256_BLOCK_BYTES;

    for (size_t at = 0; at < whole; at += SHA256_BLOCK_BYTES)
        sha256_block(hash, bytes + at);
    sha256_finish(hash, bytes + whole, length - whole, length);
    for (size_t i = 0; i < 8; i++)
        snprintf(out + 8 * i, 9, "%08x", hash[i]);
}
