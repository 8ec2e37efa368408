#include "proxy/watcher.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "config/load.h"
#include "proxy/base/file_read.h"

#define LOOK_MS 2000
#define BLIND_LOOK_MS 1000
#define REST_MS 100 /* between two looks that something in the directories asks for */
#define READS_MOST 4

/* ---- what the files hold ---- */

/* Whether it is worth another try, in which it need not fail. */
static bool watcher_is_passing(int error)
{
    return error == EMFILE || error == ENFILE || error == ENOMEM || error == EINTR;
}

static int watcher_digest(int fd, size_t size, char digest[SHA256_HEX_BYTES])
{
    char *data = malloc(size + 1); /* one more: it may have grown */
    ssize_t n;

    if (!data)
        return -ENOMEM;
    n = file_read_all(fd, data, size + 1);
    if (n == (ssize_t)size)
        sha256_hex(data, size, digest);
    free(data);
    return n >= 0 && n != (ssize_t)size ? -EAGAIN : 0;
}

static int watcher_read_file(int fd, const struct file_mark *mark, char digest[SHA256_HEX_BYTES])
{
    struct file_mark before, after;
    struct stat status;
    int r;

    if (fstat(fd, &status) < 0)
        return 0;
    before = file_mark_of(&status);
    if (!file_mark_equal(&before, mark))
        return -EAGAIN;
    if (!S_ISREG(status.st_mode) || status.st_size > (off_t)CONFIG_MOST_BYTES)
        return 0;
    r = watcher_digest(fd, (size_t)status.st_size, digest);
    if (r < 0 || fstat(fd, &status) < 0)
        return r;
    after = file_mark_of(&status);
    return file_mark_equal(&after, mark) ? 0 : -EAGAIN;
}

/* 0 with the digest of what it holds, "" when nobody could read it; or a negative errno: it is not the time for it. */
static int watcher_read(const struct watched *file, char digest[SHA256_HEX_BYTES])
{
    int fd, r;

    digest[0] = '\0';
    if (!file_mark_is_set(&file->mark))
        return 0;
    fd = open(file->path, O_RDONLY | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0)
        return watcher_is_passing(errno) ? -errno : 0;
    r = watcher_read_file(fd, &file->mark, digest);
    close(fd);
    return r;
}

/* ---- the directories ---- */

static void watcher_tell_blind(struct watcher *watcher, int error)
{
    watcher->blind = true;
    if (watcher->told_blind)
        return;
    watcher->told_blind = true;
    LOG_EVENT(LOG_LEVEL_INFO, "changes of the configuration are looked for every second: inotify does not tell of all",
              LOG_STRING("error", strerror(error)));
}

/* Whose trail another state of the file belongs to is not known, so all are walked again. */
static void watcher_walk(struct watcher *watcher)
{
    struct trail_watches old = watcher->watches;
    int failure = 0;

    if (watcher->inotify_fd < 0)
        return;
    watcher->watches = (struct trail_watches){.items = NULL};
    watcher->blind = false;
    for (size_t i = 0; i < watcher->n_files; i++) {
        struct watched *file = &watcher->files[i];
        struct trail trail = file->trail;
        int r = trail_walk(&file->trail, watcher->inotify_fd, file->path, &watcher->watches);

        /* Who writes to another file is of no interest any more. */
        if (file->trail.directory != trail.directory || strcmp(file->trail.name, trail.name) != 0)
            file->writing.ns = 0;
        failure = failure ? failure : r;
    }
    if (failure)
        watcher_tell_blind(watcher, -failure);
    trail_watches_drop(&old, &watcher->watches, watcher->inotify_fd);
    trail_watches_deinit(&old);
}

/* Who makes a name or writes to a file has it open until it is closed. A hard link is a name that was not made so. */
static void watched_heed(struct watched *file, uint32_t mask, struct instant now)
{
    struct stat status;

    if (mask & (IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_DELETE_SELF | IN_MOVE_SELF))
        file->writing.ns = 0;
    else if (mask & (IN_CREATE | IN_MODIFY) && !(mask & IN_ISDIR) && file->writing.ns == 0 &&
             !(mask & IN_CREATE && stat(file->path, &status) == 0 && status.st_nlink > 1))
        file->writing = now;
}

static void watcher_heed(struct watcher *watcher, const struct inotify_event *event)
{
    struct instant now = loop_now(watcher->loop);

    for (size_t i = 0; i < watcher->n_files; i++) {
        struct watched *file = &watcher->files[i];

        if (event->mask & IN_Q_OVERFLOW)
            file->writing.ns = 0;
        else if (event->wd == file->trail.file ||
                 (event->wd == file->trail.directory && event->len > 0 && strcmp(event->name, file->trail.name) == 0))
            watched_heed(file, event->mask, now);
    }
}

/* What is not read now is read after the rest. */
static void watcher_read_events(struct watcher *watcher)
{
    _Alignas(struct inotify_event) char data[4096];

    for (int i = 0; i < READS_MOST && watcher->inotify_fd >= 0; i++) {
        ssize_t n = read(watcher->inotify_fd, data, sizeof(data));

        for (ssize_t at = 0; at < n;) {
            const struct inotify_event *event = (const struct inotify_event *)(const void *)(data + at);

            at += (ssize_t)(sizeof(*event) + event->len);
            watcher_heed(watcher, event);
        }
        if (n <= 0)
            return;
    }
}

/* ---- looking ---- */

/* Whether its trail may be another. That of one that is not there leads further as soon as a directory appears. */
static bool watched_look(struct watched *file, struct instant now)
{
    struct file_mark mark = file_mark_at(file->path);

    if (file_mark_equal(&mark, &file->mark))
        return !file_mark_is_set(&mark);
    file->mark = mark;
    file->since = now;
    file->unread = true;
    return true;
}

/* When it may be read. */
static struct instant watched_ready(const struct watched *file)
{
    struct instant ready = instant_add_ms(file->since, WATCHER_SETTLE_MS);
    struct instant patience = instant_add_ms(file->writing, WATCHER_WRITER_MS);

    if (!file_mark_is_set(&file->mark))
        return instant_add_ms(file->since, WATCHER_ABSENT_MS);
    return file->writing.ns > 0 && instant_before(ready, patience) ? patience : ready;
}

/* How long until all may be read, 0: now. UINT64_MAX: there is nothing to read. */
static uint64_t watcher_left_ms(const struct watcher *watcher, struct instant now)
{
    uint64_t most_ms = UINT64_MAX;

    for (size_t i = 0; i < watcher->n_files; i++) {
        const struct watched *file = &watcher->files[i];
        struct instant ready = watched_ready(file);
        uint64_t ms = instant_before(now, ready) ? instant_elapsed_us(now, ready) / 1000 + 1 : 0;

        if (file->unread && (most_ms == UINT64_MAX || ms > most_ms))
            most_ms = ms;
    }
    return most_ms;
}

/* Whether some hold something else than before; a negative errno when one could not be read, or changed meanwhile. */
static int watcher_compare(struct watcher *watcher)
{
    int n_changed = 0;

    for (size_t i = 0; i < watcher->n_files; i++) {
        struct watched *file = &watcher->files[i];
        int r = file->unread ? watcher_read(file, file->found) : 0;

        if (r < 0) {
            file->since = loop_now(watcher->loop);
            return r;
        }
    }
    for (size_t i = 0; i < watcher->n_files; i++) {
        struct watched *file = &watcher->files[i];

        n_changed += file->unread && strcmp(file->told, file->found) != 0;
        if (file->unread)
            memcpy(file->told, file->found, sizeof(file->told));
        file->unread = false;
    }
    return n_changed;
}

static void watcher_arm(struct watcher *watcher)
{
    uint64_t left_ms = watcher_left_ms(watcher, loop_now(watcher->loop));
    uint64_t ms = watcher->blind || watcher->inotify_fd < 0 ? BLIND_LOOK_MS : LOOK_MS;

    /* Nothing is read between two looks. */
    if (left_ms < ms)
        ms = left_ms < REST_MS ? REST_MS : left_ms;
    if (watcher->deaf && ms > REST_MS)
        ms = REST_MS;
    timer_disarm(&watcher->look);
    timer_arm(watcher->loop, &watcher->look, ms);
}

static void watcher_look(struct watcher *watcher)
{
    struct instant now = loop_now(watcher->loop);
    bool walk = false;
    int n_changed = 0;

    for (size_t i = 0; i < watcher->n_files; i++)
        walk = watched_look(&watcher->files[i], now) || walk;
    if (walk)
        watcher_walk(watcher);
    if (watcher_left_ms(watcher, now) == 0)
        n_changed = watcher_compare(watcher);
    watcher_arm(watcher);
    if (n_changed > 0)
        watcher->changed(watcher);
}

static void watcher_on_look(struct timer *timer)
{
    struct watcher *watcher = CONTAINER_OF(timer, struct watcher, look);

    /* A writer that has closed, or begun, in this moment. */
    watcher_read_events(watcher);
    if (watcher->deaf && loop_modify(&watcher->source, EPOLLIN) == 0)
        watcher->deaf = false;
    watcher_look(watcher);
}

static void watcher_on_events(struct source *source, uint32_t events)
{
    struct watcher *watcher = CONTAINER_OF(source, struct watcher, source);

    (void)events;
    watcher_read_events(watcher);
    watcher->deaf = loop_modify(source, 0) == 0;
    watcher_look(watcher);
}

/* ---- whom it follows ---- */

/* The caller owns it. NULL when out of memory. */
static char *watcher_absolute(const char *path)
{
    char *directory, *whole = NULL;

    if (path[0] == '/')
        return strdup(path);
    directory = getcwd(NULL, 0);
    if (directory && asprintf(&whole, "%s/%s", directory, path) < 0)
        whole = NULL;
    free(directory);
    return whole;
}

static struct watched *watcher_find(const struct watcher *watcher, const char *path)
{
    for (size_t i = 0; i < watcher->n_files; i++)
        if (strcmp(watcher->files[i].path, path) == 0)
            return &watcher->files[i];
    return NULL;
}

/* Two that were read one after the other may have been read differently: then nothing is like both. */
static int watcher_add(struct watcher *watcher, const char *path, const char *digest, bool awaited)
{
    char *absolute = watcher_absolute(path);
    struct watched *file = absolute ? watcher_find(watcher, absolute) : NULL;
    struct watched *files;

    if (file) {
        free(absolute);
        if (strcmp(file->told, digest) != 0 && !awaited)
            file->told[0] = '\0';
        return 0;
    }
    files = absolute ? realloc(watcher->files, (watcher->n_files + 1) * sizeof(*files)) : NULL;
    if (!files) {
        free(absolute);
        return -ENOMEM;
    }
    watcher->files = files;
    file = &files[watcher->n_files++];
    *file = (struct watched){
        .path = absolute, .trail = TRAIL_INIT, .since = loop_now(watcher->loop), .unread = true, .awaited = awaited};
    snprintf(file->told, sizeof(file->told), "%s", digest);
    return 0;
}

static int watcher_add_contents(struct watcher *watcher, const struct listener_config *listener)
{
    int r = 0;

    for (size_t i = 0; i < listener->n_routes && r == 0; i++) {
        const struct route_answer *answer = &listener->routes[i].respond;
        char digest[SHA256_HEX_BYTES];

        if (listener->routes[i].action != ROUTE_RESPOND || !answer->file)
            continue;
        sha256_hex(answer->content, answer->body_length, digest);
        r = watcher_add(watcher, answer->file, digest, false);
    }
    return r;
}

static int watcher_add_all(struct watcher *watcher, const struct snapshot *snapshot)
{
    int r = watcher_add(watcher, snapshot->source, snapshot->sha256, false);

    for (size_t i = 0; i < snapshot->n_listeners && r == 0; i++)
        r = watcher_add_contents(watcher, &snapshot->listeners[i]);
    return r;
}

static void watcher_open(struct watcher *watcher)
{
    int r;

    watcher->source = (struct source)SOURCE_INIT;
    watcher->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    r = watcher->inotify_fd < 0
            ? -errno
            : loop_add(watcher->loop, &watcher->source, watcher->inotify_fd, EPOLLIN, watcher_on_events);
    if (r == 0)
        return;
    if (watcher->inotify_fd >= 0)
        close(watcher->inotify_fd);
    watcher->inotify_fd = -1;
    watcher_tell_blind(watcher, -r);
}

/* Watches before it looks: whatever comes later is told. */
static void watcher_begin(struct watcher *watcher)
{
    if (!watcher->look.fn)
        timer_init(&watcher->look, watcher_on_look);
    if (watcher->source.loop == NULL)
        watcher_open(watcher);
    watcher_walk(watcher);
    for (size_t i = 0; i < watcher->n_files; i++)
        (void)watched_look(&watcher->files[i], loop_now(watcher->loop));
    watcher_arm(watcher);
}

static void watcher_free_files(struct watched *files, size_t n_files)
{
    for (size_t i = 0; i < n_files; i++)
        free(files[i].path);
    free(files);
}

static void watcher_forget(struct watcher *watcher)
{
    watcher_free_files(watcher->files, watcher->n_files);
    watcher->files = NULL;
    watcher->n_files = 0;
}

/* What is known of the files of before, above all who is writing to them. What was read of one is read again only if
 * the snapshot holds something else. */
static void watcher_keep(const struct watcher *watcher, const struct watched *before, size_t n_before)
{
    for (size_t i = 0; i < n_before; i++) {
        struct watched *file = watcher_find(watcher, before[i].path);

        if (!file)
            continue;
        file->trail = before[i].trail;
        file->mark = before[i].mark;
        file->since = before[i].since;
        file->writing = before[i].writing;
        file->unread = before[i].unread || strcmp(file->told, before[i].told) != 0;
    }
}

int watcher_follow(struct watcher *watcher, const struct snapshot *snapshot)
{
    struct watched *before = watcher->files;
    size_t n_before = watcher->n_files;
    bool wanted = snapshot && snapshot->watch;
    int r = 0;

    watcher->files = NULL;
    watcher->n_files = 0;
    if (wanted)
        r = watcher_add_all(watcher, snapshot);
    if (wanted && r == 0) {
        watcher_keep(watcher, before, n_before);
        watcher_begin(watcher);
    } else {
        watcher_stop(watcher);
    }
    watcher_free_files(before, n_before);
    return r;
}

void watcher_know(struct watcher *watcher, const char *path, const char *digest)
{
    char *absolute = digest[0] ? watcher_absolute(path) : NULL;
    struct watched *file = absolute ? watcher_find(watcher, absolute) : NULL;

    if (file)
        snprintf(file->told, sizeof(file->told), "%s", digest);
    free(absolute);
}

static void watcher_forget_awaited(struct watcher *watcher)
{
    size_t n = 0;

    for (size_t i = 0; i < watcher->n_files; i++) {
        if (watcher->files[i].awaited)
            free(watcher->files[i].path);
        else
            watcher->files[n++] = watcher->files[i];
    }
    watcher->n_files = n;
}

int watcher_await(struct watcher *watcher, char *const *paths, size_t n_paths)
{
    int r = 0;

    if (watcher->n_files == 0)
        return 0;
    watcher_forget_awaited(watcher);
    for (size_t i = 0; i < n_paths && r == 0; i++)
        r = watcher_add(watcher, paths[i], "", true);
    if (r < 0)
        watcher_stop(watcher);
    else
        watcher_begin(watcher);
    return r;
}

void watcher_stop(struct watcher *watcher)
{
    watcher_forget(watcher);
    if (!watcher->look.fn)
        return;
    timer_disarm(&watcher->look);
    loop_remove(&watcher->source);
    if (watcher->inotify_fd >= 0)
        close(watcher->inotify_fd);
    watcher->inotify_fd = -1;
    watcher->deaf = false;
    trail_watches_deinit(&watcher->watches);
}
