/* Words of a user in messages: shown at a bearable length, and the known one that was probably meant. Pure. */
#ifndef PORTHOLE_BASE_WORDS_H
#define PORTHOLE_BASE_WORDS_H

#include <stddef.h>

/* A user's text as it appears in a message, terminated. */
#define WORDS_SHOWN_BYTES 72

/* Copies `text`, cut at a whole character and marked with "..." where it is too long. Returns out. */
const char *words_show(const char *text, char out[WORDS_SHOWN_BYTES]);
#define WORDS_SHOW(text) words_show(text, (char[WORDS_SHOWN_BYTES]){""})

/* The length of the control character (C0, DEL or C1) at the start of UTF-8 text, 0 when there is none; *ret_code is
 * its code point. */
size_t words_control_length(const char *text, unsigned *ret_code);

/* The one of a NULL-terminated list that `given` was probably meant to be, or NULL. */
const char *words_nearest(const char *given, const char *const *candidates);

#endif
