#include "config/owner.h"

#include <errno.h>
#include <grp.h>
#include <pwd.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/words.h"

const char *owner_file(enum owner_kind kind)
{
    return kind == OWNER_USER ? "/etc/passwd" : "/etc/group";
}

/* The next line of the file; false at its end. The name is valid until the line after. */
static bool owner_next(FILE *from, enum owner_kind kind, const char **ret_name, uint32_t *ret_id)
{
    const struct passwd *user = kind == OWNER_USER ? fgetpwent(from) : NULL;
    const struct group *group = kind == OWNER_USER ? NULL : fgetgrent(from);

    if (!user && !group)
        return false;
    *ret_name = user ? user->pw_name : group->gr_name;
    *ret_id = user ? user->pw_uid : group->gr_gid;
    return true;
}

static bool owner_find_name(FILE *from, const char *name, enum owner_kind kind, uint32_t *ret_id)
{
    const char *found;
    uint32_t id;

    while (owner_next(from, kind, &found, &id)) {
        if (strcmp(found, name) == 0) {
            *ret_id = id;
            return true;
        }
    }
    return false;
}

static int owner_find_number(const char *text, uint32_t *ret_id, struct error *error)
{
    unsigned long long id = strlen(text) <= 10 ? strtoull(text, NULL, 10) : UINT64_MAX;

    if (id > OWNER_ID_MAX) {
        error_set(error, -EINVAL, "the id %s is out of bounds; allowed is 0 to %u", WORDS_SHOW(text), OWNER_ID_MAX);
        return 1;
    }
    *ret_id = (uint32_t)id;
    return 0;
}

int owner_find(const char *text, enum owner_kind kind, const char *file, uint32_t *ret_id, struct error *error)
{
    const char *what = kind == OWNER_USER ? "user" : "group";
    FILE *from;
    bool found;

    if (text[0] != '\0' && text[strspn(text, "0123456789")] == '\0')
        return owner_find_number(text, ret_id, error);
    from = fopen(file, "re");
    if (!from) {
        error_set(error, -errno, "the %s \"%s\" cannot be looked up: %s: %s", what, WORDS_SHOW(text), file,
                  strerror(errno));
        return 1;
    }
    found = owner_find_name(from, text, kind, ret_id);
    fclose(from);
    if (found)
        return 0;
    error_set(error, -ENOENT, "the %s \"%s\" is not in %s; a number always works", what, WORDS_SHOW(text), file);
    return 1;
}

static bool owner_find_id(FILE *from, uint32_t id, enum owner_kind kind, char *out, size_t size)
{
    const char *name;
    uint32_t found;

    while (owner_next(from, kind, &name, &found)) {
        if (found == id) {
            snprintf(out, size, "%s", name);
            return true;
        }
    }
    return false;
}

void owner_name(uint32_t id, enum owner_kind kind, char *out, size_t size)
{
    FILE *from = fopen(owner_file(kind), "re");

    if (!from || !owner_find_id(from, id, kind, out, size))
        snprintf(out, size, "%u", (unsigned)id);
    if (from)
        fclose(from);
}
