/* UTF-8 as RFC 3629 has it. Pure. */
#ifndef PORTHOLE_BASE_UTF8_H
#define PORTHOLE_BASE_UTF8_H

#include <stddef.h>
#include <stdint.h>

#define UTF8_MOST_BYTES 4 /* of a character */

/* The bytes of the well-formed character at the start of s, which has n bytes; 0 when there is none: a byte that begins
 * none, one that is missing, an overlong form, a surrogate, or what lies beyond U+10FFFF. */
size_t utf8_length(const unsigned char *s, size_t n);
/* The code point of a character of that length. */
uint32_t utf8_code_point(const unsigned char *s, size_t length);

#endif
