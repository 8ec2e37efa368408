/* What is told in the log of those who come: few lines, however many they are (episode). */
#ifndef PORTHOLE_LISTEN_ACCEPTOR_NEWS_H
#define PORTHOLE_LISTEN_ACCEPTOR_NEWS_H

#include "config/snapshot.h"
#include "proxy/listen/admission.h"
#include "proxy/listen/peer.h"

/* What an acceptor has told, and may not tell again yet. All zero: nothing. */
struct acceptor_lines {
    uint64_t n_refused; /* peers */
    struct instant next_refused, next_error;
};

/* Of whom, and when. All borrowed. */
struct acceptor_news {
    struct admission *admission;
    const struct listener_config *config;
    struct acceptor_lines *lines;
    struct instant now;
};

/* At most a line a second: a peer without rights must not fill the log. */
void acceptor_news_refused(const struct acceptor_news *news, const struct peer *peer, const char *message);
/* What the kernel refuses it may grant later: told now and then, however often it is tried. */
void acceptor_news_error(const struct acceptor_news *news, const char *message, int error_number);

/* Somebody made room for somebody who was short of this; nobody could. */
void acceptor_news_room(const struct acceptor_news *news, enum admission_verdict want);
void acceptor_news_wait(const struct acceptor_news *news, enum admission_verdict want);
/* Nobody waits, and nobody is in the backlog. */
void acceptor_news_calm(const struct acceptor_news *news);

#endif
