#include "cmd/explain.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/explanation.h"
#include "proxy/base/list.h"

#define EXPLAIN_BODY_MOST_BYTES ((size_t)16 << 20)

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

/* `name` with its colon. */
static bool explain_is_given(const struct explain_ask *ask, const char *name)
{
    for (size_t i = 0; i < ask->n_fields; i++)
        if (strncasecmp(ask->fields[i], name, strlen(name)) == 0)
            return true;
    return false;
}

/* A body is sent with its length, unless the fields say how else. */
static void explain_add_length(struct explanation *explanation)
{
    const struct explain_ask *ask = explanation->ask;

    if (!explanation->body.data || explain_is_given(ask, "content-length:") ||
        explain_is_given(ask, "transfer-encoding:"))
        return;
    snprintf(explanation->content_length, sizeof(explanation->content_length), "Content-Length: %zu",
             explanation->body.length);
    explain_add_field(&explanation->request, explanation->content_length);
}

/* 0 or a negative errno. The file may be a pipe. */
static int explain_read_all(int fd, char *data, size_t size, size_t *ret_length)
{
    size_t length = 0;
    ssize_t n;

    do {
        n = read(fd, data + length, size - length);
        if (n < 0 && errno != EINTR)
            return -errno;
        length += n > 0 ? (size_t)n : 0;
    } while (n != 0);
    *ret_length = length;
    return length == size ? -EFBIG : 0;
}

static int explain_read_body(struct explanation *explanation)
{
    const char *file = explanation->ask->body;
    char *data = malloc(EXPLAIN_BODY_MOST_BYTES + 1);
    int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY), r = data ? 0 : -ENOMEM;
    size_t length = 0;

    if (fd < 0)
        r = -errno;
    else if (r == 0)
        r = explain_read_all(fd, data, EXPLAIN_BODY_MOST_BYTES + 1, &length);
    if (fd >= 0)
        close(fd);
    explanation->body = (struct text){data, length};
    if (r == -EFBIG)
        return cmd_usage_error("check", "%s has more than %zu MiB, which no rules judge", file,
                               EXPLAIN_BODY_MOST_BYTES >> 20);
    return r < 0 ? cmd_usage_error("check", "cannot read %s: %s", file, strerror(-r)) : CMD_OK;
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
    request->fields = (struct fields){explanation->items, 0, EXPLAIN_MOST_FIELDS + 2};
    if (!explain_is_given(ask, "host:"))
        explain_add_field(request, "Host: localhost");
    for (size_t i = 0; i < ask->n_fields; i++)
        if (!explain_add_field(request, ask->fields[i]))
            return cmd_usage_error("check", "'%s' is no field; write it as 'Name: value'", ask->fields[i]);
    explain_add_length(explanation);
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

static int explain_route(struct explanation *explanation)
{
    struct route_found found;
    enum route_result result = route_find(&explanation->question, &found);

    if (result != ROUTE_AMBIGUOUS && result != ROUTE_TOO_LONG)
        explain_routes(explanation, found.route);
    switch (result) {
    case ROUTE_FOUND:
        return explanation_act(explanation, found.route);
    case ROUTE_NONE:
        if (explanation->listener->observe)
            return explanation_observe(explanation, NULL, NULL);
        return explanation_refuse(OUTCOME_NO_ROUTE, 0, NULL);
    case ROUTE_AMBIGUOUS:
        return explanation_refuse(OUTCOME_AMBIGUOUS_PATH, 0, NULL);
    case ROUTE_UNDECIDED:
        return explanation_refuse(OUTCOME_UNDECIDED, 0, found.why);
    case ROUTE_TOO_LONG:
        break;
    }
    return explanation_refuse(OUTCOME_URI_TOO_LONG, 0, NULL);
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
        return explanation_refuse(status == 501 ? OUTCOME_NOT_SUPPORTED : OUTCOME_MALFORMED, status, wrong);
    if (explanation->body.data && explanation->request.body == BODY_LENGTH &&
        explanation->request.content_length != explanation->body.length)
        return cmd_usage_error("check", "%s has %zu bytes, which is not its Content-Length", explanation->ask->body,
                               explanation->body.length);
    return explain_route(explanation);
}

int explain(const struct snapshot *snapshot, const struct explain_ask *ask)
{
    struct explanation explanation = {
        .ask = ask, .snapshot = snapshot, .listener = explain_find_listener(snapshot, ask->listener)};
    size_t scratch_bytes = 2 * strlen(ask->line) + EXPLANATION_HEAD_BYTES;
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
    if (!explanation.question.means.memory || !explanation.question.scratch)
        fputs("porthole check: out of memory\n", stderr);
    else
        status = ask->body ? explain_read_body(&explanation) : CMD_OK;
    if (status == CMD_OK)
        status = explain_listener(&explanation);
    pattern_memory_free(explanation.question.means.memory);
    free(explanation.question.scratch);
    free((char *)(uintptr_t)explanation.body.data);
    secret_deinit(&explanation.secret);
    return status;
}
