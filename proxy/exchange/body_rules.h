/* What a route's rules say of a request's body, and why. Pure: memory is the caller's. Asked when a request is served
 * (judge.h), and when somebody wants to know what would become of one (porthole check --explain). */
#ifndef PORTHOLE_EXCHANGE_BODY_RULES_H
#define PORTHOLE_EXCHANGE_BODY_RULES_H

#include "config/snapshot.h"
#include "proxy/http/request.h"
#include "proxy/report/failure.h"

struct pattern_memory;

/* What the head (found good) says against the body, whatever that will be: a literal; NULL: nothing. */
const char *body_rules_objection(const struct request *request);

/* How much memory it takes to judge so long a body by the rules of a route that has some. */
size_t body_rules_bytes(const struct route_config *route, size_t length);
/* Whether all of them hold. If not, the reason names the rule and the pointer it has, and nothing of what the client
 * has sent. `memory` has body_rules_bytes, aligned as malloc does. */
bool body_rules_hold(const struct route_config *route, struct text body, void *memory, struct pattern_memory *patterns,
                     char ret_reason[FAILURE_REASON_BYTES]);

#endif
