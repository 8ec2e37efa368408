/* The first byte says in which pieces the rest arrives; the result must be that of one piece. What is handed out as a
 * trailer section must be one. */
#include <assert.h>
#include <stdlib.h>

#include "proxy/http/body.h"
#include "proxy/http/trailers.h"

#define MAX_FIELDS 32

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* A decoded message. */
struct decoded {
    enum chunked_result result;
    char *body; /* owned; room for the whole input, like the next */
    char *trailers;
    size_t n_body, n_trailers, used;
};

static void decoded_keep(struct decoded *decoded, struct text data)
{
    if (decoded->result == CHUNKED_DATA) {
        memcpy(decoded->body + decoded->n_body, data.data, data.length);
        decoded->n_body += data.length;
    } else {
        memcpy(decoded->trailers + decoded->n_trailers, data.data, data.length);
        decoded->n_trailers += data.length;
    }
}

static struct decoded decode(struct text in, size_t step)
{
    struct decoded decoded = {CHUNKED_MORE, malloc(in.length + 1), malloc(in.length + 1), 0, 0, 0};
    struct chunked chunked = {0};
    size_t arrived = 0;

    assert(decoded.body && decoded.trailers);
    while (decoded.result < CHUNKED_END && (decoded.result != CHUNKED_MORE || arrived < in.length)) {
        struct text data;
        size_t used;

        if (decoded.result == CHUNKED_MORE)
            arrived = in.length - arrived < step ? in.length : arrived + step;
        decoded.result =
            chunked_decode(&chunked, (struct text){in.data + decoded.used, arrived - decoded.used}, &used, &data);
        if (decoded.result == CHUNKED_BAD)
            break;
        decoded.used += used;
        assert(decoded.used <= arrived && (decoded.result != CHUNKED_MORE || decoded.used == arrived));
        if (decoded.result != CHUNKED_DATA && decoded.result != CHUNKED_TRAILER)
            continue;
        assert(data.length > 0 && data.data + data.length == in.data + decoded.used);
        assert(decoded.result == CHUNKED_TRAILER || decoded.n_trailers == 0);
        decoded_keep(&decoded, data);
    }
    return decoded;
}

/* What is written of a section reads the same again, with nothing left to drop. */
static void check_written(const struct fields *fields, size_t most)
{
    struct field items[MAX_FIELDS];
    struct fields again = {items, 0, MAX_FIELDS};
    char *out = malloc(most + 2);
    size_t length = trailers_write(fields, out, most), i_again = 0;

    assert(out && length <= most);
    assert(length == 0 || trailers_write(fields, out, length - 1) == SIZE_MAX);
    assert(trailers_write(fields, out, length) == length);
    memcpy(out + length, "\r\n", 2);
    assert(!trailers_parse((struct text){out, length + 2}, &again));
    for (size_t i = 0; i < fields->n_items; i++) {
        if (fields->items[i].drop)
            continue;
        assert(i_again < again.n_items && !items[i_again].drop);
        assert(text_equal(fields->items[i].name, items[i_again].name));
        assert(text_equal(fields->items[i].value, items[i_again].value));
        i_again++;
    }
    assert(i_again == again.n_items);
    free(out);
}

/* Parses from memory of the section's own size. False when it is none, or has more fields than there is room for. */
static bool check_section(struct text section)
{
    struct field items[MAX_FIELDS];
    struct fields fields = {items, 0, MAX_FIELDS};
    char *copy = malloc(section.length > 0 ? section.length : 1);
    bool good;

    assert(copy);
    if (section.length > 0)
        memcpy(copy, section.data, section.length);
    good = !trailers_parse((struct text){copy, section.length}, &fields);
    for (size_t i = 0; good && i < fields.n_items; i++) {
        struct field item = items[i];
        struct fields one = {&item, 1, 1};

        assert(field_class_of(item.id) == FIELD_CLASS_END || item.drop);
        assert(!trailers_check(&one) && item.drop == items[i].drop && item.id == items[i].id);
    }
    if (good)
        check_written(&fields, 2 * section.length);
    free(copy);
    return good || fields.n_items == MAX_FIELDS;
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct text in;
    struct decoded whole, pieces;

    if (size < 2)
        return 0;
    in = (struct text){(const char *)bytes + 1, size - 1};
    check_section(in);
    whole = decode(in, in.length);
    pieces = decode(in, bytes[0] % 16u + 1);
    assert(whole.result == pieces.result);
    assert(whole.n_body == pieces.n_body && memcmp(whole.body, pieces.body, whole.n_body) == 0);
    if (whole.result != CHUNKED_BAD) {
        assert(whole.used == pieces.used && whole.n_trailers == pieces.n_trailers);
        assert(memcmp(whole.trailers, pieces.trailers, whole.n_trailers) == 0);
    }
    if (whole.result == CHUNKED_END)
        assert(check_section((struct text){whole.trailers, whole.n_trailers}));
    free(whole.body);
    free(whole.trailers);
    free(pieces.body);
    free(pieces.trailers);
    return 0;
}
