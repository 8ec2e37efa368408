#include "proxy/reach/checks.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/value.h"
#include "proxy/base/lots.h"
#include "proxy/base/mailbox.h"
#include "proxy/reach/health.h"
#include "proxy/report/series.h"

/* What one endpoint's check is about, in a snapshot. */
struct check_subject {
    struct snapshot *snapshot; /* a reference */
    const struct target_config *target;
    const struct endpoint_config *endpoint;
};

/* One endpoint's. */
struct check {
    struct checks *checks;
    struct check_subject subject;
    struct check_subject next; /* the same in a newer snapshot, once it has ended; without a snapshot: there is none */
    struct commons_target *target; /* a reference, like the next */
    struct standing *standing;
    struct series *series; /* borrowed; where the endpoint is counted, or NULL */
    struct health_check health;
    struct timer timer; /* while RESTING */
    struct list link;   /* in checks.waiting while WAITING */
    struct instant begun;
    bool is_first, at_work;
    bool stays; /* while a plan is adopted */
};

struct checks_plan {
    struct checks *checks;
    struct check **all; /* owned; NULL where it is not needed any more */
    size_t n;
};

struct checks {
    struct loop *loop; /* borrowed, like the next two */
    struct commons *commons;
    struct resolver *resolver;
    struct connector *connector; /* owned; of the main thread; NULL while there is nothing to check */
    struct mailbox mailbox;      /* where the resolver answers */
    struct check **all;          /* owned */
    size_t n, n_at_work;
    struct list waiting; /* of struct check */
    struct lots lots;
    bool started;
};

/* A part of `ms`, evenly between so many thousandths. */
static uint64_t checks_draw(struct checks *checks, uint64_t ms, unsigned from, unsigned to)
{
    return ms * (from + lots_draw(&checks->lots) % (to - from + 1)) / 1000;
}

static void checks_go_on(struct checks *checks)
{
    while (checks->n_at_work < CHECKS_MOST_AT_ONCE && !list_empty(&checks->waiting)) {
        struct check *check = CONTAINER_OF(checks->waiting.next, struct check, link);

        list_remove(&check->link);
        checks->n_at_work++;
        check->at_work = true;
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

/* ---- what they are about ---- */

static void check_subject_drop(struct check_subject *subject)
{
    snapshot_unref(subject->snapshot);
    *subject = (struct check_subject){.snapshot = NULL};
}

/* Takes over the reference; not while it is at work. */
static void check_set_subject(struct check *check, struct check_subject subject)
{
    const struct target_config *target = subject.target;

    check_subject_drop(&check->subject);
    check->subject = subject;
    check->health.to = (struct destination){&subject.endpoint->address, &target->tls, target->resolve_every_ms};
    check->health.config = &target->health;
}

static void check_catch_up(struct check *check)
{
    if (!check->next.snapshot)
        return;
    check_set_subject(check, check->next);
    check->next = (struct check_subject){.snapshot = NULL};
}

/* ---- one check after the other ---- */

/* Somebody else may begin, but not from within this one. */
static void check_stop_work(struct check *check)
{
    struct checks *checks = check->checks;

    check->at_work = false;
    checks->n_at_work--;
    if (!list_empty(&checks->waiting)) {
        struct check *next = CONTAINER_OF(checks->waiting.next, struct check, link);

        list_remove(&next->link);
        timer_arm(checks->loop, &next->timer, 0);
    }
}

static void check_count(const struct check *check, bool passed)
{
    struct series *target = check->subject.target->series;

    if (target)
        counter_add(&target->checks[passed], 1);
    series_certify(check->series, check->health.tls.not_after);
    series_certify(target, check->health.tls.own_not_after);
    series_check(check->series, !atomic_load_explicit(&check->standing->is_down, memory_order_relaxed));
}

/* The next one is begun by the loop, not from within this one. */
static void check_on_done(struct health_check *health, const char *why)
{
    struct check *check = CONTAINER_OF(health, struct check, health);
    struct checks *checks = check->checks;

    standing_check(check->standing, health->config->rise, health->config->fall, why, loop_now(checks->loop));
    check_count(check, why == NULL);
    check_stop_work(check);
    check_catch_up(check);
    check_rest(check);
}

/* ---- life ---- */

static void check_free(struct check *check)
{
    if (!check)
        return;
    timer_disarm(&check->timer);
    list_remove(&check->link);
    health_check_end(&check->health);
    if (check->at_work)
        check_stop_work(check);
    series_uncheck(check->series);
    standing_unref(check->standing);
    commons_target_unref(check->target);
    check_subject_drop(&check->next);
    check_subject_drop(&check->subject);
    free(check);
}

static int check_find_standing(struct check *check)
{
    const struct address *address = &check->subject.endpoint->address;
    char *key = address_canonical(address);

    check->target = key ? commons_target(check->checks->commons, check->subject.target, false) : NULL;
    if (check->target)
        check->standing = standing_find(&check->target->standings, key, address->text);
    free(key);
    if (check->subject.target->series)
        check->series = series_find(check->subject.target->series->book, SERIES_ENDPOINT, check->subject.target->name,
                                    address->text);
    return check->standing ? 0 : -ENOMEM;
}

/* NULL when out of memory. */
static struct check *check_new(struct checks *checks, const struct check_subject *subject)
{
    struct check *check = calloc(1, sizeof(*check));

    if (!check)
        return NULL;
    check->checks = checks;
    check->is_first = true;
    list_init(&check->link);
    timer_init(&check->timer, check_on_timer);
    check->health = (struct health_check){.connector = checks->connector, .done = check_on_done};
    snapshot_ref(subject->snapshot);
    check_set_subject(check, *subject);
    value_parse_statuses(subject->target->health.status, &check->health.least, &check->health.most);
    if (health_check_init(&check->health) < 0 || check_find_standing(check) < 0) {
        check_free(check);
        return NULL;
    }
    return check;
}

struct checks *checks_new(struct loop *loop, struct commons *commons, struct resolver *resolver)
{
    struct checks *checks = calloc(1, sizeof(*checks));

    if (!checks)
        return NULL;
    checks->loop = loop;
    checks->commons = commons;
    checks->resolver = resolver;
    lots_init(&checks->lots);
    list_init(&checks->waiting);
    mailbox_init(&checks->mailbox, loop);
    return checks;
}

void checks_free(struct checks *checks)
{
    if (!checks)
        return;
    for (size_t i = 0; i < checks->n; i++)
        check_free(checks->all[i]);
    connector_free(checks->connector);
    mailbox_deinit(&checks->mailbox);
    free(checks->all);
    free(checks);
}

/* ---- from snapshot to snapshot ---- */

static int checks_connect(struct checks *checks)
{
    const struct resolver_desk desk = {checks->resolver, &checks->mailbox};

    if (checks->connector)
        return 0;
    checks->connector = connector_new(checks->loop);
    if (!checks->connector)
        return -ENOMEM;
    connector_ask_for_names(checks->connector, &desk);
    return 0;
}

static size_t checks_count(const struct snapshot *snapshot)
{
    size_t n = 0;

    for (size_t i = 0; i < snapshot->n_targets; i++)
        n += snapshot->targets[i].has_health ? snapshot->targets[i].n_endpoints : 0;
    return n;
}

static int checks_plan_make(struct checks_plan *plan, struct snapshot *snapshot, size_t n)
{
    plan->all = calloc(n ? n : 1, sizeof(struct check *));
    if (!plan->all || (n > 0 && checks_connect(plan->checks) < 0))
        return -ENOMEM;
    for (size_t i = 0; i < snapshot->n_targets; i++) {
        const struct target_config *target = &snapshot->targets[i];

        for (size_t k = 0; target->has_health && k < target->n_endpoints; k++) {
            const struct check_subject subject = {snapshot, target, &target->endpoints[k]};
            struct check *check = check_new(plan->checks, &subject);

            if (!check)
                return -ENOMEM;
            plan->all[plan->n++] = check;
        }
    }
    return 0;
}

int checks_plan(struct checks *checks, struct snapshot *snapshot, struct checks_plan **ret_plan)
{
    struct checks_plan *plan = calloc(1, sizeof(*plan));
    int r = plan ? 0 : -ENOMEM;

    if (r == 0) {
        plan->checks = checks;
        r = checks_plan_make(plan, snapshot, checks_count(snapshot));
    }
    if (r < 0)
        checks_plan_free(plan);
    else
        *ret_plan = plan;
    return r;
}

void checks_plan_free(struct checks_plan *plan)
{
    if (!plan)
        return;
    for (size_t i = 0; i < plan->n; i++)
        check_free(plan->all[i]);
    free(plan->all);
    free(plan);
}

static bool checks_same_text(const char *a, const char *b)
{
    return a == b || (a && b && strcmp(a, b) == 0);
}

static bool checks_same_health(const struct health_config *a, const struct health_config *b)
{
    return checks_same_text(a->path, b->path) && checks_same_text(a->host, b->host) &&
           checks_same_text(a->status, b->status) && a->interval_ms == b->interval_ms &&
           a->timeout_ms == b->timeout_ms && a->rise == b->rise && a->fall == b->fall;
}

static bool checks_same_tls(const struct tls_config *a, const struct tls_config *b)
{
    return checks_same_text(a->ca, b->ca) && checks_same_text(a->cert, b->cert) && checks_same_text(a->key, b->key) &&
           checks_same_text(a->server_name, b->server_name) && a->verify == b->verify &&
           a->min_version == b->min_version;
}

/* Whether one asks and judges as the other does. */
static bool check_is_like(const struct check *a, const struct check *b)
{
    const struct check_subject *first = a->next.snapshot ? &a->next : &a->subject, *second = &b->subject;

    return a->standing == b->standing && first->endpoint->address.kind == second->endpoint->address.kind &&
           checks_same_health(&first->target->health, &second->target->health) &&
           (first->endpoint->address.kind != ADDRESS_HTTPS ||
            checks_same_tls(&first->target->tls, &second->target->tls));
}

/* The one that goes on in the place of a planned one; NULL: none does. Those of two snapshots are mostly in one order,
 * so that it is looked for from `hint` on. */
static struct check *checks_find(const struct checks *checks, const struct check *planned, size_t hint)
{
    for (size_t i = 0; i < checks->n; i++) {
        struct check *check = checks->all[(hint + i) % checks->n];

        if (!check->stays && check_is_like(check, planned))
            return check;
    }
    return NULL;
}

/* It goes on with what the planned one is about, from its next time on. */
static void check_inherit(struct check *check, struct check *planned)
{
    check->stays = true;
    check_subject_drop(&check->next);
    check->next = planned->subject;
    planned->subject = (struct check_subject){.snapshot = NULL};
    if (!check->at_work)
        check_catch_up(check);
}

static bool checks_has_standing(const struct checks_plan *plan, const struct standing *standing)
{
    for (size_t i = 0; i < plan->n; i++)
        if (plan->all[i]->standing == standing)
            return true;
    return false;
}

void checks_adopt(struct checks *checks, struct checks_plan *plan)
{
    struct check **before = checks->all;
    size_t n_before = checks->n;

    for (size_t i = 0; i < plan->n; i++) {
        struct check *planned = plan->all[i], *check = checks_find(checks, planned, i);

        if (check) {
            check_inherit(check, planned);
            check_free(planned);
            plan->all[i] = check;
        } else if (checks->started) {
            timer_arm(checks->loop, &planned->timer, 0);
        }
    }
    for (size_t i = 0; i < n_before; i++) {
        if (before[i]->stays) {
            before[i]->stays = false;
            continue;
        }
        if (!checks_has_standing(plan, before[i]->standing))
            standing_uncheck(before[i]->standing);
        check_free(before[i]);
    }
    checks->all = plan->all;
    checks->n = plan->n;
    free(before);
    free(plan);
}

/* ---- work ---- */

void checks_start(struct checks *checks)
{
    if (!checks)
        return;
    checks->started = true;
    for (size_t i = 0; i < checks->n; i++)
        timer_arm(checks->loop, &checks->all[i]->timer, 0);
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
