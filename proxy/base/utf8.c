#include "proxy/base/utf8.h"

/* By the first byte, RFC 3629 4. */
static size_t utf8_announced(unsigned char first)
{
    return first < 0x80 ? 1 : first < 0xc2 ? 0 : first < 0xe0 ? 2 : first < 0xf0 ? 3 : first < 0xf5 ? 4 : 0;
}

size_t utf8_length(const unsigned char *s, size_t n)
{
    size_t length = n > 0 ? utf8_announced(s[0]) : 0;

    if (length == 0 || length > n)
        return 0;
    for (size_t i = 1; i < length; i++) {
        if ((s[i] & 0xc0) != 0x80)
            return 0;
    }
    if ((s[0] == 0xe0 && s[1] < 0xa0) || (s[0] == 0xed && s[1] > 0x9f) || (s[0] == 0xf0 && s[1] < 0x90) ||
        (s[0] == 0xf4 && s[1] > 0x8f))
        return 0;
    return length;
}

uint32_t utf8_code_point(const unsigned char *s, size_t length)
{
    uint32_t code_point = length == 1 ? s[0] : s[0] & (0x7fu >> length);

    for (size_t i = 1; i < length; i++)
        code_point = code_point << 6 | (s[i] & 0x3fu);
    return code_point;
}
