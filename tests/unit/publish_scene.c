#include "tests/unit/publish_scene.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#define DEPTH 4 /* of directories in each other, at most */

const char *const scene_place_names[] = {"nursery", "inside", "directory", "socket", "lock", "leftover"};
const char *const scene_thing_names[] = {"nothing",       "link",     "link to file", "link to new",
                                         "link to vault", "our link", "hoard",        "public",
                                         "directory",     "private",  "socket"};

/* ---- the scene ---- */

static int scene_make_directory(const char *path, mode_t mode)
{
    int fd;

    assert_int_equal(mkdir(path, 0700), 0);
    assert_int_equal(chmod(path, mode), 0);
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    assert_true(fd >= 0);
    return fd;
}

static int scene_make_file(int directory, const char *name)
{
    int fd = openat(directory, name, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    return fd;
}

/* A directory's time changes with whatever is made, moved or removed in it, and this one is not within a tick of now.
 */
static void scene_look_first(struct scene *scene)
{
    const struct timespec times[2] = {{.tv_sec = 1}, {.tv_sec = 1}};

    for (size_t i = 0; i < N_KEPT; i++) {
        assert_int_equal(futimens(scene->kept[i], times), 0);
        assert_int_equal(fstat(scene->kept[i], &scene->before[i]), 0);
    }
}

void scene_make(struct scene *scene, const struct fixture *fixture, uid_t attacker, mode_t volume_mode)
{
    char path[160];

    *scene = (struct scene){.uid = attacker, .planted = -1};
    snprintf(scene->canary, sizeof(scene->canary), "%s/canary", fixture->directory);
    snprintf(scene->vault, sizeof(scene->vault), "%s/vault", fixture->directory);
    snprintf(scene->volume, sizeof(scene->volume), "%s/volume", fixture->directory);
    scene->kept[KEPT_CANARY] = scene_make_directory(scene->canary, 0777);
    scene->kept[KEPT_FILE] = scene_make_file(scene->kept[KEPT_CANARY], "file");
    scene->kept[KEPT_VAULT] = scene_make_directory(scene->vault, 0700);
    scene->volume_fd = scene_make_directory(scene->volume, volume_mode);
    snprintf(path, sizeof(path), "%s/hoard", scene->volume);
    scene->kept[KEPT_HOARD] = scene_make_directory(path, 0700);
    close(scene_make_file(scene->kept[KEPT_HOARD], "d"));
    snprintf(path, sizeof(path), "%s/public", scene->volume);
    scene->kept[KEPT_PUBLIC] = scene_make_directory(path, 0755);
    snprintf(path, sizeof(path), "%s/public/dead", scene->volume);
    fixture_make_stale(path);
    snprintf(path, sizeof(path), "%s/pointer", scene->volume);
    assert_int_equal(symlink(scene->canary, path), 0);
    scene_look_first(scene);
}

void scene_check(const struct scene *scene)
{
    static const char *const names[N_KEPT] = {"canary", "canary/file", "vault", "hoard", "public"};

    for (size_t i = 0; i < N_KEPT; i++) {
        const struct stat *was = &scene->before[i];
        struct stat is;

        assert_int_equal(fstat(scene->kept[i], &is), 0);
        if (is.st_mode != was->st_mode || is.st_uid != was->st_uid || is.st_gid != was->st_gid ||
            is.st_nlink != was->st_nlink || is.st_size != was->st_size || is.st_mtim.tv_sec != was->st_mtim.tv_sec)
            fail_msg("%s was changed: mode %o, now %o, or what is in it", names[i], was->st_mode, is.st_mode);
    }
}

static int scene_remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    return remove(path);
}

void scene_remove(struct scene *scene)
{
    if (scene->planted >= 0)
        close(scene->planted);
    close(scene->volume_fd);
    for (size_t i = 0; i < N_KEPT; i++)
        close(scene->kept[i]);
    nftw(scene->volume, scene_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    nftw(scene->canary, scene_remove_entry, 16, FTW_DEPTH | FTW_PHYS);
    rmdir(scene->vault);
}

/* ---- the attacker ---- */

static bool attacker_is_nursery(const char *name)
{
    return strncmp(name, ".porthole-", 10) == 0 && strlen(name) == 18 && strcmp(name, ".porthole-leftover") != 0;
}

/* Opens a directory, never through a link. */
static int attacker_enter(int parent, const char *name)
{
    return openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
}

static bool attacker_is_wanted(int directory, const struct dirent *entry, bool nursery)
{
    struct stat st;

    if (nursery)
        return attacker_is_nursery(entry->d_name);
    /* What is being made, not what lies in the hoard. */
    return entry->d_name[0] != '.' && fstatat(directory, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
           !S_ISREG(st.st_mode);
}

/* The nursery in a directory, or what is in a nursery. */
static bool attacker_find_entry(int directory, bool nursery, char name[NAME_MAX + 1])
{
    int listed = attacker_enter(directory, ".");
    DIR *listing = listed < 0 ? NULL : fdopendir(listed);
    struct dirent *entry;
    bool found = false;

    while (listing && !found && (entry = readdir(listing))) {
        found = attacker_is_wanted(directory, entry, nursery);
        if (found)
            snprintf(name, NAME_MAX + 1, "%s", entry->d_name);
    }
    if (listing)
        closedir(listing);
    return found;
}

/* Looks in volume/made first, then in the volume. Returns the directory that the name is in, or -1. */
static int attacker_find_nursery(const struct scene *scene, char name[NAME_MAX + 1])
{
    int made = attacker_enter(scene->volume_fd, "made"), volume;

    if (made >= 0 && attacker_find_entry(made, true, name))
        return made;
    if (made >= 0)
        close(made);
    volume = attacker_enter(scene->volume_fd, ".");
    if (volume >= 0 && attacker_find_entry(volume, true, name))
        return volume;
    if (volume >= 0)
        close(volume);
    return -1;
}

static int attacker_find_inside(const struct scene *scene, char name[NAME_MAX + 1])
{
    int parent = attacker_find_nursery(scene, name);
    int nursery = parent < 0 ? -1 : attacker_enter(parent, name);

    if (parent >= 0)
        close(parent);
    if (nursery >= 0 && attacker_find_entry(nursery, false, name))
        return nursery;
    if (nursery >= 0)
        close(nursery);
    return -1;
}

static int attacker_find(const struct scene *scene, enum scene_place place, char name[NAME_MAX + 1])
{
    static const char *const names[] = {[PLACE_DIRECTORY] = "made",
                                        [PLACE_SOCKET] = "app.sock",
                                        [PLACE_LOCK] = ".porthole-lock",
                                        [PLACE_LEFTOVER] = ".porthole-leftover"};
    int fd = -1;

    if (place == PLACE_NURSERY)
        return attacker_find_nursery(scene, name);
    if (place == PLACE_INSIDE)
        return attacker_find_inside(scene, name);
    snprintf(name, NAME_MAX + 1, "%s", names[place]);
    if (place != PLACE_DIRECTORY)
        fd = attacker_enter(scene->volume_fd, "made");
    return fd >= 0 ? fd : attacker_enter(scene->volume_fd, ".");
}

static bool attacker_plant(struct scene *scene, int directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    if (scene->planted >= 0)
        close(scene->planted);
    scene->planted = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/planted", scene->volume);
    unlink(address.sun_path);
    return bind(scene->planted, (struct sockaddr *)&address, sizeof(address)) == 0 &&
           listen(scene->planted, 100) == 0 && chmod(address.sun_path, 0777) == 0 &&
           renameat(AT_FDCWD, address.sun_path, directory, name) == 0;
}

static bool attacker_put_link(const char *to, const char *rest, int directory, const char *name)
{
    char target[128];

    snprintf(target, sizeof(target), "%s%s", to, rest);
    return symlinkat(target, directory, name) == 0;
}

static bool attacker_put(struct scene *scene, enum scene_thing thing, int directory, const char *name)
{
    switch (thing) {
    case THING_LINK:
        return attacker_put_link(scene->canary, "", directory, name);
    case THING_LINK_TO_FILE:
        return attacker_put_link(scene->canary, "/file", directory, name);
    case THING_LINK_TO_NEW:
        return attacker_put_link(scene->canary, "/new", directory, name);
    case THING_LINK_TO_VAULT:
        return attacker_put_link(scene->vault, "", directory, name);
    case THING_OUR_LINK:
        return renameat(scene->volume_fd, "pointer", directory, name) == 0;
    case THING_HOARD:
        return renameat(scene->volume_fd, "hoard", directory, name) == 0;
    case THING_PUBLIC:
        return renameat(scene->volume_fd, "public", directory, name) == 0;
    case THING_DIRECTORY:
        return mkdirat(directory, name, 0777) == 0;
    case THING_PRIVATE:
        return mkdirat(directory, name, 0700) == 0;
    case THING_SOCKET:
        return attacker_plant(scene, directory, name);
    default:
        return false;
    }
}

/* False when nothing is there, or it stays. */
static bool attacker_move_away(struct scene *scene, int directory, const char *name)
{
    char away[32];

    snprintf(away, sizeof(away), "away%u", scene->n_away++);
    return renameat(directory, name, directory, away) == 0 || unlinkat(directory, name, 0) == 0 ||
           unlinkat(directory, name, AT_REMOVEDIR) == 0;
}

/* What must stay as it is must do so for the attacker, too, who may have moved it to where something is to be done. */
static bool attacker_must_leave(const struct scene *scene, int directory)
{
    struct stat st;

    for (size_t i = 0; i < N_KEPT; i++)
        if (fstat(directory, &st) < 0 || st.st_ino == scene->before[i].st_ino)
            return true;
    return false;
}

static bool attacker_do(struct scene *scene, enum scene_place place, enum scene_thing thing)
{
    char name[NAME_MAX + 1];
    int directory = attacker_find(scene, place, name);
    bool moved = false, put = false;

    if (directory < 0)
        return false;
    if (!attacker_must_leave(scene, directory)) {
        moved = attacker_move_away(scene, directory, name);
        put = attacker_put(scene, thing, directory, name);
    }
    close(directory);
    return moved || put;
}

static bool attacker_is_let_in(int directory, const char *name)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int file = openat(directory, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    struct ucred ucred = {0};
    socklen_t size = sizeof(ucred);
    bool let_in;

    snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", file);
    let_in = file >= 0 && connect(fd, (struct sockaddr *)&address, sizeof(address)) == 0 &&
             getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &ucred, &size) == 0 && ucred.uid != geteuid();
    if (file >= 0)
        close(file);
    close(fd);
    return let_in;
}

static bool attacker_try_doors(int parent, const char *name, int depth)
{
    int fd = depth > 0 ? attacker_enter(parent, name) : -1;
    DIR *listing = fd < 0 ? NULL : fdopendir(fd);
    struct dirent *entry;
    bool let_in = false;

    while (listing && !let_in && (entry = readdir(listing))) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        let_in = entry->d_type == DT_DIR    ? attacker_try_doors(fd, entry->d_name, depth - 1)
                 : entry->d_type == DT_SOCK ? attacker_is_let_in(fd, entry->d_name)
                                            : false;
    }
    if (listing)
        closedir(listing);
    return let_in;
}

/* ---- changing sides ---- */

static void scene_become(uid_t uid)
{
    /* The user last on the way there, first on the way back: only root may. */
    if (seteuid(0) < 0 || setegid(uid) < 0 || seteuid(uid) < 0)
        fail_msg("cannot become user %u: %s", uid, strerror(errno));
}

bool scene_attack(struct scene *scene, enum scene_place place, enum scene_thing thing)
{
    uid_t own = geteuid();
    bool done;

    if (scene->uid == own)
        return attacker_do(scene, place, thing);
    scene_become(scene->uid);
    done = attacker_do(scene, place, thing);
    scene_become(own);
    return done;
}

bool scene_knock(const struct scene *scene)
{
    uid_t own = geteuid();
    bool let_in;

    scene_become(scene->uid);
    let_in = attacker_try_doors(scene->volume_fd, ".", DEPTH);
    scene_become(own);
    return let_in;
}
