/* The document is read, its keys are looked at, and then the tree of rules and the document are walked together, as
 * deep as the tree is. */
#include "proxy/http/json_judge.h"

#include "proxy/http/file_path.h"
#include "proxy/http/json_string.h"

struct json_judge {
    const struct json_rules *rules;
    struct json_tape tape;
    uint32_t *found; /* by name: the member of the object that is looked at; 0 for none */
    uint32_t *where; /* by node: what it is in this document; 0 for nowhere (but the first) */
    struct pattern_memory *patterns;
    struct json_finding *finding;
};

static bool json_judge_refuse(const struct json_judge *judge, uint32_t rule, uint32_t token, const char *what)
{
    *judge->finding = (struct json_finding){.rule = rule, .what = what, .at = judge->tape.tokens[token].at};
    return false;
}

static const char json_judge_missing[] = "is missing";
static const char json_judge_other_type[] = "is of another type than the rule can judge";

/* ---- one value, one rule: NULL when it holds, else what is wrong ---- */

static bool json_judge_is(const struct json_judge *judge, const struct json_token *token,
                          const struct json_value *value)
{
    int64_t n;

    switch (value->kind) {
    case JSON_VALUE_NULL:
        return token->kind == JSON_TOKEN_NULL;
    case JSON_VALUE_FALSE:
        return token->kind == JSON_TOKEN_FALSE;
    case JSON_VALUE_TRUE:
        return token->kind == JSON_TOKEN_TRUE;
    case JSON_VALUE_INTEGER:
        return token->kind == JSON_TOKEN_NUMBER && json_number_integer(&judge->tape, token, &n) && n == value->integer;
    case JSON_VALUE_STRING:
        return token->kind == JSON_TOKEN_STRING && json_string_equals(&judge->tape, token, text_of(value->text));
    case JSON_VALUE_EMPTY_ARRAY:
        return token->kind == JSON_TOKEN_ARRAY && token->count == 0;
    case JSON_VALUE_EMPTY_OBJECT:
        return token->kind == JSON_TOKEN_OBJECT && token->count == 0;
    }
    return false;
}

static const char *json_judge_list(const struct json_judge *judge, const struct json_token *token,
                                   const struct json_value *values, size_t n_values)
{
    for (size_t i = 0; i < n_values; i++)
        if (json_judge_is(judge, token, &values[i]))
            return NULL;
    return "is none of the values that are allowed";
}

/* What a string says: as it stands if it can be had so, else written to `out`, of JSON_RULE_STRING_MOST_BYTES. False
 * when it is too long for that. */
static bool json_judge_text(const struct json_judge *judge, const struct json_token *token, char *out,
                            struct text *ret_text)
{
    if (!token->escaped) {
        *ret_text = json_tape_text(&judge->tape, token);
        return true;
    }
    if (token->length > JSON_RULE_STRING_MOST_BYTES)
        return false;
    *ret_text = (struct text){out, json_string_write(&judge->tape, token, out)};
    return true;
}

static const char json_judge_too_long[] = "is too long to be judged";

static const char *json_judge_prefix(const struct json_judge *judge, const struct json_token *token,
                                     char *const *prefixes)
{
    char out[JSON_RULE_STRING_MOST_BYTES];
    struct text path;

    if (token->kind != JSON_TOKEN_STRING)
        return json_judge_other_type;
    if (!json_judge_text(judge, token, out, &path) || path.length > JSON_RULE_STRING_MOST_BYTES)
        return json_judge_too_long;
    for (; *prefixes; prefixes++)
        if (file_path_is_below(path, text_of(*prefixes)))
            return NULL;
    return "is no path below those that are allowed";
}

static const char *json_judge_regex(const struct json_judge *judge, const struct json_token *token,
                                    const struct pattern *pattern)
{
    char out[JSON_RULE_STRING_MOST_BYTES];
    struct text text;

    if (token->kind != JSON_TOKEN_STRING)
        return json_judge_other_type;
    if (!json_judge_text(judge, token, out, &text))
        return json_judge_too_long;
    switch (pattern_match(pattern, text, judge->patterns)) {
    case PATTERN_FITS:
        return NULL;
    case PATTERN_DOES_NOT:
        return "does not fit the pattern";
    case PATTERN_UNDECIDED:
        break;
    }
    return "cannot be judged: the pattern was given up at its limit";
}

static const char *json_judge_bounds(const struct json_judge *judge, const struct json_token *token,
                                     const struct json_rule *rule)
{
    int64_t n;

    if (token->kind != JSON_TOKEN_NUMBER)
        return json_judge_other_type;
    if (!json_number_integer(&judge->tape, token, &n))
        return "is no plain integer of 64 bits";
    if (rule->has_least && n < rule->least)
        return "is less than what is allowed";
    return rule->has_most && n > rule->most ? "is more than what is allowed" : NULL;
}

static const char *json_judge_keys(const struct json_judge *judge, const struct json_token *token,
                                   const bool *permitted)
{
    const struct json_token *tokens = judge->tape.tokens;

    if (token->kind != JSON_TOKEN_OBJECT)
        return json_judge_other_type;
    for (uint32_t key = (uint32_t)(token - tokens) + 1; key < token->next; key = tokens[key + 1].next)
        if (!permitted[tokens[key].count])
            return "has a key that is not allowed";
    return NULL;
}

/* Null is a value where a rule lists values, and as an element of an array. */
static const char *json_judge_null(const struct json_rule *rule, bool is_element)
{
    if (is_element)
        return json_judge_other_type;
    return rule->optional || rule->kind == JSON_RULE_ABSENT ? NULL : json_judge_missing;
}

static const char *json_judge_value(const struct json_judge *judge, uint32_t index, uint32_t at, bool is_element)
{
    const struct json_rule *rule = &judge->rules->items[index];
    const struct json_token *token = &judge->tape.tokens[at];

    if (rule->kind == JSON_RULE_EQUALS)
        return json_judge_list(judge, token, rule->equals, rule->n_equals);
    if (rule->kind == JSON_RULE_IN)
        return json_judge_list(judge, token, rule->in, rule->n_in);
    if (token->kind == JSON_TOKEN_NULL)
        return json_judge_null(rule, is_element);
    switch (rule->kind) {
    case JSON_RULE_PREFIX:
        return json_judge_prefix(judge, token, rule->prefixes);
    case JSON_RULE_REGEX:
        return json_judge_regex(judge, token, rule->regex);
    case JSON_RULE_BOUNDS:
        return json_judge_bounds(judge, token, rule);
    case JSON_RULE_KEYS:
        return json_judge_keys(judge, token, judge->rules->permitted[index]);
    default:
        return "is there";
    }
}

/* ---- the tree ---- */

static bool json_judge_node(struct json_judge *judge, const struct json_node *node, uint32_t at);

static const struct json_node *json_judge_node_of(const struct json_judge *judge, uint32_t index)
{
    return index == JSON_NODE_NONE ? NULL : &judge->rules->nodes[index];
}

/* What is in this value is missing. */
static bool json_judge_nothing(const struct json_judge *judge, const struct json_node *node, uint32_t at)
{
    const struct json_node *child = json_judge_node_of(judge, node->child);

    for (; child; child = json_judge_node_of(judge, child->sibling))
        if (child->required != JSON_NODE_NONE)
            return json_judge_refuse(judge, child->required, at, json_judge_missing);
    return true;
}

static bool json_judge_elements(struct json_judge *judge, const struct json_node *node, uint32_t array)
{
    const struct json_token *tokens = judge->tape.tokens;

    for (uint32_t at = array + 1; at < tokens[array].next; at = tokens[at].next)
        if (!json_judge_node(judge, node, at))
            return false;
    return true;
}

/* Finds the children of a node among the members. */
static void json_judge_find(struct json_judge *judge, const struct json_node *node, uint32_t object)
{
    const struct json_token *tokens = judge->tape.tokens;
    const struct json_node *child = json_judge_node_of(judge, node->child);

    for (uint32_t key = object + 1; key < tokens[object].next; key = tokens[key + 1].next)
        judge->found[tokens[key].count] = key + 1;
    judge->found[JSON_KEY_OF_NO_NAME] = 0;
    for (; child; child = json_judge_node_of(judge, child->sibling))
        judge->where[child - judge->rules->nodes] = judge->found[child->name + 1];
    for (uint32_t key = object + 1; key < tokens[object].next; key = tokens[key + 1].next)
        judge->found[tokens[key].count] = 0;
}

static bool json_judge_members(struct json_judge *judge, const struct json_node *node, uint32_t object)
{
    const struct json_node *child = json_judge_node_of(judge, node->child);

    json_judge_find(judge, node, object);
    for (; child; child = json_judge_node_of(judge, child->sibling)) {
        uint32_t at = judge->where[child - judge->rules->nodes];

        if (at > 0 && !json_judge_node(judge, child, at))
            return false;
        if (at == 0 && child->required != JSON_NODE_NONE)
            return json_judge_refuse(judge, child->required, object, json_judge_missing);
    }
    return true;
}

/* The value at `at` is what the node is about. */
static bool json_judge_node(struct json_judge *judge, const struct json_node *node, uint32_t at)
{
    const struct json_token *token = &judge->tape.tokens[at];
    const struct json_node *child = json_judge_node_of(judge, node->child);
    bool is_element = node->name == JSON_NODE_EACH;

    for (uint32_t rule = node->rule; rule != JSON_NODE_NONE; rule = judge->rules->next[rule]) {
        const char *wrong = json_judge_value(judge, rule, at, is_element);

        if (wrong)
            return json_judge_refuse(judge, rule, at, wrong);
    }
    if (!child)
        return true;
    if (token->kind == JSON_TOKEN_NULL)
        return json_judge_nothing(judge, node, at);
    if (token->kind == JSON_TOKEN_ARRAY && child->name == JSON_NODE_EACH)
        return token->count == 0 ? json_judge_nothing(judge, node, at) : json_judge_elements(judge, child, at);
    if (token->kind == JSON_TOKEN_OBJECT && child->name != JSON_NODE_EACH)
        return json_judge_members(judge, node, at);
    return json_judge_refuse(judge, child->first, at, "has a value of another type on its way");
}

/* ---- the document ---- */

static size_t json_judge_tokens(size_t length)
{
    size_t n = json_tape_tokens(length);

    return n < JSON_JUDGE_MOST_TOKENS ? n : JSON_JUDGE_MOST_TOKENS;
}

size_t json_judge_bytes(const struct json_rules *rules, size_t length)
{
    size_t n_tokens = json_judge_tokens(length);

    return n_tokens * sizeof(struct json_token) +
           (json_keys_slots(n_tokens) + rules->names.n_items + 1 + rules->n_nodes) * sizeof(uint32_t);
}

static bool json_judge_reading(struct json_judge *judge, uint32_t *slots)
{
    struct json_finding *finding = judge->finding;

    *finding = (struct json_finding){.rule = SIZE_MAX};
    finding->what = json_tape_read(&judge->tape, &finding->at);
    if (!finding->what)
        finding->what = json_keys_check(&judge->tape, &judge->rules->names, slots, &finding->at, &finding->name);
    return !finding->what;
}

bool json_judge(const struct json_rules *rules, struct text body, void *memory, struct pattern_memory *patterns,
                struct json_finding *ret_finding)
{
    size_t n_tokens = json_judge_tokens(body.length), n_found = rules->names.n_items + 1;
    struct json_token *tokens = memory;
    uint32_t *found = (uint32_t *)(void *)(tokens + n_tokens);
    struct json_judge judge = {.rules = rules,
                               .tape = {.text = body, .tokens = tokens, .capacity = n_tokens},
                               .found = found,
                               .where = found + n_found,
                               .patterns = patterns,
                               .finding = ret_finding};

    bool good;

    memset(found, 0, n_found * sizeof(*found));
    pattern_memory_share(patterns, true);
    good = json_judge_reading(&judge, judge.where + rules->n_nodes) && json_judge_node(&judge, rules->nodes, 0);
    pattern_memory_share(patterns, false);
    return good;
}
