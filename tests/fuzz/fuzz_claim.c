/* A name says something exactly when it ends as a claim is written. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proxy/listen/claim.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct text name = {(const char *)bytes, size};
    struct claim claim = claim_parse(name);
    char again[CLAIM_LENGTH + 1];

    claim_format(&claim, again);
    assert(strlen(again) == CLAIM_LENGTH);
    if (claim.since != 0 || claim.place != 0)
        assert(size >= CLAIM_LENGTH && memcmp(name.data + size - CLAIM_LENGTH, again, CLAIM_LENGTH) == 0);
    return 0;
}
