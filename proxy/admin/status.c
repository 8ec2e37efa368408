#include "proxy/admin/status.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/keys.h"
#include "proxy/admin/figures.h"
#include "proxy/admin/ready.h"
#include "proxy/admin/reply.h"
#include "proxy/admin/targets.h"
#include "proxy/base/log.h"
#include "proxy/listen/peer.h"

#define STATUS_MOST_ERRORS 100

/* Whatever there was no memory for is missing, and then so is the whole: `failed`. */
struct status {
    const struct facts *facts;
    bool failed;
};

static json_t *status_take(struct status *status, json_t *value)
{
    status->failed = status->failed || !value;
    return value;
}

static void status_set(struct status *status, json_t *object, const char *key, json_t *value)
{
    if (json_object_set_new(object, key, value) < 0)
        status->failed = true;
}

static void status_append(struct status *status, json_t *array, json_t *value)
{
    if (json_array_append_new(array, value) < 0)
        status->failed = true;
}

static void status_set_number(struct status *status, json_t *object, const char *key, uint64_t n)
{
    status_set(status, object, key, json_integer((json_int_t)n));
}

/* ---- the configuration ---- */

/* One for each line; bytes that are no UTF-8 (of a file's name) make a line unreadable. */
static json_t *status_errors(struct status *status)
{
    json_t *errors = status_take(status, json_array());
    const char *line = status->facts->reload_problem;

    while (line && *line && json_array_size(errors) < STATUS_MOST_ERRORS) {
        size_t n = strcspn(line, "\n");
        json_t *text = json_stringn(line, n);

        status_append(status, errors, text ? text : json_string("(a line that is no UTF-8)"));
        line += n + (line[n] == '\n');
    }
    return errors;
}

static json_t *status_config(struct status *status)
{
    const struct facts *facts = status->facts;
    char loaded[REPLY_TIME_BYTES], at[REPLY_TIME_BYTES];
    json_t *file = json_string(facts->snapshot->source); /* NULL: a name that is no UTF-8 */
    const char *state = !facts->reload_tried ? "none" : facts->reload_good ? "ok" : "failed";
    json_t *reload =
        json_pack("{s:s,s:s?,s:o,s:I}", "state", state, "at", reply_time(facts->reload_time, at), "errors",
                  status_errors(status), "total", (json_int_t)facts->n_reloads + (json_int_t)facts->n_refused);

    return status_take(status, json_pack("{s:o,s:s,s:s?,s:o}", "file", file ? file : json_null(), "sha256",
                                         facts->snapshot->sha256, "loaded", reply_time(facts->loaded, loaded), "reload",
                                         status_take(status, reload)));
}

/* ---- listeners ---- */

static void status_tell_rules(FILE *out, const char *word, const struct peer_rule *rules, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        char rule[PEER_RULE_BYTES];

        peer_format_rule(&rules[i], rule);
        fprintf(out, "%s%s", i > 0 ? ", " : word, rule);
    }
}

static json_t *status_peers(struct status *status, const struct listener_config *config)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    json_t *told = NULL;

    if (!out)
        return status_take(status, NULL);
    if (config->n_peers == 0)
        fputs("everybody", out);
    status_tell_rules(out, "", config->peers, config->n_peers);
    status_tell_rules(out, " but ", config->denied, config->n_denied);
    if (fclose(out) == 0)
        told = json_string(text);
    free(text);
    return status_take(status, told);
}

static struct figures status_sum_routes(const struct listener_config *config)
{
    struct figures figures = {.requests = 0};

    for (size_t i = 0; i < config->n_routes; i++)
        figures_add_route(&figures, config->routes[i].series);
    figures_add_route(&figures, config->no_route);
    return figures;
}

static void status_set_listener_figures(struct status *status, json_t *told, const struct listener_config *config)
{
    struct figures_of_listener own = figures_of_listener(config->series);
    struct figures sum = status_sum_routes(config);

    status_set_number(status, told, "accepted", own.accepted);
    status_set_number(status, told, "refused", own.refused);
    status_set_number(status, told, "requests", sum.requests);
    status_set_number(status, told, "errors", sum.errors);
    status_set_number(status, told, "in_flight", own.in_flight);
    status_set_number(status, told, "tunnels", own.tunnels);
    status_set_number(status, told, "bytes_in", sum.received_bytes + own.received_bytes);
    status_set_number(status, told, "bytes_out", sum.sent_bytes + own.sent_bytes);
}

static json_t *status_listener(struct status *status, const struct facts_listener *fact)
{
    const struct listener_config *config = fact->config;
    json_t *told = json_pack(
        "{s:s,s:s,s:s,s:b,s:o,s:I,s:I,s:I}", "name", config->name, "bind", config->bind.text, "kind",
        config->pages    ? "admin"
        : config->stream ? "stream"
                         : "http",
        "up", fact->up, "peers", status_peers(status, config), "connections", (json_int_t)fact->counts.n_clients,
        "idle", (json_int_t)fact->counts.n_idle, "limit", (json_int_t)config->limit_connections);

    if (!status_take(status, told))
        return NULL;
    if (fact->has_file) {
        status_set(status, told, "mode", json_sprintf("%04o", (unsigned)fact->mode));
        status_set_number(status, told, "owner", fact->owner);
        status_set_number(status, told, "group", fact->group);
    }
    if (config->series)
        status_set_listener_figures(status, told, config);
    return told;
}

static json_t *status_listeners(struct status *status)
{
    json_t *listeners = status_take(status, json_array());

    for (size_t i = 0; i < status->facts->n_listeners; i++)
        status_append(status, listeners, status_listener(status, &status->facts->listeners[i]));
    return listeners;
}

/* ---- routes ---- */

static json_t *status_route(struct status *status, const struct listener_config *listener,
                            const struct route_config *route)
{
    static const char *const actions[] = {
        [ROUTE_TARGET] = "target", [ROUTE_RESPOND] = "respond", [ROUTE_DENY] = "deny", [ROUTE_REDIRECT] = "redirect"};
    struct figures figures = {.requests = 0};
    json_t *told =
        json_pack("{s:s,s:s,s:s,s:s}", "listener", listener->name, "name", route->name, "action",
                  actions[route->action], "target", route->action == ROUTE_TARGET ? route->target->name : "");

    if (!status_take(status, told) || !route->series)
        return told;
    figures_add_route(&figures, route->series);
    status_set_number(status, told, "requests", figures.requests);
    status_set_number(status, told, "errors", figures.errors);
    status_set_number(status, told, "refused", figures.refused);
    status_set_number(status, told, "bytes_in", figures.received_bytes);
    status_set_number(status, told, "bytes_out", figures.sent_bytes);
    if (figures.duration.n > 0) {
        status_set_number(status, told, "p50_us", figures_quantile_us(&figures.duration, &histogram_requests, 0.5));
        status_set_number(status, told, "p99_us", figures_quantile_us(&figures.duration, &histogram_requests, 0.99));
    }
    return told;
}

static json_t *status_routes(struct status *status)
{
    const struct snapshot *snapshot = status->facts->snapshot;
    json_t *routes = status_take(status, json_array());

    for (size_t i = 0; i < snapshot->n_listeners; i++)
        for (size_t k = 0; k < snapshot->listeners[i].n_routes; k++)
            status_append(status, routes,
                          status_route(status, &snapshot->listeners[i], &snapshot->listeners[i].routes[k]));
    return routes;
}

/* ---- targets ---- */

/* When something was, of which another clock is known. */
static struct wall_time status_wall_time(struct instant at)
{
    uint64_t wall_ns = wall_time_now().ns, ago_ns = instant_now().ns - at.ns;

    return (struct wall_time){at.ns > 0 && ago_ns < wall_ns ? wall_ns - ago_ns : 0};
}

static json_t *status_endpoint(struct status *status, const struct endpoint_view *endpoint)
{
    static const struct {
        const char *state, *reason; /* NULL: the view's */
    } words[] = {[ENDPOINT_GOOD] = {"good", NULL},
                 [ENDPOINT_EJECTED] = {"ejected", NULL},
                 [ENDPOINT_DOWN] = {"down", NULL},
                 [ENDPOINT_UNREACHED] = {"down", "the last attempt to connect failed"},
                 [ENDPOINT_UNTRIED] = {"unknown", NULL}};
    const char *reason = words[endpoint->state].reason;
    char since[REPLY_TIME_BYTES];
    json_t *told =
        json_pack("{s:s,s:s,s:o,s:s*,s:I,s:I,s:I}", "address", endpoint->address, "state", words[endpoint->state].state,
                  "reason", reply_text(text_of(reason ? reason : endpoint->reason)), "since",
                  reply_time(status_wall_time(endpoint->since), since), "open",
                  (json_int_t)endpoint->n_busy + (json_int_t)endpoint->n_idle, "idle", (json_int_t)endpoint->n_idle,
                  "requests", (json_int_t)endpoint->response_head.n);

    if (endpoint->config)
        status_set_number(status, told, "weight", endpoint->config->weight);
    if (endpoint->response_head.n > 0)
        status_set_number(status, told, "p50_us",
                          figures_quantile_us(&endpoint->response_head, &histogram_requests, 0.5));
    return told;
}

static json_t *status_target(struct status *status, const struct target_config *target)
{
    json_t *endpoints = status_take(status, json_array()), *told;
    struct target_view view;

    if (!target_view_init(&view, status->facts, target))
        status->failed = true;
    target_view_count(&view, status->facts);
    status->failed = status->failed || view.out_of_memory;
    for (size_t i = 0; i < view.n_endpoints; i++)
        status_append(status, endpoints, status_endpoint(status, &view.endpoints[i]));
    told =
        json_pack("{s:s,s:s,s:I,s:I,s:o}", "name", target->name, "balance", keys_balance_words[target->balance], "max",
                  (json_int_t)target->connections_max, "waiting", (json_int_t)view.n_waiting, "endpoints", endpoints);
    target_view_deinit(&view);
    return status_take(status, told);
}

static json_t *status_targets(struct status *status)
{
    const struct snapshot *snapshot = status->facts->snapshot;
    json_t *targets = status_take(status, json_array());

    for (size_t i = 0; i < snapshot->n_targets; i++)
        status_append(status, targets, status_target(status, &snapshot->targets[i]));
    return targets;
}

/* ---- memory ---- */

static json_t *status_memory(struct status *status)
{
    const struct facts_memory *memory = &status->facts->memory;

    if (memory->limit_bytes == UINT64_MAX)
        return json_null();
    return status_take(status, json_pack("{s:I,s:I,s:i,s:I}", "limit", (json_int_t)memory->limit_bytes, "used",
                                         (json_int_t)memory->used_bytes, "short", (int)memory->brake, "pauses",
                                         (json_int_t)memory->n_pauses));
}

/* ---- the whole ---- */

json_t *status_document(const struct facts *facts)
{
    static const char *const states[] = {
        [FACTS_SERVING] = "serving", [FACTS_LEAVING] = "leaving", [FACTS_DRAINING] = "draining"};
    struct status status = {.facts = facts};
    char started[REPLY_TIME_BYTES];
    bool ready = false;
    json_t *reasons = status_take(&status, ready_look(facts, &ready));
    json_t *document = json_pack(
        "{s:s,s:I,s:s?,s:I,s:s,s:b,s:o,s:I,s:o,s:o,s:o,s:o,s:o,s:{s:I}}", "version", PORTHOLE_VERSION, "pid",
        (json_int_t)facts->pid, "started", reply_time(facts->started, started), "uptime_s",
        (json_int_t)(facts->uptime_ms / 1000), "state", states[facts->state], "ready", ready, "reasons", reasons,
        "workers", (json_int_t)facts->n_workers, "config", status_config(&status), "listeners",
        status_listeners(&status), "routes", status_routes(&status), "targets", status_targets(&status), "memory",
        status_memory(&status), "logs", "dropped", (json_int_t)log_dropped() + (json_int_t)facts->n_dropped_lines);

    if (status.failed) {
        json_decref(document);
        return NULL;
    }
    return document;
}
