#include "proxy/reach/hold.h"

#include <errno.h>
#include <stdlib.h>

/* A socket's file is there before anybody listens; and nothing tells when a TCP port is. */
#define PAUSE_FIRST_MS 1
#define PAUSE_MOST_MS 100

static void hold_arm(struct hold *hold, uint64_t ms)
{
    timer_arm(hold->config.loop, &hold->timer, ms);
}

/* At once; but after a stop guests may be overdue, whose timers come before one that is armed now. */
static void hold_call(struct hold *hold)
{
    hold->is_called = true;
    hold_arm(hold, 0);
}

/* ---- posts ---- */

static void hold_on_change(struct lookout_post *post)
{
    struct hold *hold = post->closure;

    hold->pause_ms = PAUSE_FIRST_MS;
    hold_call(hold);
}

static void hold_watch(struct hold *hold)
{
    for (size_t i = 0; i < hold->n_posts && !hold->is_watching; i++)
        lookout_take_post(hold->config.lookout, &hold->posts[i]);
    hold->is_watching = true;
}

/* Nobody waits any more, and nobody will be back at once. */
static void hold_rest(struct hold *hold)
{
    for (size_t i = 0; i < hold->n_posts && hold->is_watching; i++)
        lookout_leave_post(hold->config.lookout, &hold->posts[i]);
    hold->is_watching = hold->is_open = hold->is_called = false;
    timer_disarm(&hold->timer);
}

/* ---- guests ---- */

static void hold_let_go(struct hold_guest *guest)
{
    struct hold *hold = guest->hold;

    free(guest->why);
    guest->why = NULL;
    guest->hold = NULL;
    list_remove(&guest->link);
    timer_disarm(&guest->timer);
    if (--hold->n_guests == 0 && !hold->is_sending)
        hold_rest(hold);
}

void hold_dismiss(struct hold_guest *guest)
{
    if (guest->hold)
        hold_let_go(guest);
}

static void hold_send(struct hold_guest *guest)
{
    struct hold *hold = guest->hold;

    hold_let_go(guest);
    hold->config.again(guest);
}

/* When something has changed and nobody has been to see yet, its last answer is out of date. It goes to see, and will
 * not come back: its time is over. */
static void hold_on_end(struct timer *timer)
{
    struct hold_guest *guest = CONTAINER_OF(timer, struct hold_guest, timer);
    struct hold *hold = guest->hold;
    struct failure why;

    if (hold->is_called) {
        hold_send(guest);
        return;
    }
    why = *guest->why;
    hold_let_go(guest);
    hold->config.over(guest, &why);
}

/* The next time that somebody goes to see, unless it is known already. */
static void hold_plan(struct hold *hold)
{
    if (timer_armed(&hold->timer))
        return;
    hold_arm(hold, hold->pause_ms);
    if (hold->pause_ms < PAUSE_MOST_MS)
        hold->pause_ms *= 2;
}

static void hold_on_timer(struct timer *timer)
{
    struct hold *hold = CONTAINER_OF(timer, struct hold, timer);
    uint32_t n = hold->is_open ? hold->n_guests : 1;

    hold->is_open = hold->is_called = false;
    hold->is_sending = true;
    while (n-- > 0 && hold_has_guests(hold))
        hold_send(CONTAINER_OF(hold->guests.next, struct hold_guest, link));
    hold->is_sending = false;
    if (hold_has_guests(hold))
        hold_plan(hold);
    else
        hold_rest(hold);
}

bool hold_receive(struct hold *hold, struct hold_guest *guest, uint64_t hold_ms, const struct failure *why)
{
    struct instant now = loop_now(hold->config.loop);

    if (guest->until.ns == 0) {
        guest->until = instant_add_ms(now, hold_ms);
        list_init(&guest->link);
        /* It has just been to see; but something may have come between that and being told of it. */
        if (!hold_has_guests(hold))
            hold->pause_ms = PAUSE_FIRST_MS;
    }
    guest->why = instant_before(now, guest->until) ? malloc(sizeof(*guest->why)) : NULL;
    if (!guest->why)
        return false;
    *guest->why = *why;
    timer_init(&guest->timer, hold_on_end);
    guest->hold = hold;
    list_append(&hold->guests, &guest->link);
    timer_arm(hold->config.loop, &guest->timer, (guest->until.ns - now.ns) / 1000000u + 1);
    hold->n_guests++;
    hold_watch(hold);
    if (!hold->is_sending)
        hold_plan(hold);
    return true;
}

void hold_open(struct hold *hold)
{
    if (!hold_has_guests(hold) || hold->is_open)
        return;
    hold->is_open = true;
    hold_call(hold);
}

/* ---- life ---- */

int hold_init(struct hold *hold, const struct hold_config *config, const struct endpoint_config *endpoints,
              size_t n_endpoints)
{
    *hold = (struct hold){.config = *config};
    list_init(&hold->guests);
    timer_init(&hold->timer, hold_on_timer);
    hold->posts = calloc(n_endpoints, sizeof(*hold->posts));
    if (!hold->posts)
        return -ENOMEM;
    for (size_t i = 0; i < n_endpoints; i++)
        if (endpoints[i].address.kind == ADDRESS_UNIX)
            hold->posts[hold->n_posts++] =
                (struct lookout_post){.path = endpoints[i].address.name, .fn = hold_on_change, .closure = hold};
    return 0;
}

void hold_deinit(struct hold *hold)
{
    if (hold->posts)
        timer_disarm(&hold->timer);
    free(hold->posts);
    hold->posts = NULL;
}
