/* What routes change about messages. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "config/expand.h"
#include "config/read.h"
#include "proxy/base/words.h"
#include "proxy/http/authority.h"
#include "proxy/http/bytes.h"

/* Of a route, in one direction, but for references without a bound. */
#define MODIFY_MOST_BYTES ((size_t)16 << 10)

/* ---- templates ---- */

/* The number of the file in the snapshot. */
static size_t read_number_file(struct reader *reader, const char *path)
{
    struct snapshot *snapshot = reader->snapshot;
    char **grown;

    for (size_t i = 0; i < snapshot->n_secrets; i++)
        if (strcmp(snapshot->secrets[i], path) == 0)
            return i;
    grown = reader_memory(reader, reallocarray(snapshot->secrets, snapshot->n_secrets + 1, sizeof(*grown)));
    if (!grown)
        return 0;
    snapshot->secrets = grown;
    grown[snapshot->n_secrets] = reader_memory(reader, strdup(path));
    return grown[snapshot->n_secrets] ? snapshot->n_secrets++ : 0;
}

/* True when every reference is one of `allowed`. */
static bool read_check_kinds(struct reader *reader, const struct place *at, const struct template *template,
                             unsigned allowed)
{
    unsigned wrong = template_kinds(template) & ~(allowed | TEMPLATE_BIT(TEMPLATE_LITERAL));
    char list[256] = "";
    size_t length = 0;

    if (wrong == 0)
        return true;
    for (unsigned kind = TEMPLATE_FILE; kind < N_TEMPLATE_KINDS && length < sizeof(list); kind++)
        if (allowed & TEMPLATE_BIT(kind))
            length += (size_t)snprintf(list + length, sizeof(list) - length, "%s${%s}", length > 0 ? ", " : "",
                                       template_name((enum template_kind)kind));
    reader_problem(reader, at, "\"${%s}\" may not stand here; only %s may",
                   template_name((enum template_kind)__builtin_ctz(wrong)), list);
    return false;
}

struct template *read_template(struct reader *reader, const struct place *at, const json_t *value, unsigned allowed,
                               const char *expected)
{
    struct template *template = NULL;
    const char *text;

    reader_hide(reader, value);
    if (!reader_is_late(reader, value)) {
        text = read_element(reader, at, value, expected);
        template = text ? reader_memory(reader, template_of_literal(text)) : NULL;
        reader_note_written(reader, value, template);
        return template;
    }
    if (!expand_is_clean(reader, at, value))
        return NULL;
    /* Expansion has seen to it that it is one. */
    if (template_compile(json_string_value(value), &template) < 0)
        return reader_memory(reader, NULL);
    if (!read_check_kinds(reader, at, template, allowed)) {
        template_free(template);
        return NULL;
    }
    for (size_t i = 0; i < template->n_pieces; i++)
        if (template->pieces[i].kind == TEMPLATE_FILE)
            template->pieces[i].file = read_number_file(reader, template->pieces[i].text.data);
    reader_note_written(reader, value, template);
    return template;
}

bool read_is_secret(struct reader *reader, const json_t *value, const struct template *template)
{
    const struct expanded *expanded = reader_expanded(reader, value);

    return (expanded && expanded->written) || template_kinds(template) & TEMPLATE_BIT(TEMPLATE_FILE);
}

/* ---- fields ---- */

enum read_direction { READ_REQUEST, READ_RESPONSE };
enum read_edit { READ_SET, READ_ADD, READ_REMOVE };

/* NULL when a route may do that with the field; else what is wrong, as it reads behind its name. */
static const char *read_check_edit(const char *name, enum read_direction direction, enum read_edit edit)
{
    enum field_id id = field_identify(text_of(name));

    if (!text_is_token(text_of(name)))
        return "is no name of a field (RFC 9110 allows letters, digits and some punctuation)";
    if (!edits_may_name(id))
        return "belongs to the connection or the framing of messages, which are porthole's to write";
    if (id == FIELD_HOST && direction == READ_RESPONSE)
        return "is a field of requests";
    if (id == FIELD_HOST && edit != READ_SET)
        return "can only be set: a request has exactly one";
    if (id == FIELD_DATE && direction == READ_RESPONSE)
        return "is the target's or, where it sends none, porthole's to write";
    if (edit != READ_REMOVE && field_is_alias(text_of(name)))
        return "looks like a field that porthole writes or drops; write its name with \"-\"";
    return NULL;
}

/* False, with a problem, for a name that may not be edited, or that is in `seen` in another spelling. */
static bool read_edit_name(struct reader *reader, const struct place *at, const char *name, json_t *seen,
                           enum read_direction direction, enum read_edit edit, bool key)
{
    const char *wrong = read_check_edit(name, direction, edit);
    char *folded;
    bool good;

    if (wrong) {
        (key ? reader_problem_key : reader_problem)(reader, at, "\"%s\" %s", WORDS_SHOW(name), wrong);
        return false;
    }
    folded = reader_memory(reader, strdup(name));
    if (!folded)
        return false;
    read_to_lower_case(folded);
    for (char *c = folded; *c; c++)
        *c = (char)(byte_is(*c, BYTE_NAME) ? *c : '-');
    good = reader_unique(reader, at, seen, folded, "field");
    free(folded);
    return good;
}

/* A name in Host decides where virtual servers send a request: not for a client to choose. */
static struct template *read_host_value(struct reader *reader, const struct place *at, const json_t *value)
{
    const char *text = reader_is_late(reader, value) ? "" : read_element(reader, at, value, "a host");
    struct template *template;

    if (!text)
        return NULL;
    reader_hide(reader, value);
    if (authority_is_valid(text_of(text))) {
        template = reader_memory(reader, template_of_literal(text));
        reader_note_written(reader, value, template);
        return template;
    }
    reader_problem(reader, at, "expected a host, with or without a port, and without references, got \"%s\"",
                   WORDS_SHOW(json_string_value(value)));
    return NULL;
}

static void read_edit(struct reader *reader, const struct place *at, const json_t *value, struct edit *edit)
{
    const unsigned allowed = TEMPLATE_OF_PEER | TEMPLATE_OF_REQUEST | TEMPLATE_BIT(TEMPLATE_FILE);

    reader_copy(reader, at->key, &edit->name);
    edit->value = field_identify(text_of(at->key)) == FIELD_HOST
                      ? read_host_value(reader, at, value)
                      : read_template(reader, at, value, allowed, "the value of a field, a string");
    edit->secret = edit->value && read_is_secret(reader, value, edit->value);
}

static void read_fields(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                        void *section, enum read_direction direction)
{
    struct edit_list *list = key_field(key, section);
    enum read_edit kind = strcmp(key->name, "add") == 0 ? READ_ADD : READ_SET;
    json_t *seen, *member;
    const char *name;

    if (!json_is_object(value) || json_object_size(value) == 0) {
        reader_problem(reader, at, "expected an object with a value for each name of a field%s",
                       json_is_object(value) ? ", got an empty one" : "");
        return;
    }
    list->items = reader_memory(reader, calloc(json_object_size(value), sizeof(*list->items)));
    seen = json_object();
    json_object_foreach((json_t *)(uintptr_t)(list->items ? value : NULL), name, member)
    {
        const struct place place = {at, name, 0};

        if (read_edit_name(reader, &place, name, seen, direction, kind, true))
            read_edit(reader, &place, member, &list->items[list->n_items++]);
    }
    json_decref(seen);
}

void read_request_fields(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                         void *section)
{
    read_fields(reader, at, value, key, section, READ_REQUEST);
}

void read_response_fields(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                          void *section)
{
    read_fields(reader, at, value, key, section, READ_RESPONSE);
}

static void read_field_names(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                             void *section, enum read_direction direction)
{
    struct place place = {.parent = at};
    json_t *seen = json_object(), *member;
    char **names;
    size_t n = 0;

    names = reader_array(reader, at, value, sizeof(*names), "an array of names such as [\"Cookie\"]", &n);
    free(names);
    names = n > 0 ? reader_memory(reader, calloc(n + 1, sizeof(*names))) : NULL;
    *(char ***)key_field(key, section) = names;
    if (!names) {
        json_decref(seen);
        return;
    }
    json_array_foreach(value, place.index, member)
    {
        const char *name = read_element(reader, &place, member, "the name of a field");

        if (name && read_edit_name(reader, &place, name, seen, direction, READ_REMOVE, false)) {
            char *copy = NULL;

            reader_copy(reader, name, &copy);
            if (copy) /* one that is wanting must not end the list before the others */
                *names++ = copy;
        }
    }
    json_decref(seen);
}

void read_request_names(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                        void *section)
{
    read_field_names(reader, at, value, key, section, READ_REQUEST);
}

void read_response_names(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                         void *section)
{
    read_field_names(reader, at, value, key, section, READ_RESPONSE);
}

/* What is set replaces what is there anyway. */
static void read_check_twice(struct reader *reader, const struct place *at, const struct edits *edits)
{
    struct place remove = {at, "remove", 0}, place = {.parent = &remove};

    for (char **name = edits->remove; name && *name; name++, place.index++)
        for (size_t i = 0; i < edits->set.n_items; i++)
            if (field_is_spelling_of(text_of(*name), text_of(edits->set.items[i].name)))
                reader_problem(reader, &place, "\"%s\" is set, which replaces every line of that name",
                               WORDS_SHOW(*name));
}

static void read_edits(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                       void *section, struct edits *edits)
{
    read_inner(reader, at, value, key, section);
    if (reader->failure)
        return;
    if (json_is_object(value) && json_object_size(value) == 0)
        reader_problem(reader, at, "expected \"set\", \"add\" or \"remove\"");
    read_check_twice(reader, at, edits);
    if (edits_bounded_bytes(edits) > MODIFY_MOST_BYTES)
        reader_problem(reader, at, "these are %zu bytes of fields; at most %zu KiB fit into a head",
                       edits_bounded_bytes(edits), MODIFY_MOST_BYTES >> 10);
    edits_finish(edits);
}

void read_request_headers(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                          void *section)
{
    read_edits(reader, at, value, key, section, &((struct route_config *)section)->request_headers);
}

void read_response_headers(struct reader *reader, const struct place *at, const json_t *value, const struct key *key,
                           void *section)
{
    read_edits(reader, at, value, key, section, &((struct route_config *)section)->response_headers);
}

/* ---- routes ---- */

static void read_check_peer(struct reader *reader, const struct place *at, const char *key,
                            const struct edit_list *list)
{
    const struct place place = {at, key, 0};

    for (size_t i = 0; i < list->n_items; i++) {
        const struct place value = {&place, list->items[i].name, 0};

        if (list->items[i].value && template_kinds(list->items[i].value) & TEMPLATE_OF_PEER)
            reader_problem(reader, &value, "${peer...} is for Unix sockets; a TCP peer has no uid, gid or pid");
    }
}

static void read_check_edits_peer(struct reader *reader, const struct place *at, const char *key,
                                  const struct edits *edits)
{
    const struct place place = {at, key, 0};

    read_check_peer(reader, &place, "set", &edits->set);
    read_check_peer(reader, &place, "add", &edits->add);
}

/* What is written into a worker's scratch memory, whose size it decides. */
static size_t read_request_bytes(const struct route_config *route)
{
    const struct rewrite *rewrite = &route->rewrite;

    return edits_bounded_bytes(&route->request_headers) + (rewrite->add_prefix ? strlen(rewrite->add_prefix) : 0) +
           (rewrite->to ? strlen(rewrite->to) : 0);
}

static void read_check_ambiguity(struct reader *reader, const struct place *at, const struct route_config *route)
{
    const struct place place = {at, "rewrite", 0};

    if (rewrite_is_any(&route->rewrite) && route->path_ambiguity == ROUTE_AMBIGUITY_ALLOW)
        reader_problem(reader, &place,
                       "a path that could mean another one cannot be rewritten safely: it cannot stand "
                       "beside \"path_ambiguity\": \"allow\"");
}

void read_complete_modifiers(struct reader *reader, const struct place *at, struct route_config *route,
                             const struct listener_config *listener)
{
    const struct edits *requests = &route->request_headers, *responses = &route->response_headers;
    struct snapshot *snapshot = reader->snapshot;
    size_t bytes = read_request_bytes(route) + 1;

    if (listener->bind.text && listener->bind.kind == ADDRESS_TCP) {
        read_check_edits_peer(reader, at, "request_headers", requests);
        read_check_edits_peer(reader, at, "response_headers", responses);
    }
    read_check_ambiguity(reader, at, route);
    route->modifies_answer = edits_are_any(responses);
    route->modifies_request = edits_are_any(requests) || rewrite_is_any(&route->rewrite);
    if (bytes > snapshot->edit_bytes &&
        (route->modifies_request || route->modifies_answer || route->action == ROUTE_REDIRECT))
        snapshot->edit_bytes = bytes;
}
