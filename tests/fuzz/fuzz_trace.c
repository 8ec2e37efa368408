/* What is read of a traceparent is one that everybody reads, says the same of the trace, and reads as itself. */
#include <assert.h>
#include <stdint.h>

#include "proxy/http/trace.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char out[TRACE_BYTES], again[TRACE_BYTES];

    if (!trace_read((struct text){(const char *)bytes, size}, out))
        return 0;
    assert(size >= TRACE_BYTES && memcmp(out, "00-", 3) == 0);
    assert(memcmp(out + 2, bytes + 2, TRACE_BYTES - 4) == 0);
    assert(trace_read((struct text){out, TRACE_BYTES}, again) && memcmp(out, again, TRACE_BYTES) == 0);
    trace_set_span(out, size);
    assert(trace_read((struct text){out, TRACE_BYTES}, again) && memcmp(out, again, TRACE_BYTES) == 0);
    return 0;
}
