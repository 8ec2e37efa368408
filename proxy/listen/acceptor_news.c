#include "proxy/listen/acceptor_news.h"

#include <string.h>

#include "proxy/base/log.h"

static struct episode *acceptor_news_episode(const struct acceptor_news *news, enum admission_verdict want)
{
    struct admission *admission = news->admission;

    return want == ADMISSION_FULL ? &admission->crowding : &admission->house->shortage;
}

/* What is missing: places of a listener, or descriptors for all of them (the rest of RLIMIT_NOFILE is for targets). */
static struct log_field acceptor_news_limit(const struct acceptor_news *news, enum admission_verdict want)
{
    return want == ADMISSION_FULL ? LOG_NUMBER("limit", news->config->limit_connections)
                                  : LOG_NUMBER("limit", admission_most_clients(news->admission));
}

void acceptor_news_refused(const struct acceptor_news *news, const struct peer *peer, const char *message)
{
    struct acceptor_lines *lines = news->lines;
    char text[80];

    lines->n_refused++;
    if (instant_before(news->now, lines->next_refused))
        return;
    peer_format(peer, text, sizeof(text));
    LOG_EVENT(LOG_LEVEL_INFO, message, LOG_STRING("listener", news->config->name), LOG_STRING("peer", text),
              LOG_NUMBER("refused", lines->n_refused));
    lines->next_refused = instant_add_ms(news->now, 1000);
}

void acceptor_news_error(const struct acceptor_news *news, const char *message, int error_number)
{
    if (instant_before(news->now, news->lines->next_error))
        return;
    LOG_EVENT(LOG_LEVEL_ERROR, message, LOG_STRING("listener", news->config->name),
              LOG_STRING("error", strerror(error_number)));
    news->lines->next_error = instant_add_ms(news->now, EPISODE_LINE_MS);
}

void acceptor_news_room(const struct acceptor_news *news, enum admission_verdict want)
{
    uint64_t n = episode_room(acceptor_news_episode(news, want), news->now);

    if (n == 0)
        return;
    LOG_EVENT(LOG_LEVEL_INFO,
              want == ADMISSION_FULL ? "limits.connections is reached: whoever is idle for longest makes room"
                                     : "no descriptors are left for clients: whoever is idle for longest makes room",
              LOG_STRING("listener", news->config->name), acceptor_news_limit(news, want), LOG_NUMBER("clients", n));
}

void acceptor_news_wait(const struct acceptor_news *news, enum admission_verdict want)
{
    if (!episode_wait(acceptor_news_episode(news, want), news->now))
        return;
    LOG_EVENT(LOG_LEVEL_WARN,
              want == ADMISSION_FULL ? "limits.connections is reached and nobody is idle: new clients wait"
                                     : "no descriptors are left for clients and nobody is idle: new clients wait",
              LOG_STRING("listener", news->config->name), acceptor_news_limit(news, want));
}

void acceptor_news_calm(const struct acceptor_news *news)
{
    for (enum admission_verdict want = ADMISSION_FULL; want <= ADMISSION_NO_DESCRIPTORS; want++) {
        uint64_t ms = 0;

        if (episode_calm(acceptor_news_episode(news, want), news->now, &ms))
            LOG_EVENT(LOG_LEVEL_INFO,
                      want == ADMISSION_FULL ? "new clients do not wait for a place any more"
                                             : "new clients do not wait for descriptors any more",
                      LOG_STRING("listener", news->config->name), LOG_NUMBER("waited_ms", ms));
    }
}
