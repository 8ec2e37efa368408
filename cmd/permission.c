#include "cmd/permission.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/owner.h"
#include "proxy/base/words.h"

#define PERMISSION_NAME_BYTES 40

/* "root:app 0750, you are 1001:1001", behind "PATH is ". */
static int permission_describe(const struct stat *st, char *out, size_t size)
{
    char user[PERMISSION_NAME_BYTES], group[PERMISSION_NAME_BYTES];

    owner_name(st->st_uid, OWNER_USER, user, sizeof(user));
    owner_name(st->st_gid, OWNER_GROUP, group, sizeof(group));
    return snprintf(out, size, "%s:%s %04o, you are %u:%u", user, group, (unsigned)st->st_mode & 07777,
                    (unsigned)geteuid(), (unsigned)getegid());
}

/* What the owner, or whoever starts us, can do about it. `bit` is what others would need. */
static void permission_advise(const struct stat *st, mode_t bit, char *out, size_t size)
{
    const char *what = S_ISDIR(st->st_mode) ? "directory_mode" : "mode";

    if (st->st_mode & (bit << 3))
        snprintf(out, size,
                 "; join its group: --group-add %u, in a pod supplementalGroups: [%u], or let fsGroup own the volume",
                 (unsigned)st->st_gid, (unsigned)st->st_gid);
    else if (S_ISDIR(st->st_mode))
        snprintf(out, size, "; its group needs x, as with \"%s\": \"0750\", and you that group", what);
    else
        snprintf(out, size, "; its group needs w, as with \"%s\": \"0660\" and \"group\", and you that group", what);
}

static void permission_tell(const char *path, const struct stat *st, mode_t bit, char *out, size_t size)
{
    int n = snprintf(out, size, "%s is ", WORDS_SHOW(path));

    if (n > 0 && (size_t)n < size)
        n += permission_describe(st, out + n, size - (size_t)n);
    if (n > 0 && (size_t)n < size)
        permission_advise(st, bit, out + n, size - (size_t)n);
}

/* Whether this component is what is in the way; then it is told. */
static bool permission_blocks(const char *path, int access, char *out, size_t size)
{
    struct stat st;

    if (faccessat(AT_FDCWD, path, access, AT_EACCESS) == 0)
        return false;
    if (errno == ENOENT) {
        snprintf(out, size, "%s does not exist", WORDS_SHOW(path));
        return true;
    }
    if (stat(path, &st) < 0) {
        snprintf(out, size, "%s: %s", WORDS_SHOW(path), strerror(errno));
        return true;
    }
    permission_tell(path, &st, access == X_OK ? S_IXOTH : S_IWOTH, out, size);
    return true;
}

void permission_explain(const char *path, char *out, size_t size)
{
    char part[PATH_MAX];
    size_t length = strlen(path);

    if (path[0] != '/' || length >= sizeof(part)) {
        snprintf(out, size, "no absolute path that could be looked at");
        return;
    }
    for (size_t i = 0; i < length; i++) {
        if (path[i] != '/' || (i > 0 && path[i - 1] == '/'))
            continue;
        memcpy(part, path, i > 0 ? i : 1);
        part[i > 0 ? i : 1] = '\0';
        if (permission_blocks(part, X_OK, out, size))
            return;
    }
    if (!permission_blocks(path, W_OK, out, size))
        snprintf(
            out, size,
            "owners and modes let you in, so something else refuses: SELinux (mount the volume with :z), AppArmor, or "
            "an ACL");
}
