/* JSON: what is taken is what jansson takes, and says the same; and no object has a key twice, folded.
 *
 * Input: the document. */
#include <assert.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include <jansson.h>

#include "proxy/http/json_keys.h"
#include "proxy/http/json_string.h"
#include "tests/fuzz/json_fold.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

#define FLAGS (JSON_REJECT_DUPLICATES | JSON_DECODE_ANY | JSON_DECODE_INT_AS_REAL)

static void compare_string(const struct json_tape *tape, const struct json_token *token, const char *text,
                           size_t length)
{
    char *out = malloc(token->length + 1);

    assert(out && token->kind == JSON_TOKEN_STRING);
    assert(text_equal((struct text){out, json_string_write(tape, token, out)}, (struct text){text, length}));
    assert(json_string_equals(tape, token, (struct text){text, length}));
    assert(!json_string_equals(tape, token, (struct text){text, length + 1}));
    free(out);
}

static void compare_number(const struct json_tape *tape, const struct json_token *token, double number)
{
    int64_t n;

    assert(token->kind == JSON_TOKEN_NUMBER);
    if (json_number_integer(tape, token, &n))
        assert((double)n == number);
}

/* Returns the token behind it. */
static uint32_t compare(const struct json_tape *tape, uint32_t at, json_t *value)
{
    const struct json_token *token = &tape->tokens[at];
    uint32_t next = at + 1;
    const char *key;
    json_t *member;
    size_t i;

    assert(at < tape->n_tokens);
    switch (json_typeof(value)) {
    case JSON_OBJECT:
        assert(token->kind == JSON_TOKEN_OBJECT && token->count == json_object_size(value));
        json_object_foreach(value, key, member)
        {
            compare_string(tape, &tape->tokens[next], key, strlen(key));
            next = compare(tape, next + 1, member);
        }
        break;
    case JSON_ARRAY:
        assert(token->kind == JSON_TOKEN_ARRAY && token->count == json_array_size(value));
        json_array_foreach(value, i, member) next = compare(tape, next, member);
        break;
    case JSON_STRING:
        compare_string(tape, token, json_string_value(value), json_string_length(value));
        break;
    case JSON_INTEGER:
    case JSON_REAL:
        compare_number(tape, token, json_number_value(value));
        break;
    case JSON_TRUE:
        assert(token->kind == JSON_TOKEN_TRUE);
        break;
    case JSON_FALSE:
        assert(token->kind == JSON_TOKEN_FALSE);
        break;
    case JSON_NULL:
        assert(token->kind == JSON_TOKEN_NULL);
        break;
    }
    assert(token->next == next);
    return next;
}

static void judge(struct json_tape *tape)
{
    static const struct json_names no_names;
    size_t n_slots = json_keys_slots(tape->capacity), at = 0;
    uint32_t *slots = malloc(n_slots * sizeof(*slots));
    const char *wrong = json_tape_read(tape, &at), *name = NULL;
    json_error_t error;
    json_t *value = json_loadb(tape->text.data, tape->text.length, FLAGS, &error);

    assert(slots && at <= tape->text.length);
    /* A NUL is an end to jansson. */
    if (tape->text.length > 0 && memchr(tape->text.data, '\0', tape->text.length))
        assert(wrong);
    else if (wrong && value)
        assert(strstr(wrong, "too deep"));
    if (!wrong && !value)
        assert(json_error_code(&error) == json_error_numeric_overflow ||
               json_error_code(&error) == json_error_duplicate_key);
    if (!wrong && value)
        assert(compare(tape, 0, value) == tape->n_tokens);
    if (!wrong) {
        wrong = json_keys_check(tape, &no_names, slots, &at, &name);
        assert(!name && at <= tape->text.length);
        if (value)
            assert((wrong != NULL) == json_fold_has_alike(value));
        else if (json_error_code(&error) == json_error_duplicate_key)
            assert(wrong);
    }
    json_decref(value);
    free(slots);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct json_tape tape = {.capacity = json_tape_tokens(size)};
    char *text = malloc(size + 1);

    tape.tokens = malloc(tape.capacity * sizeof(*tape.tokens));
    assert(text && tape.tokens);
    /* Just as large as it is, so that a look behind its end is noticed. */
    memcpy(text + 1, bytes, size);
    tape.text = (struct text){text + 1, size};
    judge(&tape);
    free(tape.tokens);
    free(text);
    return 0;
}
