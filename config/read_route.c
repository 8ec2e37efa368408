/* What belongs to routes. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/read.h"
#include "config/route_index.h"
#include "proxy/base/digest.h"
#include "proxy/base/words.h"
#include "proxy/http/authority.h"
#include "proxy/http/fields.h"
#include "proxy/http/path.h"

#define ROUTE_HOST_MAX 253

void read_path(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    const char *path = reader_text(reader, at, value, "a path such as \"/v1/\"");
    char *scratch = path ? reader_memory(reader, malloc(strlen(path) + 1)) : NULL;
    const char *wrong;
    size_t where;

    if (!scratch)
        return;
    wrong = path_check(text_of(path), scratch, &where);
    free(scratch);
    if (wrong)
        reader_problem(reader, at, "\"%s\" has %s (byte %zu)", WORDS_SHOW(path), wrong, where + 1);
    else
        reader_copy(reader, path, key_field(key, section));
}

static const char *read_check_host(const char *host)
{
    size_t length = strlen(host);
    size_t dot;

    if (length < 1 || length > ROUTE_HOST_MAX)
        return "a host name of 1 to 253 characters";
    if (host[0] == '[')
        return authority_is_valid(text_of(host)) && host[length - 1] == ']'
                   ? NULL
                   : "an IPv6 address in brackets, without a port";
    if (strchr(host, ':'))
        return "a host name without a port (routes match every port)";
    dot = strncmp(host, "*.", 2) == 0 ? 2 : 0;
    if (host[dot] == '\0' || host[dot + strspn(host + dot, "abcdefghijklmnopqrstuvwxyz0123456789.-_")] != '\0')
        return "a host name, or \"*.\" and a host name";
    return NULL;
}

void read_to_lower_case(char *text)
{
    for (char *c = text; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
}

void read_host_pattern(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                       void *section)
{
    const char *text = reader_text(reader, at, value, "a host name");
    const char *expected;
    char *host;

    if (!text)
        return;
    host = reader_memory(reader, strdup(text));
    if (!host)
        return;
    read_to_lower_case(host);
    /* A name with a final dot is the same host; matching leaves the dot out. */
    if (host[0] != '\0' && host[strlen(host) - 1] == '.')
        host[strlen(host) - 1] = '\0';
    expected = read_check_host(host);
    if (expected) {
        reader_problem_type(reader, at, value, expected);
        free(host);
    } else {
        *(char **)key_field(key, section) = host;
    }
}

/* NULL when the method is one; else a sentence. RFC 9110 9.1: methods are tokens and case-sensitive. */
static const char *read_check_method(const char *method)
{
    static const char *const known[] = {"GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "TRACE", "OPTIONS", "CONNECT"};

    if (!text_is_token(text_of(method)))
        return "is not a method (RFC 9110 allows letters, digits and some punctuation)";
    for (size_t i = 0; i < ARRAY_LENGTH(known); i++) {
        if (strcasecmp(method, known[i]) == 0 && strcmp(method, known[i]) != 0)
            return "is not a method: methods are case-sensitive; write it in upper case";
    }
    return NULL;
}

void read_methods(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                  void *section)
{
    static const struct read_texts_kind methods = {
        "an array of methods such as [\"GET\"]", "a method such as \"GET\"", "method", read_check_method, false, false};

    read_texts(reader, at, value, key, section, &methods);
}

/* NULL when it is the name of a protocol; else a sentence. RFC 9110 7.8: protocol-name ["/" protocol-version]. */
static const char *read_check_protocol(const char *protocol)
{
    if (text_is_token(text_of(protocol)))
        return NULL;
    return strcspn(protocol, "/") > 0 && strchr(protocol, '/')
               ? "has a version; a protocol is allowed by its name alone, in every version"
               : "is not a protocol (RFC 9110 allows letters, digits and some punctuation)";
}

/* An empty array is something to say: no upgrade at all. */
void read_protocols(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                    void *section)
{
    static const struct read_texts_kind protocols = {"an array of protocols such as [\"websocket\"], or an empty one",
                                                     "a protocol such as \"websocket\"",
                                                     "protocol",
                                                     read_check_protocol,
                                                     true,
                                                     true};

    read_texts(reader, at, value, key, section, &protocols);
}

void read_route_target(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                       void *section)
{
    const char *text = reader_text(reader, at, value, "the name of a target, or an address");

    if (text)
        *(const struct target_config **)key_field(key, section) =
            read_resolve_target(reader, at, text, TARGET_FOR_ROUTE);
}

void read_media_type(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                     void *section)
{
    const char *text = reader_text(reader, at, value, "a media type");
    bool printable = true;

    for (const char *c = text; c && *c; c++)
        printable = printable && *c >= 0x20 && *c < 0x7f;
    /* RFC 9110 8.3.1: type "/" subtype, both not empty. */
    if (text && (!printable || text[0] == '/' || text[0] == ' ' || !strchr(text, '/') || strchr(text, '/')[1] == '\0'))
        reader_problem_type(reader, at, value, "a media type such as \"text/plain\"");
    else if (text)
        reader_copy(reader, text, key_field(key, section));
}

/* Whether a variable stands in the body, which was read. */
static void read_mark_answer(struct reader *reader, const json_t *value, struct route_answer *answer)
{
    const struct expanded *expanded = reader_expanded(reader, json_object_get(value, "body"));

    answer->secret = expanded && expanded->written;
}

void read_respond(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                  void *section)
{
    const struct place body = {at, "body", 0}, file = {at, "file", 0};
    struct route_config *route = section;

    route->action = ROUTE_RESPOND;
    read_inner(reader, at, value, key, section);
    if (reader->failure)
        return;
    if (route->respond.file)
        read_content(reader, at, &route->respond);
    else
        route->respond.body_length = strlen(route->respond.body);
    read_mark_answer(reader, value, &route->respond);
    if (route->respond.body_length > 0 && (route->respond.status == 204 || route->respond.status == 304))
        reader_problem_key(reader, route->respond.file ? &file : &body, "a response with status %u has no body",
                           route->respond.status);
}

static void read_measure_body(struct route_answer *answer)
{
    answer->body_length = answer->body ? strlen(answer->body) : 0;
}

void read_deny(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    struct route_config *route = section;

    route->action = ROUTE_DENY;
    read_inner(reader, at, value, key, section);
    if (reader->failure)
        return;
    read_measure_body(&route->deny);
    read_mark_answer(reader, value, &route->deny);
}

void read_body_deny(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                    void *section)
{
    struct route_config *route = section;

    read_inner(reader, at, value, key, section);
    if (reader->failure)
        return;
    read_measure_body(&route->body.deny);
    read_mark_answer(reader, value, &route->body.deny);
}

void read_rate(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    struct route_config *route = section;

    read_inner(reader, at, value, key, section);
    if (!route->rate.has_burst)
        route->rate.burst = route->rate.requests;
    route->rate.buckets = reader_memory(
        reader, rate_new(route->rate.requests, route->rate.per_ms, route->rate.burst, route->rate.by == RATE_BY_UID));
}

static bool read_route_has_conditions(const json_t *value)
{
    return json_object_size(json_object_get(value, "match")) > 0;
}

/* What a route does with a request: one thing. */
static void read_check_action(struct reader *reader, const struct place *at, const json_t *value)
{
    static const char *const own[] = {"respond", "redirect", "deny"};
    bool target = json_object_get(value, "target"), any = target;

    for (size_t i = 0; i < ARRAY_LENGTH(own); i++) {
        if (!json_object_get(value, own[i]))
            continue;
        any = true;
        if (target)
            reader_problem(reader, at, "a route has either \"target\" or \"%s\", not both", own[i]);
    }
    if (json_is_object(value) && !any)
        reader_problem(reader, at, "a route needs \"target\", \"respond\", \"redirect\" or \"deny\"");
}

static void read_check_path_conditions(struct reader *reader, const struct place *at, const struct route_config *route)
{
    const struct place match = {at, "match", 0};

    if (route->path && route->path_prefix)
        reader_problem(reader, &match, "a route has either \"path\" or \"path_prefix\", not both");
    if (route->path_regex && (route->path || route->path_prefix))
        reader_problem(reader, &match, "a route has either \"path_regex\" or \"%s\", not both",
                       route->path ? "path" : "path_prefix");
}

/* What the keys of one route must be together, and where it may stand. */
static void read_check_route(struct reader *reader, const struct place *at, const json_t *value,
                             const struct route_config *route, bool last)
{
    read_check_action(reader, at, value);
    read_check_path_conditions(reader, at, route);
    if (route->path_ambiguity == ROUTE_AMBIGUITY_ALLOW && !last) {
        const struct place ambiguity = {at, "path_ambiguity", 0};
        reader_problem(reader, &ambiguity,
                       "\"allow\" is for the last route of a listener: an ambiguous path must not reach the rules "
                       "after it");
    }
}

static void read_route_unreachable(struct reader *reader, const struct place *at, const struct route_config *above,
                                   size_t index)
{
    if (above->name)
        reader_problem(reader, at, "unreachable: route \"%s\" above matches everything", above->name);
    else
        reader_problem(reader, at, "unreachable: route %zu above matches everything", index + 1);
}

static void read_check_route_peers(struct reader *reader, const struct place *at, const struct route_config *route,
                                   const struct listener_config *listener)
{
    const struct place match = {at, "match", 0}, peers = {&match, "peers", 0};

    if (listener->bind.text && listener->bind.kind == ADDRESS_TCP)
        reader_problem_key(reader, &peers, "\"peers\" is for Unix sockets; a TCP peer has no uid or gid");
    else if (route->n_peers == 0 && route->n_denied == 0)
        reader_problem(reader, &peers, "expected \"allow\", \"deny\" or both");
}

/* What the route does not say of times is the target's. */
static void read_complete_times(struct route_config *route)
{
    const struct target_times *times = route->target ? &route->target->times : NULL;

    route->has_times = route->has_response_time || route->has_idle_time || route->has_tunnel_time;
    if (!times || !route->has_times)
        return;
    if (!route->has_response_time)
        route->times.response_ms = times->response_ms;
    if (!route->has_idle_time)
        route->times.idle_ms = times->idle_ms;
    if (!route->has_tunnel_time)
        route->times.tunnel_ms = times->tunnel_ms;
}

/* What the route does not say of retries is the target's. */
static void read_complete_retries(struct route_config *route)
{
    const struct retry_config *retries = route->target ? &route->target->retries : NULL;

    route->has_retries = route->has_attempts || route->has_retry_on || route->has_budget || route->retries.has_per_try;
    if (!retries || !route->has_retries)
        return;
    if (!route->has_attempts)
        route->retries.attempts = retries->attempts;
    if (!route->has_retry_on)
        route->retries.on = retries->on;
    if (!route->has_budget)
        route->retries.budget_milli = retries->budget_milli;
    if (!route->retries.has_per_try)
        route->retries.per_try_ms = retries->has_per_try ? retries->per_try_ms : UINT64_MAX;
}

/* One route, whose section has its place in the listener. */
static void read_route(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys,
                       struct listener_config *listener, json_t *names)
{
    struct route_config *route = &listener->routes[at->index];
    const struct place name = {at, "name", 0};

    read_section(reader, at, value, keys, route);
    route->digest = reader_digest(reader, value, DIGEST_SEED);
    if (route->respond.content)
        route->digest = digest_bytes(route->digest, route->respond.content, route->respond.body_length);
    if (reader->failure)
        return;
    read_check_route(reader, at, value, route, at->index + 1 == listener->n_routes);
    read_complete_times(route);
    read_complete_retries(route);
    read_complete_body(reader, at, route);
    read_complete_modifiers(reader, at, route, listener);
    if (route->name)
        reader_unique(reader, &name, names, route->name, "route name");
    if (json_is_object(json_object_get(json_object_get(value, "match"), "peers")))
        read_check_route_peers(reader, at, route, listener);
    if (route->path || route->path_prefix || route->path_regex)
        listener->any_path_condition = true;
    if (route->n_queries > 0)
        listener->any_query_condition = true;
    for (size_t i = 0; i < route->n_queries; i++)
        if (route->queries[i].secret)
            listener->any_query_secret = true;
}

void read_routes(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                 void *section)
{
    json_t *names = reader_memory(reader, json_object());
    struct listener_config *listener = section;
    struct place place = {.parent = at};
    size_t catch_all = SIZE_MAX;
    bool any = read_elements(reader, at, value, key, section, "an array with at least one route");
    json_t *element;

    json_array_foreach(any ? value : NULL, place.index, element)
    {
        read_route(reader, &place, element, key->keys, listener, names);
        if (catch_all != SIZE_MAX)
            read_route_unreachable(reader, &place, &listener->routes[catch_all], catch_all);
        else if (json_is_object(element) && !read_route_has_conditions(element))
            catch_all = place.index;
    }
    listener->takes_all = catch_all == 0;
    json_decref(names);
    if (any && listener->n_routes >= ROUTE_INDEX_LEAST)
        listener->index_of_routes = reader_memory(reader, route_index_new(listener->routes, listener->n_routes));
}

void read_complete_route_names(struct reader *reader, struct listener_config *listener)
{
    for (size_t i = 0; i < listener->n_routes; i++) {
        struct route_config *route = &listener->routes[i];
        if (!route->name && asprintf(&route->name, "%s#%zu", listener->name ? listener->name : "", i + 1) < 0) {
            route->name = NULL;
            reader->failure = -ENOMEM;
        }
    }
}
