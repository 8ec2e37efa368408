#include "tests/fuzz/exchange_judge.h"

#include <string.h>

#include "tests/fuzz/exchange_rules.h"
#include "tests/fuzz/exchange_wire.h"
#include "tests/fuzz/exchange_world.h"

/* The fuzzer looks for new ways through the proxy, not through its judge. */
#ifdef __clang__
#pragma clang attribute push(__attribute__((no_sanitize("coverage"))), apply_to = function)
#endif

#define EXCHANGES_MOST 256
#define INTERIMS_MOST 512

/* A request and its final response as one end sees them: what it said and what it heard, or the other way round. */
struct pair {
    struct wire_message request, response;
};

struct view {
    size_t n_pairs;
    struct pair pairs[EXCHANGES_MOST];
    size_t n_interims;
    struct wire_message interims[INTERIMS_MOST]; /* that were said or heard */
    bool tunnel;                                 /* the last pair left HTTP */
    bool stream;                                 /* there never was any */
};

static struct view clients[WORLD_CLIENTS], targets[WORLD_TARGETS];

static struct text stream_text(const struct world_stream *stream)
{
    return (struct text){stream->data, stream->length};
}

static struct text stream_rest(const struct world_stream *stream, size_t at)
{
    return (struct text){stream->data + at, stream->length - at};
}

static bool begins_with(struct text whole, struct text part)
{
    return part.length <= whole.length && wire_equal((struct text){whole.data, part.length}, part);
}

static bool is_head(const struct wire_message *request)
{
    return request->has_head && wire_equal(request->method, TEXT_LITERAL("HEAD"));
}

static bool asks_to_upgrade(const struct wire_message *request)
{
    return request->has_head && request->minor == 1 && wire_find(request, "upgrade", 0) &&
           wire_lists(request, "connection", "upgrade");
}

/* The final response (or 101) from an offset on. Interim ones before it are kept in the view. */
static void read_final(struct text said, size_t at, bool ended, struct view *view, struct pair *pair)
{
    for (;;) {
        struct wire_message *response = &pair->response;

        wire_read_response(said, at, is_head(&pair->request), ended, response);
        if (response->state != WIRE_WHOLE || response->status >= 200 ||
            (response->status == 101 && asks_to_upgrade(&pair->request)))
            return;
        at = response->end;
        if (view->n_interims < INTERIMS_MOST)
            view->interims[view->n_interims++] = *response;
    }
}

static struct pair *view_next(struct view *view)
{
    if (view->n_pairs == EXCHANGES_MOST)
        world_fail("more exchanges than the judge can hold");
    return &view->pairs[view->n_pairs++];
}

/* ---- what a target sees ---- */

/* The fields of the hop are the proxy's own words. */
static void check_hop(const struct wire_message *request)
{
    const struct wire_line *connection = wire_find(request, "connection", 0), *te = wire_find(request, "te", 0);

    if (wire_find(request, "connection", 1) || wire_find(request, "te", 1) || wire_find(request, "upgrade", 1))
        world_fail("a field of the hop twice");
    if (te && !wire_is(te->value, "trailers"))
        world_fail("TE is not trailers");
    if (!te != !wire_lists(request, "connection", "te") ||
        !wire_find(request, "upgrade", 0) != !wire_lists(request, "connection", "upgrade"))
        world_fail("Connection names other fields than there are");
    if (connection && !wire_is(connection->value, "te") && !wire_is(connection->value, "upgrade") &&
        !wire_is(connection->value, "upgrade, te"))
        world_fail("Connection was forwarded");
}

/* Of every request that reaches a target, whoever sent it. */
static void check_forwarded_head(const struct wire_message *request)
{
    static const char *const never[] = {"keep-alive", "proxy-connection"};

    if (request->minor != 1)
        world_fail("forwarded as HTTP/1.%u", request->minor);
    if (!wire_find(request, "host", 0) || wire_find(request, "host", 1))
        world_fail("not exactly one Host");
    if (wire_find(request, "content-length", 1))
        world_fail("more than one Content-Length");
    if (request->target.data[0] != '/' && !wire_is(request->target, "*"))
        world_fail("not forwarded in origin-form");
    for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
        if (wire_find(request, never[i], 0))
            world_fail("%s was forwarded", never[i]);
    check_hop(request);
}

/* What the target had said when a byte of what it heard had arrived, at most. */
static size_t said_before(const struct world_end *end, size_t heard)
{
    for (size_t i = 0; i < end->n_marks; i++)
        if (end->marks[i].arrived > heard)
            return end->marks[i].said;
    return end->said.length;
}

/* Another request over the same connection. Everything that the target had said by then is one whole answer. */
static void check_reuse(const struct world_end *end, const struct pair *last)
{
    if (last->request.state != WIRE_WHOLE)
        world_fail("a request behind half a request");
    if (last->response.state != WIRE_WHOLE)
        world_fail("a request before the last one was answered");
    if (last->response.framing == WIRE_TO_THE_END || wire_lists(&last->response, "connection", "close"))
        world_fail("a request on a connection that the answer closed");
    if (said_before(end, last->request.end) != last->response.end)
        world_fail("a request on a connection with bytes behind the answer");
}

/* Whether what it heard is what a client of a stream listener said. (No request is: it has a Via.) */
static bool is_streamed_to(const struct world_end *target)
{
    for (size_t i = 0; i < world.n_clients; i++)
        if (clients[i].stream && begins_with(stream_text(&world.clients[i].said), stream_text(&target->heard)))
            return true;
    return false;
}

static void read_target(const struct world_end *end, struct view *view)
{
    struct text said = stream_text(&end->said), heard = stream_text(&end->heard);
    size_t said_at = 0, heard_at = 0;

    view->n_pairs = view->n_interims = 0;
    view->tunnel = false;
    view->stream = is_streamed_to(end);
    if (view->stream)
        return;
    while (heard_at < heard.length && !view->tunnel) {
        struct pair *pair;

        if (view->n_pairs > 0)
            check_reuse(end, &view->pairs[view->n_pairs - 1]);
        pair = view_next(view);
        wire_read_request(heard, heard_at, WIRE_STRICT, &pair->request);
        if (pair->request.state == WIRE_BROKEN)
            world_fail("the target got a malformed request: %s", pair->request.why);
        if (pair->request.has_head)
            check_forwarded_head(&pair->request);
        read_final(said, said_at, end->finished || end->fd < 0, view, pair);
        view->tunnel = pair->response.has_head && pair->response.status == 101;
        heard_at = pair->request.end;
        said_at = pair->response.end;
        if (pair->request.state == WIRE_PARTIAL)
            return;
    }
}

/* ---- what a client sees ---- */

/* libmicrohttpd 0.9.75 sends the head of its answer to a Content-Length that it does not like (also for white space
 * behind the number) twice, and closes. */
static bool is_said_twice(const struct pair *pair, struct text heard)
{
    const struct wire_message *response = &pair->response;
    size_t n = response->head_end - response->start;

    return response->has_head && (response->status == 400 || response->status == 413) &&
           wire_lists(response, "connection", "close") && heard.length - response->head_end >= n &&
           memcmp(heard.data + response->start, heard.data + response->head_end, n) == 0;
}

/* A relayed answer into which the library wrote its own refusal of the request's chunks: only a client whose chunks are
 * malformed gets that, and it sees that the answer is broken. */
static bool is_refused_in_relay(const struct pair *pair, struct text heard, bool last)
{
    static const char refusal[] = "HTTP/1.1 4";
    const struct wire_message *request = &pair->request, *response = &pair->response;

    return request->has_head && request->framing == WIRE_CHUNKED && last && response->has_head &&
           response->framing == WIRE_CHUNKED && wire_lists(response, "connection", "close") &&
           memmem(heard.data + response->head_end, heard.length - response->head_end, refusal, sizeof(refusal) - 1);
}

/* Whether a message whose end two readers may see in different places is the last one that counts. */
static void read_request_of_client(struct text said, size_t at, struct wire_message *ret_request, bool *ret_last)
{
    wire_read_request(said, at, WIRE_OF_CLIENTS, ret_request);
    *ret_last = ret_request->state != WIRE_WHOLE;
    if (ret_request->state == WIRE_BROKEN && ret_request->has_head && ret_request->framing == WIRE_CHUNKED)
        wire_read_request(said, at, WIRE_LAX, ret_request);
}

/* Requests behind what is answered count, too: they may have been forwarded. */
static void read_client(const struct world_end *end, struct view *view)
{
    struct text said = stream_text(&end->said), heard = stream_text(&end->heard);
    size_t said_at = 0, heard_at = 0, n_interims;
    struct pair *pair;
    bool last;

    view->n_pairs = view->n_interims = 0;
    view->tunnel = false;
    view->stream = end->listener->stream != NULL;
    do {
        pair = view_next(view);
        if (view->stream)
            return;
        read_request_of_client(said, said_at, &pair->request, &last);
        n_interims = view->n_interims;
        read_final(heard, heard_at, end->ended, view, pair);
        if (is_said_twice(pair, heard)) {
            pair->response.has_head = false;
            return;
        }
        if (pair->response.state == WIRE_BROKEN && is_refused_in_relay(pair, heard, last)) {
            pair->response.state = WIRE_PARTIAL;
            return;
        }
        if (pair->response.state == WIRE_BROKEN)
            world_fail("the client got a malformed response: %s", pair->response.why);
        if (view->n_interims > n_interims && (!pair->request.has_head || pair->request.minor == 0))
            world_fail("an interim response to HTTP/1.0, or to what is no request");
        if (pair->response.has_head && !pair->request.has_head && pair->response.status < 400)
            world_fail("%u for what is no request", pair->response.status);
        view->tunnel = pair->response.has_head && pair->response.status == 101;
        said_at = pair->request.end;
        heard_at = pair->response.end;
    } while (!last && !view->tunnel);
    if (!view->tunnel && pair->response.state == WIRE_WHOLE && heard_at < heard.length)
        world_fail("more answers than requests");
}

/* ---- from a client to a target ---- */

static const struct wire_line *find_line(const struct wire_line *lines, size_t n, const struct wire_line *line)
{
    for (size_t i = 0; i < n; i++)
        if (wire_equal(lines[i].name, line->name) && wire_equal(lines[i].value, line->value))
            return &lines[i];
    return NULL;
}

static bool is_one_of(struct text name, const char *const *names)
{
    for (; *names; names++)
        if (wire_is(name, *names))
            return true;
    return false;
}

static bool all_lines_known(const struct wire_message *message, const struct wire_message *origin,
                            const char *const *ours)
{
    for (size_t i = 0; i < message->n_lines; i++)
        if (!is_one_of(message->lines[i].name, ours) && !find_line(origin->lines, origin->n_lines, &message->lines[i]))
            return false;
    for (size_t i = 0; i < message->n_trailers; i++)
        if (!find_line(origin->trailers, origin->n_trailers, &message->trailers[i]))
            return false;
    return true;
}

/* A body arrives whole or as its beginning, and is whole only if it was. */
static bool body_comes_from(const struct wire_message *message, const struct wire_message *origin)
{
    if (!begins_with(origin->body, message->body))
        return false;
    return message->state != WIRE_WHOLE || (origin->state == WIRE_WHOLE && origin->body.length == message->body.length);
}

/* Origin-form of an absolute-form target: what follows the authority, with a path in front of a query. */
static bool target_comes_from(struct text target, struct text sent)
{
    const char *slashes;
    size_t n;

    if (wire_equal(target, sent))
        return true;
    slashes = memmem(sent.data, sent.length, "://", 3);
    if (!slashes || sent.data[0] == '/')
        return false;
    n = (size_t)(slashes + 3 - sent.data);
    while (n < sent.length && sent.data[n] != '/' && sent.data[n] != '?')
        n++;
    sent = (struct text){sent.data + n, sent.length - n};
    if (sent.length == 0)
        return wire_is(target, "/") || wire_is(target, "*");
    if (sent.data[0] == '?' && target.data[0] == '/')
        target = (struct text){target.data + 1, target.length - 1};
    return wire_equal(target, sent);
}

/* One that a client of the listener sent. */
static bool request_comes_from(const struct wire_message *request, const struct listener_config *listener,
                               const struct wire_message *sent)
{
    static const char *const ours[] = {"host",           "via",
                                       "forwarded",      "x-forwarded-for",
                                       "content-length", "x-forwarded-host",
                                       "expect",         "x-forwarded-proto",
                                       "x-request-id",   "transfer-encoding",
                                       "connection",     "te",
                                       "upgrade",        NULL};
    static const char *const rules[] = {"host",
                                        "via",
                                        "forwarded",
                                        "x-forwarded-for",
                                        "content-length",
                                        "x-forwarded-host",
                                        "expect",
                                        "x-forwarded-proto",
                                        "x-request-id",
                                        "transfer-encoding",
                                        "connection",
                                        "te",
                                        "upgrade",
                                        "x-route",
                                        "x-id",
                                        "x-path",
                                        "x-file",
                                        "x-sent-host",
                                        NULL};

    if (!sent->has_head || !wire_equal(request->method, sent->method) || !body_comes_from(request, sent))
        return false;
    if (rules_are_of(listener))
        return rules_request_comes_from(request, sent) && all_lines_known(request, sent, rules);
    return target_comes_from(request->target, sent->target) && all_lines_known(request, sent, ours);
}

/* The exchange that a request at a target belongs to, as some client sees it; NULL when nobody sent it. */
static const struct pair *find_sender(const struct pair *at_target, size_t *ret_client)
{
    for (size_t i = 0; i < world.n_clients; i++)
        for (size_t k = 0; k < clients[i].n_pairs; k++)
            if (request_comes_from(&at_target->request, world.clients[i].listener, &clients[i].pairs[k].request)) {
                *ret_client = i;
                return &clients[i].pairs[k];
            }
    return NULL;
}

/* Behind a 101, what one end hears is the beginning of what the other one says. */
static void check_tunnel_at_target(size_t target, const struct pair *last)
{
    struct text heard = stream_rest(&world.targets[target].heard, last->request.end);

    for (size_t i = 0; i < world.n_clients; i++)
        for (size_t k = 0; k < clients[i].n_pairs; k++) {
            const struct wire_message *sent = &clients[i].pairs[k].request;

            if (request_comes_from(&last->request, world.clients[i].listener, sent) &&
                begins_with(stream_rest(&world.clients[i].said, sent->end), heard))
                return;
        }
    world_fail("the target got other bytes through a tunnel than its client sent");
}

static void check_target(size_t target)
{
    const struct view *view = &targets[target];
    size_t client;

    for (size_t k = 0; k < view->n_pairs; k++)
        if (view->pairs[k].request.has_head && !find_sender(&view->pairs[k], &client))
            world_fail("the target got a request that nobody sent");
    if (view->tunnel)
        check_tunnel_at_target(target, &view->pairs[view->n_pairs - 1]);
}

/* The id that the proxy gave to a request that brought none: an exchange's own. */
static struct text own_id(const struct wire_message *request)
{
    const struct wire_line *line = request->has_head ? wire_find(request, "x-request-id", 0) : NULL;

    if (!line || line->value.length != 32 || memcmp(line->value.data, "0000000000000000", 16) != 0)
        return (struct text){NULL, 0};
    return line->value;
}

static bool client_gave_id(struct text id)
{
    for (size_t i = 0; i < world.n_clients; i++)
        if (memmem(world.clients[i].said.data, world.clients[i].said.length, id.data, id.length))
            return true;
    return false;
}

/* A request whose head the target has read is never sent again. (Where it has not, it goes over a fresh connection,
 * which is accepted later.) */
static void check_sent_once(size_t target, size_t k)
{
    const struct wire_message *request = &targets[target].pairs[k].request;
    struct text id = own_id(request);

    if (id.length == 0 || request->head_end > world.targets[target].n_read || client_gave_id(id))
        return;
    for (size_t i = target; i < world.n_targets; i++)
        for (size_t j = i == target ? k + 1 : 0; j < targets[i].n_pairs; j++)
            if (wire_equal(own_id(&targets[i].pairs[j].request), id))
                world_fail("a request was sent twice");
}

/* ---- from a target to a client ---- */

static bool response_comes_from(const struct pair *heard, const struct wire_message *said)
{
    static const char *const ours[] = {"date", "connection", "content-length", "transfer-encoding", "x-answer", NULL};
    const struct wire_message *response = &heard->response;

    if (!said->has_head || said->status != response->status || !all_lines_known(response, said, ours))
        return false;
    if (response->framing == WIRE_NONE)
        return !response->has_length || !said->has_length || response->length == said->length;
    /* HTTP/1.0 has no way to tell a cut. */
    if (response->framing == WIRE_TO_THE_END && heard->request.minor == 0)
        return begins_with(said->body, response->body);
    return body_comes_from(response, said);
}

static bool tunnel_comes_from(size_t client, const struct pair *heard, size_t target, const struct pair *said)
{
    return targets[target].tunnel && begins_with(stream_rest(&world.targets[target].said, said->response.end),
                                                 stream_rest(&world.clients[client].heard, heard->response.end));
}

static bool was_forwarded(size_t client, const struct pair *heard)
{
    for (size_t i = 0; i < world.n_targets; i++)
        for (size_t k = 0; k < targets[i].n_pairs; k++) {
            const struct pair *said = &targets[i].pairs[k];

            /* A target may answer before it has the whole head. */
            if ((!said->request.has_head ||
                 request_comes_from(&said->request, world.clients[client].listener, &heard->request)) &&
                response_comes_from(heard, &said->response) &&
                (heard->response.status == 101 || !rules_are_of(world.clients[client].listener) ||
                 rules_answer_is_edited(&said->request, &heard->response)) &&
                (heard->response.status != 101 || tunnel_comes_from(client, heard, i, said)))
                return true;
        }
    return false;
}

/* A problem document. */
static bool is_problem(const struct wire_message *response)
{
    const struct wire_line *type = wire_find(response, "content-type", 0);

    return response->status >= 400 && type && wire_is(type->value, "application/problem+json") &&
           begins_with(response->body, (struct text){"{\"type\":\"about:blank\",",
                                                     response->body.length < 22 ? response->body.length : 22});
}

/* The answer of a route, or the library's own to what it takes for no request. */
static bool is_ours(const struct wire_message *response)
{
    static const struct {
        unsigned status;
        const char *body;
    } routes[] = {{204, ""}, {403, "not here\n"}, {200, "here\n"}};

    for (size_t i = 0; i < sizeof(routes) / sizeof(routes[0]); i++)
        if (response->status == routes[i].status && begins_with(text_of(routes[i].body), response->body))
            return true;
    if (rules_answer_by_themselves(response))
        return true;
    return response->status >= 400 &&
           begins_with(TEXT_LITERAL("<html>"),
                       (struct text){response->body.data, response->body.length < 6 ? response->body.length : 6});
}

/* 100 is the library's to say, to whoever expects it; the others are a target's. */
static bool interim_comes_from_somebody(const struct wire_message *interim, const struct view *client)
{
    static const char *const ours[] = {NULL};

    for (size_t k = 0; k < client->n_pairs && interim->status == 100; k++)
        if (client->pairs[k].request.has_head && wire_find(&client->pairs[k].request, "expect", 0))
            return true;
    for (size_t i = 0; i < world.n_targets; i++)
        for (size_t k = 0; k < targets[i].n_interims; k++)
            if (targets[i].interims[k].status == interim->status &&
                all_lines_known(interim, &targets[i].interims[k], ours))
                return interim->status != 100;
    return false;
}

/* ---- counting ---- */

static uint64_t count_outcomes(void)
{
    uint64_t n = 0;

    for (size_t i = 0; i < N_OUTCOMES; i++)
        n += counter_read(&world.metrics.outcomes[i]);
    return n;
}

/* Every answer belongs to an exchange, every exchange to something that begins like a request. */
static void check_outcomes(uint64_t n_answers)
{
    uint64_t n_begun = 0, n = count_outcomes();

    for (size_t i = 0; i < world.n_clients; i++)
        n_begun += clients[i].n_pairs;
    if (n < n_answers)
        world_fail("%llu outcomes for %llu answers", (unsigned long long)n, (unsigned long long)n_answers);
    if (n > n_begun)
        world_fail("%llu outcomes for %llu requests", (unsigned long long)n, (unsigned long long)n_begun);
    if (counter_read(&world.metrics.outcomes[OUTCOME_INTERNAL]) > 0)
        world_fail("an exchange failed by our own fault");
}

/* What a stream's client hears is what some target said to one. */
static void check_stream(size_t client)
{
    for (size_t i = 0; i < world.n_targets; i++)
        if (targets[i].stream &&
            begins_with(stream_text(&world.clients[client].said), stream_text(&world.targets[i].heard)) &&
            begins_with(stream_text(&world.targets[i].said), stream_text(&world.clients[client].heard)))
            return;
    if (world.clients[client].heard.length > 0)
        world_fail("the client of a stream heard what nobody said");
}

static uint64_t check_client(size_t client)
{
    uint64_t n_answers = 0;

    if (clients[client].stream) {
        check_stream(client);
        return 0;
    }
    for (size_t i = 0; i < clients[client].n_interims; i++)
        if (!interim_comes_from_somebody(&clients[client].interims[i], &clients[client]))
            world_fail("the client got an interim response that nobody sent");

    for (size_t k = 0; k < clients[client].n_pairs; k++) {
        const struct pair *pair = &clients[client].pairs[k];

        if (!pair->response.has_head)
            continue;
        if (was_forwarded(client, pair) || is_problem(&pair->response))
            n_answers++;
        else if (!is_ours(&pair->response))
            world_fail("the client got a response (%u) that nobody sent", pair->response.status);
    }
    return n_answers;
}

void judge(void)
{
    uint64_t n_answers = 0;

    wire_reset();
    for (size_t i = 0; i < world.n_clients; i++)
        read_client(&world.clients[i], &clients[i]);
    for (size_t i = 0; i < world.n_targets; i++)
        read_target(&world.targets[i], &targets[i]);
    for (size_t i = 0; i < world.n_targets; i++) {
        check_target(i);
        for (size_t k = 0; k < targets[i].n_pairs; k++)
            check_sent_once(i, k);
    }
    for (size_t i = 0; i < world.n_clients; i++)
        n_answers += check_client(i);
    check_outcomes(n_answers);
}

#ifdef __clang__
#pragma clang attribute pop
#endif
