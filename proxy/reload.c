/* What a reload has to undo is in its plan, and nowhere else. What runs is as it was until the last worker is ready;
 * then the rest happens in one go: the sockets, what the main thread knows of them, the server's own part, and a
 * message to every worker. The keeper and a stop see either what was or what is. */
#include "proxy/reload.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/compare.h"
#include "config/load.h"
#include "proxy/base/log.h"
#include "proxy/reload_plan.h"
#include "proxy/report/series_bind.h"
#include "proxy/sandbox/sandbox.h"

#define REMIND_MS (10u * 60 * 1000) /* of a file that is not good */
#define BURY_MS 500                 /* between two looks at listeners that were removed and have clients */
#define BURY_SOON_MS 5              /* workers are letting go of one */

const struct state_machine reload_machine = {
    .name = "reload",
    .n_states = 5,
    .states = {
        [RELOAD_IDLE] = {"IDLE", STATE_BIT(RELOAD_PREPARING)},
        [RELOAD_PREPARING] = {"PREPARING", STATE_BIT(RELOAD_COMMITTING) | STATE_BIT(RELOAD_ABORTING)},
        [RELOAD_COMMITTING] = {"COMMITTING", STATE_BIT(RELOAD_IDLE) | STATE_BIT(RELOAD_CLOSING)},
        [RELOAD_CLOSING] = {"CLOSING", STATE_BIT(RELOAD_IDLE)},
        [RELOAD_ABORTING] = {"ABORTING", STATE_BIT(RELOAD_IDLE)},
    }};

void reload_move(struct reload *reload, enum reload_phase to)
{
    state_check(&reload_machine, reload->phase, to);
    reload->phase = to;
}

/* ---- how it ended ---- */

static void reload_note(struct reload *reload, bool good, char *problems)
{
    struct reload_state *state = &reload->state;

    free(state->problems);
    if (good || state->good || state->when.ns == 0)
        reload->bad_since = loop_now(reload->host.loop);
    state->when = wall_time_now();
    state->loaded = good ? state->when : state->loaded;
    state->good = good;
    state->problems = problems;
    memcpy(state->sha256, reload->running->sha256, sizeof(state->sha256));
    state->n_reloads += good;
    state->n_refused += !good;
    if (good)
        timer_disarm(&reload->remind);
    else
        timer_arm(reload->host.loop, &reload->remind, REMIND_MS);
    if (!good)
        reload->host.refused(reload, NULL);
    reload->host.ended(reload);
}

static void reload_on_remind(struct timer *timer)
{
    struct reload *reload = CONTAINER_OF(timer, struct reload, remind);

    LOG_EVENT(LOG_LEVEL_ERROR, "the configuration could not be reloaded, and is not mended: the one before is served",
              LOG_STRING("file", reload->running->source), LOG_STRING("sha256", reload->running->sha256),
              LOG_NUMBER("for_s", instant_elapsed_us(reload->bad_since, loop_now(reload->host.loop)) / 1000000));
    timer_arm(reload->host.loop, timer, REMIND_MS);
}

/* One thing that is wrong, which is not in a place of the file. */
static void reload_refuse(struct reload *reload, const char *why)
{
    LOG_EVENT(LOG_LEVEL_ERROR, "reload refused: nothing has changed", LOG_STRING("file", reload->running->source),
              LOG_STRING("problem", why));
    reload_note(reload, false, strdup(why));
}

/* All of the file's problems, in lines. NULL when out of memory. */
static char *reload_list(const struct problems *problems, const char *file)
{
    char *text = NULL;
    size_t size;
    FILE *to = open_memstream(&text, &size);

    if (!to)
        return NULL;
    problems_print(problems, file, "", to);
    fclose(to);
    return text;
}

static void reload_refuse_all(struct reload *reload, const struct problems *problems)
{
    const char *file = reload->running->source;

    for (size_t i = 0; i < problems->n_items; i++)
        LOG_EVENT(LOG_LEVEL_ERROR, "reload refused: nothing has changed", LOG_STRING("file", file),
                  LOG_NUMBER("line", (uint64_t)problems->items[i].line),
                  LOG_NUMBER("column", (uint64_t)problems->items[i].column),
                  LOG_STRING("at", problems->items[i].pointer), LOG_STRING("problem", problems->items[i].message));
    reload_note(reload, false, reload_list(problems, file));
}

void reload_tell_warnings(const struct problems *warnings, const char *file)
{
    for (size_t i = 0; i < warnings->n_items; i++)
        LOG_EVENT(LOG_LEVEL_WARN, "the configuration has something that is probably not meant",
                  LOG_STRING("file", file), LOG_NUMBER("line", (uint64_t)warnings->items[i].line),
                  LOG_STRING("at", warnings->items[i].pointer), LOG_STRING("warning", warnings->items[i].message));
}

/* The last answer of a reload has come. */
static void reload_end(struct reload *reload)
{
    reload_plan_free(reload->plan);
    reload->plan = NULL;
    reload_move(reload, RELOAD_IDLE);
    if (reload->again && !reload->stopping)
        reload_begin(reload);
}

/* ---- listeners that were removed ---- */

static void reload_forget(const struct reload *reload, struct served *served)
{
    for (size_t i = 0; i < reload->host.n_workers; i++)
        if (worker_forget_listener(reload->host.workers[i], &served->admission) < 0)
            log_error("out of memory: what is left of a listener that was removed stays");
}

/* Workers have closed it. When it is to be looked at again, in ms; 0: it is gone. */
static uint64_t reload_bury_one(const struct reload *reload, struct served *served)
{
    if (served->late || !admission_is_over(&served->admission))
        return BURY_MS;
    if (!served->retired) {
        admission_retire(&served->admission);
        served->retired = true;
        reload_forget(reload, served);
    }
    if (atomic_load(&served->admission.n_seats) > 0)
        return BURY_SOON_MS;
    served_free(served);
    return 0;
}

static void reload_on_bury(struct timer *timer)
{
    struct reload *reload = CONTAINER_OF(timer, struct reload, bury);
    uint64_t ms = BURY_MS;
    struct list *next;

    for (struct list *link = reload->removed.next; link != &reload->removed; link = next) {
        uint64_t again_ms;

        next = link->next;
        again_ms = reload_bury_one(reload, CONTAINER_OF(link, struct served, link));
        ms = again_ms > 0 && again_ms < ms ? again_ms : ms;
    }
    if (!list_empty(&reload->removed))
        timer_arm(reload->host.loop, timer, ms);
}

void reload_close_removed(struct reload *reload)
{
    for (struct list *link = reload->removed.next; link != &reload->removed; link = link->next)
        listener_close(CONTAINER_OF(link, struct served, link)->listener);
}

void reload_withdraw_removed(struct reload *reload)
{
    for (struct list *link = reload->removed.next; link != &reload->removed; link = link->next)
        listener_withdraw(CONTAINER_OF(link, struct served, link)->listener);
}

/* ---- the second half: nothing fails ---- */

static void reload_keep_listeners(const struct reload *reload, struct reload_plan *plan)
{
    for (size_t i = 0; i < snapshot_n_sockets(plan->snapshot); i++) {
        struct served *served = plan->served[i];

        if (plan->is_new[i]) {
            keeper_add(reload->host.keeper, &served->charge, served->listener);
            succession_begin(&served->succession, reload->host.loop, reload->host.succession, served->listener);
        } else {
            served_configure(served, plan->snapshot, snapshot_socket(plan->snapshot, i));
        }
        if (amendment_is_some(&plan->amendments[i]))
            served_tell(served, "a listener is changed");
    }
}

static void reload_remove_listeners(struct reload *reload, struct reload_plan *plan)
{
    for (size_t i = 0; i < plan->n_removed; i++) {
        struct served *served = plan->removed[i];

        keeper_remove(reload->host.keeper, &served->charge);
        served->admission.shared = served->listener->shared;
        served->late = plan->late[i] = served_refuse(served);
        plan->n_late += served->late;
        succession_end(&served->succession); /* a successor that has it already is told of nothing, and keeps it */
        list_remove(&served->link);
        list_append(&reload->removed, &served->link);
        LOG_EVENT(LOG_LEVEL_INFO, "a listener is removed: its clients may finish",
                  LOG_STRING("listener", served->config->name), LOG_STRING("address", served->config->bind.text),
                  LOG_NUMBER("clients", admission_count(&served->admission).n_clients),
                  LOG_NUMBER("drain_ms", plan->snapshot->drain_ms));
    }
}

static void reload_step(struct reload *reload, enum worker_step step)
{
    struct reload_plan *plan = reload->plan;

    plan->n_answers = reload->host.n_workers;
    for (size_t i = 0; i < reload->host.n_workers; i++)
        worker_step(reload->host.workers[i], &plan->changes[i], step);
}

static void reload_commit(struct reload *reload)
{
    struct reload_plan *plan = reload->plan;

    reload_move(reload, RELOAD_COMMITTING);
    reload_plan_give_descriptors(plan);
    reload_remove_listeners(reload, plan);
    reload_step(reload, WORKER_COMMIT);
    /* After the workers were told: what the keeper has for a new listener comes behind that. */
    reload_keep_listeners(reload, plan);
    snapshot_unref(reload->running);
    reload->running = snapshot_ref(plan->snapshot);
    reload->host.commit(reload, plan->snapshot);
}

/* Nobody comes late any more. */
static void reload_on_late(struct timer *timer)
{
    reload_step(CONTAINER_OF(timer, struct reload, late), WORKER_CLOSE);
}

static void reload_finish_closing(struct reload *reload)
{
    const struct reload_plan *plan = reload->plan;

    for (size_t i = 0; i < plan->n_removed; i++)
        plan->removed[i]->late = false;
    timer_arm(reload->host.loop, &reload->bury, 0);
    reload_end(reload);
}

/* Every worker serves it. */
static void reload_finish(struct reload *reload)
{
    const struct reload_plan *plan = reload->plan;

    reload_withdraw_removed(reload);
    reload_close_removed(reload);
    if (!list_empty(&reload->removed))
        timer_arm(reload->host.loop, &reload->bury, 0);
    reload_note(reload, true, NULL);
    LOG_EVENT(LOG_LEVEL_INFO, "reloaded", LOG_STRING("file", plan->snapshot->source),
              LOG_STRING("sha256", plan->snapshot->sha256), LOG_NUMBER("listeners", plan->snapshot->n_listeners),
              LOG_NUMBER("added", plan->n_new), LOG_NUMBER("removed", plan->n_removed),
              LOG_NUMBER("changed", plan->n_amended), LOG_NUMBER("targets", plan->snapshot->n_targets),
              LOG_NUMBER("routes_changed", plan->config.n_routes),
              LOG_NUMBER("targets_changed", plan->config.n_targets));
    if (plan->n_late == 0) {
        reload_end(reload);
        return;
    }
    reload_move(reload, RELOAD_CLOSING);
    timer_arm(reload->host.loop, &reload->late, LISTENERS_LATE_MS);
}

/* ---- the first half: anything may fail ---- */

static void reload_abort(struct reload *reload)
{
    reload_move(reload, RELOAD_ABORTING);
    reload_step(reload, WORKER_ABORT);
}

static void reload_finish_abort(struct reload *reload)
{
    struct reload_plan *plan = reload->plan;

    reload_plan_undo(plan);
    if (reload->stopping)
        log_info("a reload is given up: a stop has begun");
    else
        reload_refuse(reload, plan->error.message);
    reload_end(reload);
}

/* Every worker is ready. */
static void reload_go_on(struct reload *reload)
{
    struct reload_plan *plan = reload->plan;
    int r = plan->error.code;

    if (r == 0)
        r = reload_plan_publish(plan, &plan->error);
    if (r == 0)
        r = reload->host.prepare(reload, plan->snapshot, &plan->error);
    if (r == 0)
        reload_commit(reload);
    else
        reload_abort(reload);
}

/* Another answer has come that was waited for. */
static void reload_count_answer(struct reload *reload)
{
    if (--reload->plan->n_answers > 0)
        return;
    switch (reload->phase) {
    case RELOAD_PREPARING:
        if (reload->stopping)
            reload_abort(reload);
        else
            reload_go_on(reload);
        break;
    case RELOAD_COMMITTING:
        reload_finish(reload);
        break;
    case RELOAD_CLOSING:
        reload_finish_closing(reload);
        break;
    case RELOAD_ABORTING:
        reload_finish_abort(reload);
        break;
    case RELOAD_IDLE:
        break;
    }
}

static void reload_on_answer(struct worker_change *change)
{
    struct reload *reload = change->closure;
    struct reload_plan *plan = reload->plan;

    if (change->error.code != 0 && plan->error.code == 0)
        plan->error = change->error;
    reload_count_answer(reload);
}

/* Nothing is open of the hosts of new listeners. */
static void reload_take_names(struct reload_names *names, void *closure)
{
    struct reload *reload = closure;
    struct reload_plan *plan = reload->plan;

    if (plan->error.code == 0)
        plan->error = names->error;
    reload_count_answer(reload);
}

/* While workers prepare: whoever knows a host may take a long time to tell, and nobody here waits for that. */
static void reload_ask_names(struct reload *reload)
{
    const struct resolver_desk desk = {reload->host.resolver, reload->host.mailbox};
    struct reload_plan *plan = reload->plan;
    int r = reload_names_ask(&plan->names, reload->host.loop, &desk, plan->served, plan->is_new,
                             snapshot_n_sockets(plan->snapshot), reload_take_names, reload);

    if (r > 0)
        plan->n_answers++;
    else if (r == 0)
        plan->error = plan->names.error;
    else
        error_set(&plan->error, r, "out of memory");
}

static void reload_prepare(struct reload *reload, struct snapshot *snapshot)
{
    const struct worker_change change = {
        .answers = reload->host.mailbox, .answered = reload_on_answer, .closure = reload, .error = ERROR_INIT};
    struct error error = ERROR_INIT;

    if (reload->host.complete(reload, snapshot, &error) < 0) {
        reload_refuse(reload, error.message);
        return;
    }
    if (reload->host.series && series_bind(reload->host.series, snapshot) < 0) {
        reload_refuse(reload, "out of memory");
        return;
    }
    reload->plan = reload_plan_new(snapshot, reload->host.listeners, reload->host.n_workers, &change, &error);
    if (!reload->plan) {
        reload_refuse(reload, error.message);
        return;
    }
    if (config_count_changes(reload->running, snapshot, &reload->plan->config) < 0)
        log_debug("what a reload changes is not counted: out of memory");
    reload_move(reload, RELOAD_PREPARING);
    reload_step(reload, WORKER_PREPARE);
    reload_ask_names(reload);
}

/* Whether it can be had without another start. */
static bool reload_can(struct reload *reload, struct snapshot *snapshot)
{
    struct problems problems = PROBLEMS_INIT;
    struct error error = ERROR_INIT;
    int r;

    config_inherit(snapshot, reload->running);
    r = config_compare(reload->running, snapshot, &problems);
    if (r > 0)
        reload_refuse_all(reload, &problems);
    else if (r == 0)
        r = sandbox_admits(snapshot, &error);
    if (r < 0)
        reload_refuse(reload, error.code ? error.message : "out of memory");
    problems_deinit(&problems);
    return r == 0;
}

static void reload_refuse_file(struct reload *reload, const struct problems *problems)
{
    reload_refuse_all(reload, problems);
    reload->host.refused(reload, problems);
}

void reload_begin(struct reload *reload)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    int r;

    if (reload->stopping) {
        log_warn("no reload: a stop has begun");
        return;
    }
    reload->again = reload->phase != RELOAD_IDLE;
    if (reload->again)
        return;
    reload->host.begun(reload);
    r = config_load(reload->running->source, &snapshot, &problems);
    memcpy(reload->tried, problems.sha256, sizeof(reload->tried));
    if (r > 0)
        reload_refuse_file(reload, &problems);
    else if (r < 0)
        reload_refuse(reload, strerror(-r));
    else if (reload_can(reload, snapshot))
        reload_prepare(reload, snapshot);
    if (r == 0)
        reload_tell_warnings(&problems, reload->running->source);
    snapshot_unref(snapshot);
    problems_deinit(&problems);
}

/* ---- life ---- */

void reload_stop(struct reload *reload)
{
    if (reload->phase != RELOAD_IDLE && !reload->stopping)
        log_info("a stop has begun during a reload");
    reload->stopping = true;
    timer_disarm(&reload->remind);
    if (reload->plan)
        reload_names_give_up(&reload->plan->names, "a stop has begun");
}

void reload_init(struct reload *reload, const struct reload_host *host, struct snapshot *running)
{
    *reload = (struct reload){.host = *host, .running = snapshot_ref(running), .state.good = true};
    reload->state.loaded = wall_time_now();
    memcpy(reload->state.sha256, running->sha256, sizeof(reload->state.sha256));
    timer_init(&reload->remind, reload_on_remind);
    timer_init(&reload->late, reload_on_late);
    timer_init(&reload->bury, reload_on_bury);
    list_init(&reload->removed);
}

void reload_deinit(struct reload *reload)
{
    if (!reload->running)
        return;
    timer_disarm(&reload->remind);
    timer_disarm(&reload->late);
    timer_disarm(&reload->bury);
    reload_plan_free(reload->plan);
    while (!list_empty(&reload->removed))
        served_free(CONTAINER_OF(reload->removed.next, struct served, link));
    free(reload->state.problems);
    snapshot_unref(reload->running);
}
