/* libcurl says which descriptors it wants watched (connector_set_watch) and when it wants to be called without an event
 * (connector_set_timer). Whatever happens goes to curl_multi_socket_action; afterwards connector_settle asks which
 * transfers have ended by that and tells their owners. An owner may start and end transfers while it is told: libcurl's
 * list of ended ones is asked anew each time. */
#include "proxy/reach/connector.h"

#include <assert.h>
#include <curl/curl.h>
#include <errno.h>
#include <stdlib.h>

#include "proxy/base/log.h"

#define SPARE_HANDLES 8

/* One worker's libcurl: the multi handle that drives connections being made, and easy handles kept for the next. */
struct connector {
    struct loop *loop;  /* borrowed */
    CURLM *multi;       /* owned */
    struct timer timer; /* libcurl's own deadline */
    CURL *spare[SPARE_HANDLES];
    size_t n_spare;
    struct list watches;              /* of struct watch: the descriptors libcurl waits for */
    struct list transfers;            /* at work */
    bool (*make_room)(void *closure); /* NULL: nobody can */
    void *closure;
    struct resolver_desk desk; /* all NULL: none */
};

/* A descriptor that libcurl wants watched while it connects. */
struct watch {
    struct list link;
    struct source source;
    struct connector *connector;
    CURL *easy; /* whose descriptor it is */
};

/* ---- libcurl's multi handle in our loop ---- */

/* Tells of every transfer that libcurl has finished with. */
static void connector_settle(struct connector *connector)
{
    CURLMsg *message;
    int left;

    while ((message = curl_multi_info_read(connector->multi, &left))) {
        struct transfer *transfer = NULL;

        if (message->msg != CURLMSG_DONE)
            continue;
        curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, (char **)&transfer);
        transfer->done(transfer, (int)message->data.result);
    }
}

static void connector_on_ready(struct source *source, uint32_t events)
{
    struct connector *connector = CONTAINER_OF(source, struct watch, source)->connector;
    int mask = 0, running;

    if (events & EPOLLIN)
        mask |= CURL_CSELECT_IN;
    if (events & EPOLLOUT)
        mask |= CURL_CSELECT_OUT;
    if (events & (EPOLLERR | EPOLLHUP))
        mask |= CURL_CSELECT_ERR;
    curl_multi_socket_action(connector->multi, source->fd, mask, &running);
    connector_settle(connector);
}

static void connector_turn(struct connector *connector)
{
    int running;

    curl_multi_socket_action(connector->multi, CURL_SOCKET_TIMEOUT, 0, &running);
    connector_settle(connector);
}

static void connector_on_timer(struct timer *timer)
{
    connector_turn(CONTAINER_OF(timer, struct connector, timer));
}

static int connector_set_timer(CURLM *multi, long timeout_ms, void *closure)
{
    struct connector *connector = closure;

    (void)multi;
    if (timeout_ms < 0)
        timer_disarm(&connector->timer);
    else
        timer_arm(connector->loop, &connector->timer, (uint64_t)timeout_ms);
    return 0;
}

static void watch_free(struct watch *watch)
{
    loop_remove(&watch->source);
    list_remove(&watch->link);
    free(watch);
}

static struct watch *watch_new(struct connector *connector, CURL *easy, int fd, uint32_t events)
{
    struct watch *watch = calloc(1, sizeof(*watch));

    if (!watch)
        return NULL;
    watch->connector = connector;
    watch->easy = easy;
    watch->source = (struct source)SOURCE_INIT;
    if (loop_add(connector->loop, &watch->source, fd, events, connector_on_ready) < 0) {
        free(watch);
        return NULL;
    }
    list_init(&watch->link);
    list_append(&connector->watches, &watch->link);
    return watch;
}

static int connector_set_watch(CURL *easy, curl_socket_t fd, int what, void *closure, void *fd_closure)
{
    struct connector *connector = closure;
    struct watch *watch = fd_closure;
    uint32_t events = 0;

    if (what == CURL_POLL_REMOVE) {
        if (watch)
            watch_free(watch);
        curl_multi_assign(connector->multi, fd, NULL);
        return 0;
    }
    if (what & CURL_POLL_IN)
        events |= EPOLLIN;
    if (what & CURL_POLL_OUT)
        events |= EPOLLOUT;
    /* An attempt that cannot be watched runs into its deadline. To say so here would end the multi handle for good. */
    if (watch) {
        if (loop_modify(&watch->source, events) < 0)
            log_error("cannot watch a connection being made: out of memory");
        return 0;
    }
    watch = watch_new(connector, easy, fd, events);
    if (watch)
        curl_multi_assign(connector->multi, fd, watch);
    return 0;
}

/* libcurl closes the descriptor of an unfinished attempt before it says so; by then it may be another thread's. */
static void connector_unwatch(struct connector *connector, const CURL *easy)
{
    struct list *watches = &connector->watches;

    for (struct list *link = watches->next; link != watches; link = link->next) {
        struct watch *watch = CONTAINER_OF(link, struct watch, link);

        if (watch->easy == easy)
            loop_remove(&watch->source);
    }
}

/* ---- life ---- */

struct connector *connector_new(struct loop *loop)
{
    struct connector *connector = calloc(1, sizeof(*connector));

    if (!connector)
        return NULL;
    connector->loop = loop;
    list_init(&connector->watches);
    list_init(&connector->transfers);
    timer_init(&connector->timer, connector_on_timer);
    connector->multi = curl_multi_init();
    if (!connector->multi) {
        free(connector);
        return NULL;
    }
    curl_multi_setopt(connector->multi, CURLMOPT_SOCKETFUNCTION, connector_set_watch);
    curl_multi_setopt(connector->multi, CURLMOPT_SOCKETDATA, connector);
    curl_multi_setopt(connector->multi, CURLMOPT_TIMERFUNCTION, connector_set_timer);
    curl_multi_setopt(connector->multi, CURLMOPT_TIMERDATA, connector);
    return connector;
}

void connector_free(struct connector *connector)
{
    if (!connector)
        return;
    assert(list_empty(&connector->transfers));
    while (connector->n_spare)
        curl_easy_cleanup(connector->spare[--connector->n_spare]);
    curl_multi_cleanup(connector->multi);
    while (!list_empty(&connector->watches))
        watch_free(CONTAINER_OF(connector->watches.next, struct watch, link));
    timer_disarm(&connector->timer);
    free(connector);
}

void connector_ask_for_room(struct connector *connector, bool (*fn)(void *closure), void *closure)
{
    connector->make_room = fn;
    connector->closure = closure;
}

bool connector_make_room(struct connector *connector)
{
    return connector->make_room && connector->make_room(connector->closure);
}

void connector_ask_for_names(struct connector *connector, const struct resolver_desk *desk)
{
    connector->desk = *desk;
}

const struct resolver_desk *connector_desk(const struct connector *connector)
{
    return connector->desk.resolver ? &connector->desk : NULL;
}

struct loop *connector_loop(const struct connector *connector)
{
    return connector->loop;
}

/* ---- easy handles ---- */

void *connector_take_handle(struct connector *connector)
{
    if (connector->n_spare)
        return connector->spare[--connector->n_spare];
    return curl_easy_init();
}

void connector_give_handle(struct connector *connector, void *easy)
{
    if (connector->n_spare < SPARE_HANDLES) {
        curl_easy_reset(easy);
        connector->spare[connector->n_spare++] = easy;
    } else {
        curl_easy_cleanup(easy);
    }
}

int connector_start(struct connector *connector, struct transfer *transfer, void *easy)
{
    curl_easy_setopt(easy, CURLOPT_PRIVATE, transfer);
    if (curl_multi_add_handle(connector->multi, easy) != CURLM_OK) {
        curl_easy_cleanup(easy);
        return -ENOMEM;
    }
    transfer->connector = connector;
    transfer->easy = easy;
    list_init(&transfer->link);
    list_append(&connector->transfers, &transfer->link);
    connector_turn(connector);
    return 0;
}

void connector_end(struct transfer *transfer)
{
    struct connector *connector = transfer->connector;

    if (!transfer->easy)
        return;
    connector_unwatch(connector, transfer->easy);
    curl_multi_remove_handle(connector->multi, transfer->easy);
    connector_give_handle(connector, transfer->easy);
    list_remove(&transfer->link);
    transfer->easy = NULL;
}

void *connector_release(struct transfer *transfer, void **ret_multi)
{
    void *easy = transfer->easy;

    *ret_multi = transfer->connector->multi;
    list_remove(&transfer->link);
    transfer->easy = NULL;
    return easy;
}
