/* What belongs to listeners. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "config/owner.h"
#include "config/pages.h"
#include "config/read.h"
#include "proxy/base/list.h"
#include "proxy/base/words.h"

void read_bind(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    const char *text = reader_text(reader, at, value, "an address such as \"unix:/run/app.sock\"");
    struct error error = ERROR_INIT;
    int r = text ? address_parse(text, ADDRESS_TO_BIND, key_field(key, section), &error) : 0;

    if (r > 0)
        reader_problem(reader, at, "\"%s\": %s", WORDS_SHOW(text), error.message);
    else if (r < 0)
        reader->failure = r;
}

static void read_find_owner(struct reader *reader, const struct place *at, const char *text, enum owner_kind kind,
                            uint32_t *out)
{
    struct error error = ERROR_INIT;

    if (owner_find(text, kind, owner_file(kind), out, &error) != 0)
        reader_problem(reader, at, "%s", error.message);
    else if (text[strspn(text, "0123456789")] != '\0')
        reader->snapshot->has_user_names = true;
}

static void read_owner(struct reader *reader, const struct place *at, const json_t *value, enum owner_kind kind,
                       uint32_t *out)
{
    const char *text = reader_text(reader, at, value, "a string: a number such as \"1000\", or a name");

    if (text)
        read_find_owner(reader, at, text, kind, out);
}

void read_user(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    read_owner(reader, at, value, OWNER_USER, key_field(key, section));
}

void read_group(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                void *section)
{
    read_owner(reader, at, value, OWNER_GROUP, key_field(key, section));
}

/* "uid" and "gid" of a peer rule: numbers, or what owner and group take. */
/* user_namespaces(7): every id of another namespace is this one here, so that its name fits all of them. */
static void read_check_overflow(struct reader *reader, const struct place *at, const char *text, uint32_t id)
{
    if (id == OWNER_OVERFLOW && text[strspn(text, "0123456789")] != '\0')
        reader_problem(reader, at,
                       "\"%s\" is %u, which every user of another user namespace is here; write the number if they all "
                       "are meant",
                       WORDS_SHOW(text), OWNER_OVERFLOW);
}

static void read_identity(struct reader *reader, const struct place *at, const json_t *value, enum owner_kind kind,
                          uint32_t *out)
{
    json_int_t id = json_integer_value(value);

    if (json_is_string(value)) {
        read_find_owner(reader, at, json_string_value(value), kind, out);
        read_check_overflow(reader, at, json_string_value(value), *out);
    } else if (!json_is_integer(value)) {
        reader_problem_type(reader, at, value, "a number from 0 to 4294967294, or a name");
    } else if (id < 0 || id > OWNER_ID_MAX) {
        reader_problem(reader, at, "%" JSON_INTEGER_FORMAT " is out of bounds; allowed is 0 to %u", id, OWNER_ID_MAX);
    } else {
        *out = (uint32_t)id;
    }
}

void read_uid(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    read_identity(reader, at, value, OWNER_USER, key_field(key, section));
}

void read_gid(struct reader *reader, const struct place *at, const json_t *value, const struct key *key, void *section)
{
    read_identity(reader, at, value, OWNER_GROUP, key_field(key, section));
}

void read_rules(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                void *section)
{
    struct peer_rule *rules;
    struct place place = {.parent = at};
    json_t *rule;

    if (!read_elements(reader, at, value, key, section, "an array of rules such as {\"uid\": 1000}"))
        return;
    rules = *(struct peer_rule **)key_field(key, section);
    json_array_foreach(value, place.index, rule)
    {
        read_section(reader, &place, rule, key->keys, &rules[place.index]);
        if (json_is_object(rule) && !json_object_get(rule, "uid") && !json_object_get(rule, "gid"))
            reader_problem(reader, &place, "a rule needs \"uid\", \"gid\" or both; an empty one would match everybody");
    }
}

/* What listeners must not have in common: JSON objects. */
struct read_listeners_seen {
    json_t *names;
    json_t *binds; /* by canonical address, the listener's index */
};

/* What becomes of the bytes that arrive: exactly one thing. */
static void read_check_action(struct reader *reader, const struct place *at, const json_t *value)
{
    bool routes = json_object_get(value, "routes");
    bool stream = json_object_get(value, "stream");

    if (json_is_object(value) && !routes && !stream)
        reader_problem(reader, at, "a listener needs \"routes\" or \"stream\"");
    if (routes && stream)
        reader_problem(reader, at, "a listener has either \"routes\" or \"stream\", not both");
}

/* What the keys of one listener must be together. */
static void read_check_listener(struct reader *reader, const struct place *at, const json_t *value,
                                const struct listener_config *listener)
{
    const struct place bind = {at, "bind", 0}, peers = {at, "peers", 0};
    const json_t *rules = json_object_get(value, "peers");

    if (json_is_object(rules) && !json_object_get(rules, "allow") && !json_object_get(rules, "deny"))
        reader_problem(reader, &peers, "expected \"allow\", \"deny\" or both");
    if (!listener->bind.text)
        return;
    if (listener->bind.kind == ADDRESS_ABSTRACT && !json_object_get(rules, "allow"))
        reader_problem(reader, &bind,
                       "an abstract socket has no permissions: every process in the network namespace may connect. "
                       "Add \"peers\": {\"allow\": [...]}");
}

/* One socket, one listener, however it is spelled. */
static void read_check_bind(struct reader *reader, const struct place *at, json_t *binds,
                            const struct listener_config *listener)
{
    const struct place place = {at, "bind", 0};
    const json_t *before;
    char *canonical;

    if (!listener->bind.text)
        return;
    canonical = reader_memory(reader, address_canonical(&listener->bind));
    before = canonical ? json_object_get(binds, canonical) : NULL;
    if (before)
        reader_problem(reader, &place, "\"%s\" is the socket of the listener at \"%s\"",
                       WORDS_SHOW(listener->bind.text),
                       WORDS_SHOW(snapshot_socket(reader->snapshot, (size_t)json_integer_value(before))->bind.text));
    /* A path may have bytes that are not UTF-8, behind a link. */
    else if (canonical && json_object_set_new_nocheck(binds, canonical, json_integer((json_int_t)listener->index)) != 0)
        reader->failure = -ENOMEM;
    free(canonical);
}

/* Names that are not given: the bind text, which no name that is given can be. */
static void read_complete_name(struct reader *reader, const struct place *at, json_t *seen,
                               struct listener_config *listener)
{
    const struct place place = {at, "name", 0};

    if (listener->name)
        reader_unique(reader, &place, seen, listener->name, "listener name");
    else
        reader_copy(reader, listener->bind.text ? listener->bind.text : "", &listener->name);
    read_complete_route_names(reader, listener);
}

/* Says where the endpoint stands: in "targets", or inside a route or stream. */
static void read_refuse_loop(struct reader *reader, size_t target_index, size_t endpoint_index)
{
    const struct target_config *target = &reader->snapshot->targets[target_index];
    const char *stands = reader->target_pointers[target_index];
    char *pointer = NULL;

    if (!stands)
        return;
    if (asprintf(&pointer, strncmp(stands, "/targets/", 9) == 0 ? "%s/endpoints/%zu" : "%s", stands, endpoint_index) <
        0)
        pointer = reader_memory(reader, NULL);
    reader_problem_pointer(reader, pointer, "\"%s\" is a listener of this file: requests would go in circles",
                           WORDS_SHOW(target->endpoints[endpoint_index].address.text));
    free(pointer);
}

/* Whether a connection to the endpoint would arrive at one of the sockets in `binds`. */
static bool read_is_bound(struct reader *reader, const json_t *binds, const struct address *endpoint)
{
    char *takers[ADDRESS_TAKERS_MAX];
    size_t n = 0;
    bool bound = false;

    if (address_takers(endpoint, ADDRESS_TO_REACH, takers, &n) < 0)
        reader->failure = -ENOMEM;
    for (size_t i = 0; i < n; i++)
        bound = bound || json_object_get(binds, takers[i]);
    address_free_takers(takers, n);
    return bound;
}

/* Adds the sockets that a listener may become: one on localhost is on one of its addresses, and which one shows when it
 * is bound. */
static void read_add_places(struct reader *reader, json_t *binds, const struct listener_config *listener)
{
    char *places[ADDRESS_TAKERS_MAX];
    size_t n = 0;

    if (!listener->bind.text)
        return;
    if (address_takers(&listener->bind, ADDRESS_TO_BIND, places, &n) < 0)
        reader->failure = -ENOMEM;
    for (size_t i = 0; i < n; i++)
        if (json_object_set_new_nocheck(binds, places[i], json_integer((json_int_t)listener->index)) != 0)
            reader->failure = -ENOMEM;
    address_free_takers(places, n);
}

/* The last that asks for `binds`: of two listeners on one place each may still get a socket of its own. */
static void read_check_loops(struct reader *reader, json_t *binds)
{
    const struct snapshot *snapshot = reader->snapshot;

    for (size_t i = 0; i < snapshot->n_listeners + snapshot->n_admin; i++)
        read_add_places(reader, binds, snapshot_socket(snapshot, i));
    for (size_t t = 0; t < snapshot->n_targets; t++) {
        for (size_t i = 0; i < snapshot->targets[t].n_endpoints; i++) {
            const struct address *endpoint = &snapshot->targets[t].endpoints[i].address;

            if (endpoint->text && read_is_bound(reader, binds, endpoint))
                read_refuse_loop(reader, t, i);
        }
    }
}

static void read_listener(struct reader *reader, const struct place *at, const json_t *value, const struct key *keys,
                          struct listener_config *listener, struct read_listeners_seen *seen)
{
    read_section(reader, at, value, keys, listener);
    if (reader->failure)
        return;
    read_check_action(reader, at, value);
    read_check_listener(reader, at, value, listener);
    read_check_bind(reader, at, seen->binds, listener);
    read_complete_name(reader, at, seen->names, listener);
}

void read_admin(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                void *section)
{
    struct snapshot *snapshot = section;
    struct place place = {.parent = at};
    json_t *element;

    if (!read_elements(reader, at, value, key, section, "an array of listeners"))
        return;
    json_array_foreach(value, place.index, element)
    {
        struct listener_config *listener = &snapshot->admin[place.index];

        read_section(reader, &place, element, key->keys, listener);
        if (reader->failure)
            return;
        read_check_listener(reader, &place, element, listener);
        if (listener->has_pages && listener->pages == 0)
            reader_problem(reader, &place, "\"pages\" is empty: such a listener has nothing to tell");
        if (!listener->has_pages)
            listener->pages = pages_by_default(&listener->bind);
    }
}

/* What they must not have in common with the others, which are read after them. */
static void read_complete_admin(struct reader *reader, struct snapshot *snapshot,
                                const struct read_listeners_seen *seen)
{
    const struct place at = {NULL, "admin", 0};
    struct place place = {.parent = &at};

    for (; place.index < snapshot->n_admin; place.index++) {
        struct listener_config *listener = &snapshot->admin[place.index];

        listener->index = snapshot->n_listeners + place.index;
        read_check_bind(reader, &place, seen->binds, listener);
        read_complete_name(reader, &place, seen->names, listener);
    }
}

void read_listeners(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                    void *section)
{
    struct read_listeners_seen seen = {reader_memory(reader, json_object()), reader_memory(reader, json_object())};
    struct snapshot *snapshot = section;
    struct place place = {.parent = at};
    json_t *element;

    if (read_elements(reader, at, value, key, section, "an array with at least one listener")) {
        json_array_foreach(value, place.index, element)
        {
            snapshot->listeners[place.index].index = place.index;
            read_listener(reader, &place, element, key->keys, &snapshot->listeners[place.index], &seen);
        }
        read_complete_admin(reader, snapshot, &seen);
        read_check_loops(reader, seen.binds);
    }
    json_decref(seen.names);
    json_decref(seen.binds);
}
