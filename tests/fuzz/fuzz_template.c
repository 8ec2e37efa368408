/* A text that compiles is spelt as a text that compiles to the same, expands to the same whatever room there is, and to
 * nothing of a control byte that was in neither the text nor a value. The first byte says how much room there is. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "proxy/http/template.h"

#define ROOM_BYTES 65536u

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static bool find_file(struct template_values *values, const struct template_piece *piece, struct text *ret_text)
{
    (void)values;
    assert(piece->text.length > 0 && piece->text.data[0] == '/' && piece->text.data[piece->text.length] == '\0');
    *ret_text = piece->text;
    return true;
}

static const struct template_values some_values = {
    .uid = 4294967295,
    .gid = 0,
    .pid = 17,
    .has_peer = true,
    .request_id = {"0123", 4},
    .host = {"h", 1},
    .path = {"/${peer.uid}", 12},
    .query = {"$", 1},
    .file = find_file,
};

static struct text expand(const struct template *template, char *out, size_t size, enum template_verdict *ret_verdict)
{
    struct template_values values = some_values;
    struct head_writer writer = {.out = out, .size = size};

    *ret_verdict = template_expand(template, &values, &writer);
    assert(writer.length <= size);
    return (struct text){out, writer.length};
}

static void check_spelling(const struct template *template, struct text expanded)
{
    char *spelt = template_spell(template), *again = malloc(ROOM_BYTES);
    struct template *same = NULL;
    enum template_verdict verdict;

    assert(spelt && again);
    assert(template_compile(spelt, &same) == 0);
    assert(same->n_pieces == template->n_pieces && template_kinds(same) == template_kinds(template));
    assert(text_equal(expand(same, again, ROOM_BYTES, &verdict), expanded));
    template_free(same);
    free(spelt);
    free(again);
}

static void check(const struct template *template, size_t room)
{
    char *out = malloc(ROOM_BYTES), *less = malloc(room + 1);
    enum template_verdict verdict;
    struct text expanded;

    assert(out && less);
    expanded = expand(template, out, ROOM_BYTES, &verdict);
    assert(verdict == TEMPLATE_DONE || verdict == TEMPLATE_FULL);
    if (verdict == TEMPLATE_DONE) {
        check_spelling(template, expanded);
        expand(template, less, room, &verdict);
        assert((verdict == TEMPLATE_DONE) == (expanded.length <= room));
        if (verdict == TEMPLATE_DONE)
            assert(memcmp(less, out, expanded.length) == 0);
    }
    free(out);
    free(less);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct template *template = NULL, *literal;
    char *text;

    if (size == 0)
        return 0;
    text = strndup((const char *)bytes + 1, size - 1);
    assert(text);
    if (template_compile(text, &template) == 0)
        check(template, bytes[0]);
    template_free(template);
    literal = template_of_literal(text);
    assert(literal && strcmp(template_text(literal), text) == 0);
    check(literal, bytes[0]);
    template_free(literal);
    free(text);
    return 0;
}
