/* Pages: answers at listeners with pages (admin), which porthole gives itself. Here is the source of such an exchange;
 * what stands on the pages is a host's to say, who sees no exchange.
 *
 *   ask ---> page_answer: whole, at once or later     ---+
 *        |-> page_stream: piece by piece, as it is read  +---> gone, once, when the exchange has ended, however
 *        +-> neither yet                              ---+
 *
 * Everything in the thread of the worker that has the exchange. */
#ifndef PORTHOLE_EXCHANGE_PAGES_H
#define PORTHOLE_EXCHANGE_PAGES_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "config/snapshot.h"
#include "proxy/base/text.h"

struct exchange;
struct fields;

/* What is asked. All is borrowed, until `ask` returns. */
struct page_question {
    const struct listener_config *listener;
    struct text method;
    struct text path;  /* as it was sent, without the query */
    struct text query; /* without "?"; empty: none */
    const struct fields *fields;
    struct text peer; /* as logs show it */
    bool is_unix;     /* the peer has credentials, which the listener has let in */
};

/* One question, from `ask` to `gone`. Owned by its exchange; the host may keep the pointer until then. */
struct page {
    struct exchange *exchange;
    bool asking;     /* `ask` has not returned yet */
    unsigned status; /* 0: there is no answer yet */
    const char *content_type;
    const char *allow;  /* NULL, or: which methods there are (RFC 9110 10.2.1) */
    const char *policy; /* NULL, or: Content-Security-Policy, for what a browser shows */
    char *body;         /* owned; NULL: none, or a stream */
    size_t length;
    /* A stream: a count, or one of SOURCE_*; after SOURCE_WAIT page_wake. */
    ssize_t (*read)(struct page *page, char *data, size_t size);
    void (*gone)(struct page *page); /* NULL: nobody wants to know */
    void *closure;                   /* the host's */
};

/* Borrowed by exchanges; lives as long as they do. */
struct pages_host {
    void (*ask)(struct pages_host *host, struct page *page, const struct page_question *question);
};

/* The answer: `body` is taken over. NULL: it is an internal error (there was no memory for it). Once. */
void page_answer(struct page *page, unsigned status, const char *content_type, char *body, size_t length);
/* The same, of a text that ends with NUL. */
void page_answer_text(struct page *page, unsigned status, const char *content_type, const char *text);
/* The page is not to be had so: a problem (RFC 9457) with this detail, a text of any bytes. */
void page_refuse(struct page *page, unsigned status, const char *detail);
/* Instead of that: it is read from `page->read`, which is set, until SOURCE_END. */
void page_stream(struct page *page, const char *content_type);
/* Whether its worker is about to end, so that a stream does, too, when it is next read. */
bool page_is_leaving(const struct page *page);
/* Until it is answered, `*place` is the page; NULL: it is gone. `place` stays where it is as long as that is not so. */
void page_remember(struct page *page, struct page **place);
/* What is at the place, to be answered now; or NULL. */
struct page *page_recall(struct page **place);
/* There is more to read. */
void page_wake(struct page *page);

/* The exchange is answered so, as far as anybody answers at its listener. */
void exchange_ask_page(struct exchange *exchange);

#endif
