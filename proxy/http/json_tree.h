/* Rules, made ready: a tree, so that each part of a document is looked at once, however many they are. A node for each
 * pointer and for each beginning of one has the rules that are about it. */
#ifndef PORTHOLE_HTTP_JSON_TREE_H
#define PORTHOLE_HTTP_JSON_TREE_H

#include "proxy/http/json_keys.h"
#include "proxy/http/json_rule.h"

#define JSON_NODE_NONE UINT32_MAX
#define JSON_NODE_EACH (UINT32_MAX - 1) /* for a name: each element of an array */

/* A value that rules are about, or that is on the way to one. Links are indices. */
struct json_node {
    uint32_t name;     /* the number of the key under which its parent has it; or JSON_NODE_EACH */
    uint32_t child;    /* the first; all are members of one object, or one is for each element */
    uint32_t sibling;  /* the next child of the same parent */
    uint32_t rule;     /* the first that is about it; the others are in json_rules.next */
    uint32_t first;    /* of the rules about it, or about what is in it */
    uint32_t required; /* the first of those that are not optional */
};

/* Immutable; several threads may judge by them at once. Only json_judge looks inside. */
struct json_rules {
    const struct json_rule *items; /* borrowed */
    size_t n_items;
    struct json_node *nodes; /* owned, like what follows; the first is the document */
    size_t n_nodes;
    struct json_names names;
    char **texts;     /* by rule: its pointer in pieces, which the names are */
    uint32_t *next;   /* by rule: the next of its node */
    bool **permitted; /* by rule, NULL but for those on keys: by json_token.count of a key */
};

#define JSON_RULES_ERROR_BYTES 256

/* What is wrong with rule `rule`: a sentence. */
struct json_rules_error {
    size_t rule;
    char message[JSON_RULES_ERROR_BYTES];
};

/* `rules` is borrowed until json_rules_free. 0, the caller owns *ret_rules; -EINVAL with *ret_error; -ENOMEM. */
int json_rules_new(const struct json_rule *rules, size_t n_rules, struct json_rules **ret_rules,
                   struct json_rules_error *ret_error) WARN_UNUSED;
/* Takes NULL. */
void json_rules_free(struct json_rules *rules);

#endif
