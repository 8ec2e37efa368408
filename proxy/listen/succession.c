#include "proxy/listen/succession.h"

#include <errno.h>
#include <string.h>

#include "proxy/base/log.h"

static void succession_settle(struct succession *succession)
{
    struct listener *listener = succession->listener;

    listener->shared = succession->kept_by_others || succession->offer_is_shared || listener->handover;
}

/* ---- from whom it came ---- */

static void succession_forget(struct succession *succession)
{
    handover_free(succession->listener->handover);
    succession->listener->handover = NULL;
    succession_settle(succession);
}

static void succession_on_done(struct handover_host *host, struct handover *handover, bool left)
{
    struct succession *succession = CONTAINER_OF(host, struct succession, handover_host);

    LOG_EVENT(LOG_LEVEL_INFO, left ? "a listener was handed over" : "who handed a listener over has ended",
              LOG_STRING("listener", succession->listener->config->name), LOG_STRING("address", handover->address),
              LOG_NUMBER("pid", (uint64_t)handover->peer.pid));
    succession_forget(succession);
    if (!left)
        succession->host->look(succession->host, succession);
}

static void succession_on_lost(struct handover_host *host, struct handover *handover)
{
    struct succession *succession = CONTAINER_OF(host, struct succession, handover_host);

    LOG_EVENT(LOG_LEVEL_ERROR, "a listener has not been handed over: the process that serves it waited too long for us",
              LOG_STRING("listener", succession->listener->config->name), LOG_STRING("address", handover->address),
              LOG_NUMBER("pid", (uint64_t)handover->peer.pid));
    succession->kept_by_others = true;
    succession_forget(succession);
    succession->host->lost(succession->host, succession);
}

/* ---- to whom it goes ---- */

static void succession_on_shared(struct offer_host *host, bool shared)
{
    struct succession *succession = CONTAINER_OF(host, struct succession, offer_host);

    succession->offer_is_shared = shared;
    succession_settle(succession);
    if (!shared)
        succession->host->look(succession->host, succession);
}

static void succession_on_taken(struct offer_host *host, int successor)
{
    struct succession *succession = CONTAINER_OF(host, struct succession, offer_host);

    succession_end(succession);
    succession->host->leave(succession->host, succession, successor);
}

/* ---- life ---- */

/* Takes the private socket over in any case. */
static void succession_offer(struct succession *succession, struct loop *loop, int private_fd)
{
    const struct listener *listener = succession->listener;
    int r =
        offer_new(loop, &succession->offer_host, listener->config->name, listener->fd, private_fd, &succession->offer);

    if (r < 0)
        LOG_EVENT(LOG_LEVEL_WARN, "a listener cannot be offered to a successor",
                  LOG_STRING("listener", listener->config->name), LOG_STRING("address", listener->config->bind.text),
                  LOG_STRING("error", strerror(-r)));
}

void succession_begin(struct succession *succession, struct loop *loop, struct succession_host *host,
                      struct listener *listener)
{
    struct handover *handover = listener->handover;
    int private_fd = -1;

    if (listener->config->bind.kind != ADDRESS_ABSTRACT && listener->config->bind.kind != ADDRESS_TCP)
        return;
    *succession = (struct succession){.host = host,
                                      .listener = listener,
                                      .offer_host = {succession_on_shared, succession_on_taken},
                                      .handover_host = {succession_on_done, succession_on_lost},
                                      .kept_by_others = listener->shared && !handover};
    if (handover) {
        private_fd = handover->fds[HANDOVER_PRIVATE];
        handover->fds[HANDOVER_PRIVATE] = -1;
        if (listener_listen_again(listener) < 0)
            log_debug("a listener's backlog cannot be changed: %s", strerror(errno));
        if (handover_serve(handover, loop, &succession->handover_host) < 0)
            succession_on_done(&succession->handover_host, handover, false);
    }
    succession_offer(succession, loop, private_fd);
}

void succession_drain(struct succession *succession)
{
    if (succession->offer)
        offer_drain(succession->offer);
}

void succession_end(struct succession *succession)
{
    offer_free(succession->offer);
    succession->offer = NULL;
}
