#include "proxy/http/json_rule.h"

#include <stdlib.h>

void json_value_deinit(struct json_value *value)
{
    free(value->text);
}

static bool json_rule_is_ascii(const char *text)
{
    for (; *text; text++)
        if ((unsigned char)*text >= 0x80)
            return false;
    return true;
}

const char *json_rule_check_key(const char *key)
{
    return json_rule_is_ascii(key) ? NULL : "has other characters than ASCII, whose case decoders fold differently";
}

const char *json_rule_check_pointer(const char *pointer)
{
    size_t n_segments = 0;

    if (pointer[0] != '\0' && pointer[0] != '/')
        return "does not begin with \"/\"";
    for (const char *c = pointer; *c; c++) {
        n_segments += *c == '/';
        if (*c == '~' && c[1] != '0' && c[1] != '1')
            return "has a \"~\" that is neither \"~0\" (for \"~\") nor \"~1\" (for \"/\")";
    }
    if (n_segments > JSON_RULE_MOST_SEGMENTS)
        return "has more than 16 segments";
    return json_rule_check_key(pointer);
}
