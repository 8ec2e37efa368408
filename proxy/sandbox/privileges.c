#include "proxy/sandbox/privileges.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/capability.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BIT(capability) (UINT64_C(1) << (capability))
#define FIRST_FREE_PORT 1024 /* as the kernel has it unless ip_unprivileged_port_start says otherwise */

static const struct {
    int number;
    const char *name;
} privileges_names[] = {
    {CAP_CHOWN, "CAP_CHOWN"},   {CAP_DAC_OVERRIDE, "CAP_DAC_OVERRIDE"},         {CAP_FOWNER, "CAP_FOWNER"},
    {CAP_FSETID, "CAP_FSETID"}, {CAP_NET_BIND_SERVICE, "CAP_NET_BIND_SERVICE"},
};

/* ---- the kernel's sets ---- */

struct privileges_sets {
    uint64_t effective, permitted, inheritable;
};

/* glibc has no such functions, and these of the kernel are for the calling thread. */
static int privileges_read(struct privileges_sets *ret)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    if (syscall(SYS_capget, &header, data) < 0)
        return -errno;
    *ret = (struct privileges_sets){.effective = data[0].effective | (uint64_t)data[1].effective << 32,
                                    .permitted = data[0].permitted | (uint64_t)data[1].permitted << 32,
                                    .inheritable = data[0].inheritable | (uint64_t)data[1].inheritable << 32};
    return 0;
}

static int privileges_write(const struct privileges_sets *sets)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    const struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {
        {(uint32_t)sets->effective, (uint32_t)sets->permitted, (uint32_t)sets->inheritable},
        {(uint32_t)(sets->effective >> 32), (uint32_t)(sets->permitted >> 32), (uint32_t)(sets->inheritable >> 32)},
    };

    return syscall(SYS_capset, &header, data) < 0 ? -errno : 0;
}

/* ---- what is needed ---- */

uint64_t privileges_named(const struct needs *needs)
{
    uint64_t set = 0;

    for (size_t i = 0; i < needs->n_places; i++) {
        const struct needs_place *place = &needs->places[i];

        if (place->kind != NEEDS_PUBLISHED)
            continue;
        if (place->owner != OWNER_UNCHANGED && place->owner != geteuid())
            set |= BIT(CAP_CHOWN) | BIT(CAP_FOWNER) | BIT(CAP_DAC_OVERRIDE);
        if (place->group != OWNER_UNCHANGED && place->group != getegid())
            set |= BIT(CAP_CHOWN) | BIT(CAP_FSETID);
        if (place->with_directory)
            set |= BIT(CAP_FSETID);
    }
    for (size_t i = 0; i < needs->n_bind; i++)
        if (needs->bind[i] < FIRST_FREE_PORT)
            set |= BIT(CAP_NET_BIND_SERVICE);
    return set;
}

/* CAP_FSETID is for a directory that has gone, or comes with the others. */
uint64_t privileges_needed(const struct needs *needs)
{
    return privileges_named(needs) & ~BIT(CAP_FSETID);
}

/* Whether the kernel lets us with the capabilities of this moment; `absent` is the answer for what is not there. */
static bool privileges_may(const char *path, int mode, bool absent)
{
    if (faccessat(AT_FDCWD, path, mode, AT_EACCESS) == 0)
        return true;
    return errno == ENOENT ? absent : errno != EACCES;
}

static bool privileges_may_in_directory_of(const char *path)
{
    const char *slash = strrchr(path, '/');
    char directory[PATH_MAX];

    if (!slash || (size_t)(slash - path) + 1 >= sizeof(directory))
        return privileges_may(".", W_OK | X_OK, true);
    snprintf(directory, sizeof(directory), "%.*s/", (int)(slash - path), path);
    return privileges_may(directory, W_OK | X_OK, true);
}

static bool privileges_may_use(const struct needs_place *place)
{
    switch (place->kind) {
    case NEEDS_FILE:
    case NEEDS_ONE_FILE:
    case NEEDS_TREE:
        return privileges_may(place->path, R_OK, true);
    case NEEDS_DATA:
    case NEEDS_LOG:
        return privileges_may(place->path, W_OK, true) && privileges_may_in_directory_of(place->path);
    case NEEDS_PUBLISHED:
        return privileges_may_in_directory_of(place->path);
    case NEEDS_TARGET:
        return privileges_may(place->path, W_OK, false);
    }
    return false;
}

/* Asks the kernel itself, which knows ACLs and user namespaces, as a process without the capability. */
static bool privileges_are_enough_without(const struct needs *needs, struct privileges_sets sets, uint64_t capabilities)
{
    uint64_t effective = sets.effective;
    bool enough = true;

    sets.effective &= ~capabilities;
    if (privileges_write(&sets) < 0)
        return false;
    for (size_t i = 0; i < needs->n_places && enough; i++)
        enough = privileges_may_use(&needs->places[i]);
    sets.effective = effective;
    return privileges_write(&sets) == 0 && enough;
}

/* ---- giving up ---- */

/* The bounding set is what a program could be given when it is executed: it goes as a whole, where we may. */
static void privileges_drop_bounds(void)
{
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++)
        if (prctl(PR_CAPBSET_DROP, i, 0, 0, 0) < 0 && errno == EPERM)
            break;
    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
}

static int privileges_drop_capabilities(const struct needs *needs, struct privileges *ret)
{
    const uint64_t files = BIT(CAP_DAC_OVERRIDE) | BIT(CAP_DAC_READ_SEARCH);
    struct privileges_sets sets = {0};
    uint64_t keep = privileges_named(needs);
    int r = privileges_read(&sets);

    if (r < 0)
        return r;
    ret->had = ret->kept = sets.permitted;
    if ((sets.effective & BIT(CAP_DAC_OVERRIDE)) && !(keep & BIT(CAP_DAC_OVERRIDE)) &&
        !privileges_are_enough_without(needs, sets, files))
        keep |= BIT(CAP_DAC_OVERRIDE);
    privileges_drop_bounds();
    sets.permitted &= keep;
    sets.effective &= keep;
    sets.inheritable = 0;
    r = privileges_write(&sets);
    if (r == 0)
        ret->kept = sets.permitted;
    return r;
}

void privileges_drop(const struct needs *needs, struct privileges *ret)
{
    *ret = (struct privileges){.no_new = prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0};
    ret->error_number = -privileges_drop_capabilities(needs, ret);
}

const char *privileges_format(uint64_t set, char text[PRIVILEGES_TEXT_BYTES])
{
    size_t used = 0;

    for (size_t i = 0; i < ARRAY_LENGTH(privileges_names) && used < PRIVILEGES_TEXT_BYTES; i++)
        if (set & BIT(privileges_names[i].number))
            used += (size_t)snprintf(text + used, PRIVILEGES_TEXT_BYTES - used, "%s%s", used > 0 ? " " : "",
                                     privileges_names[i].name);
    if (used == 0)
        snprintf(text, PRIVILEGES_TEXT_BYTES, set ? "all" : "none");
    return text;
}
