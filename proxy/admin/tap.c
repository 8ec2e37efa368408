#include "proxy/admin/tap.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/exchange/source.h"
#include "proxy/report/tap_filter.h"
#include "proxy/report/tap_line.h"

#define FEED_BYTES ((size_t)1 << 20)
#define FEEDS_MOST 16
#define TURN_MS 8u        /* while there is something */
#define QUIET_TURN_MS 40u /* and while there is not */
#define HEARTBEAT_MS 10000u

/* One reader. Owned by its page. */
struct feed {
    struct list link; /* in admin.feeds */
    struct admin *admin;
    struct page *page;
    struct tap_filter filter;
    struct tap_choice choice;
    struct tap_memo memo;
    struct instant told; /* when it last got something */
    uint64_t n_lost;     /* records that found no room, since it was told of some */
    size_t start, end;   /* of what waits in data */
    bool waiting;        /* read() had nothing to give */
    char data[FEED_BYTES];
};

static size_t feed_room(const struct feed *feed)
{
    return FEED_BYTES - feed->end;
}

static void feed_compact(struct feed *feed)
{
    memmove(feed->data, feed->data + feed->start, feed->end - feed->start);
    feed->end -= feed->start;
    feed->start = 0;
}

/* Says that records are missing, once there is room again. False: there is none yet. */
static bool feed_confess(struct feed *feed)
{
    if (feed->n_lost == 0)
        return true;
    if (feed_room(feed) < FEED_BYTES / 4)
        return false;
    feed->end += tap_line_lost(feed->n_lost, feed->data + feed->end, feed_room(feed));
    feed->n_lost = 0;
    return true;
}

static void feed_take(struct feed *feed, const struct tap_view *view)
{
    size_t n;

    if (!tap_filter_fits(&feed->filter, &view->record))
        return;
    n = feed_confess(feed) ? tap_line_write(view, &feed->choice, feed->data + feed->end, feed_room(feed)) : 0;
    feed->end += n;
    if (n == 0)
        feed->n_lost++;
}

/* ---- all of them ---- */

/* Room is a quarter of the buffer, so that a reader who is slow does not get a record now and then. */
static bool feeds_have_room(const struct admin *admin)
{
    for (const struct list *link = admin->feeds.next; link != &admin->feeds; link = link->next) {
        struct feed *feed = CONTAINER_OF(link, struct feed, link);

        if (feed->start > FEED_BYTES / 4 || feed->start == feed->end)
            feed_compact(feed);
        if (feed_room(feed) >= FEED_BYTES / 4)
            return true;
    }
    return false;
}

static void feeds_lose(struct admin *admin, uint64_t n)
{
    for (struct list *link = admin->feeds.next; n > 0 && link != &admin->feeds; link = link->next)
        CONTAINER_OF(link, struct feed, link)->n_lost += n;
}

/* What one worker has told. Returns whether there was something. */
static bool feeds_drain(struct admin *admin, size_t worker)
{
    struct tap *tap = &admin->taps[worker];
    uint64_t lost = tap_lost(tap);
    struct tap_view view;
    bool any = false;

    while (tap_next(tap, &view)) {
        for (struct list *link = admin->feeds.next; link != &admin->feeds; link = link->next)
            feed_take(CONTAINER_OF(link, struct feed, link), &view);
        tap_taken(tap);
        any = true;
    }
    feeds_lose(admin, lost - admin->tap_lost[worker]);
    admin->tap_lost[worker] = lost;
    return any;
}

/* Whoever waits gets what there is, or a sign of life. */
static void feeds_wake(struct admin *admin)
{
    struct instant now = loop_now(admin->mailbox->loop);
    struct list *next;

    for (struct list *link = admin->feeds.next; link != &admin->feeds; link = next) {
        struct feed *feed = CONTAINER_OF(link, struct feed, link);

        next = link->next;
        if (feed->start == feed->end && feed->n_lost > 0)
            feed_confess(feed);
        if (feed->start == feed->end && instant_elapsed_us(feed->told, now) >= HEARTBEAT_MS * 1000u) {
            feed->data[feed->end++] = '\n';
            feed->told = now;
        }
        if (!feed->waiting || (feed->start == feed->end && !page_is_leaving(feed->page)))
            continue;
        feed->waiting = false;
        page_wake(feed->page);
    }
}

static void feeds_on_turn(struct timer *timer)
{
    struct admin *admin = CONTAINER_OF(timer, struct admin, tap_timer);
    bool any = false;

    if (feeds_have_room(admin))
        for (size_t i = 0; i < admin->n_taps; i++)
            any = feeds_drain(admin, i) || any;
    feeds_wake(admin);
    timer_arm(admin->mailbox->loop, timer, any ? TURN_MS : QUIET_TURN_MS);
}

/* What all of them want together. 0 or -ENOMEM. */
static int feeds_listen(struct admin *admin)
{
    uint32_t heads = 0, body_bytes = 0;
    uint32_t on = list_empty(&admin->feeds) ? 0 : TAP_WANTS;
    int r = 0;

    for (const struct list *link = admin->feeds.next; link != &admin->feeds; link = link->next) {
        const struct feed *feed = CONTAINER_OF(link, struct feed, link);

        heads |= feed->choice.heads ? TAP_WANTS_HEADS : 0;
        body_bytes = feed->choice.body_bytes > body_bytes ? feed->choice.body_bytes : body_bytes;
    }
    for (size_t i = 0; i < admin->n_taps && r == 0; i++) {
        bool fresh = on && tap_wanted(&admin->taps[i]) == 0;

        r = tap_listen(&admin->taps[i], on | heads | body_bytes << TAP_BODY_SHIFT);
        if (fresh)
            admin->tap_lost[i] = tap_lost(&admin->taps[i]);
    }
    return r;
}

/* ---- one of them ---- */

static ssize_t feed_read(struct page *page, char *data, size_t size)
{
    struct feed *feed = page->closure;
    size_t n = feed->end - feed->start;

    if (n == 0 && page_is_leaving(page))
        return SOURCE_END;
    feed->waiting = n == 0;
    if (n == 0)
        return SOURCE_WAIT;
    if (n > size)
        n = size;
    memcpy(data, feed->data + feed->start, n);
    feed->start += n;
    if (feed->start == feed->end)
        feed->start = feed->end = 0;
    feed->told = loop_now(feed->admin->mailbox->loop);
    return (ssize_t)n;
}

static void feed_on_gone(struct page *page)
{
    struct feed *feed = page->closure;
    struct admin *admin = feed->admin;

    list_remove(&feed->link);
    free(feed);
    if (feeds_listen(admin) < 0 || list_empty(&admin->feeds))
        timer_disarm(&admin->tap_timer);
}

static size_t feeds_count(const struct admin *admin)
{
    size_t n = 0;

    for (const struct list *link = admin->feeds.next; link != &admin->feeds; link = link->next)
        n++;
    return n;
}

static void feed_begin(struct admin *admin, struct page *page, const struct tap_filter *filter,
                       const struct listener_config *listener)
{
    struct feed *feed = malloc(sizeof(*feed));

    if (!feed) {
        page_answer(page, 500, "", NULL, 0);
        return;
    }
    memset(feed, 0, offsetof(struct feed, data));
    feed->admin = admin;
    feed->page = page;
    feed->filter = *filter;
    feed->choice = (struct tap_choice){.heads = filter->heads,
                                       .body_bytes = filter->body_bytes,
                                       .unredacted = filter->unredacted,
                                       .redact = listener->redact,
                                       .memo = &feed->memo};
    feed->told = loop_now(admin->mailbox->loop);
    list_append(&admin->feeds, &feed->link);
    if (feeds_listen(admin) < 0) {
        list_remove(&feed->link);
        free(feed);
        page_answer(page, 500, "", NULL, 0);
        return;
    }
    page->closure = feed;
    page->read = feed_read;
    page->gone = feed_on_gone;
    if (!timer_armed(&admin->tap_timer)) {
        timer_init(&admin->tap_timer, feeds_on_turn);
        timer_arm(admin->mailbox->loop, &admin->tap_timer, TURN_MS);
    }
    page_stream(page, "application/x-ndjson");
}

void tap_page_ask(struct admin *admin, struct page *page, const struct page_question *question)
{
    struct error error = ERROR_INIT;
    struct tap_filter filter;

    if (tap_filter_parse(question->query, &filter, &error) < 0)
        page_refuse(page, 400, error.message);
    else if (filter.unredacted && !question->listener->unredacted)
        page_refuse(page, 403, "this listener does not show what is redacted (unredacted)");
    else if (page_is_leaving(page)) /* whoever follows a takeover comes again until the other one answers */
        page_refuse(page, 503, "this porthole is about to end");
    else if (feeds_count(admin) >= FEEDS_MOST)
        page_refuse(page, 503, "too many taps listen already");
    else
        feed_begin(admin, page, &filter, question->listener);
}
