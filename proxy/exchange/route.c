#include "proxy/exchange/route.h"

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

static bool route_host_matches(const char *pattern, struct text authority)
{
    struct text host = route_host_name(authority), want = text_of(pattern);

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

static bool route_path_matches(const struct route_config *route, struct text path)
{
    if (route->path && !text_equal(text_of(route->path), path))
        return false;
    return !route->path_prefix || path_has_prefix(path, text_of(route->path_prefix));
}

static const struct route_config *route_first(const struct listener_config *listener, const struct request *request,
                                              struct text path, bool ambiguous)
{
    for (size_t i = 0; i < listener->n_routes; i++) {
        const struct route_config *route = &listener->routes[i];

        if (ambiguous ? route->path_ambiguity == ROUTE_AMBIGUITY_REFUSE : !route_path_matches(route, path))
            continue;
        if (route->methods && !route_method_matches(route->methods, request->method))
            continue;
        if (!route->host || route_host_matches(route->host, request->authority))
            return route;
    }
    return NULL;
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

enum route_result route_find(const struct listener_config *listener, const struct request *request, char *scratch,
                             size_t scratch_bytes, const struct route_config **ret_route)
{
    const struct route_config *route;
    struct text path = {scratch, 0};
    bool ambiguous = false;

    if (listener->any_path_condition && request->origin.length > scratch_bytes)
        return ROUTE_TOO_LONG;
    if (listener->any_path_condition)
        ambiguous = path_view(request->origin, scratch, request->origin.length, &path.length) != PATH_CLEAR;
    route = route_first(listener, request, path, ambiguous);
    /* Parameters are part of the path (RFC 3986 3.3), but some targets ignore them: what they would be asked for must
     * take the same route. */
    if (!ambiguous && path.length > 0 && memchr(scratch, ';', path.length)) {
        path.length = route_cut_parameters(scratch, path.length);
        ambiguous = route_first(listener, request, path, false) != route;
        if (ambiguous)
            route = route_first(listener, request, path, true);
    }
    if (!route)
        return ambiguous ? ROUTE_AMBIGUOUS : ROUTE_NONE;
    *ret_route = route;
    return ROUTE_FOUND;
}
