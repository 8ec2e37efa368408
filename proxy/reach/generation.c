#include "proxy/reach/generation.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

static bool generation_take_listeners(struct generation *generation)
{
    const struct snapshot *snapshot = generation->snapshot;

    generation->addresses = calloc(snapshot_n_sockets(snapshot), sizeof(*generation->addresses));
    for (size_t i = 0; generation->addresses && i < snapshot_n_sockets(snapshot); i++) {
        const struct listener_config *listener = snapshot_socket(snapshot, i);

        generation->addresses[i] = address_canonical(&listener->bind);
        if (!generation->addresses[i])
            return false;
        if (listener->limit_header_bytes > generation->header_bytes)
            generation->header_bytes = (size_t)listener->limit_header_bytes;
    }
    return generation->addresses;
}

static bool generation_take_secrets(struct generation *generation)
{
    const struct snapshot *snapshot = generation->snapshot;

    generation->edit_bytes = snapshot->edit_bytes > 0 ? snapshot->edit_bytes + generation->header_bytes : 0;
    generation->secrets = calloc(snapshot->n_secrets ? snapshot->n_secrets : 1, sizeof(*generation->secrets));
    for (size_t i = 0; generation->secrets && i < snapshot->n_secrets; i++)
        generation->secrets[i].path = snapshot->secrets[i];
    return generation->secrets;
}

/* Whether all of a listener's peers are one user, and who. Those of TCP are not told apart. */
static bool generation_has_one_user_at(const struct listener_config *listener, uid_t *ret_uid)
{
    *ret_uid = SHARES_NOBODY;
    if (!address_is_unix(listener->bind.kind))
        return true;
    for (size_t i = 0; i < listener->n_peers; i++) {
        const struct peer_rule *rule = &listener->peers[i];

        if (!rule->has_uid || (i > 0 && rule->uid != *ret_uid))
            return false;
        *ret_uid = rule->uid;
    }
    return listener->n_peers > 0;
}

/* Whether there is nobody with whom a user could have to share. */
static bool generation_has_one_user(const struct snapshot *snapshot)
{
    uid_t first = SHARES_NOBODY, uid;

    for (size_t i = 0; i < snapshot->n_listeners; i++) {
        if (!generation_has_one_user_at(&snapshot->listeners[i], &uid) || (i > 0 && uid != first))
            return false;
        first = uid;
    }
    return true;
}

struct generation *generation_new(struct snapshot *snapshot, struct endpoints *endpoints)
{
    struct generation *generation = calloc(1, sizeof(*generation));
    bool one_user = generation_has_one_user(snapshot);

    if (!generation)
        return NULL;
    generation->n_holders = 1;
    generation->snapshot = snapshot_ref(snapshot);
    generation->n_targets = endpoints ? snapshot->n_targets : 0;
    generation->targets = calloc(generation->n_targets ? generation->n_targets : 1, sizeof(*generation->targets));
    if (!generation->targets || !generation_take_listeners(generation) || !generation_take_secrets(generation))
        return generation_unref(generation);
    for (size_t i = 0; i < generation->n_targets; i++)
        if (target_init(&generation->targets[i], &snapshot->targets[i], endpoints, one_user) < 0)
            return generation_unref(generation);
    return generation;
}

struct generation *generation_unref(struct generation *generation)
{
    const struct snapshot *snapshot;

    if (!generation)
        return NULL;
    assert(generation->n_holders > 0);
    if (--generation->n_holders > 0)
        return NULL;
    snapshot = generation->snapshot;
    for (size_t i = 0; generation->targets && i < generation->n_targets; i++)
        target_deinit(&generation->targets[i]);
    for (size_t i = 0; generation->addresses && i < snapshot_n_sockets(snapshot); i++)
        free(generation->addresses[i]);
    for (size_t i = 0; generation->secrets && i < snapshot->n_secrets; i++)
        secret_deinit(&generation->secrets[i]);
    free(generation->secrets);
    free(generation->addresses);
    free(generation->targets);
    snapshot_unref(generation->snapshot);
    free(generation);
    return NULL;
}

void generation_take_effect(struct generation *generation)
{
    for (size_t i = 0; i < generation->n_targets; i++)
        target_take_effect(&generation->targets[i]);
}

struct target *generation_target(const struct generation *generation, const struct target_config *config)
{
    struct target *target = &generation->targets[config->index];

    assert(config->index < generation->n_targets && target->config == config);
    return target;
}

const struct listener_config *generation_listener(const struct generation *generation, const struct generation *other,
                                                  const struct listener_config *listener)
{
    const char *address = other->addresses[listener->index];
    const struct listener_config *found = NULL;

    for (size_t i = 0; i < snapshot_n_sockets(generation->snapshot); i++)
        if (strcmp(generation->addresses[i], address) == 0)
            found = snapshot_socket(generation->snapshot, i);
    return found && !found->stream == !listener->stream && !found->pages == !listener->pages ? found : NULL;
}
