/* ${NAME} and ${NAME:-default} from the environment.
 *
 * References that only a request or a file can answer ("${request.path}", "${file:/path}"; proxy/http/template.h) are
 * late: they stay, and the string becomes a template, in which whatever else looks like one is escaped. */
#ifndef PORTHOLE_CONFIG_EXPAND_H
#define PORTHOLE_CONFIG_EXPAND_H

#include "config/reader.h"

/* All expanded strings of one file together. */
#define EXPAND_BYTES_MAX ((size_t)16 << 20)
/* A default may have a reference in it, whose default may have one ... */
#define EXPAND_DEPTH_MAX 16

/* Replaces every string below and including *value by its expansion, and notes in reader->expanded which ones had a
 * reference. Keys are left alone. Strings that cannot be expanded become reader->broken, with a problem. */
void expand_tree(struct reader *reader, json_t **value);
void expand_free(struct reader *reader);

/* True when a reference was expanded in this string, so that it may stand for a number or a boolean. */
bool expand_was(const struct reader *reader, const json_t *string);
/* True when the string has no control character (C0, DEL or C1); else false, with a problem that says where it came
 * from. */
bool expand_is_clean(struct reader *reader, const struct place *at, const json_t *string);

/* Writes text so that expanding it gives it back: "${" becomes "$${". The caller owns it; NULL: out of memory. */
char *expand_escape(const char *text) WARN_UNUSED;

#endif
