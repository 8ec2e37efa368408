#include "proxy/reach/checks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"
#include "proxy/base/mailbox.h"
#include "proxy/reach/health.h"

/* One endpoint's. */
struct check {
    struct checks *checks;
    struct commons_target *target; /* a reference, like the next */
    struct standing *standing;
    struct health_check health;
    struct timer timer; /* while RESTING */
    struct list link;   /* in checks.waiting while WAITING */
    struct instant begun;
    bool is_first;
};

struct checks {
    struct loop *loop;           /* borrowed */
    struct connector *connector; /* owned; of the main thread */
    struct mailbox mailbox;      /* where the resolver answers */
    struct check *all;           /* owned */
    size_t n, n_at_work;
    struct list waiting; /* of struct check */
    uint64_t random;
};

/* A part of `ms`, evenly between so many thousandths. */
static uint64_t checks_draw(struct checks *checks, uint64_t ms, unsigned from, unsigned to)
{
    checks->random = checks->random * 6364136223846793005u + 1442695040888963407u; /* Knuth's MMIX */
    return ms * (from + (checks->random >> 33) % (to - from + 1)) / 1000;
}

static void checks_go_on(struct checks *checks)
{
    while (checks->n_at_work < CHECKS_MOST_AT_ONCE && !list_empty(&checks->waiting)) {
        struct check *check = CONTAINER_OF(checks->waiting.next, struct check, link);

        list_remove(&check->link);
        checks->n_at_work++;
        check->begun = loop_now(checks->loop);
        health_check_begin(&check->health);
    }
}

static void check_on_timer(struct timer *timer)
{
    struct check *check = CONTAINER_OF(timer, struct check, timer);

    list_append(&check->checks->waiting, &check->link);
    checks_go_on(check->checks);
}

/* An interval after the last one began, give or take a tenth, so that many do not come together for ever. Where there
 * are many all first ones come at once: the second ones are spread over a whole interval. */
static void check_rest(struct check *check)
{
    struct checks *checks = check->checks;
    bool spread = check->is_first && checks->n > CHECKS_MOST_AT_ONCE;
    uint64_t ms = checks_draw(checks, check->health.config->interval_ms, spread ? 1 : 900, spread ? 1000 : 1100);
    uint64_t gone_ms = instant_elapsed_us(check->begun, loop_now(checks->loop)) / 1000;

    check->is_first = false;
    timer_arm(checks->loop, &check->timer, ms > gone_ms ? ms - gone_ms : 1);
}

/* The next one is begun by the loop, not from within this one. */
static void check_on_done(struct health_check *health, const char *why)
{
    struct check *check = CONTAINER_OF(health, struct check, health);
    struct checks *checks = check->checks;

    standing_check(check->standing, health->config->rise, health->config->fall, why, loop_now(checks->loop));
    checks->n_at_work--;
    check_rest(check);
    if (!list_empty(&checks->waiting)) {
        struct check *next = CONTAINER_OF(checks->waiting.next, struct check, link);

        list_remove(&next->link);
        timer_arm(checks->loop, &next->timer, 0);
    }
}

/* ---- life ---- */

static int check_init(struct check *check, struct checks *checks, struct commons *commons,
                      const struct target_config *target, const struct endpoint_config *endpoint)
{
    char *key = address_canonical(&endpoint->address);

    *check = (struct check){.checks = checks, .is_first = true};
    list_init(&check->link);
    timer_init(&check->timer, check_on_timer);
    check->health = (struct health_check){
        .connector = checks->connector,
        .to = {&endpoint->address, &target->tls, target->resolve_every_ms},
        .config = &target->health,
        .done = check_on_done,
    };
    value_parse_statuses(target->health.status, &check->health.least, &check->health.most);
    check->target = key ? commons_target(commons, target, false) : NULL;
    if (check->target)
        check->standing = standing_find(&check->target->standings, key, endpoint->address.text);
    free(key);
    return check->standing ? health_check_init(&check->health) : -ENOMEM;
}

static int checks_make(struct checks *checks, struct commons *commons, struct resolver *resolver,
                       const struct snapshot *snapshot, size_t n)
{
    const struct resolver_desk desk = {resolver, &checks->mailbox};

    checks->connector = connector_new(checks->loop);
    checks->all = calloc(n, sizeof(*checks->all));
    if (!checks->connector || !checks->all)
        return -ENOMEM;
    connector_ask_for_names(checks->connector, &desk);
    for (size_t i = 0; i < snapshot->n_targets; i++) {
        const struct target_config *target = &snapshot->targets[i];

        for (size_t k = 0; target->has_health && k < target->n_endpoints; k++) {
            int r = check_init(&checks->all[checks->n++], checks, commons, target, &target->endpoints[k]);

            if (r < 0)
                return r;
        }
    }
    return 0;
}

int checks_new(struct loop *loop, struct commons *commons, struct resolver *resolver, const struct snapshot *snapshot,
               struct checks **ret_checks)
{
    struct checks *checks;
    size_t n = 0;
    int r;

    *ret_checks = NULL;
    for (size_t i = 0; i < snapshot->n_targets; i++)
        if (snapshot->targets[i].has_health)
            n += snapshot->targets[i].n_endpoints;
    if (n == 0)
        return 0;
    checks = calloc(1, sizeof(*checks));
    if (!checks)
        return -ENOMEM;
    checks->loop = loop;
    checks->random = instant_now().ns;
    list_init(&checks->waiting);
    mailbox_init(&checks->mailbox, loop);
    r = checks_make(checks, commons, resolver, snapshot, n);
    if (r < 0)
        checks_free(checks);
    else
        *ret_checks = checks;
    return r;
}

void checks_free(struct checks *checks)
{
    if (!checks)
        return;
    for (size_t i = 0; i < checks->n; i++) {
        struct check *check = &checks->all[i];

        timer_disarm(&check->timer);
        health_check_end(&check->health);
        standing_unref(check->standing);
        commons_target_unref(check->target);
    }
    connector_free(checks->connector);
    mailbox_deinit(&checks->mailbox);
    free(checks->all);
    free(checks);
}

void checks_start(struct checks *checks)
{
    for (size_t i = 0; checks && i < checks->n; i++)
        timer_arm(checks->loop, &checks->all[i].timer, 0);
}

void checks_attend(struct checks *checks)
{
    struct message *message;

    while (checks && (message = mailbox_take(&checks->mailbox)))
        message->run(message);
}

/* A long path takes a second one while it is connected to. */
unsigned checks_n_descriptors(const struct checks *checks)
{
    if (!checks)
        return 0;
    return 2 * (unsigned)(checks->n < CHECKS_MOST_AT_ONCE ? checks->n : CHECKS_MOST_AT_ONCE);
}
