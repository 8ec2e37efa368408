#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/sections.h"
#include "proxy/base/words.h"
#include "proxy/http/authority.h"
#include "proxy/http/fields.h"
#include "proxy/http/path.h"

#define ROUTE_HOST_MAX 253
#define ROUTE_DEFAULT_CONTENT_TYPE "text/plain; charset=utf-8"

static void route_config_read_path(struct reader *reader, const struct place *at, const json_t *value,
                                   const struct key *key UNUSED, void *out)
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
        reader_copy(reader, path, out);
}

static const char *route_config_check_host(const char *host)
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

static void route_config_to_lower_case(char *text)
{
    for (char *c = text; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
}

static void route_config_read_host(struct reader *reader, const struct place *at, const json_t *value,
                                   const struct key *key UNUSED, void *out)
{
    const char *text = reader_text(reader, at, value, "a host name");
    const char *expected;
    char *host;

    if (!text)
        return;
    host = reader_memory(reader, strdup(text));
    if (!host)
        return;
    route_config_to_lower_case(host);
    /* A name with a final dot is the same host; matching leaves the dot out. */
    if (host[0] != '\0' && host[strlen(host) - 1] == '.')
        host[strlen(host) - 1] = '\0';
    expected = route_config_check_host(host);
    if (expected) {
        reader_problem_type(reader, at, value, expected);
        free(host);
    } else {
        *(char **)out = host;
    }
}

/* NULL when the method is one; else a sentence. RFC 9110 9.1: methods are tokens and case-sensitive. */
static const char *route_config_check_method(const char *method)
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

static void route_config_read_methods(struct reader *reader, const struct place *at, const json_t *value,
                                      const struct key *key UNUSED, void *out)
{
    struct place place = {.parent = at};
    json_t *seen = json_object();
    char **methods;
    json_t *member;
    size_t n = 0;

    /* One more than there are: the NULL at the end. */
    methods = reader_array(reader, at, value, sizeof(*methods), "an array of methods such as [\"GET\"]", &n);
    if (methods)
        methods = reader_memory(reader, reallocarray(methods, n + 1, sizeof(*methods)));
    if (methods)
        memset(methods, 0, (n + 1) * sizeof(*methods));
    *(char ***)out = methods;
    json_array_foreach(methods ? value : NULL, place.index, member)
    {
        const char *method = reader_text(reader, &place, member, "a method such as \"GET\"");
        const char *wrong = method ? route_config_check_method(method) : NULL;
        if (wrong)
            reader_problem(reader, &place, "\"%s\" %s", WORDS_SHOW(method), wrong);
        else if (method && reader_unique(reader, &place, seen, method, "method"))
            reader_copy(reader, method, methods++);
    }
    json_decref(seen);
}

/* NULL when it is the name of a protocol; else a sentence. RFC 9110 7.8: protocol-name ["/" protocol-version]. */
static const char *route_config_check_protocol(const char *protocol)
{
    if (text_is_token(text_of(protocol)))
        return NULL;
    return strcspn(protocol, "/") > 0 && strchr(protocol, '/')
               ? "has a version; a protocol is allowed by its name alone, in every version"
               : "is not a protocol (RFC 9110 allows letters, digits and some punctuation)";
}

/* An empty array is something to say: no upgrade at all. */
static void route_config_read_upgrade(struct reader *reader, const struct place *at, const json_t *value,
                                      const struct key *key UNUSED, void *out)
{
    struct place place = {.parent = at};
    json_t *seen, *member;
    char **protocol;

    if (!json_is_array(value)) {
        reader_problem_type(reader, at, value, "an array of protocols such as [\"websocket\"], or an empty one");
        return;
    }
    protocol = reader_memory(reader, calloc(json_array_size(value) + 1, sizeof(*protocol)));
    *(char ***)out = protocol;
    seen = json_object();
    json_array_foreach(protocol ? value : NULL, place.index, member)
    {
        const char *text = reader_text(reader, &place, member, "a protocol such as \"websocket\"");
        const char *wrong = text ? route_config_check_protocol(text) : NULL;
        if (wrong)
            reader_problem(reader, &place, "\"%s\" %s", WORDS_SHOW(text), wrong);
        if (!text || wrong)
            continue;
        reader_copy(reader, text, protocol);
        if (!*protocol)
            break;
        route_config_to_lower_case(*protocol);
        if (reader_unique(reader, &place, seen, *protocol, "protocol"))
            protocol++;
    }
    json_decref(seen);
}

static void route_config_read_ambiguity(struct reader *reader, const struct place *at, const json_t *value,
                                        const struct key *key UNUSED, void *out)
{
    static const char expected[] = "\"refuse\" or \"allow\"";
    const char *text = reader_text(reader, at, value, expected);

    if (text && strcmp(text, "allow") != 0 && strcmp(text, "refuse") != 0)
        reader_problem_type(reader, at, value, expected);
    else if (text)
        *(bool *)out = strcmp(text, "allow") == 0;
}

static void route_config_read_target(struct reader *reader, const struct place *at, const json_t *value,
                                     const struct key *key UNUSED, void *out)
{
    struct route_config *route = out;
    const char *text = reader_text(reader, at, value, "the name of a target, or an address");

    route->action = ROUTE_TARGET;
    if (text)
        route->target = target_config_resolve(reader, at, text, TARGET_FOR_ROUTE);
}

static void route_config_read_status(struct reader *reader, const struct place *at, const json_t *value,
                                     const struct key *key UNUSED, void *out)
{
    json_int_t status = json_integer_value(value);

    if (!json_is_integer(value) || status < 200 || status > 599)
        reader_problem_type(reader, at, value, "a status from 200 to 599");
    else
        *(unsigned *)out = (unsigned)status;
}

static void route_config_read_body(struct reader *reader, const struct place *at, const json_t *value,
                                   const struct key *key UNUSED, void *out)
{
    const char *text = reader_text(reader, at, value, "a string");

    if (text)
        reader_copy(reader, text, out);
}

static void route_config_read_content_type(struct reader *reader, const struct place *at, const json_t *value,
                                           const struct key *key UNUSED, void *out)
{
    const char *text = reader_text(reader, at, value, "a media type");
    bool printable = true;

    for (const char *c = text; c && *c; c++)
        printable = printable && *c >= 0x20 && *c < 0x7f;
    /* RFC 9110 8.3.1: type "/" subtype, both not empty. */
    if (text && (!printable || text[0] == '/' || text[0] == ' ' || !strchr(text, '/') || strchr(text, '/')[1] == '\0'))
        reader_problem_type(reader, at, value, "a media type such as \"text/plain\"");
    else if (text)
        reader_copy(reader, text, out);
}

static const struct key route_config_match_keys[] = {
    KEY("methods", route_config_read_methods, struct route_config, methods),
    KEY("path", route_config_read_path, struct route_config, path),
    KEY("path_prefix", route_config_read_path, struct route_config, path_prefix),
    KEY("host", route_config_read_host, struct route_config, host),
    KEY_LATER("path_regex"),
    KEY_LATER("headers"),
    KEY_LATER("query"),
    KEY_LATER("peers"),
    KEYS_END,
};

static const struct key route_config_respond_keys[] = {
    KEY_REQUIRED("status", route_config_read_status, struct route_config, respond.status),
    KEY("body", route_config_read_body, struct route_config, respond.body),
    KEY("content_type", route_config_read_content_type, struct route_config, respond.content_type),
    KEYS_END,
};

static void route_config_read_respond(struct reader *reader, const struct place *at, const json_t *value,
                                      const struct key *key UNUSED, void *out)
{
    struct route_config *route = out;
    unsigned status;

    route->action = ROUTE_RESPOND;
    reader_object(reader, at, value, route_config_respond_keys, route);
    status = route->respond.status;
    route->respond.body_length = route->respond.body ? strlen(route->respond.body) : 0;
    if (route->respond.body_length > 0 && (status == 204 || status == 304)) {
        const struct place place = {at, "body", 0};
        reader_problem_key(reader, &place, "a response with status %u has no body", status);
    }
}

static const struct key route_config_keys[] = {
    KEY("name", reader_name, struct route_config, name),
    KEY_OBJECT("match", route_config_match_keys),
    {.name = "target", .read = route_config_read_target},
    {.name = "respond", .read = route_config_read_respond},
    KEY("upgrade", route_config_read_upgrade, struct route_config, upgrade),
    KEY("path_ambiguity", route_config_read_ambiguity, struct route_config, path_ambiguity_allow),
    KEY_LATER("redirect"),
    KEY_LATER("rewrite"),
    KEY_LATER("request_headers"),
    KEY_LATER("response_headers"),
    KEY_LATER("timeouts"),
    KEY_LATER("limits"),
    KEY_LATER("retries"),
    KEY_LATER("rate"),
    KEY_LATER("body"),
    KEYS_END,
};

static bool route_config_has_conditions(const json_t *value)
{
    return json_object_size(json_object_get(value, "match")) > 0;
}

/* What the keys of one route must be together, and where it may stand. */
static void route_config_check(struct reader *reader, const struct place *at, const json_t *value,
                               const struct route_config *route, bool last)
{
    const json_t *target = json_object_get(value, "target");
    const json_t *respond = json_object_get(value, "respond");

    if (json_is_object(value) && !target && !respond && !json_object_get(value, "redirect"))
        reader_problem(reader, at, "a route needs \"target\" or \"respond\"");
    if (target && respond)
        reader_problem(reader, at, "a route has either \"target\" or \"respond\", not both");
    if (respond && !target && json_object_get(value, "upgrade")) {
        const struct place upgrade = {at, "upgrade", 0};
        reader_problem_key(reader, &upgrade, "\"upgrade\" is for routes with \"target\"; this one answers by itself");
    }
    if (route->path && route->path_prefix) {
        const struct place match = {at, "match", 0};
        reader_problem(reader, &match, "a route has either \"path\" or \"path_prefix\", not both");
    }
    if (route->path_ambiguity_allow && !last) {
        const struct place ambiguity = {at, "path_ambiguity", 0};
        reader_problem(reader, &ambiguity,
                       "\"allow\" is for the last route of a listener: an ambiguous path must not reach the rules "
                       "after it");
    }
}

static void route_config_read(struct reader *reader, const struct place *at, const json_t *value,
                              struct route_config *route, bool last)
{
    reader_copy(reader, "", &route->respond.body);
    reader_copy(reader, ROUTE_DEFAULT_CONTENT_TYPE, &route->respond.content_type);
    reader_object(reader, at, value, route_config_keys, route);
    route_config_check(reader, at, value, route, last);
}

static void route_config_unreachable(struct reader *reader, const struct place *at, const struct route_config *above,
                                     size_t index)
{
    if (above->name)
        reader_problem(reader, at, "unreachable: route \"%s\" above matches everything", above->name);
    else
        reader_problem(reader, at, "unreachable: route %zu above matches everything", index + 1);
}

void route_config_read_all(struct reader *reader, const struct place *at, const json_t *routes,
                           struct listener_config *listener)
{
    json_t *names = reader_memory(reader, json_object());
    struct place place = {.parent = at};
    size_t catch_all = SIZE_MAX;
    json_t *value;

    listener->routes = reader_array(reader, at, routes, sizeof(*listener->routes), "an array with at least one route",
                                    &listener->n_routes);
    json_array_foreach(listener->routes ? routes : NULL, place.index, value)
    {
        struct route_config *route = &listener->routes[place.index];
        const struct place name = {&place, "name", 0};
        route_config_read(reader, &place, value, route, place.index + 1 == listener->n_routes);
        if (route->name)
            reader_unique(reader, &name, names, route->name, "route name");
        if (route->path || route->path_prefix)
            listener->any_path_condition = true;
        if (catch_all != SIZE_MAX)
            route_config_unreachable(reader, &place, &listener->routes[catch_all], catch_all);
        else if (json_is_object(value) && !route_config_has_conditions(value))
            catch_all = place.index;
    }
    json_decref(names);
}

void route_config_complete_names(struct reader *reader, struct listener_config *listener)
{
    for (size_t i = 0; i < listener->n_routes; i++) {
        struct route_config *route = &listener->routes[i];
        if (!route->name && asprintf(&route->name, "%s#%zu", listener->name ? listener->name : "", i + 1) < 0) {
            route->name = NULL;
            reader->failure = -ENOMEM;
        }
    }
}
