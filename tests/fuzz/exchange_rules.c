#include "tests/fuzz/exchange_rules.h"

#include <string.h>

#include "proxy/http/bytes.h"

#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

#define BODY_MOST_BYTES 256

bool rules_are_of(const struct listener_config *listener)
{
    return strcmp(listener->name, "rules") == 0;
}

/* ---- targets ---- */

static bool ends_with(struct text whole, struct text part)
{
    return part.length <= whole.length && wire_equal(text_skip(whole, whole.length - part.length), part);
}

static bool begins_with(struct text whole, const char *part)
{
    size_t n = strlen(part);

    return whole.length >= n && memcmp(whole.data, part, n) == 0;
}

static struct text query_of(struct text target)
{
    const char *mark = target.length > 0 ? memchr(target.data, '?', target.length) : NULL;

    return mark ? text_skip(target, (size_t)(mark - target.data)) : (struct text){NULL, 0};
}

static bool is_same_target(const struct wire_message *request, const struct wire_message *sent)
{
    return ends_with(sent->target, request->target);
}

/* ---- routes ---- */

static bool has_one(const struct wire_message *message, const char *name)
{
    return wire_find(message, name, 0) && !wire_find(message, name, 1);
}

static bool is_conditional(const struct wire_message *request, const struct wire_message *sent)
{
    return is_same_target(request, sent) && has_one(sent, "x-key") &&
           wire_is(wire_find(sent, "x-key", 0)->value, "k") && query_of(request->target).length > 0;
}

static bool is_stripped(const struct wire_message *request, const struct wire_message *sent)
{
    return begins_with(request->target, "/n") && ends_with(sent->target, text_skip(request->target, 2));
}

/* By the pattern, or as it was where that does not fit. */
static bool is_rewritten(const struct wire_message *request, const struct wire_message *sent)
{
    if (!begins_with(request->target, "/to"))
        return is_same_target(request, sent);
    return wire_equal(query_of(request->target), query_of(sent->target));
}

static bool is_edited(const struct wire_message *request, const struct wire_message *sent)
{
    const struct wire_line *host = NULL, *line;

    for (size_t n = 0; (line = wire_find(request, "x-sent-host", n)); n++)
        host = line;
    return is_same_target(request, sent) && !wire_find(request, "cookie", 0) && !wire_find(request, "forwarded", 0) &&
           has_one(request, "x-id") && has_one(request, "x-request-id") &&
           wire_equal(wire_find(request, "x-id", 0)->value, wire_find(request, "x-request-id", 0)->value) &&
           has_one(request, "x-file") && begins_with(wire_find(request, "x-file", 0)->value, "f=") &&
           has_one(request, "x-path") && host && begins_with(host->value, "h=");
}

/* All of the body was there before the target got a byte. */
static bool is_judged(const struct wire_message *request, const struct wire_message *sent)
{
    return is_same_target(request, sent) && wire_equal(request->method, TEXT_LITERAL("POST")) &&
           sent->state == WIRE_WHOLE && sent->body.length > 0 && sent->body.length <= BODY_MOST_BYTES &&
           memchr(sent->body.data, '{', sent->body.length);
}

static const struct {
    const char *name;
    bool (*comes_from)(const struct wire_message *request, const struct wire_message *sent);
} routes[] = {
    {"cond", is_conditional}, {"strip", is_stripped}, {"regex", is_rewritten}, {"edit", is_edited}, {"body", is_judged},
};

bool rules_request_comes_from(const struct wire_message *request, const struct wire_message *sent)
{
    if (!has_one(request, "x-route"))
        return false;
    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (wire_is(wire_find(request, "x-route", 0)->value, routes[i].name))
            return routes[i].comes_from(request, sent);
    return false;
}

bool rules_answer_is_edited(const struct wire_message *request, const struct wire_message *response)
{
    const struct wire_line *route = request->has_head ? wire_find(request, "x-route", 0) : NULL;

    if (!route || !wire_is(route->value, "edit"))
        return true;
    return has_one(response, "x-answer") && !wire_find(response, "server", 0);
}

bool rules_answer_by_themselves(const struct wire_message *response)
{
    static const struct {
        unsigned status;
        const char *body, *field;
    } answers[] = {{451, "denied\n", NULL}, {422, "unfit\n", NULL}, {200, "said\n", "x-answer"}, {308, "", "location"}};

    for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
        struct text body = text_of(answers[i].body);

        if (response->status == answers[i].status && response->body.length <= body.length &&
            memcmp(body.data, response->body.data, response->body.length) == 0 &&
            (!answers[i].field || has_one(response, answers[i].field)))
            return response->status != 308 || begins_with(wire_find(response, "location", 0)->value, "/x/r");
    }
    return false;
}

#ifdef __clang__
#pragma clang attribute pop
#endif
