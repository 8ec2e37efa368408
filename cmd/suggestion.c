#include "cmd/suggestion.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/http/bytes.h"
#include "proxy/http/fields.h"
#include "proxy/http/path.h"
#include "proxy/report/outcome.h"

/* The access log cuts what is longer than some 930 bytes, without a mark. */
#define PATH_MOST_BYTES 900

/* ---- what counts ---- */

static bool suggestion_is(struct text outcome, enum outcome which)
{
    return text_equal(outcome, text_of(outcome_info(which)->name));
}

/* Whether the target was asked, or should have been: what was refused is nobody's wish, unless it was only observed. */
static bool suggestion_wants(struct suggestion *suggestion, struct text outcome)
{
    for (int i = 0; i < N_OUTCOMES; i++) {
        enum fault fault = outcome_info((enum outcome)i)->fault;

        if (!suggestion_is(outcome, (enum outcome)i))
            continue;
        if (i == OUTCOME_RESPONDED) {
            suggestion->n_answered++;
            return false;
        }
        if (fault == FAULT_NONE || fault == FAULT_TARGET || i == OUTCOME_CLIENT_GONE || i == OUTCOME_CLIENT_STALLED ||
            i == OUTCOME_TUNNEL_IDLE || i == OUTCOME_STOPPED)
            return true;
        break;
    }
    suggestion->n_refused++;
    return false;
}

/* ---- one request ---- */

static bool suggestion_copy(char *out, size_t size, struct text s)
{
    if (s.length >= size)
        return false;
    if (s.length > 0)
        memcpy(out, s.data, s.length);
    out[s.length] = '\0';
    return true;
}

/* Switches, as all APIs have them: other values are what a request is about. */
static bool suggestion_is_flag(struct text value)
{
    static const char *const flags[] = {"0", "1", "true", "false"};

    for (size_t i = 0; i < sizeof(flags) / sizeof(flags[0]); i++)
        if (text_equal(value, text_of(flags[i])))
            return true;
    return false;
}

static bool suggestion_is_plain_name(struct text name)
{
    return name.length > 0 && name.length < SUGGESTION_WORD_BYTES && text_span(name, BYTE_UNRESERVED) == name.length;
}

static struct text suggestion_next_parameter(struct text *query, struct text *ret_value)
{
    const char *end = memchr(query->data, '&', query->length);
    struct text all = {query->data, end ? (size_t)(end - query->data) : query->length};
    const char *equals = all.length > 0 ? memchr(all.data, '=', all.length) : NULL;
    size_t taken = all.length + (end ? 1 : 0);

    *query = (struct text){query->data + taken, query->length - taken};
    *ret_value =
        equals ? (struct text){equals + 1, all.length - (size_t)(equals - all.data) - 1} : (struct text){"", 0};
    return (struct text){all.data, all.length - (equals ? ret_value->length + 1 : 0)};
}

/* The flags of a query; one that comes twice is none. */
static size_t suggestion_pins(struct text query, struct suggested_pin *pins)
{
    size_t n = 0;

    while (query.length > 0) {
        struct text value, name = suggestion_next_parameter(&query, &value);
        size_t i = 0;

        while (i < n && !text_equal(name, text_of(pins[i].name)))
            i++;
        if (i < n) {
            pins[i].value[0] = '\0';
        } else if (n < SUGGESTION_MOST_PINS && suggestion_is_plain_name(name) && suggestion_is_flag(value) &&
                   suggestion_copy(pins[n].name, sizeof(pins[n].name), name) &&
                   suggestion_copy(pins[n].value, sizeof(pins[n].value), value)) {
            n++;
        }
    }
    return n;
}

static void route_keep_pins(struct suggested_route *route, const struct suggested_pin *pins, size_t n_pins)
{
    size_t n = 0;

    for (size_t i = 0; i < route->n_pins; i++)
        for (size_t j = 0; j < n_pins; j++)
            if (strcmp(route->pins[i].name, pins[j].name) == 0 && strcmp(route->pins[i].value, pins[j].value) == 0 &&
                pins[j].value[0] != '\0') {
                route->pins[n++] = route->pins[i];
                break;
            }
    route->n_pins = n;
}

static void route_add_upgrade(struct suggested_route *route, struct text name)
{
    char word[SUGGESTION_WORD_BYTES];

    if (!suggestion_is_plain_name(name) || !suggestion_copy(word, sizeof(word), name)) {
        route->upgrades_unknown = true;
        return;
    }
    for (char *c = word; *c; c++)
        *c = (char)(*c >= 'A' && *c <= 'Z' ? *c + 32 : *c);
    for (size_t i = 0; i < route->n_upgrades; i++)
        if (strcmp(route->upgrades[i], word) == 0)
            return;
    if (route->n_upgrades == SUGGESTION_MOST_UPGRADES)
        route->upgrades_unknown = true;
    else
        memcpy(route->upgrades[route->n_upgrades++], word, sizeof(word));
}

/* What was offered is permitted where the target took it. */
static void route_note_upgrade(struct suggested_route *route, const struct seen *seen)
{
    struct text rest = seen->upgrade;

    if (seen->status != 101)
        return;
    if (rest.length == 0)
        route->upgrades_unknown = true;
    while (rest.length > 0) {
        const char *end = memchr(rest.data, ',', rest.length);
        struct text name = {rest.data, end ? (size_t)(end - rest.data) : rest.length};
        size_t taken = name.length + (end ? 1 : 0);

        rest = (struct text){rest.data + taken, rest.length - taken};
        while (name.length > 0 && name.data[0] == ' ')
            name = (struct text){name.data + 1, name.length - 1};
        route_add_upgrade(route, name);
    }
}

static bool route_is_for(const struct suggested_route *route, const struct general *general, const struct seen *seen)
{
    return strcmp(route->general.pattern, general->pattern) == 0 &&
           text_equal(text_of(route->methods[0]), seen->method) && text_equal(text_of(route->target), seen->target) &&
           (!general->versioned || !route->general.versioned || general->major == route->general.major);
}

/* NULL when out of memory, or when its words do not fit. */
static struct suggested_route *route_new(const struct general *general, const struct seen *seen)
{
    struct suggested_route *route = calloc(1, sizeof(*route));

    if (!route || !suggestion_copy(route->methods[0], SUGGESTION_WORD_BYTES, seen->method) ||
        !suggestion_copy(route->target, SUGGESTION_ADDRESS_BYTES, seen->target) ||
        !suggestion_copy(route->endpoint, SUGGESTION_ADDRESS_BYTES, seen->endpoint)) {
        free(route);
        return NULL;
    }
    route->general = *general;
    route->n_methods = 1;
    return route;
}

/* What matching sees of its path; false when no route can let it through, or the log has cut it. */
static bool suggestion_view(const struct seen *seen, char *view, struct text *ret_view, struct text *ret_query)
{
    struct text origin = seen->request;
    const char *authority =
        origin.length > 8 && strncasecmp(origin.data, "http", 4) == 0 ? memmem(origin.data, 8, "://", 3) : NULL;
    size_t length;

    if (authority) {
        const char *path = memchr(authority + 3, '/', origin.length - (size_t)(authority + 3 - origin.data));

        if (!path)
            return false;
        origin = (struct text){path, origin.length - (size_t)(path - origin.data)};
    }
    if (path_view(path_split(origin, ret_query), view, SEEN_TEXT_BYTES, &length) != PATH_CLEAR)
        return false;
    if (length >= PATH_MOST_BYTES)
        return false;
    *ret_view = (struct text){view, length};
    return text_span(*ret_view, BYTE_VISIBLE) == length && text_is_token(seen->method);
}

static struct suggested_route *suggestion_find(const struct suggestion *suggestion, const struct general *general,
                                               const struct seen *seen)
{
    for (size_t i = 0; i < suggestion->n_routes; i++)
        if (route_is_for(suggestion->routes[i], general, seen))
            return suggestion->routes[i];
    return NULL;
}

static void route_see(struct suggested_route *route, const struct general *general, const struct seen *seen,
                      struct text query)
{
    struct suggested_pin pins[SUGGESTION_MOST_PINS];
    size_t n_pins = suggestion_pins(query, pins);

    if (route->n_seen++ == 0) {
        memcpy(route->pins, pins, sizeof(pins));
        route->n_pins = n_pins;
    }
    route_keep_pins(route, pins, n_pins);
    route->bare = route->bare || !general->versioned;
    if (general->versioned) {
        route->general.versioned = true;
        route->general.major = general->major;
    }
    route_note_upgrade(route, seen);
}

enum suggestion_verdict suggestion_add(struct suggestion *suggestion, const struct seen *seen)
{
    char view[SEEN_TEXT_BYTES];
    struct text path, query;
    struct general general;
    struct suggested_route *route;

    /* tap tells of a tunnel twice. */
    if (text_equal(seen->event, TEXT_LITERAL("tunnel_end")))
        return SUGGESTION_OK;
    if (!text_equal(seen->event, TEXT_LITERAL("tunnel_begin")) && !suggestion_wants(suggestion, seen->outcome))
        return SUGGESTION_OK;
    if (!suggestion_view(seen, view, &path, &query) || !generalize(path, &general)) {
        suggestion->n_unclear++;
        return SUGGESTION_OK;
    }
    route = suggestion_find(suggestion, &general, seen);
    if (!route) {
        if (suggestion->n_routes == SUGGESTION_MOST_ROUTES)
            return SUGGESTION_FULL;
        route = route_new(&general, seen);
        if (!route)
            return SUGGESTION_NO_MEMORY;
        suggestion->routes[suggestion->n_routes++] = route;
    }
    route_see(route, &general, seen, query);
    return SUGGESTION_OK;
}

/* ---- fewer ---- */

/* Whether `wide` is `narrow` with names in place of ids of hex digits. */
static bool route_covers_ids(const char *narrow, const char *wide)
{
    static const char id[] = "[0-9a-f]{", name[] = GENERAL_NAME_PATTERN;
    bool any = false;

    while (*narrow) {
        if (strncmp(narrow, id, sizeof(id) - 1) == 0 && strncmp(wide, name, sizeof(name) - 1) == 0) {
            narrow = strchr(narrow, '}') + 1;
            wide += sizeof(name) - 1;
            any = true;
        } else if (*narrow++ != *wide++) {
            return false;
        }
    }
    return *wide == '\0' && any;
}

static bool route_same_but_path(const struct suggested_route *a, const struct suggested_route *b)
{
    return strcmp(a->target, b->target) == 0 && a->n_pins == b->n_pins && a->n_upgrades == b->n_upgrades &&
           a->upgrades_unknown == b->upgrades_unknown && memcmp(a->upgrades, b->upgrades, sizeof(a->upgrades)) == 0 &&
           a->bare == b->bare && a->general.versioned == b->general.versioned && a->general.major == b->general.major;
}

static bool route_same_pins(const struct suggested_route *a, const struct suggested_route *b)
{
    for (size_t i = 0; i < a->n_pins; i++)
        if (strcmp(a->pins[i].name, b->pins[i].name) != 0 || strcmp(a->pins[i].value, b->pins[i].value) != 0)
            return false;
    return a->n_pins == b->n_pins;
}

/* Whether `route` can be told together with `into`, which is then for both. */
static bool route_joins(const struct suggested_route *route, struct suggested_route *into)
{
    if (!route_same_but_path(route, into) || !route_same_pins(route, into))
        return false;
    if (route->n_methods == 1 && into->n_methods == 1 && strcmp(route->methods[0], into->methods[0]) == 0)
        return route_covers_ids(route->general.pattern, into->general.pattern);
    return false;
}

static bool route_joins_methods(const struct suggested_route *route, struct suggested_route *into)
{
    if (!route_same_but_path(route, into) || !route_same_pins(route, into) ||
        strcmp(route->general.pattern, into->general.pattern) != 0 ||
        into->n_methods + route->n_methods > SUGGESTION_MOST_METHODS)
        return false;
    for (size_t i = 0; i < route->n_methods; i++)
        memcpy(into->methods[into->n_methods++], route->methods[i], SUGGESTION_WORD_BYTES);
    return true;
}

static void suggestion_join(struct suggestion *suggestion,
                            bool (*joins)(const struct suggested_route *, struct suggested_route *))
{
    for (size_t i = 0; i < suggestion->n_routes; i++)
        for (size_t j = 0; j < suggestion->n_routes; j++) {
            struct suggested_route *route = suggestion->routes[j];

            if (i == j || !joins(route, suggestion->routes[i]))
                continue;
            suggestion->routes[i]->n_seen += route->n_seen;
            free(route);
            suggestion->n_routes--;
            for (size_t k = j; k < suggestion->n_routes; k++)
                suggestion->routes[k] = suggestion->routes[k + 1];
            if (j < i)
                i--;
            j--;
        }
}

void suggestion_finish(struct suggestion *suggestion)
{
    suggestion_join(suggestion, route_joins);
    suggestion_join(suggestion, route_joins_methods);
}

void suggestion_deinit(struct suggestion *suggestion)
{
    for (size_t i = 0; i < suggestion->n_routes; i++)
        free(suggestion->routes[i]);
    suggestion->n_routes = 0;
}
