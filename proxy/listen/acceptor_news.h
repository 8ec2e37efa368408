/* What is told in the log of those who wait for a place: few lines, however many they are (episode). */
#ifndef PORTHOLE_LISTEN_ACCEPTOR_NEWS_H
#define PORTHOLE_LISTEN_ACCEPTOR_NEWS_H

#include "config/snapshot.h"
#include "proxy/listen/admission.h"

/* Of whom, and when. All borrowed. */
struct acceptor_news {
    struct admission *admission;
    const struct listener_config *config;
    struct instant now;
};

/* Somebody made room for somebody who was short of this; nobody could. */
void acceptor_news_room(const struct acceptor_news *news, enum admission_verdict want);
void acceptor_news_wait(const struct acceptor_news *news, enum admission_verdict want);
/* The backlog is empty. */
void acceptor_news_calm(const struct acceptor_news *news);

#endif
