#include "proxy/admin/admin.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/admin/browser.h"

/* ---- asking the main thread ---- */

/* Owned by whoever has it: the admin worker, the mailbox, the main thread. */
struct inquiry {
    struct message message;
    struct admin *admin;
    struct page *page; /* the admin worker's; NULL: it is gone */
    const struct admin_page *row;
    unsigned argument;
    struct facts facts;
};

static void inquiry_free(struct inquiry *inquiry)
{
    facts_deinit(&inquiry->facts);
    free(inquiry);
}

/* The worker has ended, and its pages with it; or the main thread has. */
static void inquiry_drop(struct message *message)
{
    inquiry_free(CONTAINER_OF(message, struct inquiry, message));
}

/* Back in the admin worker. */
static void inquiry_tell(struct message *message)
{
    struct inquiry *inquiry = CONTAINER_OF(message, struct inquiry, message);
    struct page *page = page_recall(&inquiry->page);

    if (page && inquiry->facts.out_of_memory)
        page_answer(page, 500, "", NULL, 0);
    else if (page)
        inquiry->row->told(page, &inquiry->facts, inquiry->argument);
    inquiry_free(inquiry);
}

/* In the main thread. */
static void inquiry_run(struct message *message)
{
    struct inquiry *inquiry = CONTAINER_OF(message, struct inquiry, message);
    struct admin_desk *desk = inquiry->admin->desk;

    if (inquiry->row->wish != ADMIN_NOTHING)
        desk->wish(desk, inquiry->row->wish, inquiry->argument);
    desk->gather(desk, &inquiry->facts);
    inquiry->message = (struct message){.run = inquiry_tell, .drop = inquiry_drop};
    mailbox_post(inquiry->admin->mailbox, &inquiry->message);
}

void admin_inquire(struct admin *admin, struct page *page, enum page_id id, unsigned argument)
{
    struct inquiry *inquiry = calloc(1, sizeof(*inquiry));

    if (!inquiry) {
        page_answer(page, 500, "", NULL, 0);
        return;
    }
    *inquiry = (struct inquiry){.message = {.run = inquiry_run, .drop = inquiry_drop},
                                .admin = admin,
                                .row = &admin_pages[id],
                                .argument = argument};
    page_remember(page, &inquiry->page);
    mailbox_post(admin->desk->main, &inquiry->message);
}

/* ---- which page ---- */

static int admin_find(const struct page_question *question)
{
    for (int i = 0; i < N_PAGES; i++)
        if (question->listener->pages & 1u << i && text_equal(question->path, text_of(page_paths[i])) &&
            (admin_pages[i].at_once || admin_pages[i].told))
            return i;
    return -1;
}

static bool admin_takes_method(const struct admin_page *row, struct text method)
{
    return text_equal(method, text_of(row->method)) ||
           (strcmp(row->method, "GET") == 0 && text_equal(method, text_of("HEAD")));
}

static void admin_ask(struct pages_host *host, struct page *page, const struct page_question *question)
{
    struct admin *admin = CONTAINER_OF(host, struct admin, host);
    int found = admin_find(question);
    const struct admin_page *row = found < 0 ? NULL : &admin_pages[found];
    const char *objection;

    if (!row) {
        page_refuse(page, 404, "there is no such page here");
        return;
    }
    if (!admin_takes_method(row, question->method)) {
        page->allow = strcmp(row->method, "GET") == 0 ? "GET, HEAD" : row->method;
        page_refuse(page, 405, "this page is not asked so");
        return;
    }
    objection = browser_objection(question, (enum page_id)found, row->wish != ADMIN_NOTHING);
    if (objection)
        page_refuse(page, 403, objection);
    else if (row->at_once)
        row->at_once(admin, page, question);
    else
        admin_inquire(admin, page, (enum page_id)found, 0);
}

int admin_init(struct admin *admin, struct admin_desk *desk, size_t n_serving)
{
    *admin = (struct admin){.host.ask = admin_ask, .desk = desk};
    list_init(&admin->feeds);
    timer_init(&admin->tap_timer, NULL);
    admin->workers = calloc(n_serving + 1, sizeof(*admin->workers));
    /* Each has cache lines of its own. */
    admin->taps = aligned_alloc(alignof(struct tap), n_serving * sizeof(struct tap));
    admin->tap_lost = calloc(n_serving, sizeof(*admin->tap_lost));
    if (!admin->workers || !admin->taps || !admin->tap_lost)
        return -ENOMEM;
    for (; admin->n_taps < n_serving; admin->n_taps++)
        tap_init(&admin->taps[admin->n_taps]);
    return 0;
}

void admin_know(struct admin *admin, const struct admin_worker *worker)
{
    admin->workers[admin->n_workers++] = *worker;
    if (admin->n_workers > admin->n_taps)
        admin->mailbox = worker->mailbox;
}

struct tap *admin_tap(const struct admin *admin, size_t worker)
{
    return worker < admin->n_taps ? &admin->taps[worker] : NULL;
}

void admin_deinit(struct admin *admin)
{
    for (size_t i = 0; i < admin->n_taps; i++)
        tap_deinit(&admin->taps[i]);
    admin->n_taps = 0;
    free(admin->taps);
    free(admin->tap_lost);
    free(admin->workers);
    admin->taps = NULL;
    admin->tap_lost = NULL;
    admin->workers = NULL;
}
