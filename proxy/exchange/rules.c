#include "proxy/exchange/rules.h"

#include "proxy/exchange/denial.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/fetch.h"
#include "proxy/exchange/files.h"
#include "proxy/exchange/judge.h"
#include "proxy/exchange/pages.h"
#include "proxy/exchange/redirect.h"
#include "proxy/exchange/respond.h"
#include "proxy/exchange/route.h"
#include "proxy/exchange/state.h"

/* What the route allows of a request. */
static bool exchange_is_within_limits(struct exchange *exchange, const struct route_config *route)
{
    const struct request *request = &exchange->request;
    uint64_t wait_ms;

    exchange->limit_body_bytes = route_limit_body(route, exchange->client->listener);
    if (request->body == BODY_LENGTH && request->content_length > exchange->limit_body_bytes) {
        exchange_refuse(exchange, OUTCOME_BODY_TOO_LARGE, NULL);
        return false;
    }
    if (route->has_rate &&
        !rate_take(route->rate.buckets, exchange->client->uid, loop_now(exchange->env->loop), &wait_ms)) {
        exchange->retry_after_s = (wait_ms + 999) / 1000;
        exchange_refuse(exchange, OUTCOME_RATE_LIMITED, NULL);
        return false;
    }
    return true;
}

static void exchange_take_route(struct exchange *exchange, const struct route_config *route)
{
    static const struct exchange_source *const sources[] = {[ROUTE_TARGET] = &fetch_source,
                                                            [ROUTE_RESPOND] = &respond_source,
                                                            [ROUTE_DENY] = &deny_source,
                                                            [ROUTE_REDIRECT] = &redirect_source};

    exchange->route = route;
    if (!exchange_is_within_limits(exchange, route))
        return;
    exchange->target_config = route->target;
    exchange->times = route_times(route);
    exchange->retries = route_retries(route);
    exchange->source = route->has_body ? &judge_source : sources[route->action];
    if (route->action == ROUTE_DENY && exchange_observe(exchange, NULL))
        exchange->source = &fetch_source;
}

static bool exchange_peer_fits(void *closure, const struct peer_rule *rules, size_t n_rules, bool unknown_fits)
{
    struct exchange_client *client = closure;

    return client->peer_fits(client, rules, n_rules, unknown_fits);
}

/* A condition that cannot be told is the client's fault, unless it is about a file. */
static void exchange_refuse_undecided(struct exchange *exchange, const char *why, const struct files *files)
{
    if (files->failed)
        files_refuse(files);
    else
        exchange_refuse(exchange, OUTCOME_UNDECIDED, why);
}

/* Among routes with conditions. */
static void exchange_find_route(struct exchange *exchange)
{
    struct exchange_env *env = exchange->env;
    struct files files;
    const struct route_question question = {.listener = exchange->client->listener,
                                            .request = &exchange->request,
                                            .means = {env->patterns, &files.values},
                                            .scratch = env->path_scratch,
                                            .scratch_bytes = env->path_scratch_bytes,
                                            .peer_fits = exchange_peer_fits,
                                            .closure = exchange->client};
    struct route_found found;

    files_init(&files, exchange);
    switch (route_find(&question, &found)) {
    case ROUTE_FOUND:
        exchange_take_route(exchange, found.route);
        break;
    case ROUTE_TOO_LONG:
        exchange_refuse(exchange, OUTCOME_URI_TOO_LONG, NULL);
        break;
    case ROUTE_AMBIGUOUS:
        exchange_refuse(exchange, OUTCOME_AMBIGUOUS_PATH, NULL);
        break;
    case ROUTE_UNDECIDED:
        exchange->route = found.route;
        exchange_refuse_undecided(exchange, found.why, &files);
        break;
    case ROUTE_NONE:
        if (exchange_observe(exchange, "no route matches"))
            exchange->source = &fetch_source;
        else
            exchange_refuse(exchange, OUTCOME_NO_ROUTE, NULL);
        break;
    }
}

void exchange_rule(struct exchange *exchange)
{
    const struct listener_config *listener = exchange->client->listener;

    if (listener->pages)
        exchange_ask_page(exchange);
    else if (listener->takes_all)
        exchange_take_route(exchange, listener->routes);
    else
        exchange_find_route(exchange);
}

static bool rules_look_at_field(const struct listener_config *listener, struct text name)
{
    for (size_t i = 0; i < listener->n_routes; i++)
        for (size_t j = 0; j < listener->routes[i].n_headers; j++)
            if (field_is_spelling_of(name, text_of(listener->routes[i].headers[j].name)))
                return true;
    return false;
}

void exchange_rule_trailers(const struct exchange *exchange, struct fields *trailers)
{
    for (size_t i = 0; i < trailers->n_items; i++)
        if (rules_look_at_field(exchange->client->listener, trailers->items[i].name))
            trailers->items[i].drop = true;
}
