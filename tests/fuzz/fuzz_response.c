/* The first byte says whether it answers HEAD and in which pieces the rest arrives; every prefix must get what it gets
 * at once, and what a good head says must hold together. */
#include <assert.h>
#include <stdlib.h>

#include "proxy/http/response.h"

#define MAX_FIELDS 32

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_good(const struct response *response, struct text head, bool to_head)
{
    size_t n_chunked = 0, n_connection = 0, n_upgrade = 0, n_keep_alive = 0, n_challenges = 0;

    assert(response->status >= 100 && response->status <= 999 && response->minor <= 1);
    assert(text_is_field_value(response->reason));
    for (size_t i = 0; i < response->fields.n_items; i++) {
        const struct field *field = &response->fields.items[i];

        assert(text_is_token(field->name) && text_is_field_value(field->value));
        assert(field->name.data > head.data && field->value.data + field->value.length < head.data + head.length);
        assert(field_class_of(field->id) == FIELD_CLASS_END || field_class_of(field->id) == FIELD_CLASS_OWN ||
               field->drop);
        n_chunked += field->id == FIELD_TRANSFER_ENCODING;
        n_connection += field->id == FIELD_CONNECTION;
        n_upgrade += field->id == FIELD_UPGRADE;
        n_keep_alive += field->id == FIELD_KEEP_ALIVE;
        n_challenges += field->id == FIELD_WWW_AUTHENTICATE || field->id == FIELD_PROXY_AUTHENTICATE;
    }
    assert(n_chunked + response->has_content_length <= 1);
    if (to_head || response->status < 200 || response->status == 204 || response->status == 304)
        assert(response->body == BODY_NONE);
    else if (n_chunked)
        assert(response->body == BODY_CHUNKED);
    else
        assert(response->body == (response->has_content_length ? BODY_LENGTH : BODY_UNTIL_CLOSE));
    assert(!response->upgrade || (n_connection > 0 && n_upgrade > 0));
    assert(!response->reusable || response->status != 101);
    assert(!response->reusable || response->body != BODY_UNTIL_CLOSE);
    assert(!response->reusable || response->keep_ms > 0);
    assert(n_keep_alive > 0 || response->keep_ms == KEEP_ALIVE_SILENT);
    assert(n_challenges > 0 || !response->personal);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    size_t step, scanned = 0, n = 0;
    enum response_result result = RESPONSE_MORE;
    bool to_head;

    if (size < 2)
        return 0;
    to_head = bytes[0] & 1;
    step = bytes[0] / 2u + 1;
    bytes++;
    size--;
    while (result == RESPONSE_MORE && n < size) {
        struct field pieces_items[MAX_FIELDS], whole_items[MAX_FIELDS];
        struct response pieces = {.fields = {pieces_items, 0, MAX_FIELDS}};
        struct response whole = {.fields = {whole_items, 0, MAX_FIELDS}};
        size_t whole_scanned = 0, used = 0, whole_used = 0;
        const char *why = NULL, *whole_why = NULL;
        char *data;

        n = size - n < step ? size : n + step;
        data = malloc(n);
        assert(data);
        memcpy(data, bytes, n);
        result = response_parse(data, n, &scanned, to_head, &pieces, &used, &why);
        assert(result == response_parse(data, n, &whole_scanned, to_head, &whole, &whole_used, &whole_why));
        assert(why == whole_why && used == whole_used && (result == RESPONSE_BAD) == (why != NULL));
        if (result == RESPONSE_DONE) {
            assert(used <= n && memcmp(data + used - 4, "\r\n\r\n", 4) == 0);
            check_good(&pieces, (struct text){data, used}, to_head);
        }
        free(data);
    }
    return 0;
}
