#include "config/path.h"

#include <stdbool.h>
#include <string.h>

/* The byte that %XY stands for, -1 when malformed. */
static int path_config_escape(const char *at)
{
    const char *digits = "0123456789abcdef";
    const char *high, *low;

    if (at[1] == '\0' || at[2] == '\0')
        return -1;
    high = strchr(digits, at[1] | (at[1] >= 'A' && at[1] <= 'F' ? 0x20 : 0));
    low = strchr(digits, at[2] | (at[2] >= 'A' && at[2] <= 'F' ? 0x20 : 0));
    return high && low ? (int)((high - digits) * 16 + (low - digits)) : -1;
}

static bool path_config_is_unreserved(int c)
{
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
           c == '_' || c == '~';
}

static const char *path_config_check_escape(const char *at)
{
    int c = path_config_escape(at);

    if (c < 0)
        return "\"%\" without two hexadecimal digits";
    if (path_config_is_unreserved(c))
        return "an escape of a letter, a digit, \"-\", \".\", \"_\" or \"~\"; write the character itself";
    if (c == '/' || c == '\\' || c < 0x20 || c == 0x7f || c == 0xc0 || c == 0xc1)
        return "an escape that requests are refused for (slash, backslash, control character, overlong UTF-8)";
    if ((at[1] >= 'a' && at[1] <= 'f') || (at[2] >= 'a' && at[2] <= 'f'))
        return "an escape in lower case; write hexadecimal digits in upper case";
    return NULL;
}

static const char *path_config_check_byte(const char *at)
{
    unsigned char c = (unsigned char)*at;

    if (c == '?' || c == '#')
        return "a query or a fragment; conditions see only the path";
    if (c == '\\')
        return "a backslash, which requests are refused for";
    if (c <= 0x20 || c == 0x7f)
        return "white space or a control character; write it percent-encoded";
    if (c >= 0x80)
        return "a character outside ASCII; write its UTF-8 bytes percent-encoded";
    return c == '%' ? path_config_check_escape(at) : NULL;
}

/* Path parameters (";x") don't make a dot segment a harmless one. */
static bool path_config_is_dots(const char *segment)
{
    size_t n = strspn(segment, ".");

    return (n == 1 || n == 2) && strchr("/;", segment[n]);
}

const char *path_config_check(const char *path, size_t *ret_at)
{
    *ret_at = 0;
    if (path[0] != '/')
        return "no \"/\" at its beginning";
    for (const char *at = path; *at; at++) {
        const char *wrong = path_config_check_byte(at);
        *ret_at = (size_t)(at - path);
        if (wrong)
            return wrong;
        if (at[0] == '/' && at[1] == '/')
            return "an empty segment, which requests are refused for";
        if (at[0] == '/' && path_config_is_dots(at + 1))
            return "a \".\" or \"..\" segment, which requests are refused for";
    }
    return NULL;
}
