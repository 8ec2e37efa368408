/* Fields of a message: names, values, and what a proxy must know of them. Pure: no I/O, no allocation.
 * RFC 9110 5 (fields), 7.6.1 (Connection), RFC 9112 5 (syntax). */
#ifndef PORTHOLE_HTTP_FIELDS_H
#define PORTHOLE_HTTP_FIELDS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/text.h"

enum field_id {
    FIELD_OTHER,
#define FIELD(id, name, class) FIELD_##id,
#include "proxy/http/fields.def"
#undef FIELD
    N_FIELD_IDS
};

/* Of a set of them. */
#define FIELD_BIT(id) (1u << (id))

enum field_class { FIELD_CLASS_END, FIELD_CLASS_OWN, FIELD_CLASS_FRAME, FIELD_CLASS_HOP };

/* One field line. Name and value are borrowed from the message's buffer; the value is without
 * surrounding white space. */
struct field {
    struct text name;
    struct text value;
    enum field_id id;
    bool drop; /* not copied: hop-by-hop, framing, or named in Connection */
};

/* A list with room for `capacity` fields; the array is the owner's. */
struct fields {
    struct field *items;
    size_t n_items, capacity;
};

/* Which field this is; FIELD_OTHER for every other name. Constant time in the number of known fields. */
enum field_id field_identify(struct text name);
enum field_class field_class_of(enum field_id id);

#define FIELD_FOLDED_BYTES 64

/* A name as CGI and what descends from it read it, where every byte that is no letter or digit is the same: each has
 * become "-". `out` holds the result, of FIELD_FOLDED_BYTES at most, which is more than any name that we know has. */
struct text field_fold(struct text name, char out[FIELD_FOLDED_BYTES]);
/* Whether that makes the name of a field which we know, set or drop out of one that is none ("X_Forwarded_For",
 * "Content.Length"). */
bool field_is_alias(struct text name);

/* Whether they are one name to CGI: the same in any case, but for the bytes that are neither letter nor digit. */
bool field_is_spelling_of(struct text name, struct text of);

/* RFC 9110 5.6.2. An empty string is not a token. */
bool text_is_token(struct text s);
/* RFC 9110 5.5: no CR, LF, NUL or other control byte except HTAB; bytes >= 0x80 (obs-text) are allowed. */
bool text_is_field_value(struct text s);
static inline bool text_is_space(char c)
{
    return c == ' ' || c == '\t';
}

/* Without leading and trailing SP and HTAB. */
static inline struct text text_trim(struct text s)
{
    const char *begin = s.data, *end = s.data + s.length;

    while (begin < end && text_is_space(*begin))
        begin++;
    while (begin < end && text_is_space(end[-1]))
        end--;
    return (struct text){begin, (size_t)(end - begin)};
}

/* A field as a parser found it; the value may have white space around it. Neither is checked. */
struct field field_of(struct text name, struct text value);

/* Walks a comma-separated list (RFC 9110 5.6.1), skipping empty elements. *rest starts as the whole value;
 * returns false at the end. Quoted strings are not split. */
bool text_next_element(struct text *rest, struct text *ret_element);

/* 1*DIGIT below 2^63 and nothing else. */
bool text_to_length(struct text s, uint64_t *ret_length);

/* The options among what the Connection fields of a message list, RFC 9110 7.6.1. */
struct connection_options {
    bool close, keep_alive, upgrade, te;
};

/* Sets field.drop on every field of class HOP and FRAME and on every field that a Connection field names. Names of
 * fields that must not be dropped by a peer's wish (class FRAME, and OWN but Expect and Trailer) are ignored. False
 * when a Connection field is not a list of tokens, or when more than 64 other options are named; *ret is untouched
 * then. Field ids must be set. */
bool fields_mark_hop_by_hop(struct fields *fields, struct connection_options *ret);

/* Splits `lines`, field lines that each end in CR LF, into fields: ids set, values trimmed, drop false. NULL, or a
 * static sentence that says what is wrong with them (RFC 9112 5) or that there are too many for the capacity; the
 * fields before the bad one are there then. */
const char *fields_parse(struct text lines, struct fields *fields);

#endif
