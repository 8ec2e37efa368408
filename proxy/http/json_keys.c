/* Equal keys are found by their hashes: in a small object each is compared with those before it, in a larger one they
 * go into a table. A client that chooses keys of equal hashes would make that slow, so there is a bound to how long a
 * search may be, which other keys do not come near. */
#include "proxy/http/json_keys.h"

#include <errno.h>
#include <stdbool.h>
#include <stdlib.h>

#include "proxy/base/error.h"
#include "proxy/http/json_string.h"

#define JSON_KEYS_FEW 16
#define JSON_KEYS_PROBES 16 /* for each key, on average, beside a few */

static const char json_keys_twice[] = "a key that is there twice, or is like another but for case";

/* ---- names ---- */

/* The number of the name that a hash leads to next, and 1; 0 when there is none. */
static uint32_t json_names_probe(const struct json_names *names, size_t *slot)
{
    *slot &= names->n_slots - 1;
    return names->slots[(*slot)++];
}

static void json_names_enter(struct json_names *names, size_t i)
{
    size_t slot = json_text_hash(names->items[i]);

    while (json_names_probe(names, &slot) != 0)
        ;
    names->slots[slot - 1] = (uint32_t)i + 1;
}

/* Room for one more, with a slot to spare. */
static int json_names_grow(struct json_names *names)
{
    size_t n_slots = names->n_slots ? names->n_slots : 8;
    struct text *items = reallocarray(names->items, names->n_items + 1, sizeof(*items));
    uint32_t *slots;

    if (!items)
        return -ENOMEM;
    names->items = items;
    while (n_slots < 4 * (names->n_items + 1))
        n_slots *= 2;
    slots = calloc(n_slots, sizeof(*slots));
    if (!slots)
        return -ENOMEM;
    free(names->slots);
    names->slots = slots;
    names->n_slots = n_slots;
    for (size_t i = 0; i < names->n_items; i++)
        json_names_enter(names, i);
    return 0;
}

int json_names_add(struct json_names *names, const char *name, uint32_t *ret_number, const char **ret_rival)
{
    size_t slot = json_text_hash(text_of(name));
    uint32_t number;
    int r;

    *ret_rival = NULL;
    while (names->n_slots > 0 && (number = json_names_probe(names, &slot)) != 0) {
        struct text other = names->items[number - 1];

        if (!text_equal_nocase(other, text_of(name)))
            continue;
        *ret_number = number - 1;
        if (!text_equal(other, text_of(name)))
            *ret_rival = other.data;
        return 0;
    }
    r = json_names_grow(names);
    if (r < 0)
        return r;
    *ret_number = (uint32_t)names->n_items;
    names->items[names->n_items] = text_of(name);
    json_names_enter(names, names->n_items++);
    return 0;
}

void json_names_deinit(struct json_names *names)
{
    free(names->items);
    free(names->slots);
    *names = (struct json_names){0};
}

/* ---- keys ---- */

struct json_keys {
    struct json_tape *tape;
    const struct json_names *names;
    uint32_t *slots;
    uint32_t at;      /* the key that is looked at */
    const char *name; /* that it only looks like */
};

/* Which name it is, and its hash for what comes behind. False when it only looks like one. */
static bool json_keys_name(struct json_keys *keys)
{
    struct json_token *key = &keys->tape->tokens[keys->at];
    uint32_t hash = json_string_hash(keys->tape, key), number;
    size_t slot = hash;

    key->next = hash;
    key->count = JSON_KEY_OF_NO_NAME;
    while (keys->names->n_slots > 0 && (number = json_names_probe(keys->names, &slot)) != 0) {
        struct text name = keys->names->items[number - 1];

        if (json_string_equals(keys->tape, key, name)) {
            key->count = number & 0x7ffffffu;
            return true;
        }
        keys->name = name.data;
        if (json_string_folds_to(keys->tape, key, name))
            return false;
    }
    return true;
}

static uint32_t json_keys_after(const struct json_keys *keys, uint32_t key)
{
    return keys->tape->tokens[key + 1].next;
}

static bool json_keys_are_alike(const struct json_keys *keys, uint32_t a, uint32_t b)
{
    const struct json_token *tokens = keys->tape->tokens;

    return tokens[a].next == tokens[b].next && json_string_folds_alike(keys->tape, &tokens[a], &tokens[b]);
}

/* Of an object with a few members. */
static const char *json_keys_compare(struct json_keys *keys, uint32_t object)
{
    const struct json_token *tokens = keys->tape->tokens;
    uint32_t seen[JSON_KEYS_FEW];
    unsigned n_seen = 0;

    for (keys->at = object + 1; keys->at < tokens[object].next; keys->at = json_keys_after(keys, keys->at)) {
        for (unsigned i = 0; i < n_seen; i++)
            if (json_keys_are_alike(keys, seen[i], keys->at))
                return json_keys_twice;
        seen[n_seen++] = keys->at;
    }
    return NULL;
}

/* Of one with many. */
static const char *json_keys_tabulate(struct json_keys *keys, uint32_t object)
{
    const struct json_token *tokens = keys->tape->tokens;
    size_t n_slots = 2 * JSON_KEYS_FEW, n_probes = JSON_KEYS_PROBES * ((size_t)tokens[object].count + JSON_KEYS_FEW);

    /* No more than four for each member, of which each has two tokens at least. */
    while (n_slots < 2 * (size_t)tokens[object].count)
        n_slots *= 2;
    memset(keys->slots, 0, n_slots * sizeof(*keys->slots));
    for (keys->at = object + 1; keys->at < tokens[object].next; keys->at = json_keys_after(keys, keys->at)) {
        size_t slot = tokens[keys->at].next & (n_slots - 1);

        for (; keys->slots[slot] != 0; slot = (slot + 1) & (n_slots - 1)) {
            if (json_keys_are_alike(keys, keys->slots[slot], keys->at))
                return json_keys_twice;
            if (n_probes-- == 0)
                return "keys that are made to be hard to tell apart";
        }
        keys->slots[slot] = keys->at;
    }
    return NULL;
}

static const char *json_keys_check_object(struct json_keys *keys, uint32_t object)
{
    const struct json_token *tokens = keys->tape->tokens;

    for (keys->at = object + 1; keys->at < tokens[object].next; keys->at = json_keys_after(keys, keys->at))
        if (!json_keys_name(keys))
            return "a key that is like one of the rules, but is not it";
    keys->name = NULL;
    if (tokens[object].count <= JSON_KEYS_FEW)
        return json_keys_compare(keys, object);
    return json_keys_tabulate(keys, object);
}

const char *json_keys_check(struct json_tape *tape, const struct json_names *names, uint32_t *slots, size_t *ret_at,
                            const char **ret_name)
{
    struct json_keys keys = {.tape = tape, .names = names, .slots = slots};

    for (uint32_t i = 0; i < tape->n_tokens; i++) {
        const char *wrong = tape->tokens[i].kind == JSON_TOKEN_OBJECT ? json_keys_check_object(&keys, i) : NULL;

        if (!wrong)
            continue;
        *ret_at = tape->tokens[keys.at].at;
        *ret_name = keys.name;
        return wrong;
    }
    return NULL;
}
