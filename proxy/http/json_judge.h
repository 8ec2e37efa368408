/* Judging a JSON body by rules. Pure: memory is the caller's. */
#ifndef PORTHOLE_HTTP_JSON_JUDGE_H
#define PORTHOLE_HTTP_JSON_JUDGE_H

#include "proxy/http/json_tree.h"

/* A document with more values and keys is refused. */
#define JSON_JUDGE_MOST_TOKENS ((size_t)1 << 18)

/* Why a document is refused. */
struct json_finding {
    size_t rule;      /* which one refuses it; SIZE_MAX: no single one does */
    const char *what; /* a literal, which reads behind the rule's pointer, or behind "the body has" */
    const char *name; /* of a key that only looks like it, borrowed from the rules; NULL else */
    size_t at;        /* the byte that it is about */
};

/* How much memory it takes to judge a document of `length` bytes by these rules. */
size_t json_judge_bytes(const struct json_rules *rules, size_t length);

/* Whether all rules hold; if not, *ret_finding. `memory` has json_judge_bytes, aligned as malloc does. */
bool json_judge(const struct json_rules *rules, struct text body, void *memory, struct pattern_memory *patterns,
                struct json_finding *ret_finding);

#endif
