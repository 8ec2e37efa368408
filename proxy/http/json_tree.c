#include "proxy/http/json_tree.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Unescapes the segment behind a slash, in place, and cuts it off. Returns what is behind it: a slash, or the end. */
static char *json_rule_cut_segment(char *segment, bool *ret_last)
{
    char *out = segment, *c = segment;

    for (; *c && *c != '/'; c++) {
        if (*c == '~')
            *out++ = (char)(*++c == '0' ? '~' : '/');
        else
            *out++ = *c;
    }
    *ret_last = *c == '\0';
    *out = '\0';
    return c;
}

/* Doubled whenever it is full. */
static int json_rules_reserve(struct json_rules *rules)
{
    struct json_node *nodes;

    if ((rules->n_nodes & (rules->n_nodes - 1)) != 0)
        return 0;
    nodes = reallocarray(rules->nodes, rules->n_nodes ? 2 * rules->n_nodes : 1, sizeof(*nodes));
    if (!nodes)
        return -ENOMEM;
    rules->nodes = nodes;
    return 0;
}

static int json_rules_add_node(struct json_rules *rules, uint32_t name, size_t rule, uint32_t *ret_node)
{
    int r = json_rules_reserve(rules);

    if (r < 0)
        return r;
    *ret_node = (uint32_t)rules->n_nodes;
    rules->nodes[rules->n_nodes++] = (struct json_node){.name = name,
                                                        .child = JSON_NODE_NONE,
                                                        .sibling = JSON_NODE_NONE,
                                                        .rule = JSON_NODE_NONE,
                                                        .first = (uint32_t)rule,
                                                        .required = JSON_NODE_NONE};
    return 0;
}

PRINTF_LIKE(3, 4)
static int json_rules_refuse(struct json_rules_error *error, size_t rule, const char *format, ...)
{
    va_list args;

    error->rule = rule;
    va_start(args, format);
    vsnprintf(error->message, sizeof(error->message), format, args);
    va_end(args);
    return -EINVAL;
}

static int json_rules_name(struct json_rules *rules, size_t rule, const char *name, uint32_t *ret_number,
                           struct json_rules_error *error)
{
    const char *rival;
    int r = json_names_add(&rules->names, name, ret_number, &rival);

    if (r == 0 && rival)
        return json_rules_refuse(error, rule, "\"%.80s\" and \"%.80s\" are one key to decoders that ignore case", name,
                                 rival);
    return r;
}

/* The child of that name, or for each element: there, or added. What an object has and what an array has cannot be
 * children of one value. */
static int json_rules_child(struct json_rules *rules, uint32_t parent, uint32_t name, size_t rule, uint32_t *ret_node,
                            struct json_rules_error *error)
{
    uint32_t *link = NULL, child = rules->nodes[parent].child;
    int r;

    for (; child != JSON_NODE_NONE; child = rules->nodes[child].sibling) {
        if (rules->nodes[child].name == name) {
            *ret_node = child;
            return 0;
        }
        if ((rules->nodes[child].name == JSON_NODE_EACH) != (name == JSON_NODE_EACH))
            return json_rules_refuse(error, rule, "what is an object in one rule is an array (\"*\") in another");
    }
    r = json_rules_add_node(rules, name, rule, ret_node);
    if (r < 0)
        return r;
    for (link = &rules->nodes[parent].child; *link != JSON_NODE_NONE; link = &rules->nodes[*link].sibling)
        ;
    *link = *ret_node;
    return 0;
}

/* Whether a document will not do in which the rule's pointer leads nowhere. */
static bool json_rule_is_required(const struct json_rule *rule)
{
    return !rule->optional && rule->kind != JSON_RULE_ABSENT;
}

static void json_node_note(struct json_node *node, const struct json_rule *rule, uint32_t index)
{
    if (json_rule_is_required(rule) && node->required == JSON_NODE_NONE)
        node->required = index;
}

/* Goes down the pointer, in `text`, a copy of it. */
static int json_rules_descend(struct json_rules *rules, size_t i, char *text, uint32_t *ret_node,
                              struct json_rules_error *error)
{
    const struct json_rule *rule = &rules->items[i];
    bool last = text[0] == '\0';
    uint32_t node = 0;

    json_node_note(&rules->nodes[0], rule, (uint32_t)i);
    while (!last) {
        char *segment = text + 1;
        uint32_t name = JSON_NODE_EACH;
        int r = 0;

        text = json_rule_cut_segment(segment, &last);
        if (strcmp(segment, "*") != 0)
            r = json_rules_name(rules, i, segment, &name, error);
        if (r == 0)
            r = json_rules_child(rules, node, name, i, &node, error);
        if (r < 0)
            return r;
        json_node_note(&rules->nodes[node], rule, (uint32_t)i);
    }
    *ret_node = node;
    return 0;
}

static int json_rules_add(struct json_rules *rules, size_t i, struct json_rules_error *error)
{
    const struct json_rule *rule = &rules->items[i];
    uint32_t node = 0, number = 0;
    uint32_t *link;
    int r;

    rules->texts[i] = strdup(rule->at);
    r = rules->texts[i] ? json_rules_descend(rules, i, rules->texts[i], &node, error) : -ENOMEM;
    for (char **key = rule->keys; r == 0 && key && *key; key++)
        r = json_rules_name(rules, i, *key, &number, error);
    if (r < 0)
        return r;
    /* In their order. */
    for (link = &rules->nodes[node].rule; *link != JSON_NODE_NONE; link = &rules->next[*link])
        ;
    *link = (uint32_t)i;
    rules->next[i] = JSON_NODE_NONE;
    return 0;
}

/* Of a rule on keys: which of the names are its. */
static int json_rules_permit(struct json_rules *rules, size_t i)
{
    const char *rival;
    uint32_t number;
    int r = 0;

    if (rules->items[i].kind != JSON_RULE_KEYS)
        return 0;
    rules->permitted[i] = calloc(rules->names.n_items + 1, sizeof(*rules->permitted[i]));
    if (!rules->permitted[i])
        return -ENOMEM;
    for (char **key = rules->items[i].keys; r == 0 && key && *key; key++) {
        r = json_names_add(&rules->names, *key, &number, &rival);
        if (r == 0)
            rules->permitted[i][number + 1] = true;
    }
    return r;
}

static int json_rules_fill(struct json_rules *rules, struct json_rules_error *error)
{
    uint32_t root;
    int r;

    rules->texts = calloc(rules->n_items, sizeof(*rules->texts));
    rules->permitted = calloc(rules->n_items, sizeof(*rules->permitted));
    rules->next = calloc(rules->n_items, sizeof(*rules->next));
    if (!rules->texts || !rules->permitted || !rules->next)
        return -ENOMEM;
    r = json_rules_add_node(rules, JSON_NODE_NONE, 0, &root);
    for (size_t i = 0; i < rules->n_items && r == 0; i++)
        r = json_rules_add(rules, i, error);
    for (size_t i = 0; i < rules->n_items && r == 0; i++)
        r = json_rules_permit(rules, i);
    return r;
}

int json_rules_new(const struct json_rule *items, size_t n_items, struct json_rules **ret_rules,
                   struct json_rules_error *ret_error)
{
    struct json_rules *rules = calloc(1, sizeof(*rules));
    int r;

    if (!rules)
        return -ENOMEM;
    rules->items = items;
    rules->n_items = n_items;
    r = json_rules_fill(rules, ret_error);
    if (r < 0)
        json_rules_free(rules);
    else
        *ret_rules = rules;
    return r;
}

void json_rules_free(struct json_rules *rules)
{
    if (!rules)
        return;
    for (size_t i = 0; i < rules->n_items; i++) {
        if (rules->texts)
            free(rules->texts[i]);
        if (rules->permitted)
            free(rules->permitted[i]);
    }
    free(rules->texts);
    free(rules->permitted);
    free(rules->next);
    free(rules->nodes);
    json_names_deinit(&rules->names);
    free(rules);
}
