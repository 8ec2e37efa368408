#include "cmd/suggestion_print.h"

#include <inttypes.h>
#include <string.h>

#include "proxy/base/line.h"

#define NAME_BYTES 65
#define PATTERN_BYTES (GENERAL_PATTERN_BYTES + 64)
/* Of a target that no line has named. */
#define TARGET_UNKNOWN "target"

static void print_string(const char *s, FILE *out)
{
    char escaped[6 * PATTERN_BYTES];

    line_escape(escaped, sizeof(escaped), s, strlen(s));
    fprintf(out, "\"%s\"", escaped);
}

static const char *route_target(const struct suggested_route *route)
{
    return route->target[0] ? route->target : TARGET_UNKNOWN;
}

/* Whether it can be a name; others are addresses, which are targets by themselves. */
static bool target_is_address(const char *target)
{
    return strchr(target, ':') != NULL;
}

static void route_pattern(const struct suggested_route *route, char out[PATTERN_BYTES])
{
    const struct general *general = &route->general;

    if (!general->versioned)
        snprintf(out, PATTERN_BYTES, "%s", general->pattern);
    else
        snprintf(out, PATTERN_BYTES, route->bare ? "(?:/v%u\\.[0-9]+)?%s" : "/v%u\\.[0-9]+%s", general->major,
                 general->pattern);
}

static void route_words(const struct suggested_route *route, char out[NAME_BYTES])
{
    size_t n = 0;

    for (const char *c = route->methods[0]; *c && n < NAME_BYTES - GENERAL_NAME_BYTES - 6; c++)
        if ((*c >= 'A' && *c <= 'Z') || (*c >= 'a' && *c <= 'z'))
            out[n++] = (char)(*c | 0x20);
    out[n++] = '-';
    snprintf(out + n, NAME_BYTES - n, "%s", route->general.name);
    n = strlen(out);
    while (n > 0 && out[n - 1] == '-')
        out[--n] = '\0';
}

/* Its words, and a number where others before it have the same. */
static void route_name(const struct suggestion *suggestion, size_t index, char out[NAME_BYTES])
{
    unsigned same = 1;

    route_words(suggestion->routes[index], out);
    for (size_t i = 0; i < index; i++) {
        char other[NAME_BYTES];

        route_words(suggestion->routes[i], other);
        same += strcmp(out, other) == 0;
    }
    if (same > 1)
        snprintf(out + strlen(out), NAME_BYTES - strlen(out), "-%u", same);
}

static void print_match(const struct suggested_route *route, FILE *out)
{
    char pattern[PATTERN_BYTES];
    bool plain = route->general.plain && !route->general.versioned;

    fputs("\"match\": { \"methods\": [", out);
    for (size_t i = 0; i < route->n_methods; i++) {
        fputs(i > 0 ? ", " : "", out);
        print_string(route->methods[i], out);
    }
    fputs(plain ? "], \"path\": " : "], \"path_regex\": ", out);
    route_pattern(route, pattern);
    print_string(pattern, out);
    for (size_t i = 0; i < route->n_pins; i++) {
        fputs(i == 0 ? ", \"query\": { " : ", ", out);
        print_string(route->pins[i].name, out);
        fputs(": ", out);
        print_string(route->pins[i].value, out);
    }
    fputs(route->n_pins > 0 ? " } }" : " }", out);
}

static void print_route(const struct suggestion *suggestion, size_t index, FILE *out)
{
    const struct suggested_route *route = suggestion->routes[index];
    char name[NAME_BYTES];

    route_name(suggestion, index, name);
    fprintf(out, "        { \"name\": \"%s\", \"target\": ", name);
    print_string(route_target(route), out);
    if (!route->upgrades_unknown) {
        fputs(", \"upgrade\": [", out);
        for (size_t i = 0; i < route->n_upgrades; i++) {
            fputs(i > 0 ? ", " : "", out);
            print_string(route->upgrades[i], out);
        }
        fputs("]", out);
    }
    fputs(",\n          ", out);
    print_match(route, out);
    fputs(" },\n", out);
}

/* Names of targets, each once, with an endpoint that was seen behind it. */
static void print_targets(const struct suggestion *suggestion, FILE *out)
{
    bool any = false;

    for (size_t i = 0; i < suggestion->n_routes; i++) {
        const char *target = route_target(suggestion->routes[i]);
        const char *endpoint = suggestion->routes[i]->endpoint;
        size_t before = 0;

        while (before < i && strcmp(route_target(suggestion->routes[before]), target) != 0)
            before++;
        if (target_is_address(target) || before < i)
            continue;
        fputs(any ? ",\n    " : ",\n  \"targets\": {\n    ", out);
        print_string(target, out);
        fputs(": { \"endpoints\": [", out);
        print_string(endpoint[0] ? endpoint : "unix:/run/app/http.sock", out);
        fputs("] }", out);
        any = true;
    }
    fputs(any ? "\n  }\n}\n" : "\n}\n", out);
}

void suggestion_print(const struct suggestion *suggestion, FILE *out)
{
    fputs("{\n  \"listeners\": [\n    {\n      \"name\": \"suggested\",\n"
          "      \"bind\": \"unix:${PORTHOLE_SOCKET:-/run/porthole/suggested.sock}\",\n      \"routes\": [\n",
          out);
    for (size_t i = 0; i < suggestion->n_routes; i++)
        print_route(suggestion, i, out);
    fputs("        { \"name\": \"rest\", \"deny\": { \"status\": 403, \"body\": \"not through this socket\\n\" } }\n"
          "      ]\n    }\n  ]",
          out);
    print_targets(suggestion, out);
}

void suggestion_tell(const struct suggestion *suggestion, FILE *out)
{
    for (size_t i = 0; i < suggestion->n_routes; i++) {
        char name[NAME_BYTES], pattern[PATTERN_BYTES];

        route_name(suggestion, i, name);
        route_pattern(suggestion->routes[i], pattern);
        fprintf(out, "%8" PRIu64 "  %-40s %s\n", suggestion->routes[i]->n_seen, name, pattern);
    }
    if (suggestion->n_refused > 0)
        fprintf(out, "%8" PRIu64 "  left out: refused (with \"observe\" on the listener they would not have been)\n",
                suggestion->n_refused);
    if (suggestion->n_unclear > 0)
        fprintf(out, "%8" PRIu64 "  left out: paths that routes refuse, or that the log has cut\n",
                suggestion->n_unclear);
    if (suggestion->n_answered > 0)
        fprintf(out, "%8" PRIu64 "  left out: answered by porthole itself\n", suggestion->n_answered);
}
