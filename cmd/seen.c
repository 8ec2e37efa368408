#include "cmd/seen.h"

#include <stdint.h>

#include "proxy/http/json_string.h"

struct seen_key {
    struct text name;
    size_t offset; /* of its text */
};

static const struct seen_key seen_keys[] = {
#define SEEN_KEY(name, field)                                  \
    {                                                          \
        {name, sizeof(name) - 1}, offsetof(struct seen, field) \
    }
    SEEN_KEY("event", event),     SEEN_KEY("listener", listener), SEEN_KEY("method", method),
    SEEN_KEY("request", request), SEEN_KEY("upgrade", upgrade),   SEEN_KEY("outcome", outcome),
    SEEN_KEY("target", target),   SEEN_KEY("endpoint", endpoint),
#undef SEEN_KEY
};
#define N_SEEN_KEYS (sizeof(seen_keys) / sizeof(seen_keys[0]))

/* Keeps one text; false when it is none, comes twice or does not fit. */
static bool seen_keep(struct seen *seen, size_t *used, struct text *to, const struct json_tape *tape,
                      const struct json_token *value)
{
    if (value->kind != JSON_TOKEN_STRING || to->data || value->length > SEEN_TEXT_BYTES - *used)
        return false;
    to->data = seen->texts + *used;
    to->length = json_string_write(tape, value, seen->texts + *used);
    *used += to->length;
    return true;
}

static bool seen_status(struct seen *seen, const struct json_tape *tape, const struct json_token *value)
{
    int64_t n;

    if (seen->status != 0 || value->kind != JSON_TOKEN_NUMBER || !json_number_integer(tape, value, &n) || n < 0 ||
        n > 999)
        return false;
    seen->status = (unsigned)n;
    return true;
}

static bool seen_member(struct seen *seen, size_t *used, const struct json_tape *tape, const struct json_token *key)
{
    const struct json_token *value = key + 1;

    if (json_string_equals(tape, key, TEXT_LITERAL("status")))
        return seen_status(seen, tape, value);
    for (size_t i = 0; i < N_SEEN_KEYS; i++)
        if (json_string_equals(tape, key, seen_keys[i].name))
            return seen_keep(seen, used, (struct text *)(void *)((char *)seen + seen_keys[i].offset), tape, value);
    return true;
}

enum seen_verdict seen_read(struct text line, struct json_token *tokens, struct seen *ret_seen)
{
    struct json_tape tape = {.text = line, .tokens = tokens, .capacity = json_tape_tokens(line.length)};
    size_t at, used = 0;

    memset(ret_seen, 0, offsetof(struct seen, texts));
    if (line.length == 0 || line.length > SEEN_MOST_BYTES || json_tape_read(&tape, &at) ||
        tokens[0].kind != JSON_TOKEN_OBJECT)
        return SEEN_MALFORMED;
    for (size_t i = 1, n = tokens[0].count; n > 0; n--) {
        if (!seen_member(ret_seen, &used, &tape, &tokens[i]))
            return SEEN_MALFORMED;
        i = tokens[i + 1].next;
    }
    return ret_seen->method.length > 0 && ret_seen->request.length > 0 ? SEEN_EXCHANGE : SEEN_OTHER;
}
