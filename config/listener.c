#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "config/owner.h"
#include "config/sections.h"
#include "proxy/base/list.h"
#include "proxy/base/words.h"

static void listener_config_read_bind(struct reader *reader, const struct place *at, const json_t *value,
                                      const struct key *key UNUSED, void *out)
{
    const char *text = reader_text(reader, at, value, "an address such as \"unix:/run/app.sock\"");
    struct error error = ERROR_INIT;
    int r = text ? address_parse(text, ADDRESS_TO_BIND, out, &error) : 0;

    if (r > 0)
        reader_problem(reader, at, "\"%s\": %s", WORDS_SHOW(text), error.message);
    else if (r < 0)
        reader->failure = r;
}

static void listener_config_find_owner(struct reader *reader, const struct place *at, const char *text,
                                       enum owner_kind kind, uint32_t *out)
{
    struct error error = ERROR_INIT;

    if (owner_find(text, kind, owner_file(kind), out, &error) != 0)
        reader_problem(reader, at, "%s", error.message);
}

static void listener_config_read_owner(struct reader *reader, const struct place *at, const json_t *value,
                                       const struct key *key, void *out)
{
    const char *text = reader_text(reader, at, value, "a string: a number such as \"1000\", or a name");

    if (text)
        listener_config_find_owner(reader, at, text, strcmp(key->name, "owner") == 0 ? OWNER_USER : OWNER_GROUP, out);
}

static void listener_config_read_directory_mode(struct reader *reader, const struct place *at, const json_t *value,
                                                const struct key *key, void *out)
{
    CONTAINER_OF(out, struct listener_config, directory_mode)->has_directory_mode = true;
    reader_limit(reader, at, value, key, out);
}

/* "uid" and "gid" of a peer rule: numbers, or what owner and group take. */
static void listener_config_read_id(struct reader *reader, const struct place *at, const json_t *value,
                                    enum owner_kind kind, uint32_t *out)
{
    json_int_t id = json_integer_value(value);

    if (json_is_string(value)) {
        listener_config_find_owner(reader, at, json_string_value(value), kind, out);
    } else if (!json_is_integer(value)) {
        reader_problem_type(reader, at, value, "a number from 0 to 4294967294, or a name");
    } else if (id < 0 || id > OWNER_ID_MAX) {
        reader_problem(reader, at, "%" JSON_INTEGER_FORMAT " is out of bounds; allowed is 0 to %u", id, OWNER_ID_MAX);
    } else {
        *out = (uint32_t)id;
    }
}

static void listener_config_read_uid(struct reader *reader, const struct place *at, const json_t *value,
                                     const struct key *key UNUSED, void *out)
{
    struct peer_rule *rule = out;

    rule->has_uid = true;
    listener_config_read_id(reader, at, value, OWNER_USER, &rule->uid);
}

static void listener_config_read_gid(struct reader *reader, const struct place *at, const json_t *value,
                                     const struct key *key UNUSED, void *out)
{
    struct peer_rule *rule = out;

    rule->has_gid = true;
    listener_config_read_id(reader, at, value, OWNER_GROUP, &rule->gid);
}

static const struct key listener_config_rule_keys[] = {
    {.name = "uid", .read = listener_config_read_uid},
    {.name = "gid", .read = listener_config_read_gid},
    KEYS_END,
};

static void listener_config_read_allow(struct reader *reader, const struct place *at, const json_t *value,
                                       const struct key *key UNUSED, void *out)
{
    struct listener_config *listener = out;
    struct place place = {.parent = at};
    json_t *rule;

    listener->peers = reader_array(reader, at, value, sizeof(*listener->peers),
                                   "an array of rules such as {\"uid\": 1000}", &listener->n_peers);
    if (!listener->peers)
        return;
    json_array_foreach(value, place.index, rule)
    {
        reader_object(reader, &place, rule, listener_config_rule_keys, &listener->peers[place.index]);
        if (json_is_object(rule) && !json_object_get(rule, "uid") && !json_object_get(rule, "gid"))
            reader_problem(reader, &place, "a rule needs \"uid\", \"gid\" or both; an empty one would match everybody");
    }
}

static void listener_config_read_routes(struct reader *reader, const struct place *at, const json_t *value,
                                        const struct key *key UNUSED, void *out)
{
    route_config_read_all(reader, at, value, out);
}

static void listener_config_read_stream_target(struct reader *reader, const struct place *at, const json_t *value,
                                               const struct key *key UNUSED, void *out)
{
    struct listener_config *listener = out;
    const char *text = reader_text(reader, at, value, "the name of a target, or an address");

    if (text)
        listener->stream = target_config_resolve(reader, at, text, TARGET_FOR_STREAM);
}

static const struct key listener_config_peers_keys[] = {
    {.name = "allow", .read = listener_config_read_allow, .required = true},
    KEYS_END,
};

static const struct key listener_config_limits_keys[] = {
    KEY_LIMIT("connections", CONNECTIONS, struct listener_config, limit_connections),
    KEY_LIMIT("connections_per_uid", CONNECTIONS_PER_UID, struct listener_config, limit_connections_per_uid),
    KEY_LIMIT("header", HEADER, struct listener_config, limit_header_bytes),
    KEY_LIMIT("body", BODY, struct listener_config, limit_body_bytes),
    KEYS_END,
};

static const struct key listener_config_timeouts_keys[] = {
    KEY_LIMIT("head", HEAD_TIMEOUT, struct listener_config, timeout_head_ms),
    KEY_LIMIT("body", BODY_TIMEOUT, struct listener_config, timeout_body_ms),
    KEY_LIMIT("idle", IDLE_TIMEOUT, struct listener_config, timeout_idle_ms),
    KEYS_END,
};

static const struct key listener_config_stream_keys[] = {
    {.name = "target", .read = listener_config_read_stream_target, .required = true},
    KEYS_END,
};

static const struct key listener_config_keys[] = {
    KEY("name", reader_name, struct listener_config, name),
    KEY_REQUIRED("bind", listener_config_read_bind, struct listener_config, bind),
    KEY_LIMIT("mode", SOCKET_MODE, struct listener_config, mode),
    KEY("owner", listener_config_read_owner, struct listener_config, owner),
    KEY("group", listener_config_read_owner, struct listener_config, group),
    {.name = "directory_mode",
     .read = listener_config_read_directory_mode,
     .offset = offsetof(struct listener_config, directory_mode),
     .limit = &limits[LIMIT_DIRECTORY_MODE]},
    KEY_LIMIT("backlog", BACKLOG, struct listener_config, backlog),
    KEY_OBJECT("peers", listener_config_peers_keys),
    KEY_OBJECT("limits", listener_config_limits_keys),
    KEY_OBJECT("timeouts", listener_config_timeouts_keys),
    {.name = "routes", .read = listener_config_read_routes},
    KEY_OBJECT("stream", listener_config_stream_keys),
    KEYS_END,
};

/* Keys that only mean something for a file. */
static void listener_config_check_file_keys(struct reader *reader, const struct place *at, const json_t *value,
                                            const struct listener_config *listener)
{
    static const char *const keys[] = {"mode", "owner", "group", "directory_mode"};

    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        struct place place = {at, keys[i], 0};
        if (json_object_get(value, keys[i]))
            reader_problem_key(reader, &place, "\"%s\" is for unix:/PATH listeners; %s is not a file", keys[i],
                               WORDS_SHOW(listener->bind.text));
    }
}

/* Keys that only mean something where peers have credentials. */
static void listener_config_check_peer_keys(struct reader *reader, const struct place *at, const json_t *value)
{
    const struct place peers = {at, "peers", 0}, limit = {at, "limits", 0};
    const struct place per_uid = {&limit, "connections_per_uid", 0};

    if (json_object_get(value, peers.key))
        reader_problem_key(reader, &peers, "\"peers\" is for Unix sockets; a TCP peer has no uid or gid");
    if (json_object_get(json_object_get(value, limit.key), per_uid.key))
        reader_problem_key(reader, &per_uid, "\"%s\" is for Unix sockets; a TCP peer has no uid", per_uid.key);
}

/* A stream has no requests, so it has nothing that these keys could hold it to. */
static void listener_config_check_http_keys(struct reader *reader, const struct place *at, const json_t *value)
{
    static const char *const keys[] = {"header", "body"};
    const struct place timeouts = {at, "timeouts", 0}, limit = {at, "limits", 0};

    for (size_t i = 0; i < ARRAY_LENGTH(keys); i++) {
        const struct place place = {&limit, keys[i], 0};
        if (json_object_get(json_object_get(value, limit.key), keys[i]))
            reader_problem_key(reader, &place, "\"%s\" is for HTTP; a stream has no requests", keys[i]);
    }
    if (json_object_get(value, timeouts.key))
        reader_problem_key(reader, &timeouts,
                           "\"timeouts\" is for HTTP; a stream has \"timeouts\": {\"tunnel\": ...} on its target");
}

/* What becomes of the bytes that arrive: exactly one thing. */
static void listener_config_check_action(struct reader *reader, const struct place *at, const json_t *value)
{
    bool routes = json_object_get(value, "routes");
    bool stream = json_object_get(value, "stream");

    if (json_is_object(value) && !routes && !stream)
        reader_problem(reader, at, "a listener needs \"routes\" or \"stream\"");
    if (routes && stream)
        reader_problem(reader, at, "a listener has either \"routes\" or \"stream\", not both");
    if (stream && !routes)
        listener_config_check_http_keys(reader, at, value);
}

/* What the keys of one listener must be together. */
static void listener_config_check(struct reader *reader, const struct place *at, const json_t *value,
                                  const struct listener_config *listener)
{
    const struct place bind = {at, "bind", 0};

    listener_config_check_action(reader, at, value);
    if (!listener->bind.text)
        return;
    if (listener->bind.kind != ADDRESS_UNIX)
        listener_config_check_file_keys(reader, at, value, listener);
    if (listener->bind.kind == ADDRESS_TCP)
        listener_config_check_peer_keys(reader, at, value);
    if (listener->bind.kind == ADDRESS_ABSTRACT && !json_object_get(value, "peers"))
        reader_problem(reader, &bind,
                       "an abstract socket has no permissions: every process in the network namespace may connect. "
                       "Add \"peers\": {\"allow\": [...]}");
}

static void listener_config_check_bind_unique(struct reader *reader, const struct place *at, json_t *seen,
                                              const struct listener_config *listener)
{
    const struct place place = {at, "bind", 0};
    char *canonical;

    if (!listener->bind.text)
        return;
    canonical = reader_memory(reader, address_canonical(&listener->bind));
    if (canonical)
        reader_unique(reader, &place, seen, canonical, "address");
    free(canonical);
}

/* Names that are not given: the bind text, which no name that is given can be. */
static void listener_config_complete_name(struct reader *reader, const struct place *at, json_t *seen,
                                          struct listener_config *listener)
{
    const struct place place = {at, "name", 0};

    if (listener->name)
        reader_unique(reader, &place, seen, listener->name, "listener name");
    else
        reader_copy(reader, listener->bind.text ? listener->bind.text : "", &listener->name);
    route_config_complete_names(reader, listener);
}

static void listener_config_check_loops(struct reader *reader)
{
    const struct snapshot *snapshot = reader->snapshot;

    for (size_t t = 0; t < snapshot->n_targets; t++) {
        const struct target_config *target = &snapshot->targets[t];
        for (size_t l = 0; target->n_endpoints > 0 && l < snapshot->n_listeners; l++) {
            if (address_reaches(&target->endpoints[0], &snapshot->listeners[l].bind))
                reader_problem_pointer(reader, reader->target_pointers[t],
                                       "\"%s\" is a listener of this file: requests would go in circles",
                                       WORDS_SHOW(target->endpoints[0].text));
        }
    }
}

void listener_config_read_all(struct reader *reader, const json_t *listeners)
{
    const struct place at = {NULL, "listeners", 0};
    struct snapshot *snapshot = reader->snapshot;
    struct place place = {.parent = &at};
    json_t *names = reader_memory(reader, json_object());
    json_t *binds = reader_memory(reader, json_object());
    json_t *value;

    snapshot->listeners = reader_array(reader, &at, listeners, sizeof(*snapshot->listeners),
                                       "an array with at least one listener", &snapshot->n_listeners);
    for (size_t i = 0; i < snapshot->n_listeners; i++) {
        snapshot->listeners[i].index = i;
        snapshot->listeners[i].owner = snapshot->listeners[i].group = OWNER_UNCHANGED;
        reader_defaults(listener_config_keys, &snapshot->listeners[i]);
    }
    json_array_foreach(snapshot->listeners ? listeners : NULL, place.index, value)
    {
        struct listener_config *listener = &snapshot->listeners[place.index];
        reader_object(reader, &place, value, listener_config_keys, listener);
        listener_config_check(reader, &place, value, listener);
        listener_config_check_bind_unique(reader, &place, binds, listener);
        listener_config_complete_name(reader, &place, names, listener);
    }
    listener_config_check_loops(reader);
    json_decref(names);
    json_decref(binds);
}
