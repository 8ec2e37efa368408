#include "cmd/explain.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "config/value.h"
#include "proxy/base/line.h"
#include "proxy/base/list.h"
#include "proxy/base/secret.h"
#include "proxy/exchange/route.h"
#include "proxy/http/forward.h"
#include "proxy/http/location.h"
#include "proxy/report/outcome.h"

#define EXPLAIN_HEAD_BYTES (128u * 1024)

/* One run, on explain's stack. */
struct explanation {
    const struct explain_ask *ask;
    const struct listener_config *listener;
    struct request request;
    struct field items[EXPLAIN_MOST_FIELDS + 1];
    struct route_question question;
    bool unix_peer;
    struct template_values values; /* of conditions: what files hold */
    struct secret secret;          /* the file that was looked at last */
};

static int explain_outcome(enum outcome outcome, unsigned status, const char *why)
{
    const struct outcome_info *info = outcome_info(outcome);

    printf("refused: %s, status %u: %s\n", info->name, status ? status : info->status, why ? why : info->sentence);
    return CMD_FAILED;
}

/* ---- who asks ---- */

static bool explain_has_group(const struct explain_ask *ask, gid_t gid)
{
    for (size_t i = 0; i < ask->n_gids; i++)
        if (ask->gids[i] == gid)
            return true;
    return false;
}

static bool explain_peer_fits(void *closure, const struct peer_rule *rules, size_t n_rules, bool unknown_fits UNUSED)
{
    const struct explanation *explanation = closure;
    const struct explain_ask *ask = explanation->ask;

    for (size_t i = 0; explanation->unix_peer && i < n_rules; i++)
        if ((rules[i].has_uid || rules[i].has_gid) && (!rules[i].has_uid || rules[i].uid == ask->uid) &&
            (!rules[i].has_gid || explain_has_group(ask, rules[i].gid)))
            return true;
    return false;
}

static bool explain_may_connect(struct explanation *explanation)
{
    const struct listener_config *listener = explanation->listener;

    if (explain_peer_fits(explanation, listener->denied, listener->n_denied, true)) {
        puts("refused: the peer may not connect: it fits a rule of peers.deny");
        return false;
    }
    if (listener->n_peers > 0 && !explain_peer_fits(explanation, listener->peers, listener->n_peers, false)) {
        puts("refused: the peer may not connect: it fits no rule of peers.allow");
        return false;
    }
    return true;
}

static bool explain_is_trusted(struct explanation *explanation)
{
    const struct listener_config *listener = explanation->listener;

    return listener->forwarded == FORWARDED_APPEND ||
           (listener->forwarded == FORWARDED_TRUST &&
            explain_peer_fits(explanation, listener->trusted, listener->n_trusted, false));
}

/* ---- the request ---- */

/* What a condition is held against is read, but never shown. */
static bool explain_condition_file(struct template_values *values, const struct template_piece *piece,
                                   struct text *ret_text)
{
    struct explanation *explanation = CONTAINER_OF(values, struct explanation, values);

    secret_deinit(&explanation->secret);
    explanation->secret = (struct secret){.path = piece->text.data};
    return secret_get(&explanation->secret, instant_now(), ret_text);
}

static bool explain_add_field(struct request *request, const char *text)
{
    const char *colon = strchr(text, ':');

    if (!colon || colon == text)
        return false;
    request->fields.items[request->fields.n_items++] =
        field_of((struct text){text, (size_t)(colon - text)}, text_of(colon + 1));
    return true;
}

static bool explain_names_host(const struct explain_ask *ask)
{
    for (size_t i = 0; i < ask->n_fields; i++)
        if (strncasecmp(ask->fields[i], "host:", 5) == 0)
            return true;
    return false;
}

static int explain_read_request(struct explanation *explanation)
{
    const struct explain_ask *ask = explanation->ask;
    struct request *request = &explanation->request;
    const char *space = strchr(ask->line, ' ');

    if (!space || space == ask->line || space[1] == '\0' || strchr(space + 1, ' '))
        return cmd_usage_error("check", "'%s' is no request; write it as 'GET /path'", ask->line);
    request->method = (struct text){ask->line, (size_t)(space - ask->line)};
    request->target = text_of(space + 1);
    request->minor = 1;
    request->local = explanation->unix_peer;
    request->trusted = explain_is_trusted(explanation);
    request->fields = (struct fields){explanation->items, 0, EXPLAIN_MOST_FIELDS + 1};
    if (!explain_names_host(ask))
        explain_add_field(request, "Host: localhost");
    for (size_t i = 0; i < ask->n_fields; i++)
        if (!explain_add_field(request, ask->fields[i]))
            return cmd_usage_error("check", "'%s' is no field; write it as 'Name: value'", ask->fields[i]);
    return CMD_OK;
}

/* ---- routes ---- */

/* Which routes were looked at, and what in each did not hold. */
static void explain_routes(const struct explanation *explanation, const struct route_config *last)
{
    const struct listener_config *listener = explanation->listener;
    struct route_view view;

    if (!route_look(&explanation->question, &view))
        return;
    for (size_t i = 0; i < listener->n_routes; i++) {
        const struct route_config *route = &listener->routes[i];
        const char *why = NULL, *objection = route_objection(route, &explanation->question, &view, &why);

        if (route == last && !why)
            printf("route %zu, %s: taken\n", i + 1, route->name);
        else if (why)
            printf("route %zu, %s: cannot be told: %s\n", i + 1, route->name, why);
        else if (objection)
            printf("route %zu, %s: no, by match.%s\n", i + 1, route->name, objection);
        if (route == last)
            break;
    }
}

static void explain_limits(const struct explanation *explanation, const struct route_config *route)
{
    const struct target_times *times = route->has_times ? &route->times : &route->target->times;
    uint64_t body = route->has_limit_body ? route->limit_body_bytes : explanation->listener->limit_body_bytes;
    char text[VALUE_BYTES];

    if (route->has_body && route->body.max_bytes < body)
        body = route->body.max_bytes;
    printf("limits: body %s", value_format(body, UNIT_BYTES, text));
    printf(", timeouts.response %s", value_format(times->response_ms, UNIT_MS, text));
    printf(", timeouts.idle %s\n", value_format(times->idle_ms, UNIT_MS, text));
}

static bool explain_file(struct template_values *values UNUSED, const struct template_piece *piece UNUSED,
                         struct text *ret_text)
{
    *ret_text = TEXT_LITERAL("(what the file holds)");
    return true;
}

/* The path that the target is asked for, where the route has another one. */
static int explain_rewrite(const struct explanation *explanation, const struct route_config *route,
                           struct head_writer *writer)
{
    const struct rewrite_room room = {explanation->question.means.memory, explanation->question.scratch,
                                      explanation->question.scratch_bytes};
    size_t from = writer->length;

    if (!rewrite_is_any(&route->rewrite))
        return CMD_OK;
    switch (rewrite_apply(&route->rewrite, explanation->request.origin, &room, writer)) {
    case REWRITE_DONE:
        printf("rewritten: %.*s instead of %.*s\n", (int)(writer->length - from), writer->out + from,
               (int)explanation->request.origin.length, explanation->request.origin.data);
        return CMD_OK;
    case REWRITE_NOT:
        puts("not rewritten: the path does not fit");
        writer->length = from;
        return CMD_OK;
    case REWRITE_AMBIGUOUS:
        return explain_outcome(OUTCOME_AMBIGUOUS_PATH, 0, "it cannot be rewritten safely");
    case REWRITE_UNDECIDED:
        return explain_outcome(OUTCOME_UNDECIDED, 0, "the pattern of a rewrite was given up at its limit");
    case REWRITE_FULL:
        break;
    }
    return explain_outcome(OUTCOME_URI_TOO_LONG, 0, NULL);
}

/* What the route changes, in *edit. */
static int explain_edit(const struct explanation *explanation, const struct route_config *route,
                        const struct forward *forward, struct head_writer *writer, struct forward_edit *edit)
{
    struct template_values values = {.uid = explanation->ask->uid,
                                     .gid = explanation->ask->gids[0],
                                     .has_peer = explanation->unix_peer,
                                     .request_id = forward->request_id,
                                     .file = explain_file};
    const struct edits *edits = &route->request_headers;
    int status = explain_rewrite(explanation, route, writer);

    if (status != CMD_OK)
        return status;
    edits_take_request(&values, &explanation->request);
    *edit = (struct forward_edit){.edits = edits, .origin = {writer->out, writer->length}};
    if (edits->host)
        edit->host = text_of(template_text(edits->host->value));
    if (edits_write(edits, &values, writer) != TEMPLATE_DONE)
        return explain_outcome(OUTCOME_HEADER_TOO_LARGE, 0, NULL);
    edit->lines = (struct text){writer->out + edit->origin.length, writer->length - edit->origin.length};
    return CMD_OK;
}

/* What the target would get, line by line, with what would be strange on a terminal escaped. */
static int explain_forward(const struct explanation *explanation, const struct route_config *route,
                           const struct target_config *target)
{
    char node[64], *head = malloc(2 * EXPLAIN_HEAD_BYTES), line[1024];
    struct head_writer lines = {.out = head ? head + EXPLAIN_HEAD_BYTES : NULL, .size = head ? EXPLAIN_HEAD_BYTES : 0};
    struct forward forward = {.client_node = {node, 0},
                              .request_id = request_given_id(&explanation->request),
                              .silent = explanation->listener->forwarded == FORWARDED_OFF,
                              .upgrade_allowed = route ? route->upgrade : NULL};
    struct forward_edit edit;
    size_t length = 0;

    forward.client_node.length =
        (size_t)(explanation->unix_peer ? snprintf(node, sizeof(node), "_uid-%u.gid-%u",
                                                   (unsigned)explanation->ask->uid, (unsigned)explanation->ask->gids[0])
                                        : snprintf(node, sizeof(node), "192.0.2.1"));
    if (forward.request_id.length == 0)
        forward.request_id = TEXT_LITERAL("(one of ours)");
    if (route && route->modifies_request) {
        int status = explain_edit(explanation, route, &forward, &lines, &edit);

        if (status != CMD_OK) {
            free(head);
            return status;
        }
        forward.edit = &edit;
    }
    printf("forwarded to %s (%s), as\n", target->name, target->endpoints[0].text);
    if (head)
        length = forward_write(&explanation->request, &forward, head, EXPLAIN_HEAD_BYTES);
    for (size_t at = 0; at + 2 < length;) {
        size_t n = (size_t)((const char *)memmem(head + at, length - at, "\r\n", 2) - (head + at));

        line[line_escape(line, sizeof(line) - 1, head + at, n)] = '\0';
        printf("    %s\n", line);
        at += n + 2;
    }
    free(head);
    return CMD_OK;
}

static int explain_observed(const struct explanation *explanation, const struct route_config *route)
{
    printf("would be refused, but listener %s only observes\n", explanation->listener->name);
    return explain_forward(explanation, route, explanation->listener->observe);
}

static int explain_redirect(const struct explanation *explanation, const struct route_config *route)
{
    struct template_values values = {0};
    char *memory = malloc(2 * EXPLAIN_HEAD_BYTES);
    size_t length = 0;
    int status = CMD_FAILED;

    edits_take_request(&values, &explanation->request);
    switch (memory ? location_write(route->redirect.location, &values, memory, memory + EXPLAIN_HEAD_BYTES,
                                    EXPLAIN_HEAD_BYTES, &length)
                   : LOCATION_FULL) {
    case LOCATION_DONE:
        printf("redirected by the route, status %u, to %.*s\n", route->redirect.status, (int)length,
               memory + EXPLAIN_HEAD_BYTES);
        status = CMD_OK;
        break;
    case LOCATION_ELSEWHERE:
        explain_outcome(OUTCOME_AMBIGUOUS_PATH, 0, "the path would read as a host in a Location");
        break;
    case LOCATION_NO_HOST:
        explain_outcome(OUTCOME_MALFORMED, 0, "no Host to redirect to");
        break;
    case LOCATION_FULL:
        explain_outcome(OUTCOME_URI_TOO_LONG, 0, NULL);
        break;
    }
    free(memory);
    return status;
}

static int explain_action(const struct explanation *explanation, const struct route_config *route)
{
    if (route->has_rate)
        printf("rate: %u in %" PRIu64 " ms, %u at once\n", route->rate.requests, route->rate.per_ms, route->rate.burst);
    switch (route->action) {
    case ROUTE_RESPOND:
        printf("answered by the route, status %u\n", route->respond.status);
        return CMD_OK;
    case ROUTE_REDIRECT:
        return explain_redirect(explanation, route);
    case ROUTE_DENY:
        if (explanation->listener->observe)
            return explain_observed(explanation, route);
        return explain_outcome(OUTCOME_DENIED, route->deny.status, NULL);
    case ROUTE_TARGET:
        break;
    }
    explain_limits(explanation, route);
    if (route->has_body)
        printf("body: needed, of JSON, and refused unless %zu %s, which nobody asks here\n", route->body.n_rules,
               route->body.n_rules == 1 ? "rule holds" : "rules hold");
    return explain_forward(explanation, route, route->target);
}

static int explain_route(struct explanation *explanation)
{
    struct route_found found;
    enum route_result result = route_find(&explanation->question, &found);

    if (result != ROUTE_AMBIGUOUS && result != ROUTE_TOO_LONG)
        explain_routes(explanation, found.route);
    switch (result) {
    case ROUTE_FOUND:
        return explain_action(explanation, found.route);
    case ROUTE_NONE:
        if (explanation->listener->observe)
            return explain_observed(explanation, NULL);
        return explain_outcome(OUTCOME_NO_ROUTE, 0, NULL);
    case ROUTE_AMBIGUOUS:
        return explain_outcome(OUTCOME_AMBIGUOUS_PATH, 0, NULL);
    case ROUTE_UNDECIDED:
        return explain_outcome(OUTCOME_UNDECIDED, 0, found.why);
    case ROUTE_TOO_LONG:
        break;
    }
    return explain_outcome(OUTCOME_URI_TOO_LONG, 0, NULL);
}

/* ---- the whole ---- */

static const struct listener_config *explain_find_listener(const struct snapshot *snapshot, const char *name)
{
    for (size_t i = 0; i < snapshot->n_listeners; i++) {
        const struct listener_config *listener = &snapshot->listeners[i];

        if (listener->n_routes > 0 && (!name || strcmp(listener->name, name) == 0))
            return listener;
    }
    return NULL;
}

static int explain_listener(struct explanation *explanation)
{
    const struct listener_config *listener = explanation->listener;
    unsigned status = 0;
    const char *wrong;
    int r;

    if (explanation->unix_peer)
        printf("listener %s, asked by uid %u, gid %u\n", listener->name, (unsigned)explanation->ask->uid,
               (unsigned)explanation->ask->gids[0]);
    else
        printf("listener %s\n", listener->name);
    if (!explain_may_connect(explanation))
        return CMD_FAILED;
    r = explain_read_request(explanation);
    if (r != CMD_OK)
        return r;
    wrong = request_check(&explanation->request, &status);
    if (wrong)
        return explain_outcome(status == 501 ? OUTCOME_NOT_SUPPORTED : OUTCOME_MALFORMED, status, wrong);
    return explain_route(explanation);
}

int explain(const struct snapshot *snapshot, const struct explain_ask *ask)
{
    struct explanation explanation = {.ask = ask, .listener = explain_find_listener(snapshot, ask->listener)};
    size_t scratch_bytes = 2 * strlen(ask->line) + EXPLAIN_HEAD_BYTES;
    int status = CMD_FAILED;

    if (!explanation.listener)
        return cmd_usage_error(
            "check", ask->listener ? "there is no listener '%s' with routes" : "no listener has routes", ask->listener);
    explanation.values.file = explain_condition_file;
    explanation.unix_peer = explanation.listener->bind.kind != ADDRESS_TCP;
    explanation.question = (struct route_question){.listener = explanation.listener,
                                                   .request = &explanation.request,
                                                   .means = {pattern_memory_new(), &explanation.values},
                                                   .scratch = malloc(scratch_bytes),
                                                   .scratch_bytes = scratch_bytes,
                                                   .peer_fits = explain_peer_fits,
                                                   .closure = &explanation};
    if (explanation.question.means.memory && explanation.question.scratch)
        status = explain_listener(&explanation);
    else
        fputs("porthole check: out of memory\n", stderr);
    pattern_memory_free(explanation.question.means.memory);
    free(explanation.question.scratch);
    secret_deinit(&explanation.secret);
    return status;
}
