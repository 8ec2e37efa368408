/* The first byte says in which pieces the rest arrives; the result must be that of one piece. */
#include <assert.h>
#include <stdlib.h>

#include "proxy/http/body.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A decoded message. */
struct decoded {
    enum chunked_result result;
    char *body; /* owned; room for the whole input */
    size_t n_body, used;
};

static struct decoded decode(struct text in, size_t step)
{
    struct decoded decoded = {CHUNKED_MORE, malloc(in.length + 1), 0, 0};
    struct chunked chunked = {0};
    size_t arrived = 0;

    assert(decoded.body);
    while (decoded.result < CHUNKED_END && (decoded.used < arrived || arrived < in.length)) {
        struct text data;
        size_t used;

        if (decoded.used == arrived)
            arrived = in.length - arrived < step ? in.length : arrived + step;
        decoded.result =
            chunked_decode(&chunked, (struct text){in.data + decoded.used, arrived - decoded.used}, &used, &data);
        if (decoded.result == CHUNKED_BAD)
            break;
        decoded.used += used;
        assert(decoded.used <= arrived && (decoded.result != CHUNKED_MORE || decoded.used == arrived));
        if (decoded.result != CHUNKED_DATA)
            continue;
        assert(data.length > 0 && data.data + data.length == in.data + decoded.used);
        memcpy(decoded.body + decoded.n_body, data.data, data.length);
        decoded.n_body += data.length;
    }
    return decoded;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct text in;
    struct decoded whole, pieces;

    if (size < 2)
        return 0;
    in = (struct text){(const char *)bytes + 1, size - 1};
    whole = decode(in, in.length);
    pieces = decode(in, bytes[0] % 16u + 1);
    /* A piece that ends with a chunk's data leaves DATA last where one that goes on says MORE. */
    assert(whole.result == pieces.result || (whole.result <= CHUNKED_DATA && pieces.result <= CHUNKED_DATA));
    assert(whole.n_body == pieces.n_body && memcmp(whole.body, pieces.body, whole.n_body) == 0);
    assert(whole.result == CHUNKED_BAD || whole.used == pieces.used);
    free(whole.body);
    free(pieces.body);
    return 0;
}
