/* What the routes of fuzz_exchange's listener with rules may make of messages (exchange_world.c has them). */
#ifndef PORTHOLE_TESTS_EXCHANGE_RULES_H
#define PORTHOLE_TESTS_EXCHANGE_RULES_H

#include "config/snapshot.h"
#include "tests/fuzz/exchange_wire.h"

bool rules_are_of(const struct listener_config *listener);

/* Whether `request`, as a target got it, has what the route that it names makes of `sent`: target and fields that are
 * set, added and removed. Lines and body are for others to compare. */
bool rules_request_comes_from(const struct wire_message *request, const struct wire_message *sent);
/* Whether an answer to that request has the fields that its route sets, and none that it removes. */
bool rules_answer_is_edited(const struct wire_message *request, const struct wire_message *response);
/* Whether it is an answer that a route gives by itself. */
bool rules_answer_by_themselves(const struct wire_message *response);

#endif
