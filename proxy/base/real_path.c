#include "proxy/base/real_path.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

/* Appends what does not exist to what does: `real` has room for both. */
static void real_path_append(char *real, const char *rest)
{
    char *end = real + strlen(real);

    while (*rest) {
        size_t length = strcspn(++rest, "/");

        /* "/" alone ends in the slash that the next component would bring. */
        if (end > real && end[-1] == '/')
            *--end = '\0';
        if (length == 2 && memcmp(rest, "..", 2) == 0) {
            while (end > real && *--end != '/')
                ;
        } else if (length > 0 && !(length == 1 && rest[0] == '.')) {
            *end++ = '/';
            memcpy(end, rest, length);
            end += length;
        }
        *end = '\0';
        rest += length;
    }
    if (end == real)
        memcpy(real, "/", 2);
}

/* How much of the path comes before its last component. */
static size_t real_path_parent(const char *path, size_t length)
{
    while (length > 0 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    while (length > 0 && path[length - 1] == '/')
        length--;
    return length;
}

/* The longest beginning that exists, resolved; *ret_length is how much of the path it is of. */
static char *real_path_existing(const char *path, size_t *ret_length)
{
    size_t length = strlen(path);
    char *head = strdup(path);
    char *real = head ? realpath(head, NULL) : NULL;

    while (head && !real && errno != ENOMEM && length > 0) {
        length = real_path_parent(head, length);
        head[length] = '\0';
        real = realpath(length > 0 ? head : "/", NULL);
    }
    free(head);
    *ret_length = length;
    return real;
}

char *real_path(const char *path)
{
    size_t length;
    char *existing = real_path_existing(path, &length);
    char *real = existing ? realloc(existing, strlen(existing) + strlen(path + length) + 2) : NULL;

    if (!real) {
        free(existing);
        return NULL;
    }
    real_path_append(real, path + length);
    return real;
}
