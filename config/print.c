#include <errno.h>
#include <inttypes.h>
#include <jansson.h>
#include <stdlib.h>

#include "config/expand.h"
#include "config/load.h"
#include "config/reader.h"
#include "config/value.h"

/* Every json_ function here takes NULL, so that running out of memory anywhere ends in print_set saying so. */
static void print_set(json_t *object, const char *key, json_t *value, bool *failed)
{
    if (json_object_set_new(object, key, value) != 0)
        *failed = true;
}

static void print_append(json_t *array, json_t *value, bool *failed)
{
    if (json_array_append_new(array, value) != 0)
        *failed = true;
}

/* A string that expansion gives back. */
static json_t *print_text(const char *text)
{
    char *escaped = expand_escape(text);
    json_t *string = escaped ? json_string(escaped) : NULL;

    free(escaped);
    return string;
}

static void print_optional(json_t *object, const char *key, const char *text, bool *failed)
{
    if (text)
        print_set(object, key, print_text(text), failed);
}

static json_t *print_unit(uint64_t value, enum limit_unit unit)
{
    char text[VALUE_BYTES];

    return json_string(value_format(value, unit, text));
}

static json_t *print_number(uint64_t value)
{
    return json_integer((json_int_t)value);
}

static json_t *print_owner(uint32_t id)
{
    return json_sprintf("%" PRIu32, id);
}

static json_t *print_log(const struct log_config *log, bool *failed)
{
    json_t *object = json_object();
    json_t *access = log->access ? json_object() : json_false();

    print_set(object, "level", json_string(log_level_names[log->level]), failed);
    print_set(object, "format", json_string(log_format_names[log->format]), failed);
    if (log->access) {
        print_set(access, "format", json_string(log_format_names[log->access_format]), failed);
        print_set(access, "to", print_text(log->access_to), failed);
    }
    print_set(object, "access", access, failed);
    return object;
}

static json_t *print_peers(const struct listener_config *listener, bool *failed)
{
    json_t *object = json_object();
    json_t *rules = json_array();

    for (size_t i = 0; i < listener->n_peers; i++) {
        const struct peer_rule *peer = &listener->peers[i];
        json_t *rule = json_object();
        if (peer->has_uid)
            print_set(rule, "uid", print_number(peer->uid), failed);
        if (peer->has_gid)
            print_set(rule, "gid", print_number(peer->gid), failed);
        print_append(rules, rule, failed);
    }
    print_set(object, "allow", rules, failed);
    return object;
}

static json_t *print_match(const struct route_config *route, bool *failed)
{
    json_t *object = json_object();
    json_t *methods = route->methods ? json_array() : NULL;

    for (char **method = route->methods; method && *method; method++)
        print_append(methods, print_text(*method), failed);
    if (route->methods)
        print_set(object, "methods", methods, failed);
    print_optional(object, "host", route->host, failed);
    print_optional(object, "path", route->path, failed);
    print_optional(object, "path_prefix", route->path_prefix, failed);
    return object;
}

static json_t *print_upgrade(char *const *protocols, bool *failed)
{
    json_t *array = json_array();

    for (; *protocols; protocols++)
        print_append(array, print_text(*protocols), failed);
    return array;
}

static json_t *print_respond(const struct route_config *route, bool *failed)
{
    json_t *object = json_object();

    print_set(object, "status", print_number(route->respond.status), failed);
    print_set(object, "content_type", print_text(route->respond.content_type), failed);
    print_set(object, "body", print_text(route->respond.body), failed);
    return object;
}

/* Names that were made up are not valid ones, so they are not written: they come back by themselves. */
static void print_name(json_t *object, const char *name, bool *failed)
{
    if (reader_name_is_valid(name))
        print_set(object, "name", print_text(name), failed);
}

static json_t *print_route(const struct route_config *route, bool *failed)
{
    json_t *object = json_object();
    json_t *match = print_match(route, failed);

    print_name(object, route->name, failed);
    if (json_object_size(match) > 0)
        print_set(object, "match", json_incref(match), failed);
    json_decref(match);
    print_set(object, "path_ambiguity", json_string(route->path_ambiguity_allow ? "allow" : "refuse"), failed);
    if (route->action == ROUTE_TARGET)
        print_set(object, "target", print_text(route->target->name), failed);
    else
        print_set(object, "respond", print_respond(route, failed), failed);
    if (route->upgrade)
        print_set(object, "upgrade", print_upgrade(route->upgrade, failed), failed);
    return object;
}

static void print_file_keys(json_t *object, const struct listener_config *listener, bool *failed)
{
    print_set(object, "mode", print_unit(listener->mode, UNIT_MODE), failed);
    if (listener->owner != OWNER_UNCHANGED)
        print_set(object, "owner", print_owner(listener->owner), failed);
    if (listener->group != OWNER_UNCHANGED)
        print_set(object, "group", print_owner(listener->group), failed);
    if (listener->has_directory_mode)
        print_set(object, "directory_mode", print_unit(listener->directory_mode, UNIT_MODE), failed);
}

static json_t *print_listener_limits(const struct listener_config *listener, bool *failed)
{
    json_t *object = json_object();

    print_set(object, "connections", print_number(listener->limit_connections), failed);
    if (listener->bind.kind != ADDRESS_TCP)
        print_set(object, "connections_per_uid", print_number(listener->limit_connections_per_uid), failed);
    if (!listener->stream) {
        print_set(object, "header", print_unit(listener->limit_header_bytes, UNIT_BYTES), failed);
        print_set(object, "body", print_unit(listener->limit_body_bytes, UNIT_BYTES), failed);
    }
    return object;
}

static void print_stream(json_t *object, const struct target_config *target, bool *failed)
{
    json_t *stream = json_object();

    print_set(stream, "target", print_text(target->name), failed);
    print_set(object, "stream", stream, failed);
}

/* What only a listener of HTTP has. */
static void print_http_keys(json_t *object, const struct listener_config *listener, bool *failed)
{
    json_t *timeouts = json_object(), *routes = json_array();

    print_set(timeouts, "head", print_unit(listener->timeout_head_ms, UNIT_MS), failed);
    print_set(timeouts, "body", print_unit(listener->timeout_body_ms, UNIT_MS), failed);
    print_set(timeouts, "idle", print_unit(listener->timeout_idle_ms, UNIT_MS), failed);
    print_set(object, "timeouts", timeouts, failed);
    for (size_t i = 0; i < listener->n_routes; i++)
        print_append(routes, print_route(&listener->routes[i], failed), failed);
    print_set(object, "routes", routes, failed);
}

static json_t *print_listener(const struct listener_config *listener, bool *failed)
{
    json_t *object = json_object();

    print_name(object, listener->name, failed);
    print_set(object, "bind", print_text(listener->bind.text), failed);
    if (listener->bind.kind == ADDRESS_UNIX)
        print_file_keys(object, listener, failed);
    print_set(object, "backlog", print_number(listener->backlog), failed);
    if (listener->n_peers > 0)
        print_set(object, "peers", print_peers(listener, failed), failed);
    print_set(object, "limits", print_listener_limits(listener, failed), failed);
    if (listener->stream)
        print_stream(object, listener->stream, failed);
    else
        print_http_keys(object, listener, failed);
    return object;
}

static json_t *print_tls(const struct target_config *target, bool *failed)
{
    json_t *object = json_object();

    print_optional(object, "ca", target->tls.ca, failed);
    print_optional(object, "cert", target->tls.cert, failed);
    print_optional(object, "key", target->tls.key, failed);
    print_optional(object, "server_name", target->tls.server_name, failed);
    print_set(object, "verify", json_boolean(target->tls.verify), failed);
    return object;
}

static json_t *print_target(const struct target_config *target, bool *failed)
{
    json_t *object = json_object(), *endpoints = json_array(), *connections = json_object(), *timeouts = json_object();

    for (size_t i = 0; i < target->n_endpoints; i++)
        print_append(endpoints, print_text(target->endpoints[i].text), failed);
    print_set(object, "endpoints", endpoints, failed);
    print_set(connections, "max", print_number(target->connections_max), failed);
    print_set(connections, "idle", print_number(target->connections_idle), failed);
    print_set(connections, "idle_timeout", print_unit(target->connections_idle_timeout_ms, UNIT_MS), failed);
    print_set(object, "connections", connections, failed);
    print_set(timeouts, "connect", print_unit(target->connect_timeout_ms, UNIT_MS), failed);
    print_set(timeouts, "response", print_unit(target->response_timeout_ms, UNIT_MS), failed);
    print_set(timeouts, "idle", print_unit(target->idle_timeout_ms, UNIT_MS), failed);
    print_set(timeouts, "tunnel", print_unit(target->tunnel_timeout_ms, UNIT_MS), failed);
    print_set(object, "timeouts", timeouts, failed);
    if (target->endpoints[0].kind == ADDRESS_HTTPS)
        print_set(object, "tls", print_tls(target, failed), failed);
    return object;
}

static json_t *print_document(const struct snapshot *snapshot, bool *failed)
{
    json_t *object = json_object(), *listeners = json_array(), *targets = json_object();

    print_set(object, "workers", print_number(snapshot->n_workers), failed);
    print_set(object, "drain", print_unit(snapshot->drain_ms, UNIT_MS), failed);
    print_set(object, "log", print_log(&snapshot->log, failed), failed);
    for (size_t i = 0; i < snapshot->n_listeners; i++)
        print_append(listeners, print_listener(&snapshot->listeners[i], failed), failed);
    print_set(object, "listeners", listeners, failed);
    for (size_t i = 0; i < snapshot->n_targets; i++) {
        const struct target_config *target = &snapshot->targets[i];
        /* Targets written inside routes have their address for a name and stay there. */
        if (reader_name_is_valid(target->name))
            print_set(targets, target->name, print_target(target, failed), failed);
    }
    print_set(object, "targets", targets, failed);
    return object;
}

int config_print(const struct snapshot *snapshot, FILE *to)
{
    bool failed = false;
    json_t *document = print_document(snapshot, &failed);
    int r = 0;

    if (failed)
        r = -ENOMEM;
    else if (json_dumpf(document, to, JSON_INDENT(2)) != 0 || fputc('\n', to) == EOF)
        r = -EIO;
    json_decref(document);
    return r;
}
