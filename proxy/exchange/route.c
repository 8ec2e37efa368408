#include "proxy/exchange/route.h"

#include "config/route_index.h"
#include "proxy/http/path.h"

/* A host without its port and final dot; an IPv6 literal keeps its brackets. */
static struct text route_host_name(struct text authority)
{
    size_t i = authority.length;

    while (i > 0 && authority.data[i - 1] >= '0' && authority.data[i - 1] <= '9')
        i--;
    if (i > 0 && authority.data[i - 1] == ':')
        authority.length = i - 1;
    /* An absolute name is the same host. */
    if (authority.length > 1 && authority.data[authority.length - 1] == '.')
        authority.length--;
    return authority;
}

static bool route_host_matches(const char *pattern, struct text host)
{
    struct text want = text_of(pattern);

    if (want.length < 2 || want.data[0] != '*')
        return text_equal_nocase(host, want);
    /* "*.example.org": any name that ends in ".example.org" and has something before it. */
    want = (struct text){want.data + 1, want.length - 1};
    if (host.length <= want.length)
        return false;
    return text_equal_nocase((struct text){host.data + host.length - want.length, want.length}, want);
}

static bool route_method_matches(char *const *methods, struct text method)
{
    for (; *methods; methods++)
        if (text_equal(text_of(*methods), method))
            return true;
    return false;
}

static bool route_literals_match(const struct route_config *route, const struct route_view *view)
{
    if (route->path && !text_equal(text_of(route->path), view->path))
        return false;
    return !route->path_prefix || path_has_prefix(view->path, text_of(route->path_prefix));
}

/* deny wins, as it does where connections are accepted. */
static bool route_peer_matches(const struct route_config *route, const struct route_question *question)
{
    if (route->n_denied > 0 && question->peer_fits(question->closure, route->denied, route->n_denied, true))
        return false;
    return route->n_peers == 0 || question->peer_fits(question->closure, route->peers, route->n_peers, false);
}

/* The cheap ones first. Where one fails, it is of no interest what cannot be told of others. */
static const char *route_plain_objection(const struct route_config *route, const struct route_question *question,
                                         const struct route_view *view)
{
    if (view->ambiguous ? route->path_ambiguity == ROUTE_AMBIGUITY_REFUSE : !route_literals_match(route, view))
        return view->ambiguous || route->path ? "path" : "path_prefix";
    if (route->methods && !route_method_matches(route->methods, question->request->method))
        return "methods";
    if (route->host && !route_host_matches(route->host, view->host))
        return "host";
    return route_peer_matches(route, question) ? NULL : "peers";
}

/* What was found out of several conditions. */
struct route_findings {
    const char *objection;
    const char *why; /* one cannot be told; NULL: all can */
};

/* Whether to go on; `why` says what cannot be told. */
static bool route_take_verdict(struct route_findings *findings, enum condition_verdict verdict, const char *key,
                               const char *why)
{
    if (verdict == CONDITION_UNDECIDED)
        findings->why = why;
    else if (verdict == CONDITION_FAILS)
        findings->objection = key;
    return verdict != CONDITION_FAILS;
}

static bool route_check_fields(const struct route_config *route, const struct route_question *question,
                               struct route_findings *findings)
{
    bool more = true;

    for (size_t i = 0; i < route->n_headers && more; i++) {
        const char *why = NULL;
        enum condition_verdict verdict =
            condition_on_fields(&route->headers[i], &question->request->fields, &question->means, &why);

        more = route_take_verdict(findings, verdict, "headers", why);
    }
    return more;
}

static bool route_check_query(const struct route_config *route, const struct route_question *question,
                              const struct route_view *view, struct route_findings *findings)
{
    bool more = true;

    for (size_t i = 0; i < route->n_queries && more; i++) {
        const char *why = NULL;
        enum condition_verdict verdict =
            condition_on_query(&route->queries[i], view->query, view->scratch, &question->means, &why);

        more = route_take_verdict(findings, verdict, "query", why);
    }
    return more;
}

static void route_check_pattern(const struct route_config *route, const struct route_question *question,
                                const struct route_view *view, struct route_findings *findings)
{
    if (!route->path_regex || view->ambiguous)
        return;
    switch (pattern_match(route->path_regex, view->path, question->means.memory)) {
    case PATTERN_FITS:
        break;
    case PATTERN_DOES_NOT:
        findings->objection = "path_regex";
        break;
    case PATTERN_UNDECIDED:
        findings->why = "path_regex was given up at its limit";
        break;
    }
}

const char *route_objection(const struct route_config *route, const struct route_question *question,
                            const struct route_view *view, const char **ret_why)
{
    struct route_findings findings = {.objection = route_plain_objection(route, question, view)};

    if (!findings.objection && route_check_fields(route, question, &findings) &&
        route_check_query(route, question, view, &findings))
        route_check_pattern(route, question, view, &findings);
    if (findings.objection || !findings.why)
        return findings.objection;
    *ret_why = findings.why;
    return "";
}

/* The first that takes the request, or of which that cannot be told. */
static struct route_found route_first(const struct route_question *question, const struct route_view *view)
{
    const struct listener_config *listener = question->listener;
    struct route_walk walk;
    size_t i;

    route_walk_begin(&walk, listener, view->host, view->path);
    if (view->ambiguous)
        walk.index = NULL;
    while ((i = route_walk_next(&walk)) != ROUTE_INDEX_NONE) {
        struct route_found found = {&listener->routes[i], NULL};
        const char *objection = route_objection(found.route, question, view, &found.why);

        if (!objection || found.why)
            return found;
    }
    return (struct route_found){NULL, NULL};
}

/* Cuts the parameters (";x") off every segment, as servlet containers do. Returns the new length. */
static size_t route_cut_parameters(char *path, size_t length)
{
    bool in_parameter = false;
    size_t kept = 0;

    for (size_t i = 0; i < length; i++) {
        in_parameter = path[i] == ';' || (in_parameter && path[i] != '/');
        if (!in_parameter)
            path[kept++] = path[i];
    }
    return kept;
}

/* Parameters are part of the path (RFC 3986 3.3), but some targets ignore them: what they would be asked for must take
 * the same route, or the path is ambiguous. */
static void route_find_without_parameters(const struct route_question *question, struct route_view *view,
                                          struct route_found *found)
{
    view->path.length = route_cut_parameters(question->scratch, view->path.length);
    view->ambiguous = route_first(question, view).route != found->route;
    if (view->ambiguous)
        *found = route_first(question, view);
}

bool route_look(const struct route_question *question, struct route_view *ret_view)
{
    const struct listener_config *listener = question->listener;
    struct text origin = question->request->origin;

    *ret_view = (struct route_view){.host = route_host_name(question->request->authority)};
    if (!listener->any_path_condition && !listener->any_query_condition)
        return true;
    if (origin.length > question->scratch_bytes / 2)
        return false;
    ret_view->scratch = question->scratch + origin.length;
    (void)path_split(origin, &ret_view->query);
    if (listener->any_path_condition) {
        ret_view->path.data = question->scratch;
        ret_view->ambiguous = path_view(origin, question->scratch, origin.length, &ret_view->path.length) != PATH_CLEAR;
    }
    return true;
}

enum route_result route_find(const struct route_question *question, struct route_found *ret_found)
{
    struct route_view view;

    *ret_found = (struct route_found){NULL, NULL};
    if (!route_look(question, &view))
        return ROUTE_TOO_LONG;
    *ret_found = route_first(question, &view);
    if (!view.ambiguous && view.path.length > 0 && memchr(view.path.data, ';', view.path.length))
        route_find_without_parameters(question, &view, ret_found);
    if (ret_found->why)
        return ROUTE_UNDECIDED;
    if (ret_found->route)
        return ROUTE_FOUND;
    return view.ambiguous ? ROUTE_AMBIGUOUS : ROUTE_NONE;
}
