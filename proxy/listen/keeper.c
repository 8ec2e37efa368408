#include "proxy/listen/keeper.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#define LOOK_MS 2000
#define REST_MS 100        /* between two looks that something in the directories asks for */
#define FIRST_PAUSE_MS 20  /* after a publication that was the first for long */
#define MOST_PAUSE_MS 1000 /* or a little more */
#define CALM_MS 10000      /* without a publication: the next is the first again */
#define NEWS_MS 10000      /* between two lines of one kind about one listener */
#define PATIENCE_MS 2000   /* for a successor whose backlog is full */
#define READS_MOST 16      /* of events, for each look */
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

/* ---- the directories ---- */

static bool keeper_is_watched(const struct keeper *keeper, int watch)
{
    for (const struct list *link = keeper->charges.next; link != &keeper->charges; link = link->next)
        if (CONTAINER_OF(link, struct keeper_charge, link)->watch == watch)
            return true;
    return false;
}

static void keeper_unwatch(const struct keeper *keeper, int watch)
{
    if (watch >= 0 && !keeper_is_watched(keeper, watch))
        inotify_rm_watch(keeper->inotify_fd, watch);
}

/* The directory may be another one than before: nobody asks about the old one then. */
static void keeper_watch_directory(struct keeper *keeper, struct keeper_charge *charge)
{
    const struct listener *listener = charge->listener;
    int old = charge->watch;
    char path[32];

    if (listener->directory_fd < 0 || keeper->inotify_fd < 0)
        return;
    snprintf(path, sizeof(path), "/proc/self/fd/%d", listener->directory_fd);
    charge->watch = inotify_add_watch(keeper->inotify_fd, path, WATCH_EVENTS);
    if (charge->watch < 0)
        LOG_EVENT(LOG_LEVEL_WARN, "cannot watch the directory of a socket",
                  LOG_STRING("listener", listener->config->name), LOG_STRING("address", listener->config->bind.text),
                  LOG_STRING("error", strerror(errno)));
    keeper_unwatch(keeper, old);
}

/* ---- what is told ---- */

/* Above 0 when there is news and it is time for a line: how often it has happened since the last one. */
static uint64_t keeper_due(struct keeper_news *news, struct instant now)
{
    uint64_t n = news->n_untold;

    if (n == 0 || instant_before(now, news->next_line))
        return 0;
    *news = (struct keeper_news){.next_line = instant_add_ms(now, NEWS_MS)};
    return n;
}

/* It has happened again. */
static uint64_t keeper_count(struct keeper_news *news, struct instant now)
{
    news->n_untold++;
    return keeper_due(news, now);
}

static void keeper_tell_republished(const struct keeper_charge *charge, uint64_t times)
{
    if (times > 0)
        LOG_EVENT(LOG_LEVEL_WARN, "a socket was removed and is published again",
                  LOG_STRING("listener", charge->listener->config->name),
                  LOG_STRING("address", charge->listener->config->bind.text), LOG_NUMBER("times", times));
}

static void keeper_tell_taken(const struct keeper_charge *charge, uint64_t times)
{
    if (times > 0)
        LOG_EVENT(LOG_LEVEL_INFO, "another process has taken over a socket",
                  LOG_STRING("listener", charge->listener->config->name),
                  LOG_STRING("address", charge->listener->config->bind.text), LOG_NUMBER("times", times));
}

static void keeper_tell_lost(struct keeper_charge *charge, struct instant now, const char *why)
{
    uint64_t times = keeper_count(&charge->lost, now);

    if (times > 0)
        LOG_EVENT(LOG_LEVEL_ERROR, "a socket was removed and cannot be published again: trying on",
                  LOG_STRING("listener", charge->listener->config->name),
                  LOG_STRING("address", charge->listener->config->bind.text), LOG_NUMBER("times", times),
                  LOG_STRING("error", why));
}

/* ---- looking ---- */

static void keeper_pause(struct keeper_charge *charge, struct instant now)
{
    if (charge->pause_ms == 0 || instant_before(instant_add_ms(charge->not_before, CALM_MS), now))
        charge->pause_ms = FIRST_PAUSE_MS;
    else if (charge->pause_ms < MOST_PAUSE_MS)
        charge->pause_ms *= 2;
    charge->not_before = instant_add_ms(now, charge->pause_ms);
}

static void keeper_restore(struct keeper *keeper, struct keeper_charge *charge)
{
    struct instant now = loop_now(keeper->loop);
    struct error error = ERROR_INIT;
    int old_fd;

    if (instant_before(now, charge->not_before))
        return;
    keeper_pause(charge, now);
    old_fd = listener_publish_again(charge->listener, &error);
    if (old_fd < 0) {
        if (charge->state != KEEPER_LOST)
            keeper_move(charge, KEEPER_LOST);
        keeper_tell_lost(charge, now, error.message);
        return;
    }
    if (charge->state != KEEPER_OURS)
        keeper_move(charge, KEEPER_OURS);
    vigil_end(&charge->successor);
    keeper_tell_republished(charge, keeper_count(&charge->republished, now));
    keeper->republished(keeper, charge);
    close(old_fd);
    keeper_watch_directory(keeper, charge);
}

/* Whether a successor serves the path. Who cannot be asked is taken for one, but not for long. */
static bool keeper_is_succeeded(const struct keeper *keeper, struct keeper_charge *charge)
{
    struct instant now = loop_now(keeper->loop);
    int process = -1;
    int r = listener_is_succeeded(charge->listener, &process);

    vigil_keep(&charge->successor, process);
    if (r != -EAGAIN) {
        charge->asked.ns = 0;
        return r > 0;
    }
    if (charge->asked.ns == 0)
        charge->asked = now;
    return instant_before(now, instant_add_ms(charge->asked, PATIENCE_MS));
}

static void keeper_look_at(struct keeper *keeper, struct keeper_charge *charge)
{
    struct instant now = loop_now(keeper->loop);
    enum listener_place place = listener_look(charge->listener);

    if (place == LISTENER_OURS) {
        if (charge->state != KEEPER_OURS)
            keeper_move(charge, KEEPER_OURS);
        charge->asked.ns = 0;
        vigil_end(&charge->successor);
        keeper_tell_republished(charge, keeper_due(&charge->republished, now));
    } else if (instant_before(now, charge->not_before)) {
        return;
    } else if (place == LISTENER_ABSENT || !keeper_is_succeeded(keeper, charge)) {
        keeper_restore(keeper, charge);
    } else if (charge->state != KEEPER_TAKEN && charge->asked.ns == 0) {
        keeper_move(charge, KEEPER_TAKEN);
        keeper_tell_taken(charge, keeper_count(&charge->taken, now));
    }
}

/* Of a listener without a path, which only a successor takes: that one may have ended since. */
static void keeper_look_at_taken(struct keeper *keeper, struct keeper_charge *charge)
{
    int r = listener_bind_again(charge->listener);

    if (r == -EADDRINUSE)
        return;
    if (r < 0) {
        keeper_tell_lost(charge, loop_now(keeper->loop), strerror(-r));
        return;
    }
    keeper_move(charge, KEEPER_OURS);
    vigil_end(&charge->successor);
    LOG_EVENT(LOG_LEVEL_WARN, "whoever took a socket over serves it no more: it is ours again",
              LOG_STRING("listener", charge->listener->config->name),
              LOG_STRING("address", charge->listener->config->bind.text));
    keeper->republished(keeper, charge);
}

/* How soon it is to be looked at again. */
static uint64_t keeper_next_ms(const struct keeper_charge *charge, struct instant now)
{
    if (instant_before(now, charge->not_before))
        return instant_elapsed_us(now, charge->not_before) / 1000 + 1;
    return charge->asked.ns > 0 ? REST_MS : LOOK_MS;
}

static void keeper_look(struct keeper *keeper)
{
    size_t n = 0, n_taken = 0;
    uint64_t next_ms = LOOK_MS;

    for (struct list *link = keeper->charges.next; link != &keeper->charges; link = link->next) {
        struct keeper_charge *charge = CONTAINER_OF(link, struct keeper_charge, link);
        uint64_t ms;

        if (charge->listener->config->bind.kind == ADDRESS_FD) /* whoever passed it keeps it, whether we go or not */
            continue;
        if (charge->listener->config->bind.kind == ADDRESS_UNIX)
            keeper_look_at(keeper, charge);
        else if (charge->state == KEEPER_TAKEN)
            keeper_look_at_taken(keeper, charge);
        ms = keeper_next_ms(charge, loop_now(keeper->loop));
        next_ms = ms < next_ms ? ms : next_ms;
        n++;
        n_taken += charge->state == KEEPER_TAKEN;
    }
    timer_arm(keeper->loop, &keeper->look, next_ms);
    if (n > 0 && n_taken == n)
        keeper->succeeded(keeper);
}

static void keeper_on_look(struct timer *timer)
{
    keeper_look(CONTAINER_OF(timer, struct keeper, look));
}

/* Whoever served it will not any more. */
static void keeper_on_end(struct vigil *vigil)
{
    struct keeper *keeper = CONTAINER_OF(vigil, struct keeper_charge, successor)->keeper;

    timer_arm(keeper->loop, &keeper->look, 0);
}

static void keeper_on_rest(struct timer *timer)
{
    struct keeper *keeper = CONTAINER_OF(timer, struct keeper, rest);

    if (loop_modify(&keeper->directories, EPOLLIN) < 0)
        timer_arm(keeper->loop, timer, REST_MS);
}

/* What has happened does not matter, for all our paths are looked at anyway; so events may be lost, and what is not
 * read now is read after the rest. */
static void keeper_on_directory(struct source *source, uint32_t events)
{
    struct keeper *keeper = CONTAINER_OF(source, struct keeper, directories);
    char data[4096];

    (void)events;
    for (int i = 0; i < READS_MOST && read(keeper->inotify_fd, data, sizeof(data)) > 0; i++)
        ;
    if (loop_modify(source, 0) == 0)
        timer_arm(keeper->loop, &keeper->rest, REST_MS);
    keeper_look(keeper);
}

/* ---- life ---- */

void keeper_start(struct keeper *keeper)
{
    list_init(&keeper->charges);
    keeper->inotify_fd = -1;
    keeper->directories = (struct source)SOURCE_INIT;
    timer_init(&keeper->look, keeper_on_look);
    timer_init(&keeper->rest, keeper_on_rest);
    keeper->inotify_fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    if (keeper->inotify_fd < 0 ||
        loop_add(keeper->loop, &keeper->directories, keeper->inotify_fd, EPOLLIN, keeper_on_directory) < 0)
        LOG_EVENT(LOG_LEVEL_WARN, "cannot watch the sockets' directories", LOG_STRING("error", strerror(errno)));
}

void keeper_add(struct keeper *keeper, struct keeper_charge *charge, struct listener *listener)
{
    *charge = (struct keeper_charge){.keeper = keeper, .listener = listener, .watch = -1};
    vigil_init(&charge->successor, keeper->loop, keeper_on_end);
    list_init(&charge->link);
    list_append(&keeper->charges, &charge->link);
    keeper_watch_directory(keeper, charge);
    timer_arm(keeper->loop, &keeper->look, 0);
}

void keeper_give(struct keeper *keeper, struct keeper_charge *charge, int process)
{
    vigil_keep(&charge->successor, process);
    keeper_move(charge, KEEPER_TAKEN);
    keeper_tell_taken(charge, keeper_count(&charge->taken, loop_now(keeper->loop)));
    timer_arm(keeper->loop, &keeper->look, 0);
}

void keeper_remove(struct keeper *keeper, struct keeper_charge *charge)
{
    if (!charge->link.next || !list_linked(&charge->link))
        return;
    list_remove(&charge->link);
    vigil_end(&charge->successor);
    keeper_unwatch(keeper, charge->watch);
}

void keeper_stop(struct keeper *keeper)
{
    struct list *link;

    if (!keeper->charges.next)
        return;
    timer_disarm(&keeper->look);
    timer_disarm(&keeper->rest);
    loop_remove(&keeper->directories);
    if (keeper->inotify_fd >= 0)
        close(keeper->inotify_fd);
    keeper->inotify_fd = -1;
    while ((link = list_pop(&keeper->charges)))
        vigil_end(&CONTAINER_OF(link, struct keeper_charge, link)->successor);
}
