/* Regular expressions of rules, by PCRE2 (pcre2pattern(3)). Pure.
 *
 * A pattern fits a text as a whole: it is anchored at both ends. Patterns and texts are UTF-8. Compiled by JIT where
 * the machine lets us; slower, with the same answers, where it does not. */
#ifndef PORTHOLE_HTTP_PATTERN_H
#define PORTHOLE_HTTP_PATTERN_H

#include <stdbool.h>
#include <stddef.h>

#include "proxy/base/error.h"
#include "proxy/base/text.h"

#define PATTERN_MOST_BYTES 4096
/* How far a match may go before it is given up, as PCRE2 counts it: a repeat of one character costs it the same however
 * far it goes. */
#define PATTERN_MATCH_LIMIT 100000u
/* Up to which length of a text that is enough, a few milliseconds at most; of longer ones the work is measured. */
#define PATTERN_SHORT_BYTES 512u
/* pattern_compile's sentence, terminated. */
#define PATTERN_ERROR_BYTES 160

/* Immutable; several threads may match at once. */
struct pattern;
/* What one thread needs for matching, whatever the pattern. */
struct pattern_memory;

/* A sentence that reads behind "the pattern has", and the byte it is about. */
struct pattern_error {
    char message[PATTERN_ERROR_BYTES];
    size_t at;
};

/* 0, the caller owns *ret_pattern; -EINVAL with *ret_error; -ENOMEM. */
int pattern_compile(const char *text, struct pattern **ret_pattern, struct pattern_error *ret_error) WARN_UNUSED;
/* Takes NULL. */
void pattern_free(struct pattern *pattern);
/* As it was written; lives as long as the pattern. */
const char *pattern_text(const struct pattern *pattern);
/* The number of capturing groups. */
unsigned pattern_groups(const struct pattern *pattern);

/* NULL when out of memory. */
struct pattern_memory *pattern_memory_new(void) WARN_UNUSED;
/* Takes NULL. */
void pattern_memory_free(struct pattern_memory *memory);

/* What matches may cost together. While they share, they are all measured, whatever the length of their texts, and
 * given up when they have used up what is allowed for all of these: a few milliseconds, and some 20 more for each MiB.
 */
void pattern_memory_share(struct pattern_memory *memory, bool share);

enum pattern_verdict {
    PATTERN_FITS,
    PATTERN_DOES_NOT,
    PATTERN_UNDECIDED, /* given up at a limit, or the text is no UTF-8: whoever asks must refuse */
};
enum pattern_verdict pattern_match(const struct pattern *pattern, struct text text, struct pattern_memory *memory);
/* After PATTERN_FITS, until the next match: what group `group` has caught, within the text; empty when it has not. */
struct text pattern_group(const struct pattern_memory *memory, struct text text, unsigned group);

/* Of the library in use. */
const char *pattern_library_version(void);

#endif
