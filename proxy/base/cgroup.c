#include "proxy/base/cgroup.h"

#define CGROUP_UNLIMITED ((uint64_t)1 << 60) /* version 1 has a number for it, which depends on the size of pages */

/* The first part of *rest, up to `end` or to its end, which is taken off. */
static struct text cgroup_part(struct text *rest, char end)
{
    const char *at = rest->length > 0 ? memchr(rest->data, end, rest->length) : NULL;
    struct text part = {rest->data, at ? (size_t)(at - rest->data) : rest->length};
    size_t taken = part.length + (at != NULL);

    *rest = (struct text){taken > 0 ? rest->data + taken : rest->data, rest->length - taken};
    return part;
}

/* Whether a list that commas separate has it. */
static bool cgroup_lists(struct text list, struct text wanted)
{
    while (list.length > 0)
        if (text_equal(cgroup_part(&list, ','), wanted))
            return true;
    return false;
}

static bool cgroup_begins_with(struct text text, struct text start)
{
    return text.length >= start.length && text_equal((struct text){text.data, start.length}, start);
}

/* ---- where it is ---- */

/* A line of /proc/PID/cgroup is ID:CONTROLLERS:PATH; version 2 has no controllers there. */
static bool cgroup_membership(struct text lines, enum cgroup_version version, struct text controller,
                              struct text *ret_path)
{
    while (lines.length > 0) {
        struct text path = cgroup_part(&lines, '\n'), controllers;

        (void)cgroup_part(&path, ':');
        controllers = cgroup_part(&path, ':');
        if (path.length == 0 || path.data[0] != '/')
            continue;
        if (version == CGROUP_V2 ? controllers.length == 0 : cgroup_lists(controllers, controller)) {
            *ret_path = path;
            return true;
        }
    }
    return false;
}

struct cgroup_mount {
    struct text root, point;
};

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS OPTIONAL... - TYPE SOURCE OPTIONS */
static bool cgroup_mount(struct text line, enum cgroup_version version, struct text controller,
                         struct cgroup_mount *ret_mount)
{
    struct cgroup_mount mount;
    struct text type;

    for (int i = 0; i < 3; i++)
        (void)cgroup_part(&line, ' ');
    mount.root = cgroup_part(&line, ' ');
    mount.point = cgroup_part(&line, ' ');
    while (line.length > 0 && !text_equal(cgroup_part(&line, ' '), TEXT_LITERAL("-")))
        ;
    type = cgroup_part(&line, ' ');
    (void)cgroup_part(&line, ' ');
    if (mount.point.length == 0 || mount.point.data[0] != '/' ||
        !text_equal(type, version == CGROUP_V2 ? TEXT_LITERAL("cgroup2") : TEXT_LITERAL("cgroup")) ||
        (version == CGROUP_V1 && !cgroup_lists(line, controller)))
        return false;
    *ret_mount = mount;
    return true;
}

static bool cgroup_is_octal(const char *digits)
{
    return digits[0] >= '0' && digits[0] <= '3' && digits[1] >= '0' && digits[1] <= '7' && digits[2] >= '0' &&
           digits[2] <= '7';
}

/* Blanks and backslashes of a mount's point are \OOO there. How long the path is, or 0 when there is no room. */
static size_t cgroup_unescape(struct text point, char *out, size_t size)
{
    size_t length = 0;

    for (size_t i = 0; i < point.length && length < size; i++) {
        const char *at = point.data + i;

        if (at[0] == '\\' && point.length - i >= 4 && cgroup_is_octal(at + 1)) {
            out[length++] = (char)((at[1] - '0') * 64 + (at[2] - '0') * 8 + at[3] - '0');
            i += 3;
        } else {
            out[length++] = at[0];
        }
    }
    return length < size ? length : 0;
}

/* What of a group's path lies below the root of a mount; nothing when it lies elsewhere. */
static struct text cgroup_below(struct text path, struct text root)
{
    static const struct text none = {"", 0};

    if (text_equal(root, TEXT_LITERAL("/")))
        root.length = 0;
    if (!cgroup_begins_with(path, root) || (path.length > root.length && path.data[root.length] != '/') ||
        memmem(path.data, path.length, "/..", 3))
        return none;
    path = (struct text){path.data + root.length, path.length - root.length};
    return text_equal(path, TEXT_LITERAL("/")) ? none : path;
}

static bool cgroup_put(struct cgroup_place *place, const struct cgroup_mount *mount, struct text path)
{
    struct text below = cgroup_below(path, mount->root);
    size_t length = cgroup_unescape(mount->point, place->directory, sizeof(place->directory));

    if (length == 0 || below.length >= sizeof(place->directory) - length || memchr(place->directory, '\0', length) ||
        (below.length > 0 && memchr(below.data, '\0', below.length)))
        return false;
    if (below.length > 0)
        memcpy(place->directory + length, below.data, below.length);
    place->directory[length + below.length] = '\0';
    place->mount_length = length;
    return true;
}

static bool cgroup_find_version(struct text membership, struct text mounts, struct text controller,
                                enum cgroup_version version, struct cgroup_place *place)
{
    struct cgroup_mount mount;
    struct text path;

    if (!cgroup_membership(membership, version, controller, &path))
        return false;
    while (mounts.length > 0)
        if (cgroup_mount(cgroup_part(&mounts, '\n'), version, controller, &mount))
            return cgroup_put(place, &mount, path);
    return false;
}

void cgroup_find(struct text membership, struct text mounts, struct text controller, struct cgroup_place *ret_place)
{
    ret_place->version = CGROUP_NONE;
    if (cgroup_find_version(membership, mounts, controller, CGROUP_V1, ret_place))
        ret_place->version = CGROUP_V1;
    else if (cgroup_find_version(membership, mounts, controller, CGROUP_V2, ret_place))
        ret_place->version = CGROUP_V2;
}

bool cgroup_go_up(struct cgroup_place *place)
{
    char *slash = strrchr(place->directory, '/');

    if (!slash || (size_t)(slash - place->directory) < place->mount_length)
        return false;
    *slash = '\0';
    return true;
}

/* ---- what it says ---- */

/* UINT64_MAX: no number, or one that is too large. */
static uint64_t cgroup_number(struct text digits)
{
    uint64_t number = 0;

    if (digits.length == 0)
        return UINT64_MAX;
    for (size_t i = 0; i < digits.length; i++) {
        unsigned digit = (unsigned)(unsigned char)digits.data[i] - '0';

        if (digit > 9 || number > (UINT64_MAX - digit) / 10)
            return UINT64_MAX;
        number = number * 10 + digit;
    }
    return number;
}

uint64_t cgroup_bytes(struct text content)
{
    uint64_t bytes = cgroup_number(cgroup_part(&content, '\n'));

    return bytes >= CGROUP_UNLIMITED ? UINT64_MAX : bytes;
}

static uint64_t cgroup_stat(struct text stat, struct text name)
{
    while (stat.length > 0) {
        struct text line = cgroup_part(&stat, '\n');

        if (text_equal(cgroup_part(&line, ' '), name)) {
            uint64_t bytes = cgroup_number(line);

            return bytes >= CGROUP_UNLIMITED ? 0 : bytes;
        }
    }
    return 0;
}

uint64_t cgroup_reclaimable(enum cgroup_version version, struct text stat)
{
    if (version == CGROUP_V1)
        return cgroup_stat(stat, TEXT_LITERAL("total_inactive_file")) +
               cgroup_stat(stat, TEXT_LITERAL("total_active_file"));
    return cgroup_stat(stat, TEXT_LITERAL("inactive_file")) + cgroup_stat(stat, TEXT_LITERAL("active_file")) +
           cgroup_stat(stat, TEXT_LITERAL("slab_reclaimable"));
}

uint64_t cgroup_cpu_quota(struct text quota, struct text period)
{
    uint64_t quota_us = cgroup_number(cgroup_part(&quota, '\n')), period_us = cgroup_number(cgroup_part(&period, '\n'));

    if (quota_us == 0 || quota_us > UINT64_MAX / 2000 || period_us == 0 || period_us > UINT64_MAX / 2)
        return UINT64_MAX;
    return (quota_us * 1000 + period_us - 1) / period_us;
}

uint64_t cgroup_cpu_max(struct text max)
{
    struct text quota = cgroup_part(&max, ' ');

    return cgroup_cpu_quota(quota, max);
}
