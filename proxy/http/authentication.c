#include "proxy/http/authentication.h"

#include "proxy/http/bytes.h"
#include "proxy/http/fields.h"

static bool authentication_ends_word(char c)
{
    return c == ' ' || c == '\t' || c == ',';
}

/* Takes the next word off the front; false when there is none. */
static bool authentication_next_word(struct text *rest, struct text *ret_word)
{
    size_t begin = 0, end;

    while (begin < rest->length && authentication_ends_word(rest->data[begin]))
        begin++;
    for (end = begin; end < rest->length && !authentication_ends_word(rest->data[end]);)
        end++;
    *ret_word = (struct text){rest->data + begin, end - begin};
    *rest = text_skip(*rest, end);
    return ret_word->length > 0;
}

bool authentication_is_personal(struct text value)
{
    struct text word;

    while (authentication_next_word(&value, &word))
        if (text_equal_nocase(word, TEXT_LITERAL("ntlm")) || text_equal_nocase(word, TEXT_LITERAL("negotiate")))
            return true;
    return false;
}

static bool authentication_line_is_personal(struct text line)
{
    const char *colon = memchr(line.data, ':', line.length);
    struct text name = {line.data, colon ? (size_t)(colon - line.data) : 0};
    enum field_id id = field_identify(name);

    if (!colon)
        return false;
    return (id == FIELD_AUTHORIZATION || id == FIELD_PROXY_AUTHORIZATION) &&
           authentication_is_personal((struct text){colon + 1, line.length - name.length - 1});
}

bool authentication_lines_are_personal(struct text lines)
{
    const char *cr;

    while (lines.length > 0 && (cr = memchr(lines.data, '\r', lines.length))) {
        size_t length = (size_t)(cr - lines.data);

        if (authentication_line_is_personal((struct text){lines.data, length}))
            return true;
        lines = text_skip(lines, length + 2);
    }
    return false;
}
