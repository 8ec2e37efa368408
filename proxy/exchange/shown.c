#include "proxy/exchange/shown.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/exchange/state.h"
#include "proxy/http/condition.h"
#include "proxy/http/path.h"

#define REDACTED "[redacted]"

static bool shown_is_secret(const struct listener_config *listener, struct text piece, char *scratch)
{
    for (size_t i = 0; i < listener->n_routes; i++) {
        const struct route_config *route = &listener->routes[i];

        for (size_t j = 0; j < route->n_queries; j++)
            if (route->queries[j].secret && condition_is_about(&route->queries[j], piece, scratch))
                return true;
    }
    return false;
}

/* What stands up to the next "&", or to the end. */
static struct text shown_piece(struct text rest)
{
    const char *end = memchr(rest.data, '&', rest.length);

    return (struct text){rest.data, end ? (size_t)(end - rest.data) : rest.length};
}

static char *shown_put(char *to, struct text text)
{
    if (text.length > 0)
        memcpy(to, text.data, text.length);
    return to + text.length;
}

/* Writes the query. Returns what is behind it. */
static char *shown_write(const struct listener_config *listener, struct text query, char *to, char *scratch)
{
    for (;;) {
        struct text piece = shown_piece(query);
        const char *equals = piece.length > 0 ? memchr(piece.data, '=', piece.length) : NULL;

        if (equals && shown_is_secret(listener, piece, scratch)) {
            to = shown_put(to, (struct text){piece.data, (size_t)(equals + 1 - piece.data)});
            to = shown_put(to, TEXT_LITERAL(REDACTED));
        } else {
            to = shown_put(to, piece);
        }
        if (piece.length == query.length)
            return to;
        *to++ = '&';
        query = (struct text){query.data + piece.length + 1, query.length - piece.length - 1};
    }
}

static size_t shown_count_pieces(struct text query)
{
    size_t n = 1;

    for (size_t i = 0; i < query.length; i++)
        n += query.data[i] == '&';
    return n;
}

struct text exchange_shown_target(struct exchange *exchange)
{
    const struct listener_config *listener = exchange->client->listener;
    struct text query, path;
    char *memory, *end;

    if (!listener->any_query_secret)
        return exchange->target;
    if (exchange->shown.data)
        return exchange->shown;
    path = path_split(exchange->target, &query);
    if (query.length == 0)
        return exchange->target;
    memory = malloc(exchange->target.length + shown_count_pieces(query) * sizeof(REDACTED) + query.length);
    if (!memory)
        return path;
    end = shown_put(memory, (struct text){path.data, path.length + 1});
    end = shown_write(listener, query, end,
                      memory + exchange->target.length + shown_count_pieces(query) * sizeof(REDACTED));
    exchange->shown = (struct text){memory, (size_t)(end - memory)};
    return exchange->shown;
}
