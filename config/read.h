/* Reading a JSON tree into sections by the tables of keys.
 *
 * read_section walks one table over one object; for each key that is there it calls the function of its type, of which
 * key_types.def has the list: values in read_value.c, and what belongs to listeners, routes and targets in their files,
 * which come back here for the objects inside theirs. */
#ifndef PORTHOLE_CONFIG_READ_H
#define PORTHOLE_CONFIG_READ_H

#include "config/key.h"
#include "config/reader.h"

/* Reads `value`, found at `at`, into the field of `key` in `section`. */
typedef void read_fn(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                     void *section);

#define KEY_TYPE(id, name, storage, words) read_fn read_##name;
#include "config/key_types.def"
#undef KEY_TYPE

/* Reads an object into a section that has its defaults, and sees to it that no key is there that has no meaning in it.
 */
void read_section(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys,
                  void *section);

/* Reads what stands behind a key into its field, once variables in it are of the key's type. */
void read_member(struct reader *reader, const struct place *at, json_t *value, const struct key *key, void *section);

/* Room for the elements of an array, each with its defaults, which the section owns from now on; false, with a problem,
 * when there are none. `expected` describes the array. */
bool read_elements(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section, const char *expected);

/* The text of an element of an array, without control characters; NULL with a problem. */
const char *read_element(struct reader *reader, const struct place *at, const json_t *value, const char *expected);

/* The pattern, which the caller owns; NULL with a problem. */
struct pattern *read_compile(struct reader *reader, const struct place *at, const char *text);

/* ASCII. */
void read_to_lower_case(char *text);

/* What the elements of an array of texts are. */
struct read_texts_kind {
    const char *array, *element;            /* what is expected: "an array of methods such as [\"GET\"]", "a method" */
    const char *what;                       /* that may not be there twice: "method" */
    const char *(*check)(const char *text); /* NULL, or what is wrong: reads behind the text */
    bool may_be_empty;
    bool to_lower_case; /* before they are compared, and kept */
};

/* Reads an array into a list of its own that ends with NULL, which the section owns. */
void read_texts(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                void *section, const struct read_texts_kind *kind);

/* Who sends to a target: routes speak HTTP to it, streams carry bytes. */
enum target_use { TARGET_FOR_ROUTE, TARGET_FOR_STREAM };

/* Makes room for the targets of the document and for n_inline_max more that routes and streams spell as addresses. */
void read_reserve_targets(struct reader *reader, const json_t *targets, size_t n_inline_max);
/* The target that a route or a stream names, or that it spells as an address; NULL with a problem. A target that is
 * not for this use is a problem at `at`. */
const struct target_config *read_resolve_target(struct reader *reader, const struct place *at, const char *text,
                                                enum target_use use);

/* The template of a string whose references are all of `allowed`, a set of kinds; its files have numbers. The caller
 * owns it; NULL with a problem. */
struct template *read_template(struct reader *reader, const struct place *at, const json_t *value, unsigned allowed,
                               const char *expected) WARN_UNUSED;
/* Whether what a variable or a file holds stands in it. */
bool read_is_secret(struct reader *reader, const json_t *value, const struct template *template);
/* Reads the file of a response into it. */
void read_content(struct reader *reader, const struct place *at, struct route_answer *answer);
/* What a route that was read changes about messages is right for its listener, and the snapshot knows how much it is.
 */
void read_complete_modifiers(struct reader *reader, const struct place *at, struct route_config *route,
                             const struct listener_config *listener);

/* A route that judges bodies does not upgrade. */
void read_complete_body(struct reader *reader, const struct place *at, struct route_config *route);

/* Gives routes without a name theirs; the listener has one. */
void read_complete_route_names(struct reader *reader, struct listener_config *listener);

#endif
