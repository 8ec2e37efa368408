#include "proxy/exchange/body_rules.h"

#include <stdio.h>

#include "proxy/http/json_judge.h"
#include "proxy/http/json_media.h"

const char *body_rules_objection(const struct request *request)
{
    if (request->body == BODY_NONE || (request->body == BODY_LENGTH && request->content_length == 0))
        return "there is no body to be judged";
    return json_media_objection(&request->fields);
}

size_t body_rules_bytes(const struct route_config *route, size_t length)
{
    return json_judge_bytes(route->body.ready, length);
}

static void body_rules_explain(const struct route_config *route, const struct json_finding *finding,
                               char reason[FAILURE_REASON_BYTES])
{
    const char *at = finding->rule < route->body.n_rules ? route->body.rules[finding->rule].at : NULL;

    if (at)
        snprintf(reason, FAILURE_REASON_BYTES, "body.json[%zu]: %.80s %s", finding->rule, *at ? at : "the document",
                 finding->what);
    else if (finding->name)
        snprintf(reason, FAILURE_REASON_BYTES,
                 "body: the document has a key (byte %zu) that is like \"%.60s\", but is not it", finding->at,
                 finding->name);
    else
        snprintf(reason, FAILURE_REASON_BYTES, "body: the document has %s (byte %zu)", finding->what, finding->at);
}

bool body_rules_hold(const struct route_config *route, struct text body, void *memory, struct pattern_memory *patterns,
                     char ret_reason[FAILURE_REASON_BYTES])
{
    struct json_finding finding;

    if (json_judge(route->body.ready, body, memory, patterns, &finding))
        return true;
    body_rules_explain(route, &finding, ret_reason);
    return false;
}
