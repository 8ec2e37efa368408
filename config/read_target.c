/* What belongs to targets. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "config/keys.h"
#include "config/read.h"
#include "config/value.h"
#include "proxy/base/digest.h"
#include "proxy/base/words.h"

#define READ_MOST_PATH_BYTES 2048

void read_host_name(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                    void *section)
{
    const char *name = reader_text(reader, at, value, "a host name");

    if (name && !address_is_host_name(name))
        reader_problem_type(reader, at, value, "a host name");
    else if (name)
        reader_copy(reader, name, key_field(key, section));
}

/* RFC 9112 3.2.1, as far as a check needs it. */
void read_origin_form(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                      void *section)
{
    static const char expected[] = "a path that begins with \"/\", of printable ASCII without a space or \"#\"";
    const char *path = reader_text(reader, at, value, expected);

    if (!path)
        return;
    for (const char *at_byte = path; *at_byte; at_byte++) {
        if (*at_byte <= ' ' || *at_byte > '~' || *at_byte == '#') {
            reader_problem_type(reader, at, value, expected);
            return;
        }
    }
    if (path[0] != '/' || strlen(path) > READ_MOST_PATH_BYTES)
        reader_problem_type(reader, at, value, expected);
    else
        reader_copy(reader, path, key_field(key, section));
}

void read_statuses(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section)
{
    static const char expected[] = "statuses such as \"2xx\", \"204\" or \"200-399\", from 200 to 599";
    const char *text = reader_text(reader, at, value, expected);
    unsigned least, most;

    if (!text)
        return;
    if (!value_parse_statuses(text, &least, &most)) {
        reader_problem_type(reader, at, value, expected);
        return;
    }
    free(*(char **)key_field(key, section)); /* the default */
    *(char **)key_field(key, section) = NULL;
    reader_copy(reader, text, key_field(key, section));
}

void read_health(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                 void *section)
{
    const struct place host = {at, "host", 0};

    read_inner(reader, at, value, key, section);
    if (json_object_get(value, "host") && !json_object_get(value, "path"))
        reader_problem_key(reader, &host, "\"host\" needs \"path\": without one nothing is asked");
}

/* Reads an address that is to be reached into one of zeros. */
static bool read_address(struct reader *reader, const struct place *at, const char *text, struct address *ret_address)
{
    struct error error = ERROR_INIT;
    struct address address;
    int r = address_parse(text, ADDRESS_TO_REACH, &address, &error);

    /* "https://user:password@host" is no address, but has a secret in it. */
    if (r > 0 && strstr(text, "://") && strchr(text, '@'))
        reader_problem(reader, at, "%s", error.message);
    else if (r > 0)
        reader_problem(reader, at, "\"%s\": %s", WORDS_SHOW(text), error.message);
    else if (r < 0)
        reader->failure = r;
    else
        *ret_address = address;
    return r == 0;
}

void read_endpoint(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                   void *section)
{
    const char *text = read_element(reader, at, value, "an address");

    if (text)
        read_address(reader, at, text, key_field(key, section));
}

static void read_canonical(struct reader *reader, struct endpoint_config *endpoint)
{
    if (endpoint->address.text)
        endpoint->canonical = reader_memory(reader, address_canonical(&endpoint->address));
}

/* An element is an object, or an address that stands for one. */
void read_endpoints(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                    void *section)
{
    struct target_config *target = section;
    struct place place = {.parent = at};
    json_t *seen, *element;
    uint32_t weights = 0;

    if (!read_elements(reader, at, value, key, section, "an array with at least one address"))
        return;
    if (target->n_endpoints > TARGET_MOST_ENDPOINTS)
        reader_problem(reader, at, "a target has at most %d endpoints", TARGET_MOST_ENDPOINTS);
    seen = reader_memory(reader, json_object());
    json_array_foreach(value, place.index, element)
    {
        struct endpoint_config *endpoint = &target->endpoints[place.index];

        if (json_is_object(element))
            read_section(reader, &place, element, key->keys, endpoint);
        else
            read_endpoint(reader, &place, element, &key->keys[0], endpoint);
        read_canonical(reader, endpoint);
        /* Twice the same would be one with twice the weight, and a retry that goes nowhere else. */
        if (target->n_endpoints > 1 && endpoint->canonical)
            reader_unique(reader, &place, seen, endpoint->canonical, "endpoint");
        weights += endpoint->weight;
    }
    json_decref(seen);
    if (weights == 0)
        reader_problem(reader, at, "every \"weight\" is 0: nothing would go to the target");
}

/* Takes the next free place in the snapshot, with defaults. */
static struct target_config *read_append_target(struct reader *reader, const struct place *at, const char *name)
{
    struct snapshot *snapshot = reader->snapshot;
    struct target_config *target = &snapshot->targets[snapshot->n_targets];

    reader_copy(reader, name, &target->name);
    if (json_object_set_new(reader->targets_by_name, name, json_integer((json_int_t)snapshot->n_targets)) != 0)
        reader->failure = -ENOMEM;
    target->index = snapshot->n_targets++;
    reader->target_pointers[target->index] = reader_pointer(reader, at);
    if (keys_set_defaults(keys_target, target) < 0)
        reader->failure = -ENOMEM;
    target->retries.per_try_ms = UINT64_MAX;
    return target;
}

/* No more can be idle than there are, and no fewer are by themselves. What somebody wrote is not changed in silence. */
static void read_check_idle(struct reader *reader, const struct place *at, const json_t *connections,
                            struct target_config *target)
{
    const struct place place = {at, "connections", 0};

    if (!json_object_get(connections, "idle"))
        target->connections_idle = target->connections_max;
    else if (target->connections_idle > target->connections_max)
        reader_problem(reader, &place, "\"idle\" (%u) is more than \"max\" (%u)", target->connections_idle,
                       target->connections_max);
}

/* Streams have nobody to ask. */
static void read_check_health(struct reader *reader, const struct place *at, const struct target_config *target)
{
    const struct place health = {at, "health", 0}, path = {&health, "path", 0};

    for (size_t i = 0; target->health.path && i < target->n_endpoints; i++) {
        const struct address *address = &target->endpoints[i].address;

        if (!address->text || address->kind != ADDRESS_TCP)
            continue;
        reader_problem_key(reader, &path, "\"path\" is for HTTP; the endpoint %s is for streams",
                           WORDS_SHOW(address->text));
        return;
    }
}

/* What the keys of one target must be together. */
static void read_check_target(struct reader *reader, const struct place *at, const json_t *value,
                              struct target_config *target)
{
    const json_t *tls = json_object_get(value, "tls");
    const struct place place = {at, "tls", 0};
    bool cert = json_object_get(tls, "cert");
    bool key = json_object_get(tls, "key");

    if (cert != key)
        reader_problem(reader, &place, "\"%s\" needs \"%s\" beside it", cert ? "cert" : "key", cert ? "key" : "cert");
    read_check_idle(reader, at, json_object_get(value, "connections"), target);
    read_check_health(reader, at, target);
}

/* A target may be named by its only address: routes that spell that get it, as they do where it has all defaults. */
static bool read_is_named_by_address(const struct target_config *target)
{
    const char *text = target->n_endpoints == 1 ? target->endpoints[0].address.text : NULL;

    return text && target->name && strcmp(target->name, text) == 0;
}

static void read_target(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys)
{
    struct target_config *target = read_append_target(reader, at, at->key);

    read_section(reader, at, value, keys, target);
    target->digest = reader_digest(reader, value, digest_bytes(DIGEST_SEED, at->key, strlen(at->key)));
    if (reader->failure)
        return;
    if (!value_is_name(at->key) && !read_is_named_by_address(target))
        reader_problem_key(reader, at,
                           "a target's name has 1 to 64 letters, digits, \"_\", \".\" or \"-\", or is the address of "
                           "its only endpoint");
    read_check_target(reader, at, value, target);
}

void read_reserve_targets(struct reader *reader, const json_t *targets, size_t n_inline_max)
{
    size_t n_max = json_object_size(targets) + n_inline_max + 1;
    struct snapshot *snapshot = reader->snapshot;

    /* One block for all, so that routes can point into it while it fills. */
    snapshot->targets = reader_memory(reader, calloc(n_max, sizeof(*snapshot->targets)));
    reader->target_pointers = reader_memory(reader, calloc(n_max, sizeof(*reader->target_pointers)));
}

void read_targets(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                  void *section UNUSED)
{
    struct place place = {.parent = at};
    json_t *element;

    if (!json_is_object(value)) {
        reader_problem_type(reader, at, value, "an object that gives each target a name");
        return;
    }
    json_object_foreach((json_t *)(uintptr_t)value, place.key, element)
    {
        read_target(reader, &place, element, key->keys);
    }
}

/* Says which targets there are, or which one was probably meant. */
static void read_unknown_target(struct reader *reader, const struct place *at, const char *name)
{
    const struct snapshot *snapshot = reader->snapshot;
    /* Nothing is compared for what nobody will be shown. */
    const char **names = problems_are_full(reader->problems) ? NULL : calloc(snapshot->n_targets + 1, sizeof(*names));
    const char *near = NULL;
    size_t n = 0;

    for (size_t i = 0; names && i < snapshot->n_targets; i++) {
        if (snapshot->targets[i].name && value_is_name(snapshot->targets[i].name))
            names[n++] = snapshot->targets[i].name;
    }
    if (names)
        near = words_nearest(name, names);
    if (near)
        reader_problem(reader, at, "there is no target \"%s\": did you mean \"%s\"?", WORDS_SHOW(name), near);
    else
        reader_problem(reader, at, "there is no target \"%s\"; expected a name from \"targets\" or an address",
                       WORDS_SHOW(name));
    free(names);
}

/* An address says by its scheme what is spoken there, so it must be what its user speaks. Unix sockets say nothing. */
static void read_check_endpoint_use(struct reader *reader, const struct place *at, const struct address *endpoint,
                                    enum target_use use)
{
    const char *left = strchr(endpoint->name, ':') ? "[" : "";
    const char *right = strchr(endpoint->name, ':') ? "]" : "";

    if (use == TARGET_FOR_ROUTE && endpoint->kind == ADDRESS_TCP)
        reader_problem(reader, at, "the target's endpoint %s is for streams; for a route write http://%s%s%s:%u",
                       WORDS_SHOW(endpoint->text), left, endpoint->name, right, (unsigned)endpoint->port);
    if (use == TARGET_FOR_STREAM && (endpoint->kind == ADDRESS_HTTP || endpoint->kind == ADDRESS_HTTPS))
        reader_problem(reader, at, "the target's endpoint %s is for routes; for a stream write tcp:%s%s%s:%u%s",
                       WORDS_SHOW(endpoint->text), left, endpoint->name, right, (unsigned)endpoint->port,
                       endpoint->kind == ADDRESS_HTTPS ? " (a stream gets no TLS)" : "");
}

/* A target that has no name but its address; NULL with a problem. */
static struct target_config *read_add_inline(struct reader *reader, const struct place *at, const char *text)
{
    struct target_config *target;

    if (!strchr(text, ':') && text[0] != '/' && text[0] != '@') {
        read_unknown_target(reader, at, text);
        return NULL;
    }
    target = read_append_target(reader, at, text);
    target->endpoints = reader_memory(reader, calloc(1, sizeof(*target->endpoints)));
    if (!target->endpoints)
        return NULL;
    target->n_endpoints = 1;
    target->digest = digest_bytes(DIGEST_SEED, text, strlen(text));
    target->endpoints[0].weight = 1;
    if (!read_address(reader, at, text, &target->endpoints[0].address))
        return NULL;
    read_canonical(reader, &target->endpoints[0]);
    return target;
}

const struct target_config *read_resolve_target(struct reader *reader, const struct place *at, const char *text,
                                                enum target_use use)
{
    const json_t *index = json_object_get(reader->targets_by_name, text);
    const struct target_config *target;

    if (index)
        target = &reader->snapshot->targets[json_integer_value(index)];
    else
        target = read_add_inline(reader, at, text);
    for (size_t i = 0; target && i < target->n_endpoints; i++)
        if (target->endpoints[i].address.text)
            read_check_endpoint_use(reader, at, &target->endpoints[i].address, use);
    return target;
}

void read_stream_target(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                        void *section)
{
    const char *text = reader_text(reader, at, value, "the name of a target, or an address");

    if (text)
        *(const struct target_config **)key_field(key, section) =
            read_resolve_target(reader, at, text, TARGET_FOR_STREAM);
}
