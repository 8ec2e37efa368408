#include "proxy/listen/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LOOK_MS 2000
#define WATCH_EVENTS (IN_MOVED_TO | IN_CREATE | IN_DELETE | IN_MOVED_FROM)

const struct state_machine keeper_machine = {
    .name = "keeper",
    .n_states = 3,
    .states = {
        [KEEPER_OURS] = {"OURS", STATE_BIT(KEEPER_LOST) | STATE_BIT(KEEPER_TAKEN)},
        [KEEPER_LOST] = {"LOST", STATE_BIT(KEEPER_OURS) | STATE_BIT(KEEPER_TAKEN)},
        [KEEPER_TAKEN] = {"TAKEN", STATE_BIT(KEEPER_OURS) | STATE_BIT(KEEPER_LOST)},
    }};

void keeper_move(struct keeper_charge *charge, enum keeper_state to)
{
    state_check(&keeper_machine, charge->state, to);
    charge->state = to;
}

static void keeper_watch_directory(struct keeper *keeper, const struct listener *listener)
{
    char path[32];

    if (listener->directory_fd < 0 || keeper->inotify_fd < 0)
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", listener->directory_fd);
    if (inotify_add_watch(keeper->inotify_fd, path, WATCH_EVENTS) < 0)
        LOG_EVENT(LOG_LEVEL_WARN, "cannot watch the directory of a socket",
                  LOG_STRING("listener", listener->config->name), LOG_STRING("address", listener->config->bind.text),
                  LOG_STRING("error", strerror(errno)));
}

/* Each state is told once, when it begins. */
static void keeper_restore(struct keeper *keeper, size_t index)
{
    struct keeper_charge *charge = &keeper->charges[index];
    struct listener *listener = charge->listener;
    struct error error = ERROR_INIT;
    int old_fd = listener_publish_again(listener, &error);

    if (old_fd < 0) {
        if (charge->state == KEEPER_LOST)
            return;
        keeper_move(charge, KEEPER_LOST);
        LOG_EVENT(LOG_LEVEL_ERROR, "a socket was removed and cannot be published again: trying on",
                  LOG_STRING("listener", listener->config->name), LOG_STRING("address", listener->config->bind.text),
                  LOG_STRING("error", error.message));
        return;
    }
    if (charge->state != KEEPER_OURS)
        keeper_move(charge, KEEPER_OURS);
    LOG_EVENT(LOG_LEVEL_WARN, "a socket was removed and is published again",
              LOG_STRING("listener", listener->config->name), LOG_STRING("address", listener->config->bind.text));
    keeper->republished(keeper, index);
    close(old_fd);
    keeper_watch_directory(keeper, listener);
}

static void keeper_look_at(struct keeper *keeper, size_t index)
{
    struct keeper_charge *charge = &keeper->charges[index];
    const struct listener *listener = charge->listener;
    enum listener_place place = listener_look(listener);

    if (place == LISTENER_OURS) {
        if (charge->state != KEEPER_OURS)
            keeper_move(charge, KEEPER_OURS);
    } else if (place == LISTENER_ABSENT || !listener_is_succeeded(listener)) {
        keeper_restore(keeper, index);
    } else if (charge->state != KEEPER_TAKEN) {
        keeper_move(charge, KEEPER_TAKEN);
        LOG_EVENT(LOG_LEVEL_INFO, "another process has taken over a socket",
                  LOG_STRING("listener", listener->config->name), LOG_STRING("address", listener->config->bind.text));
    }
}

static void keeper_look(struct keeper *keeper)
{
    size_t n_paths = 0, n_taken = 0;

    for (size_t i = 0; i < keeper->n_charges; i++) {
        if (keeper->charges[i].listener->config->bind.kind != ADDRESS_UNIX)
            continue;
        keeper_look_at(keeper, i);
        n_paths++;
        n_taken += keeper->charges[i].state == KEEPER_TAKEN;
    }
    if (n_paths > 0 && n_taken == n_paths)
        keeper->succeeded(keeper);
}

static void keeper_on_timer(struct timer *timer)
{
    struct keeper *keeper = CONTAINER_OF(timer, struct keeper, look);

    timer_arm(keeper->loop, &keeper->look, LOOK_MS);
    keeper_look(keeper);
}

static void keeper_on_directory(struct source *source, uint32_t events)
{
    struct keeper *keeper = CONTAINER_OF(source, struct keeper, directories);
    char data[4096];

    (void)events;
    while (read(keeper->inotify_fd, data, sizeof(data)) > 0)
        ;
    keeper_look(keeper);
}

int keeper_start(struct keeper *keeper, struct listener **listeners, size_t n_listeners)
{
    keeper->inotify_fd = -1;
    keeper->directories = (struct source)SOURCE_INIT;
    timer_init(&keeper->look, keeper_on_timer);
    keeper->charges = calloc(n_listeners ? n_listeners : 1, sizeof(*keeper->charges));
    if (!keeper->charges)
        return -ENOMEM;
    keeper->n_charges = n_listeners;
    keeper->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (keeper->inotify_fd < 0 ||
        loop_add(keeper->loop, &keeper->directories, keeper->inotify_fd, EPOLLIN, keeper_on_directory) < 0)
        LOG_EVENT(LOG_LEVEL_WARN, "cannot watch the sockets' directories", LOG_STRING("error", strerror(errno)));
    for (size_t i = 0; i < n_listeners; i++) {
        keeper->charges[i].listener = listeners[i];
        keeper_watch_directory(keeper, listeners[i]);
    }
    keeper_on_timer(&keeper->look);
    return 0;
}

void keeper_stop(struct keeper *keeper)
{
    if (!keeper->charges)
        return;
    timer_disarm(&keeper->look);
    loop_remove(&keeper->directories);
    if (keeper->inotify_fd >= 0)
        close(keeper->inotify_fd);
    keeper->inotify_fd = -1;
    free(keeper->charges);
    keeper->charges = NULL;
    keeper->n_charges = 0;
}
