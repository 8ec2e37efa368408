#include "tests/fuzz/json_fold.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

void json_fold_text(char *text)
{
    static const char *const others[][2] = {
        {"\xc5\xbf", "s"}, {"\xe2\x84\xaa", "k"}, {"\xc4\xb0", "i"}, {"\xc4\xb1", "i"}};
    char *out = text;

    while (*text) {
        size_t length = 0;

        for (size_t i = 0; i < 4 && length == 0; i++) {
            if (strncmp(text, others[i][0], strlen(others[i][0])) != 0)
                continue;
            length = strlen(others[i][0]);
            *out++ = others[i][1][0];
        }
        if (length == 0) {
            *out++ = (char)(*text >= 'A' && *text <= 'Z' ? *text + 'a' - 'A' : *text);
            length = 1;
        }
        text += length;
    }
    *out = '\0';
}

bool json_fold_has_alike(json_t *value)
{
    json_t *seen = json_object(), *member;
    bool alike = false;
    const char *key;
    size_t i;

    json_object_foreach(value, key, member)
    {
        char *folded = strdup(key);

        assert(folded);
        json_fold_text(folded);
        alike = alike || json_object_get(seen, folded) || json_fold_has_alike(member);
        json_object_set_new(seen, folded, json_null());
        free(folded);
    }
    json_array_foreach(value, i, member) alike = alike || json_fold_has_alike(member);
    json_decref(seen);
    return alike;
}
