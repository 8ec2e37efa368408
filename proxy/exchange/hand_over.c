#include "proxy/exchange/hand_over.h"

#include <errno.h>

#include "proxy/exchange/report.h"
#include "proxy/exchange/state.h"

/* What the target has switched to is one of what the client offered, for which there is one name nearly always. */
static enum protocol_label exchange_protocol(const struct exchange *exchange)
{
    const struct fields *fields = &exchange->request.fields;

    for (size_t i = 0; i < fields->n_items; i++)
        if (text_equal_nocase(fields->items[i].name, TEXT_LITERAL("Upgrade")))
            return protocol_label(fields->items[i].value);
    return PROTOCOL_OTHER;
}

int exchange_tunnel(struct exchange *exchange, struct tunnel_client *client, struct text early)
{
    struct exchange_env *env = exchange->env;
    struct upstream *upstream = &exchange->upstream;
    struct connection *connection;
    struct text target_early;
    struct record record;
    int r;

    if (exchange_failed(exchange)) {
        tunnel_client_drop(client);
        return -ECANCELED;
    }
    record = exchange_describe(exchange, OUTCOME_TUNNELED, true);
    record.protocol = exchange_protocol(exchange);
    connection = upstream_take_connection(upstream, &target_early);
    r = tunnel_join(&env->tunnels, client, upstream->target, exchange->times->tunnel_ms, connection, &record, early,
                    target_early);
    if (r < 0)
        exchange_fail(exchange, OUTCOME_INTERNAL);
    else
        exchange->tunneled = true;
    if (r == 0)
        recorder_begin_tunnel(&env->recorder, &record);
    return r;
}

int exchange_stream(struct exchange_env *env, struct tunnel_client *client, struct text peer)
{
    const struct target_config *target = client->listener->stream;
    char id[ID_BYTES];
    struct record record = {.request_id = {id, ID_BYTES},
                            .listener = text_of(client->listener->name),
                            .upstream = text_of(target->name),
                            .series = client->listener->no_route,
                            .protocol = PROTOCOL_STREAM,
                            .peer = peer,
                            .outcome = OUTCOME_INTERNAL,
                            .begun = loop_now(env->loop),
                            .connect_us = -1,
                            .first_byte_us = -1};
    int r;

    exchange_env_make_id(env, id);
    r = tunnel_open(&env->tunnels, client, generation_target(client->generation, target), &record);
    if (r < 0)
        recorder_end_tunnel(&env->recorder, &record);
    return r;
}
