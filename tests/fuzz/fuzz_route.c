/* Routes: the index finds what trying each in turn finds, and the route that is found is the first that a plain reading
 * of its conditions takes.
 *
 * Input: lines. "p/path", "x/prefix", "hhost", "mMETHOD" are routes, "&" before one joins it with the route above; the
 * first line that is none begins the request: its target, its authority, its method. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/route_index.h"
#include "proxy/exchange/route.h"
#include "proxy/http/path.h"

#define MOST_ROUTES 40
#define MOST_BYTES 4096

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

struct world {
    struct route_config routes[MOST_ROUTES];
    char *methods[MOST_ROUTES][2];
    struct listener_config listener;
};

static char *next_line(char **rest)
{
    return *rest ? strsep(rest, "\n") : NULL;
}

static bool is_path(const char *text)
{
    char scratch[MOST_BYTES];
    size_t at;

    return !path_check(text_of(text), scratch, &at);
}

/* As configurations have it, roughly. */
static bool is_host(const char *text)
{
    if (strncmp(text, "*.", 2) == 0)
        text += 2;
    return *text != '\0' && text[strspn(text, "abcdefghijklmnopqrstuvwxyz0123456789-.[]:")] == '\0' &&
           text[strlen(text) - 1] != '.' && !strchr("0123456789:", text[strlen(text) - 1]);
}

/* False for a line that is no condition. */
static bool take_condition(struct world *world, size_t i, char *line)
{
    struct route_config *route = &world->routes[i];

    if (line[0] == 'p' && is_path(line + 1) && !route->path_prefix)
        route->path = line + 1;
    else if (line[0] == 'x' && is_path(line + 1) && !route->path)
        route->path_prefix = line + 1;
    else if (line[0] == 'h' && is_host(line + 1))
        route->host = line + 1;
    else if (line[0] == 'm' && line[1] != '\0')
        world->methods[i][0] = line + 1;
    else
        return false;
    if (world->methods[i][0])
        route->methods = world->methods[i];
    world->listener.any_path_condition |= route->path || route->path_prefix;
    return true;
}

static char *take_routes(struct world *world, char **rest)
{
    size_t *n = &world->listener.n_routes;
    char *line;

    for (line = next_line(rest); line; line = next_line(rest)) {
        bool joined = line[0] == '&' && *n > 0;

        if (!joined && *n == MOST_ROUTES)
            break;
        if (!take_condition(world, joined ? *n - 1 : *n, line + joined))
            break;
        *n += !joined;
    }
    return line;
}

/* ---- a plain reading ---- */

static bool host_fits(const char *pattern, struct text authority)
{
    size_t wanted = strlen(pattern), length = authority.length, digits = 0;

    while (digits < length && authority.data[length - 1 - digits] >= '0' && authority.data[length - 1 - digits] <= '9')
        digits++;
    if (digits < length && authority.data[length - 1 - digits] == ':')
        length -= digits + 1;
    if (length > 1 && authority.data[length - 1] == '.')
        length--;
    if (pattern[0] == '*' && wanted > 1) {
        if (length <= wanted - 1)
            return false;
        authority.data += length - (wanted - 1);
        length = --wanted;
        pattern++;
    }
    return length == wanted && strncasecmp(authority.data, pattern, length) == 0;
}

static bool prefix_fits(const char *prefix, struct text path)
{
    size_t n = strlen(prefix);

    if (path.length < n || memcmp(prefix, path.data, n) != 0)
        return false;
    return prefix[n - 1] == '/' || path.length == n || path.data[n] == '/';
}

static const struct route_config *first_that_fits(const struct world *world, const struct request *request,
                                                  struct text path)
{
    for (size_t i = 0; i < world->listener.n_routes; i++) {
        const struct route_config *route = &world->routes[i];

        if (route->path && (strlen(route->path) != path.length || memcmp(route->path, path.data, path.length) != 0))
            continue;
        if (route->path_prefix && !prefix_fits(route->path_prefix, path))
            continue;
        if (route->host && !host_fits(route->host, request->authority))
            continue;
        if (!route->methods || text_equal(text_of(route->methods[0]), request->method))
            return route;
    }
    return NULL;
}

/* ---- */

static bool nobody_fits(void *closure, const struct peer_rule *rules, size_t n_rules, bool unknown_fits)
{
    (void)closure;
    (void)rules;
    (void)n_rules;
    (void)unknown_fits;
    return false;
}

static void check(struct world *world, const struct request *request)
{
    char scratch[2 * MOST_BYTES], view[MOST_BYTES];
    struct route_question question = {.listener = &world->listener,
                                      .request = request,
                                      .scratch = scratch,
                                      .scratch_bytes = 2 * request->origin.length,
                                      .peer_fits = nobody_fits};
    struct route_found each, indexed;
    enum route_result result = route_find(&question, &each);
    struct text path = {view, 0};

    world->listener.index_of_routes = route_index_new(world->routes, world->listener.n_routes);
    assert(world->listener.index_of_routes);
    assert(route_find(&question, &indexed) == result && indexed.route == each.route);
    route_index_free(world->listener.index_of_routes);
    world->listener.index_of_routes = NULL;
    assert(result != ROUTE_TOO_LONG && result != ROUTE_UNDECIDED);
    if (world->listener.any_path_condition &&
        path_view(request->origin, view, sizeof(view), &path.length) != PATH_CLEAR)
        assert(result == ROUTE_AMBIGUOUS);
    else if (path.length > 0 && memchr(view, ';', path.length))
        assert(result == ROUTE_AMBIGUOUS || each.route == first_that_fits(world, request, path));
    else
        assert(each.route == first_that_fits(world, request, path));
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static struct world world;
    struct request request = {.method = TEXT_LITERAL("GET")};
    char *text, *rest, *line;

    if (size >= MOST_BYTES)
        return 0;
    text = rest = malloc(size + 1);
    assert(text);
    memcpy(text, bytes, size);
    text[size] = '\0';
    memset(&world, 0, sizeof(world));
    world.listener.routes = world.routes;
    line = take_routes(&world, &rest);
    request.origin = text_of(line ? line : "/");
    request.authority = text_of(next_line(&rest));
    line = next_line(&rest);
    if (line)
        request.method = text_of(line);
    if (request.origin.length > 0 && world.listener.n_routes > 0)
        check(&world, &request);
    free(text);
    return 0;
}
