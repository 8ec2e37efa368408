#include "config/review.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "config/route_covers.h"
#include "config/route_index.h"
#include "config/value.h"
#include "proxy/base/secret.h"

/* unix(7): a path of 108 bytes has no room for its terminator with many clients. */
#define REVIEW_DIAL_MOST_BYTES 107
#define REVIEW_POINTER_BYTES 128

/* One run, on config_review's stack. */
struct review {
    const struct snapshot *snapshot;
    const char *text;
    size_t length;
    struct problems *warnings, *errors;
    struct pattern_memory *memory;
    int failure; /* 0 or -ENOMEM */
};

PRINTF_LIKE(4, 5)
static void review_add(struct review *review, struct problems *to, const char *pointer, const char *format, ...)
{
    va_list args;

    /* Finding the position costs a walk through the file, so not for what nobody will be shown. */
    if (problems_are_full(to))
        return;
    va_start(args, format);
    if (problems_add_v(to, position_of_pointer(review->text, review->length, pointer, false), pointer, format, args) <
        0)
        review->failure = -ENOMEM;
    va_end(args);
}

static const char *review_pointer(char out[REVIEW_POINTER_BYTES], const struct listener_config *listener,
                                  const struct route_config *route, const char *key)
{
    int n = snprintf(out, REVIEW_POINTER_BYTES, "/listeners/%zu", listener->index);

    if (route)
        n += snprintf(out + n, REVIEW_POINTER_BYTES - (size_t)n, "/routes/%zu", (size_t)(route - listener->routes));
    snprintf(out + n, REVIEW_POINTER_BYTES - (size_t)n, "%s", key);
    return out;
}

/* ---- files that values refer to ---- */

/* They may come later than this. */
static void review_file(struct review *review, const char *path, const char *pointer)
{
    struct secret secret = {.path = path};
    char reason[SECRET_REASON_BYTES];
    struct text text;

    if (!secret_get(&secret, instant_now(), &text))
        review_add(review, review->warnings, pointer, "requests are answered with 500 until this file can be used: %s",
                   secret_reason(&secret, reason, sizeof(reason)));
    secret_deinit(&secret);
}

static void review_value(struct review *review, const struct template *value, const char *pointer)
{
    for (size_t i = 0; value && i < value->n_pieces; i++)
        if (value->pieces[i].kind == TEMPLATE_FILE)
            review_file(review, value->pieces[i].text.data, pointer);
}

static void review_edits(struct review *review, const struct listener_config *listener,
                         const struct route_config *route, const struct edit_list *list, const char *key)
{
    char pointer[REVIEW_POINTER_BYTES];

    if (list->n_items > 0)
        review_pointer(pointer, listener, route, key);
    for (size_t i = 0; i < list->n_items; i++)
        review_value(review, list->items[i].value, pointer);
}

static void review_conditions(struct review *review, const struct listener_config *listener,
                              const struct route_config *route, const struct condition *conditions, size_t n,
                              const char *key)
{
    char pointer[REVIEW_POINTER_BYTES];

    if (n > 0)
        review_pointer(pointer, listener, route, key);
    for (size_t i = 0; i < n; i++)
        review_value(review, conditions[i].value, pointer);
}

static void review_fields(struct review *review, const struct listener_config *listener,
                          const struct route_config *route)
{
    review_conditions(review, listener, route, route->headers, route->n_headers, "/match/headers");
    review_conditions(review, listener, route, route->queries, route->n_queries, "/match/query");
    review_edits(review, listener, route, &route->request_headers.set, "/request_headers/set");
    review_edits(review, listener, route, &route->request_headers.add, "/request_headers/add");
    review_edits(review, listener, route, &route->response_headers.set, "/response_headers/set");
    review_edits(review, listener, route, &route->response_headers.add, "/response_headers/add");
}

/* ---- routes ---- */

/* Whether one of them is about a value: that is what a page can be kept from knowing. */
static bool review_asks_for_value(const struct condition *conditions, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (conditions[i].kind == CONDITION_EQUALS || conditions[i].kind == CONDITION_FITS)
            return true;
    return false;
}

static bool review_is_guarded(const struct route_config *route)
{
    return route->host || review_asks_for_value(route->headers, route->n_headers) ||
           review_asks_for_value(route->queries, route->n_queries);
}

/* A page in a browser on this machine may have a name of its own lead to 127.0.0.1 (DNS rebinding), and then reads and
 * sends what it likes, with any field: of the same origin, as the browser sees it. The Host tells, or a secret. */
static void review_rebinding(struct review *review, const struct listener_config *listener)
{
    char pointer[REVIEW_POINTER_BYTES];

    for (size_t i = 0; address_is_loopback(&listener->bind) && i < listener->n_routes; i++) {
        const struct route_config *route = &listener->routes[i];

        if (route->action != ROUTE_TARGET || review_is_guarded(route))
            continue;
        review_add(
            review, review->warnings, review_pointer(pointer, listener, route, ""),
            "any web page in a browser on this machine could use this route (DNS rebinding); match.host says which "
            "names it is for");
        return;
    }
}

/* The first route above that leaves nothing for this one. What takes all of its requests takes those for its own path
 * and host, too, so that only the candidates for these are looked at. */
static const struct route_config *review_find_cover(struct review *review, const struct listener_config *listener,
                                                    size_t below)
{
    const struct route_config *route = &listener->routes[below];
    struct route_walk walk;
    size_t i;

    route_walk_begin(&walk, listener, text_of(route->host), text_of(route->path ? route->path : route->path_prefix));
    while ((i = route_walk_next(&walk)) < below)
        if (route_covers(&listener->routes[i], route, review->memory))
            return &listener->routes[i];
    return NULL;
}

static void review_cover(struct review *review, const struct listener_config *listener, size_t i)
{
    const struct route_config *route = &listener->routes[i], *above = review_find_cover(review, listener, i);
    char pointer[REVIEW_POINTER_BYTES];

    if (!above)
        return;
    review_pointer(pointer, listener, route, "");
    if (route->action == ROUTE_DENY && above->action != ROUTE_DENY)
        review_add(review, review->errors, pointer,
                   "denies nothing: route \"%s\" above takes all that this one could; put the denial before it",
                   above->name);
    else
        review_add(review, review->warnings, pointer, "is never taken: route \"%s\" above takes all that it could",
                   above->name);
}

/* What people write who have globs, templates or patterns in mind. */
static void review_literal(struct review *review, const struct listener_config *listener,
                           const struct route_config *route, const char *path, const char *key)
{
    const char *odd = path && strcmp(path, "*") != 0 ? strpbrk(path, "*{^") : NULL;
    char pointer[REVIEW_POINTER_BYTES];

    if (odd)
        review_add(review, review->warnings, review_pointer(pointer, listener, route, key),
                   "\"%c\" stands for itself here; path_regex matches by pattern", *odd);
}

static void review_routes(struct review *review, const struct listener_config *listener)
{
    for (size_t i = 0; i < listener->n_routes && !review->failure; i++) {
        const struct route_config *route = &listener->routes[i];

        review_cover(review, listener, i);
        review_literal(review, listener, route, route->path, "/match/path");
        review_literal(review, listener, route, route->path_prefix, "/match/path_prefix");
        review_fields(review, listener, route);
    }
}

/* ---- listeners ---- */

static void review_listener(struct review *review, const struct listener_config *listener)
{
    char pointer[REVIEW_POINTER_BYTES];

    if (listener->observe)
        review_add(review, review->warnings, review_pointer(pointer, listener, NULL, "/observe"),
                   "this listener only observes: its routes refuse nothing");
    if (listener->bind.kind != ADDRESS_UNIX)
        return;
    if ((listener->mode & S_IWOTH) && listener->n_peers == 0)
        review_add(review, review->warnings, review_pointer(pointer, listener, NULL, "/mode"),
                   "everybody who can reach the directory may connect; a group and 0660, or \"peers\", let in less");
    if (strlen(listener->bind.name) > REVIEW_DIAL_MOST_BYTES)
        review_add(review, review->warnings, review_pointer(pointer, listener, NULL, "/bind"),
                   "the path has %zu bytes, and clients can dial %d at most unless they change into its directory",
                   strlen(listener->bind.name), REVIEW_DIAL_MOST_BYTES);
}

/* ---- targets ---- */

static void review_mark(bool *used, const struct target_config *target)
{
    if (target)
        used[target->index] = true;
}

/* RFC 6901 3: a name that is an address has slashes. */
static const char *review_target_pointer(char out[REVIEW_POINTER_BYTES], const char *name)
{
    size_t n = (size_t)snprintf(out, REVIEW_POINTER_BYTES, "/targets/");

    for (; *name && n + 3 < REVIEW_POINTER_BYTES; name++) {
        if (*name == '~' || *name == '/')
            out[n++] = '~';
        out[n++] = (char)(*name == '~' ? '0' : *name == '/' ? '1' : *name);
    }
    out[n] = '\0';
    return out;
}

static void review_targets(struct review *review)
{
    const struct snapshot *snapshot = review->snapshot;
    bool *used = calloc(snapshot->n_targets + 1, sizeof(*used));

    if (!used) {
        review->failure = -ENOMEM;
        return;
    }
    for (size_t i = 0; i < snapshot->n_listeners; i++) {
        const struct listener_config *listener = &snapshot->listeners[i];

        review_mark(used, listener->stream);
        review_mark(used, listener->observe);
        for (size_t j = 0; j < listener->n_routes; j++)
            review_mark(used, listener->routes[j].target);
    }
    for (size_t i = 0; i < snapshot->n_targets; i++) {
        char pointer[REVIEW_POINTER_BYTES];

        if (!used[i])
            review_add(review, review->warnings, review_target_pointer(pointer, snapshot->targets[i].name),
                       "no listener uses this target");
    }
    free(used);
}

/* ---- */

static void review_all(struct review *review)
{
    for (size_t i = 0; i < review->snapshot->n_listeners && !review->failure; i++) {
        review_listener(review, &review->snapshot->listeners[i]);
        review_rebinding(review, &review->snapshot->listeners[i]);
        review_routes(review, &review->snapshot->listeners[i]);
    }
    if (!review->failure)
        review_targets(review);
}

int config_review(const struct snapshot *snapshot, const char *text, size_t length, struct problems *problems)
{
    struct problems errors = PROBLEMS_INIT;
    struct review review = {snapshot, text, length, problems, &errors, pattern_memory_new(), 0};

    if (review.memory)
        review_all(&review);
    else
        review.failure = -ENOMEM;
    pattern_memory_free(review.memory);
    if (review.failure || errors.n_items == 0) {
        problems_deinit(&errors);
        problems_sort(problems);
        return review.failure;
    }
    problems_deinit(problems);
    *problems = errors;
    problems_sort(problems);
    return 1;
}
