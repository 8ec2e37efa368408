/* The admin worker's pages: what is asked at listeners with pages, and who answers.
 *
 *   ask -- at once --> answer
 *      \-- asked ----> inquiry --> main thread: facts are gathered, or a wish is heeded --> back --> answer
 *      \-- stream ---> read, until the client leaves
 *
 * pages.def (config/) says which pages there are, pages.c who answers each. In the admin worker's thread, but for what
 * admin_desk says. */
#ifndef PORTHOLE_ADMIN_ADMIN_H
#define PORTHOLE_ADMIN_ADMIN_H

#include "config/pages.h"
#include "proxy/admin/facts.h"
#include "proxy/base/mailbox.h"
#include "proxy/exchange/pages.h"
#include "proxy/report/metrics.h"
#include "proxy/report/tap.h"

/* What a page that changes something wants of the main thread. */
enum admin_wish { ADMIN_NOTHING, ADMIN_RELOAD, ADMIN_DRAIN, ADMIN_QUIT, ADMIN_LOG_LEVEL };

/* What the server lends. */
struct admin_desk {
    struct mailbox *main; /* whose messages are run in the main thread */
    /* Main thread: everything that is known. */
    void (*gather)(struct admin_desk *desk, struct facts *facts);
    /* Main thread: does it, or begins to. `argument`: a level of ADMIN_LOG_LEVEL. */
    void (*wish)(struct admin_desk *desk, enum admin_wish wish, unsigned argument);
};

struct clients;
struct tunnels;

/* What is asked of a worker, in its own thread. All is borrowed. */
struct admin_worker {
    struct mailbox *mailbox;
    const struct clients *clients;
    const struct tunnels *tunnels;
};

/* Embedded in the server. */
struct admin {
    struct pages_host host;
    struct admin_desk *desk;      /* borrowed */
    struct mailbox *mailbox;      /* of the admin worker; set when there is one */
    struct admin_worker *workers; /* owned; those that serve, then the admin worker, once there is one */
    size_t n_workers;
    struct tap *taps;       /* owned; of each worker that serves */
    size_t n_taps;          /* workers that serve */
    uint64_t *tap_lost;     /* owned; the admin worker's, like the next two: of each tap, what readers were told of */
    struct list feeds;      /* of feed (tap.h) */
    struct timer tap_timer; /* armed while somebody listens */
};

/* Before there are workers, of which so many are going to serve: also with a tap for each. 0 or -ENOMEM. */
int admin_init(struct admin *admin, struct admin_desk *desk, size_t n_serving) WARN_UNUSED;
/* Main thread: the next one, in their order, before anybody can ask anything of the admin worker. */
void admin_know(struct admin *admin, const struct admin_worker *worker);
/* A worker's; NULL: it has none. */
struct tap *admin_tap(const struct admin *admin, size_t worker);
/* Workers have ended. Harmless on one of zeros. */
void admin_deinit(struct admin *admin);

/* One page: `told` answers with what an inquiry has brought; `at_once` by itself, or it inquires, when it has looked at
 * the question: `argument` is what it has found there. One of them is there. */
struct admin_page {
    const char *method; /* "GET" stands for HEAD, too */
    enum admin_wish wish;
    void (*at_once)(struct admin *admin, struct page *page, const struct page_question *question);
    void (*told)(struct page *page, const struct facts *facts, unsigned argument);
};

/* By enum page_id; without both functions it is not there. */
extern const struct admin_page admin_pages[N_PAGES];

/* Asks the main thread; `told` of this page answers with that, unless it is gone by then. */
void admin_inquire(struct admin *admin, struct page *page, enum page_id id, unsigned argument);

#endif
