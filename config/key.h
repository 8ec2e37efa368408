/* A key of a JSON object as data: what reading, printing, freeing and the reference need to know of it.
 *
 * A table describes the keys of one object. Most objects have a struct of their own, the section; an inner object
 * (SECTION, SWITCH, CHOICE) has its fields in the struct of the one around it. */
#ifndef PORTHOLE_CONFIG_KEY_H
#define PORTHOLE_CONFIG_KEY_H

#include <stdbool.h>
#include <stddef.h>

#include "config/limit.h"
#include "proxy/base/error.h"

/* What the field of a key is. Whatever is not a number belongs to the section. */
enum key_storage {
    STORED_NOTHING,
    STORED_NUMBER, /* as limit_store has it */
    STORED_BOOL,
    STORED_WORD,       /* an enum, whose value is the index into key->words */
    STORED_WORD_SET,   /* unsigned, with a bit for each of key->words; the fallback has blanks between them */
    STORED_NAME,       /* char *; one that was made up is not a valid name */
    STORED_TEXT,       /* char *, NULL: not given */
    STORED_TEXTS,      /* char **, ends with NULL; NULL: not given */
    STORED_OWNER,      /* uint32_t, OWNER_UNCHANGED: not given */
    STORED_IDENTITY,   /* uid_t or gid_t */
    STORED_ADDRESS,    /* struct address */
    STORED_TARGET,     /* const struct target_config *, borrowed from the snapshot; NULL: not given */
    STORED_PATTERN,    /* struct pattern *, NULL: not given */
    STORED_CONDITIONS, /* struct condition * and a count */
    STORED_INTEGER,    /* int64_t */
    STORED_VALUE,      /* struct json_value * and a count, which is 1, or 0: not given */
    STORED_VALUES,     /* the same, any count */
    STORED_EDITS,      /* struct edit_list */
    STORED_TEMPLATE,   /* struct template *, NULL: not given */
    STORED_SECTION,    /* in the same struct */
    STORED_SWITCH,     /* bool; the inner object's fields are in the same struct */
    STORED_CHOICE, /* like WORD; an inner object, whose fields are in the same struct, stands for the value behind them
                    */
    STORED_ARRAY,  /* an array of sections and a count */
    STORED_MAP,    /* the same; each begins with its name, a char * */
};

enum key_type {
#define KEY_TYPE(id, name, storage, words) KEY_##id,
#include "config/key_types.def"
#undef KEY_TYPE
    N_KEY_TYPES
};

/* Where a key has a meaning. Elsewhere it is neither read nor printed. */
struct key_scope {
    bool (*holds)(const void *section); /* also where it cannot be known, because something else is broken */
    const char *sentence;               /* what follows the key's name in a message */
};

/* One key of an object. Constant, for ever; a table ends with KEYS_END. */
struct key {
    const char *name;
    enum key_type type;
    bool required;
    size_t offset;                 /* of the field in the section */
    size_t count;                  /* CONDITIONS, VALUES, ARRAY, MAP: of the size_t that counts the elements */
    size_t size;                   /* ARRAY, MAP: of an element */
    const struct key *keys;        /* SECTION, SWITCH, CHOICE, ARRAY, MAP: of the inner object or of each element */
    const struct limit *limit;     /* NUMBER: default and bounds */
    const char *const *words;      /* WORD, WORD_SET, CHOICE: ends with NULL */
    const char *fallback;          /* BOOL, WORD, WORD_SET, CHOICE, TEXT: the default; NULL: none */
    const struct key_scope *scope; /* NULL: everywhere */
    bool inherited;                /* NUMBER: its default is that of another key, whose row of limits.def it shares */
    bool has_flag;
    size_t flag;          /* of a bool that says whether the key was given, with has_flag */
    const char *sentence; /* what it means; NULL: limit->sentence */
};

#define KEYS_END     \
    {                \
        .name = NULL \
    }

enum key_storage key_storage(const struct key *key);
/* What the reference calls its type. */
const char *key_type_words(const struct key *key);
/* The field of the key in its section. */
static inline void *key_field(const struct key *key, void *section)
{
    return (char *)section + key->offset;
}
static inline size_t *key_count(const struct key *key, void *section)
{
    return (size_t *)(void *)((char *)section + key->count);
}
/* Whether the key says anything in this section. */
bool key_applies(const struct key *key, const void *section);

/* Stores the default of every key that has one in a section that is all zero. 0 or -ENOMEM. */
int keys_set_defaults(const struct key *keys, void *section) WARN_UNUSED;
/* Frees whatever belongs to a section, but not the section itself. Takes one that is all zero, or half read. */
void keys_deinit(const struct key *keys, void *section);

#endif
