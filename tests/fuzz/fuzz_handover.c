/* A packet is a message exactly when it is written as one: what is read of our version is written the same again. */
#include <assert.h>
#include <stdint.h>
#include <string.h>

#include "proxy/listen/handover_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct text packet = {(const char *)bytes, size};
    struct handover_message message;
    char address[HANDOVER_ADDRESS_BYTES], again[HANDOVER_MESSAGE_BYTES];
    size_t n;

    if (handover_parse(packet, &message) < 0)
        return 0;
    assert(message.version >= 1 && message.version <= 999);
    assert((message.version == HANDOVER_VERSION) == (message.word != HANDOVER_OTHER));
    if (message.word == HANDOVER_OTHER)
        return 0;
    assert((message.word == HANDOVER_TAKE) == (message.address.length > 0));
    assert(message.address.length < sizeof(address));
    memcpy(address, message.address.data, message.address.length);
    address[message.address.length] = '\0';
    n = handover_format(message.word, address, again);
    assert(n == size && memcmp(again, bytes, n) == 0);
    return 0;
}
