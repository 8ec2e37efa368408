#include "proxy/listen/episode.h"

void episode_init(struct episode *episode)
{
    *episode = (struct episode){.lock = PTHREAD_MUTEX_INITIALIZER};
}

void episode_deinit(struct episode *episode)
{
    pthread_mutex_destroy(&episode->lock);
}

uint64_t episode_room(struct episode *episode, struct instant now)
{
    uint64_t n = 0;

    pthread_mutex_lock(&episode->lock);
    episode->n_rooms++;
    if (!instant_before(now, episode->next_room_line)) {
        n = episode->n_rooms;
        episode->n_rooms = 0;
        episode->next_room_line = instant_add_ms(now, EPISODE_LINE_MS);
    }
    pthread_mutex_unlock(&episode->lock);
    return n;
}

bool episode_wait(struct episode *episode, struct instant now)
{
    bool line = false;

    pthread_mutex_lock(&episode->lock);
    if (!atomic_load_explicit(&episode->waiting, memory_order_relaxed)) {
        episode->began = now;
        line = episode->told = !instant_before(now, episode->next_wait_line);
        if (line)
            episode->next_wait_line = instant_add_ms(now, EPISODE_LINE_MS);
        atomic_store_explicit(&episode->waiting, true, memory_order_relaxed);
    }
    pthread_mutex_unlock(&episode->lock);
    return line;
}

bool episode_calm(struct episode *episode, struct instant now, uint64_t *ret_ms)
{
    bool line = false;

    if (!atomic_load_explicit(&episode->waiting, memory_order_relaxed))
        return false;
    pthread_mutex_lock(&episode->lock);
    if (atomic_load_explicit(&episode->waiting, memory_order_relaxed)) {
        atomic_store_explicit(&episode->waiting, false, memory_order_relaxed);
        line = episode->told;
        *ret_ms = instant_elapsed_us(episode->began, now) / 1000;
    }
    pthread_mutex_unlock(&episode->lock);
    return line;
}
