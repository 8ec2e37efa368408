/* What the strings and numbers of a tape say, escapes undone. Pure.
 *
 * Folded is how decoders read keys that match without regard to case: ASCII letters in lower case, and what else folds
 * to one of them (Unicode simple folding, as Go's encoding/json does it: U+017F is an s, U+212A a k; the dotted and the
 * dotless i besides, which Java takes for one). */
#ifndef PORTHOLE_HTTP_JSON_STRING_H
#define PORTHOLE_HTTP_JSON_STRING_H

#include <stdbool.h>

#include "proxy/http/json_tape.h"

/* Whether it says exactly this. */
bool json_string_equals(const struct json_tape *tape, const struct json_token *string, struct text text);
/* Writes what it says, at most string->length bytes. Returns how many. */
size_t json_string_write(const struct json_tape *tape, const struct json_token *string, char *out);

/* Whether two say the same, folded. */
bool json_string_folds_alike(const struct json_tape *tape, const struct json_token *a, const struct json_token *b);
/* Whether it says this, which is ASCII, folded. */
bool json_string_folds_to(const struct json_tape *tape, const struct json_token *string, struct text text);
/* The same for all that fold alike. */
uint32_t json_string_hash(const struct json_tape *tape, const struct json_token *string);
/* Of a text in ASCII, the same as of a string that folds to it. */
uint32_t json_text_hash(struct text text);

/* Whether a number is a plain integer: digits without a leading zero, perhaps with a minus before them (not before 0),
 * no fraction and no exponent, of 64 bits. Others are read in more than one way. */
bool json_number_integer(const struct json_tape *tape, const struct json_token *number, int64_t *ret_n);

#endif
