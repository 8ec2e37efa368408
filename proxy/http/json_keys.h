/* The keys of a tape: which of them have a name that somebody looks for, and that no object has one twice.
 *
 * Decoders differ: Go's takes the last of two equal keys, and takes a key for another that is equal but for case
 * (folded, see json_string.h). So what is refused here is a key that comes twice in one object, folded, and one that
 * folds to a name without being it, anywhere in the document: what is left is read in one way by all. */
#ifndef PORTHOLE_HTTP_JSON_KEYS_H
#define PORTHOLE_HTTP_JSON_KEYS_H

#include "proxy/http/json_tape.h"

/* Names in ASCII, no two of which fold alike; each is known by its number, from 0. */
struct json_names {
    struct text *items; /* owned, as an array; the texts are borrowed, and terminated */
    size_t n_items;
    uint32_t *slots; /* owned: numbers of items and 1, by hash; 0 for none */
    size_t n_slots;  /* a power of two */
};

/* Adds a name unless it is there. Stores its number, and in *ret_rival, NULL else, another one that folds alike: then
 * nothing is added, and the number is that one's. 0 or -ENOMEM. */
int json_names_add(struct json_names *names, const char *name, uint32_t *ret_number, const char **ret_rival);
/* Takes one of zeros. */
void json_names_deinit(struct json_names *names);

/* What a key of the tape has in place of a count once it was looked at: the number of its name and 1, or this. */
#define JSON_KEY_OF_NO_NAME 0

/* So many slots are enough for a document with so many tokens. */
static inline size_t json_keys_slots(size_t n_tokens)
{
    return 2 * n_tokens;
}

/* Looks at all keys of a tape. NULL, or a literal that says what is wrong with the document (it reads behind "the body
 * has"), with the byte that it is about, and in *ret_name the name that a key only looks like, NULL else. `slots` is
 * memory of the caller's. Keys whose hashes collide more than chance has it are refused, too. */
const char *json_keys_check(struct json_tape *tape, const struct json_names *names, uint32_t *slots, size_t *ret_at,
                            const char **ret_name);

#endif
