#include "proxy/admin/ready.h"

static json_t *ready_add(json_t *reasons, json_t *reason)
{
    if (json_array_append_new(reasons, reason) == 0)
        return reasons;
    json_decref(reasons);
    return NULL;
}

json_t *ready_reasons(const struct facts *facts)
{
    json_t *reasons = json_array();

    if (facts->state != FACTS_SERVING)
        reasons = ready_add(reasons, json_string("a stop was asked for"));
    for (size_t i = 0; i < facts->n_listeners; i++) {
        const struct facts_listener *listener = &facts->listeners[i];

        if (!listener->up && facts->state == FACTS_SERVING)
            reasons = ready_add(reasons, json_sprintf("listener %s is not at its place", listener->config->name));
    }
    return reasons;
}
