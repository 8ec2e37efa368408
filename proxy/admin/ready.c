#include "proxy/admin/ready.h"

#include "proxy/admin/targets.h"

/* What is found on the way. */
struct ready {
    json_t *reasons; /* owned; NULL: out of memory */
    bool is_ready;
};

static void ready_add(struct ready *ready, json_t *reason)
{
    if (json_array_append_new(ready->reasons, reason) == 0)
        return;
    json_decref(ready->reasons);
    ready->reasons = NULL;
}

static void ready_look_at_listeners(struct ready *ready, const struct facts *facts)
{
    if (facts->state != FACTS_SERVING) {
        ready_add(ready, json_string("a stop was asked for"));
        ready->is_ready = false;
        return;
    }
    for (size_t i = 0; i < facts->n_listeners; i++) {
        if (facts->listeners[i].up)
            continue;
        ready_add(ready, json_sprintf("listener %s is not at its place", facts->listeners[i].config->name));
        ready->is_ready = false;
    }
}

/* A sidecar whose targets are all out does nothing for anybody. While one is left it does, and to take every pod away
 * from its clients because of something that they share would make one failure two. */
static void ready_look_at_targets(struct ready *ready, const struct facts *facts)
{
    const struct snapshot *snapshot = facts->snapshot;
    size_t n_usable = 0;

    for (size_t i = 0; i < snapshot->n_targets; i++) {
        struct target_view view;
        bool is_known = target_view_init(&view, facts, &snapshot->targets[i]);

        if (!is_known || target_view_is_usable(&view))
            n_usable++;
        else
            ready_add(ready, json_sprintf("target %s has no usable endpoint", snapshot->targets[i].name));
        target_view_deinit(&view);
    }
    ready->is_ready = ready->is_ready && (n_usable > 0 || snapshot->n_targets == 0);
}

/* Those who are in are served, and who comes waits for little; elsewhere it would be the same. */
static void ready_look_at_memory(struct ready *ready, const struct facts *facts)
{
    if (facts->memory.brake != BRAKE_OFF)
        ready_add(ready,
                  json_string(facts->memory.brake == BRAKE_FULL ? "memory is almost used up: new clients wait"
                                                                : "memory is short: new clients come in slowly"));
}

json_t *ready_look(const struct facts *facts, bool *ret_ready)
{
    struct ready ready = {.reasons = json_array(), .is_ready = true};

    ready_look_at_listeners(&ready, facts);
    ready_look_at_targets(&ready, facts);
    ready_look_at_memory(&ready, facts);
    *ret_ready = ready.is_ready && ready.reasons;
    return ready.reasons;
}

json_t *ready_document(const struct facts *facts, bool *ret_ready)
{
    bool failed = facts->reload_tried && !facts->reload_good;
    struct ready ready = {.is_ready = false};

    ready.reasons = ready_look(facts, &ready.is_ready);
    if (failed)
        ready_add(&ready, json_string("the last reload failed: what ran before is served on"));
    *ret_ready = ready.is_ready && ready.reasons;
    return json_pack("{s:b,s:o,s:s}", "ready", *ret_ready, "reasons", ready.reasons, "reload",
                     !facts->reload_tried ? "none"
                     : failed             ? "failed"
                                          : "ok");
}
