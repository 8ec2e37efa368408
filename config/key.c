#include "config/key.h"

#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/snapshot.h"

static const struct {
    enum key_storage storage;
    const char *words;
} key_types[N_KEY_TYPES] = {
#define KEY_TYPE(id, name, storage, words) {STORED_##storage, words},
#include "config/key_types.def"
#undef KEY_TYPE
};

static_assert(offsetof(struct target_config, name) == 0, "an element of a map begins with its name");

enum key_storage key_storage(const struct key *key)
{
    return key_types[key->type].storage;
}

const char *key_type_words(const struct key *key)
{
    return key_types[key->type].words;
}

bool key_applies(const struct key *key, const void *section)
{
    return !key->scope || key->scope->holds(section);
}

static unsigned key_word_index(const struct key *key)
{
    unsigned i = 0;

    while (strcmp(key->words[i], key->fallback) != 0)
        i++;
    return i;
}

static unsigned key_word_set(const struct key *key)
{
    unsigned set = 0;

    for (unsigned i = 0; key->words[i]; i++) {
        const char *at = strstr(key->fallback, key->words[i]);

        set |= at ? 1u << i : 0;
    }
    return set;
}

/* 0 or -ENOMEM. */
static int key_set_default(const struct key *key, void *section)
{
    void *field = key_field(key, section);

    switch (key_storage(key)) {
    case STORED_NUMBER:
        limit_store(key->limit, key->limit->fallback, field);
        return 0;
    case STORED_BOOL:
        *(bool *)field = strcmp(key->fallback, "true") == 0;
        return 0;
    case STORED_WORD:
        *(unsigned *)field = key_word_index(key);
        return 0;
    case STORED_WORD_SET:
        *(unsigned *)field = key->fallback ? key_word_set(key) : 0;
        return 0;
    case STORED_CHOICE:
        *(unsigned *)field = key_word_index(key);
        return keys_set_defaults(key->keys, section);
    case STORED_TEXT:
        *(char **)field = key->fallback ? strdup(key->fallback) : NULL;
        return key->fallback && !*(char **)field ? -ENOMEM : 0;
    case STORED_OWNER:
        *(uint32_t *)field = OWNER_UNCHANGED;
        return 0;
    case STORED_SWITCH:
        *(bool *)field = strcmp(key->fallback, "true") == 0;
        return keys_set_defaults(key->keys, section);
    case STORED_SECTION:
        return keys_set_defaults(key->keys, section);
    default:
        return 0;
    }
}

int keys_set_defaults(const struct key *keys, void *section)
{
    int r = 0;

    for (const struct key *key = keys; key->name && r == 0; key++)
        r = key_set_default(key, section);
    return r;
}

static void key_free_texts(char **texts)
{
    for (char **text = texts; text && *text; text++)
        free(*text);
    free(texts);
}

static void key_free_conditions(const struct key *key, void *section)
{
    struct condition *conditions = *(struct condition **)key_field(key, section);

    for (size_t i = 0; conditions && i < *key_count(key, section); i++)
        condition_deinit(&conditions[i]);
    free(conditions);
}

static void key_free_values(const struct key *key, void *section)
{
    struct json_value *values = *(struct json_value **)key_field(key, section);

    for (size_t i = 0; values && i < *key_count(key, section); i++)
        json_value_deinit(&values[i]);
    free(values);
}

static void key_free_elements(const struct key *key, void *section)
{
    char *elements = *(char **)key_field(key, section);

    for (size_t i = 0; elements && i < *key_count(key, section); i++) {
        keys_deinit(key->keys, elements + i * key->size);
        if (key_storage(key) == STORED_MAP)
            free(*(char **)(void *)(elements + i * key->size));
    }
    free(elements);
}

void keys_deinit(const struct key *keys, void *section)
{
    for (const struct key *key = keys; key->name; key++) {
        void *field = key_field(key, section);

        switch (key_storage(key)) {
        case STORED_NAME:
        case STORED_TEXT:
            free(*(char **)field);
            break;
        case STORED_TEXTS:
            key_free_texts(*(char ***)field);
            break;
        case STORED_ADDRESS:
            address_deinit(field);
            break;
        case STORED_PATTERN:
            pattern_free(*(struct pattern **)field);
            break;
        case STORED_CONDITIONS:
            key_free_conditions(key, section);
            break;
        case STORED_VALUE:
        case STORED_VALUES:
            key_free_values(key, section);
            break;
        case STORED_TEMPLATE:
            template_free(*(struct template **)field);
            break;
        case STORED_EDITS:
            edit_list_deinit(field);
            break;
        case STORED_SECTION:
        case STORED_SWITCH:
        case STORED_CHOICE:
            keys_deinit(key->keys, section);
            break;
        case STORED_ARRAY:
        case STORED_MAP:
            key_free_elements(key, section);
            break;
        default:
            break;
        }
    }
}
