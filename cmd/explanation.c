#include "cmd/explanation.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cmd/cmd.h"
#include "cmd/veil.h"
#include "config/value.h"
#include "proxy/base/line.h"
#include "proxy/exchange/body_rules.h"
#include "proxy/http/forward.h"
#include "proxy/http/json_media.h"
#include "proxy/http/location.h"
#include "proxy/http/trace.h"

int explanation_refuse(enum outcome outcome, unsigned status, const char *why)
{
    const struct outcome_info *info = outcome_info(outcome);

    printf("refused: %s, status %u: %s\n", info->name, status ? status : info->status, why ? why : info->sentence);
    return CMD_FAILED;
}

static void explanation_limits(const struct explanation *explanation, const struct route_config *route)
{
    const struct target_times *times = route_times(route);
    char text[VALUE_BYTES];

    printf("limits: body %s", value_format(route_limit_body(route, explanation->listener), UNIT_BYTES, text));
    printf(", timeouts.response %s", value_format(times->response_ms, UNIT_MS, text));
    printf(", timeouts.idle %s\n", value_format(times->idle_ms, UNIT_MS, text));
}

static bool explanation_file(struct template_values *values UNUSED, const struct template_piece *piece UNUSED,
                             struct text *ret_text)
{
    *ret_text = TEXT_LITERAL("(what the file holds)");
    return true;
}

/* The path that the target is asked for, where the route has another one. */
static int explanation_rewrite(const struct explanation *explanation, const struct rewrite *rewrite,
                               struct head_writer *writer)
{
    const struct rewrite_room room = {explanation->question.means.memory, explanation->question.scratch,
                                      explanation->question.scratch_bytes};
    size_t from = writer->length;

    if (!rewrite_is_any(rewrite))
        return CMD_OK;
    switch (rewrite_apply(rewrite, explanation->request.origin, &room, writer)) {
    case REWRITE_DONE:
        printf("rewritten: %.*s instead of %.*s\n", (int)(writer->length - from), writer->out + from,
               (int)explanation->request.origin.length, explanation->request.origin.data);
        return CMD_OK;
    case REWRITE_NOT:
        puts("not rewritten: the path does not fit");
        writer->length = from;
        return CMD_OK;
    case REWRITE_AMBIGUOUS:
        return explanation_refuse(OUTCOME_AMBIGUOUS_PATH, 0, "it cannot be rewritten safely");
    case REWRITE_UNDECIDED:
        return explanation_refuse(OUTCOME_UNDECIDED, 0, "the pattern of a rewrite was given up at its limit");
    case REWRITE_FULL:
        break;
    }
    return explanation_refuse(OUTCOME_URI_TOO_LONG, 0, NULL);
}

/* What the route changes, in *edit. */
static int explanation_edit(const struct explanation *explanation, const struct veil *veil,
                            const struct forward *forward, struct head_writer *writer, struct forward_edit *edit)
{
    struct template_values values = {.uid = explanation->ask->uid,
                                     .gid = explanation->ask->gids[0],
                                     .has_peer = explanation->unix_peer,
                                     .request_id = forward->request_id,
                                     .file = explanation_file};
    const struct edits *edits = &veil->edits;
    int status = explanation_rewrite(explanation, &veil->rewrite, writer);

    if (status != CMD_OK)
        return status;
    edits_take_request(&values, &explanation->request);
    *edit = (struct forward_edit){.edits = edits, .origin = {writer->out, writer->length}};
    if (edits->host)
        edit->host = text_of(template_text(edits->host->value));
    if (edits_write(edits, &values, writer) != TEMPLATE_DONE)
        return explanation_refuse(OUTCOME_HEADER_TOO_LARGE, 0, NULL);
    edit->lines = (struct text){writer->out + edit->origin.length, writer->length - edit->origin.length};
    return CMD_OK;
}

/* Its span is drawn by chance, and so is a trace that begins. */
static void explanation_trace(const struct explanation *explanation, struct forward *forward, char out[64])
{
    char trace[TRACE_BYTES];

    if (!explanation->listener->trace)
        return;
    forward->trace = TEXT_LITERAL("(one of ours)");
    forward->trace_begun = !trace_read(request_given_trace(&explanation->request), trace);
    if (forward->trace_begun)
        return;
    forward->trace.data = out;
    forward->trace.length = (size_t)snprintf(out, 64, "00-%.*s-(ours)-%.*s", TRACE_ID_BYTES, trace_id(trace).data, 2,
                                             trace + TRACE_BYTES - 2);
}

/* What the target would get, line by line, with what would be strange on a terminal escaped. */
static int explanation_send(const struct explanation *explanation, const struct route_config *route,
                            const struct target_config *target, const struct veil *veil)
{
    char node[64], trace[64], *head = malloc(2 * EXPLANATION_HEAD_BYTES), line[1024];
    struct head_writer lines = {.out = head ? head + EXPLANATION_HEAD_BYTES : NULL,
                                .size = head ? EXPLANATION_HEAD_BYTES : 0};
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
    explanation_trace(explanation, &forward, trace);
    if (forward.request_id.length == 0)
        forward.request_id = TEXT_LITERAL("(one of ours)");
    if (route && route->modifies_request) {
        int status = explanation_edit(explanation, veil, &forward, &lines, &edit);

        if (status != CMD_OK) {
            free(head);
            return status;
        }
        forward.edit = &edit;
    }
    printf("forwarded to %s (", target->name);
    for (size_t i = 0; i < target->n_endpoints; i++)
        printf("%s%s", i > 0 ? ", " : "", target->endpoints[i].address.text);
    printf("), as\n");
    if (head)
        length = forward_write(&explanation->request, &forward, head, EXPLANATION_HEAD_BYTES);
    for (size_t at = 0; at + 2 < length;) {
        size_t n = (size_t)((const char *)memmem(head + at, length - at, "\r\n", 2) - (head + at));

        line[line_escape(line, sizeof(line) - 1, head + at, n)] = '\0';
        printf("    %s\n", line);
        at += n + 2;
    }
    free(head);
    return CMD_OK;
}

static int explanation_forward(const struct explanation *explanation, const struct route_config *route,
                               const struct target_config *target)
{
    int status = CMD_FAILED;
    struct veil veil;

    if (!route)
        return explanation_send(explanation, NULL, target, NULL);
    if (veil_init(&veil, explanation->snapshot, route))
        status = explanation_send(explanation, route, target, &veil);
    else
        fputs("porthole check: out of memory\n", stderr);
    veil_deinit(&veil, route);
    return status;
}

int explanation_observe(const struct explanation *explanation, const struct route_config *route, const char *why)
{
    printf("would be refused, but listener %s only observes%s%s\n", explanation->listener->name, why ? ": " : "",
           why ? why : "");
    return explanation_forward(explanation, route, explanation->listener->observe);
}

/* ---- bodies ---- */

static bool explanation_body_is_too_large(const struct explanation *explanation, const struct route_config *route)
{
    const struct request *request = &explanation->request;
    uint64_t most = route_limit_body(route, explanation->listener);

    return explanation->body.length > most || (request->body == BODY_LENGTH && request->content_length > most);
}

/* False, with the reason, when a rule refuses. */
static bool explanation_judge(const struct explanation *explanation, const struct route_config *route,
                              char reason[FAILURE_REASON_BYTES])
{
    void *memory = malloc(body_rules_bytes(route, explanation->body.length));
    bool good = false;

    if (memory)
        good = body_rules_hold(route, explanation->body, memory, explanation->question.means.memory, reason);
    else
        snprintf(reason, FAILURE_REASON_BYTES, "there is no memory to judge the body");
    free(memory);
    return good;
}

/* The same of the head, and of the body as far as there is one. */
static bool explanation_body_passes(const struct explanation *explanation, const struct route_config *route,
                                    char reason[FAILURE_REASON_BYTES])
{
    const struct request *request = &explanation->request;
    const char *rules = route->body.n_rules == 1 ? "rule" : "rules";
    const char *objection =
        explanation->body.data ? body_rules_objection(request) : json_media_objection(&request->fields);

    if (objection) {
        snprintf(reason, FAILURE_REASON_BYTES, "%s", objection);
        return false;
    }
    if (!explanation->body.data) {
        printf("body: not given (--body FILE), so the %zu %s on it were not judged\n", route->body.n_rules, rules);
        return true;
    }
    if (!explanation_judge(explanation, route, reason))
        return false;
    printf("body: %zu %s, judged good\n", route->body.n_rules, rules);
    return true;
}

static int explanation_target(const struct explanation *explanation, const struct route_config *route)
{
    char reason[FAILURE_REASON_BYTES];

    explanation_limits(explanation, route);
    if (!route->has_body || explanation_body_passes(explanation, route, reason))
        return explanation_forward(explanation, route, route->target);
    if (explanation->listener->observe)
        return explanation_observe(explanation, route, reason);
    return explanation_refuse(OUTCOME_DENIED, route->body.deny.status, reason);
}

/* ---- what routes do ---- */

static int explanation_redirect(const struct explanation *explanation, const struct route_config *route)
{
    const char *written = written_find(&explanation->snapshot->written, route->redirect.location);
    struct template_values values = {0};
    char *memory = malloc(2 * EXPLANATION_HEAD_BYTES);
    size_t length = 0;
    int status = CMD_FAILED;

    edits_take_request(&values, &explanation->request);
    switch (memory ? location_write(route->redirect.location, &values, memory, memory + EXPLANATION_HEAD_BYTES,
                                    EXPLANATION_HEAD_BYTES, &length)
                   : LOCATION_FULL) {
    case LOCATION_DONE:
        printf("redirected by the route, status %u, to %.*s\n", route->redirect.status,
               written ? (int)strlen(written) : (int)length, written ? written : memory + EXPLANATION_HEAD_BYTES);
        status = CMD_OK;
        break;
    case LOCATION_ELSEWHERE:
        explanation_refuse(OUTCOME_AMBIGUOUS_PATH, 0, "the path would read as a host in a Location");
        break;
    case LOCATION_NO_HOST:
        explanation_refuse(OUTCOME_MALFORMED, 0, "no Host to redirect to");
        break;
    case LOCATION_FULL:
        explanation_refuse(OUTCOME_URI_TOO_LONG, 0, NULL);
        break;
    }
    free(memory);
    return status;
}

int explanation_act(const struct explanation *explanation, const struct route_config *route)
{
    if (explanation_body_is_too_large(explanation, route))
        return explanation_refuse(OUTCOME_BODY_TOO_LARGE, 0, NULL);
    if (route->has_rate)
        printf("rate: %u in %" PRIu64 " ms, %u at once\n", route->rate.requests, route->rate.per_ms, route->rate.burst);
    switch (route->action) {
    case ROUTE_RESPOND:
        printf("answered by the route, status %u\n", route->respond.status);
        return CMD_OK;
    case ROUTE_REDIRECT:
        return explanation_redirect(explanation, route);
    case ROUTE_DENY:
        if (explanation->listener->observe)
            return explanation_observe(explanation, route, NULL);
        return explanation_refuse(OUTCOME_DENIED, route->deny.status, NULL);
    case ROUTE_TARGET:
        break;
    }
    return explanation_target(explanation, route);
}
