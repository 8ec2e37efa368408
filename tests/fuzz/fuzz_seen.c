/* Whatever lines say: what is read of one lies in it, and a suggestion that is made of it can be printed. */
#include <assert.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include "cmd/suggestion_print.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct json_token *tokens = calloc(json_tape_tokens(size), sizeof(*tokens));
    struct suggestion suggestion = {.n_routes = 0};
    struct text rest = {(const char *)bytes, size};
    FILE *out = fopen("/dev/null", "w");

    assert(tokens && out);
    while (rest.length > 0) {
        const char *end = memchr(rest.data, '\n', rest.length);
        struct text line = {rest.data, end ? (size_t)(end - rest.data) : rest.length};
        size_t taken = line.length + (end ? 1 : 0);
        struct seen seen;

        rest = (struct text){rest.data + taken, rest.length - taken};
        if (seen_read(line, tokens, &seen) == SEEN_EXCHANGE && suggestion_add(&suggestion, &seen) != SUGGESTION_OK)
            break;
    }
    suggestion_finish(&suggestion);
    suggestion_tell(&suggestion, out);
    suggestion_print(&suggestion, out);
    suggestion_deinit(&suggestion);
    fclose(out);
    free(tokens);
    return 0;
}
