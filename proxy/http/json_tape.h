/* One JSON document (RFC 8259), read strictly onto a tape: a flat array of tokens, in the order of the text. Pure: no
 * allocation, no recursion.
 *
 * Refused, beside what RFC 8259 does not allow, is what two readers could take for different documents: a byte order
 * mark, bytes that are no UTF-8 (RFC 3629), escapes of half a surrogate pair, \u0000, and whatever stands behind the
 * document but white space. Whether keys come twice is json_keys' to find out. */
#ifndef PORTHOLE_HTTP_JSON_TAPE_H
#define PORTHOLE_HTTP_JSON_TAPE_H

#include <stddef.h>
#include <stdint.h>

#include "proxy/base/text.h"

#define JSON_TAPE_MOST_DEPTH 64 /* of arrays and objects within each other */
/* As many bytes as a document may have: what a token can count. */
#define JSON_TAPE_MOST_BYTES ((size_t)16 << 20)

enum json_token_kind {
    JSON_TOKEN_NULL,
    JSON_TOKEN_FALSE,
    JSON_TOKEN_TRUE,
    JSON_TOKEN_NUMBER,
    JSON_TOKEN_STRING,
    JSON_TOKEN_ARRAY,
    JSON_TOKEN_OBJECT,
};

/* A value, or a key, which is a string. An array is followed by its elements, an object by a key and a value for each
 * member. */
struct json_token {
    uint32_t at;     /* its first byte in the text; of a string the one behind the quote */
    uint32_t length; /* in the text; of a string without quotes */
    uint32_t next;   /* of a value: the token behind it and all that is in it. Of a key: json_keys' */
    unsigned kind : 3;
    unsigned escaped : 1; /* a string with a backslash in it */
    unsigned wide : 1;    /* a string with other bytes than ASCII in it */
    unsigned count : 27;  /* elements or members. Of a key: json_keys' */
};

struct json_tape {
    struct text text;          /* borrowed */
    struct json_token *tokens; /* borrowed; the first is the document */
    size_t n_tokens, capacity;
};

/* So many tokens are enough for every document of `length` bytes. */
static inline size_t json_tape_tokens(size_t length)
{
    return length / 2 + 1;
}

/* Reads tape->text; tokens and capacity are the caller's. NULL, or a literal that says what is wrong with the document
 * (it reads behind "the body has"), and *ret_at is the byte that it is about. */
const char *json_tape_read(struct json_tape *tape, size_t *ret_at);

/* The text of a token. */
static inline struct text json_tape_text(const struct json_tape *tape, const struct json_token *token)
{
    return (struct text){tape->text.data + token->at, token->length};
}

#endif
