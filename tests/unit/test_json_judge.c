/* Rules on JSON bodies: each trick to get another document past them than the target will read. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/http/json_judge.h"

#define RULE(pointer, rule_kind, ...)                             \
    {                                                             \
        .at = (char *)(pointer), .kind = (rule_kind), __VA_ARGS__ \
    }
#define IN(pointer, array, ...) \
    RULE(pointer, JSON_RULE_IN, .in = (array), .n_in = sizeof(array) / sizeof((array)[0]), __VA_ARGS__)
#define PREFIX(pointer, texts, ...) RULE(pointer, JSON_RULE_PREFIX, .prefixes = (texts), __VA_ARGS__)
#define KEYS(pointer, texts, ...) RULE(pointer, JSON_RULE_KEYS, .keys = (texts), __VA_ARGS__)

static struct json_value off[] = {{JSON_VALUE_FALSE, 0, NULL}, {JSON_VALUE_NULL, 0, NULL}};
static struct json_value nothing[] = {
    {JSON_VALUE_NULL, 0, NULL}, {JSON_VALUE_EMPTY_ARRAY, 0, NULL}, {JSON_VALUE_EMPTY_OBJECT, 0, NULL}};
static struct json_value numbers[] = {{JSON_VALUE_INTEGER, 0, NULL}, {JSON_VALUE_INTEGER, -1, NULL}};
static struct json_value words[] = {{JSON_VALUE_STRING, 0, (char *)"a\"\xc3\xa4/"}, {JSON_VALUE_STRING, 0, (char *)""}};
static char *places[] = {(char *)"/srv/ci/", (char *)"/run/x.sock", NULL};
static char *names[] = {(char *)"Memory", (char *)"a/b", (char *)"~", NULL};
static char *none[] = {NULL};

static struct pattern *compiled(const char *text)
{
    struct pattern_error error;
    struct pattern *pattern = NULL;

    assert_int_equal(pattern_compile(text, &pattern, &error), 0);
    return pattern;
}

static char name[64]; /* that a key only looks like */

/* NULL: all rules hold. */
static const char *judge(const struct json_rule *items, size_t n_items, struct text body, struct json_finding *finding)
{
    struct pattern_memory *patterns = pattern_memory_new();
    struct json_rules *rules = NULL;
    struct json_rules_error error;
    char *copy = malloc(body.length + 1);
    void *memory;
    bool good;

    assert_int_equal(json_rules_new(items, n_items, &rules, &error), 0);
    memory = malloc(json_judge_bytes(rules, body.length));
    assert_true(copy && memory && patterns);
    /* Right behind it is what nobody may look at. */
    memcpy(copy + 1, body.data, body.length);
    good = json_judge(rules, (struct text){copy + 1, body.length}, memory, patterns, finding);
    /* A name is the rules'. */
    snprintf(name, sizeof(name), "%s", good || !finding->name ? "" : finding->name);
    free(memory);
    free(copy);
    json_rules_free(rules);
    pattern_memory_free(patterns);
    return good ? NULL : finding->what;
}

struct row {
    const char *body, *wrong; /* NULL: good */
};

static void check(const struct json_rule *items, size_t n_items, const struct row *rows)
{
    for (; rows->body; rows++) {
        struct json_finding finding = {0};
        const char *wrong = judge(items, n_items, text_of(rows->body), &finding);

        if ((wrong == NULL) != (rows->wrong == NULL) || (wrong && strcmp(wrong, rows->wrong) != 0))
            fail_msg("%s: %s, not %s", rows->body, wrong ? wrong : "good", rows->wrong ? rows->wrong : "good");
    }
}

#define MISSING "is missing"
#define TYPE "is of another type than the rule can judge"
#define WAY "has a value of another type on its way"
#define LISTED "is none of the values that are allowed"
#define BELOW "is no path below those that are allowed"
#define TWICE "a key that is there twice, or is like another but for case"
#define LIKE "a key that is like one of the rules, but is not it"

static void test_json_judge_value_in_a_list(void **state)
{
    const struct json_rule rule = IN("/HostConfig/Privileged", off, .optional = true);
    static const struct row rows[] = {
        {"{}", NULL},
        {"null", NULL},
        {"{\"HostConfig\":null}", NULL},
        {"{\"HostConfig\":{}}", NULL},
        {"{\"HostConfig\":{\"Privileged\":false}}", NULL},
        {"{\"HostConfig\":{\"Privileged\":null}}", NULL},
        {"{\"HostConfig\":{\"Privileged\":true}}", LISTED},
        {"{\"HostConfig\":{\"Privileged\":0}}", LISTED},
        {"{\"HostConfig\":{\"Privileged\":\"false\"}}", LISTED},
        {"{\"HostConfig\":{\"Privileged\":[]}}", LISTED},
        {"{\"HostConfig\":{\"Privileged\":{}}}", LISTED},
        /* Other types on the way. */
        {"[]", WAY},
        {"\"\"", WAY},
        {"{\"HostConfig\":[]}", WAY},
        {"{\"HostConfig\":[{\"Privileged\":true}]}", WAY},
        {"{\"HostConfig\":false}", WAY},
        {"{\"HostConfig\":\"\"}", WAY},
        {"{\"HostConfig\":0}", WAY},
        /* Twice: the last one counts for Go, others merge. */
        {"{\"HostConfig\":{\"Privileged\":false,\"Privileged\":true}}", TWICE},
        {"{\"HostConfig\":{\"Privileged\":true,\"Privileged\":false}}", TWICE},
        {"{\"HostConfig\":{},\"HostConfig\":{\"Privileged\":true}}", TWICE},
        {"{\"HostConfig\":{},\"Host\\u0043onfig\":{\"Privileged\":true}}", TWICE},
        {"{\"Labels\":{\"a\":1,\"a\":2}}", TWICE},
        {"{\"Labels\":{\"a\":1,\"A\":2}}", TWICE},
        {"[{\"a\":1,\"a\":2}]", TWICE},
        /* Folded. */
        {"{\"hostconfig\":{\"Privileged\":true}}", LIKE},
        {"{\"HOSTCONFIG\":null}", LIKE},
        {"{\"Ho\xc5\xbftConfig\":{\"Privileged\":true}}", LIKE},
        {"{\"Ho\\u017ftConfig\":{\"Privileged\":true}}", LIKE},
        {"{\"HostConfig\":{\"privileged\":true}}", LIKE},
        {"{\"HostConfig\":{\"Pr\\u0131vileged\":true}}", LIKE},
        {"{\"HostConfig\":{},\"hostConfig\":{\"Privileged\":true}}", LIKE},
        /* The key itself, written otherwise. */
        {"{\"\\u0048ostConfig\":{\"Privileged\":true}}", LISTED},
        {"{\"HostConfig\":{\"Privile\\u0067ed\":false}}", NULL},
        /* Keys that only begin like it. */
        {"{\"HostConfig\\u0020\":{\"Privileged\":true}}", NULL},
        {"{\"HostConfigs\":{\"Privileged\":true},\"HostConfi\":1}", NULL},
        /* No document. */
        {"", "nothing in it"},
        {" ", "no end"},
        {"{", "something else where a key should be"},
        {"\xef\xbb\xbf{}", "a byte order mark"},
        {"{}{\"HostConfig\":{\"Privileged\":true}}", "something behind its end"},
        {"{} {}", "something behind its end"},
        {"{\"HostConfig\\u0000\":1}", "a NUL in a string"},
        {"{\"HostConfig\":{\"Privileged\":False}}", "something that is no value"},
        {NULL, NULL},
    };

    (void)state;
    check(&rule, 1, rows);
}

static void test_json_judge_what_is_required(void **state)
{
    const struct json_rule rules[] = {IN("/a/b", off, .optional = true), IN("/a/c", off, .optional = false)};
    static const struct row rows[] = {
        {"{}", MISSING},
        {"null", MISSING},
        {"{\"a\":null}", MISSING},
        {"{\"a\":{\"b\":false}}", MISSING},
        {"{\"a\":{\"c\":false}}", NULL},
        {"{\"a\":{\"c\":null}}", NULL},
        {NULL, NULL},
    };
    struct json_finding finding;

    (void)state;
    check(rules, 2, rows);
    judge(rules, 2, TEXT_LITERAL("{\"a\":{\"b\":false}}"), &finding);
    assert_int_equal(finding.rule, 1);
    judge(rules, 2, TEXT_LITERAL("{\"a\":{\"b\":1,\"c\":2}}"), &finding);
    assert_int_equal(finding.rule, 0);
    assert_int_equal(finding.at, 10);
    judge(rules, 2, TEXT_LITERAL("{\"A\":1}"), &finding);
    assert_true(finding.rule == SIZE_MAX);
    assert_string_equal(name, "a");
    assert_int_equal(finding.at, 2);
}

static void test_json_judge_what_is_empty(void **state)
{
    const struct json_rule rule = IN("/a", nothing, .optional = true);
    static const struct row rows[] = {
        {"{\"a\":[]}", NULL},         {"{\"a\":[ ]}", NULL},    {"{\"a\":{}}", NULL},
        {"{\"a\":null}", NULL},       {"{\"a\":[0]}", LISTED},  {"{\"a\":\"\"}", LISTED},
        {"{\"a\":{\"\":0}}", LISTED}, {"{\"a\":[[]]}", LISTED}, {NULL, NULL},
    };

    (void)state;
    check(&rule, 1, rows);
}

static void test_json_judge_numbers_are_plain(void **state)
{
    const struct json_rule list = IN("/a", numbers, .optional = false),
                           bounds = RULE("/a", JSON_RULE_BOUNDS, .has_least = true, .least = -2, .has_most = true,
                                         .most = 3),
                           most = RULE("/a", JSON_RULE_BOUNDS, .has_most = true, .most = 3);
    static const struct row listed[] = {
        {"{\"a\":0}", NULL},
        {"{\"a\":-1}", NULL},
        {"{\"a\":1}", LISTED},
        {"{\"a\":-0}", LISTED},
        {"{\"a\":0.0}", LISTED},
        {"{\"a\":0e0}", LISTED},
        {"{\"a\":-1.0}", LISTED},
        {"{\"a\":\"0\"}", LISTED},
        {"{\"a\":null}", LISTED},
        {"{\"a\":18446744073709551616}", LISTED},
        {"{\"a\":18446744073709551615}", LISTED},
        {NULL, NULL},
    };
    static const char plain[] = "is no plain integer of 64 bits";
    static const struct row bounded[] = {
        {"{\"a\":3}", NULL},
        {"{\"a\":-2}", NULL},
        {"{\"a\":4}", "is more than what is allowed"},
        {"{\"a\":-3}", "is less than what is allowed"},
        {"{\"a\":1e0}", plain},
        {"{\"a\":1.0}", plain},
        {"{\"a\":-0}", plain},
        {"{\"a\":1e400}", plain},
        {"{\"a\":9223372036854775808}", plain},
        {"{\"a\":18446744073709551617}", plain},
        {"{\"a\":\"1\"}", TYPE},
        {"{\"a\":true}", TYPE},
        {"{\"a\":null}", MISSING},
        {"{}", MISSING},
        {NULL, NULL},
    };
    static const struct row below[] = {
        {"{\"a\":-9223372036854775808}", NULL},
        {"{\"a\":-9223372036854775809}", plain},
        {NULL, NULL},
    };

    (void)state;
    check(&list, 1, listed);
    check(&bounds, 1, bounded);
    check(&most, 1, below);
}

static void test_json_judge_strings_by_what_they_say(void **state)
{
    const struct json_rule rule = IN("/a", words, .optional = false);
    static const struct row rows[] = {
        {"{\"a\":\"\"}", NULL},
        {"{\"a\":\"a\\\"\xc3\xa4/\"}", NULL},
        {"{\"a\":\"\\u0061\\u0022\\u00e4\\/\"}", NULL},
        {"{\"a\":\"a\\\"\xc3\xa4/ \"}", LISTED},
        {"{\"a\":\"A\\\"\xc3\xa4/\"}", LISTED},
        {"{\"a\":\"a\\\"a\xcc\x88/\"}", LISTED},
        {"{\"a\":\"a\"}", LISTED},
        {NULL, NULL},
    };

    (void)state;
    check(&rule, 1, rows);
}

static void test_json_judge_each_path_of_an_array(void **state)
{
    const struct json_rule rule = PREFIX("/HostConfig/Binds/*", places, .optional = true);
    static const struct row rows[] = {
        {"{\"HostConfig\":{\"Binds\":null}}", NULL},
        {"{\"HostConfig\":{\"Binds\":[]}}", NULL},
        {"{\"HostConfig\":{\"Binds\":[\"/srv/ci/a:/b\"]}}", NULL},
        {"{\"HostConfig\":{\"Binds\":[\"/srv/ci/a:/b:ro\",\"/run/x.sock:/run/x.sock\"]}}", NULL},
        {"{\"HostConfig\":{\"Binds\":[\"\\/srv\\u002fci/a:/b\"]}}", NULL},
        {"{\"HostConfig\":{\"Binds\":[\"/srv/ci/a:/b\",\"/etc:/b\"]}}", BELOW},
        {"{\"HostConfig\":{\"Binds\":[\"/srv/ci/../../etc:/b\"]}}", BELOW},
        {"{\"HostConfig\":{\"Binds\":[\"/srv/ci/\\u002e\\u002e/../etc:/b\"]}}", BELOW},
        {"{\"HostConfig\":{\"Binds\":[\"/srv/cix:/b\"]}}", BELOW},
        {"{\"HostConfig\":{\"Binds\":[\"/run/x.socket:/b\"]}}", BELOW},
        {"{\"HostConfig\":{\"Binds\":[\"volume:/srv/ci/a\"]}}", BELOW},
        {"{\"HostConfig\":{\"Binds\":[\"\"]}}", BELOW},
        {"{\"HostConfig\":{\"Binds\":[null]}}", TYPE},
        {"{\"HostConfig\":{\"Binds\":[[\"/srv/ci/a:/b\"]]}}", TYPE},
        {"{\"HostConfig\":{\"Binds\":[{}]}}", TYPE},
        {"{\"HostConfig\":{\"Binds\":\"/srv/ci/a:/b\"}}", WAY},
        {"{\"HostConfig\":{\"Binds\":{\"0\":\"/srv/ci/a:/b\"}}}", WAY},
        {"{\"HostConfig\":{\"Binds\":{}}}", WAY},
        {"{\"HostConfig\":{\"binds\":[\"/etc:/b\"]}}", LIKE},
        {NULL, NULL},
    };

    (void)state;
    check(&rule, 1, rows);
}

static void test_json_judge_objects_in_arrays(void **state)
{
    const struct json_rule rules[] = {PREFIX("/Mounts/*/Source", places, .optional = true),
                                      IN("/Mounts/*/BindOptions", nothing, .optional = true)};
    static const struct row rows[] = {
        {"{}", NULL},
        {"{\"Mounts\":[]}", NULL},
        {"{\"Mounts\":[null]}", NULL},
        {"{\"Mounts\":[{}]}", NULL},
        {"{\"Mounts\":[{\"Source\":\"/srv/ci/a\"},{\"Source\":\"/srv/ci/b\",\"BindOptions\":{}}]}", NULL},
        {"{\"Mounts\":[{\"Source\":\"/srv/ci/a\"},{\"Source\":\"/etc\"}]}", BELOW},
        {"{\"Mounts\":[{\"Source\":\"/etc\"},{\"Source\":\"/srv/ci/a\"}]}", BELOW},
        {"{\"Mounts\":[{\"Source\":\"/srv/ci/a\",\"BindOptions\":{\"a\":1}}]}", LISTED},
        {"{\"Mounts\":[[]]}", WAY},
        {"{\"Mounts\":[\"\"]}", WAY},
        {NULL, NULL},
    };
    const struct json_rule required = PREFIX("/Mounts/*/Source", places, .optional = false);
    static const struct row all[] = {
        {"{}", MISSING},
        {"{\"Mounts\":[]}", MISSING},
        {"{\"Mounts\":[{}]}", MISSING},
        {"{\"Mounts\":[null]}", MISSING},
        {"{\"Mounts\":[{\"Source\":null}]}", MISSING},
        {"{\"Mounts\":[{\"Source\":\"/srv/ci/a\"},{}]}", MISSING},
        {"{\"Mounts\":[{\"Source\":\"/srv/ci/a\"}]}", NULL},
        {NULL, NULL},
    };

    (void)state;
    check(rules, 2, rows);
    check(&required, 1, all);
}

static void test_json_judge_keys_and_what_is_absent(void **state)
{
    const struct json_rule rules[] = {KEYS("", names, .optional = false), RULE("/~0", JSON_RULE_ABSENT, .absent = true),
                                      RULE("/a~1b", JSON_RULE_KEYS, .keys = none, .optional = true)};
    static const char other[] = "has a key that is not allowed";
    static const struct row rows[] = {
        {"{}", NULL},
        {"{\"Memory\":1}", NULL},
        {"{\"Memory\":1,\"a/b\":{}}", NULL},
        {"{\"Memory\":1,\"a\\/b\":null}", NULL},
        {"{\"a/b\":{\"Memory\":1}}", other},
        {"{\"a/b\":{\"\":1}}", other},
        {"{\"a/b\":[]}", TYPE},
        {"{\"Memory\":1,\"MemorySwap\":1}", other},
        {"{\"\":1}", other},
        {"{\"m\xc3\xa4mory\":1}", other},
        {"{\"memory\":1}", LIKE},
        {"{\"x\":{\"memory\":1}}", LIKE},
        {"{\"~\":1}", "is there"},
        {"{\"~\":{}}", "is there"},
        {"{\"~\":null}", NULL},
        {"[]", TYPE},
        {"null", MISSING},
        {"\"\"", TYPE},
        {NULL, NULL},
    };

    (void)state;
    check(rules, 3, rows);
}

static void test_json_judge_patterns(void **state)
{
    struct pattern *pattern = compiled("[a-z]+:/.*|(a+)+!");
    const struct json_rule rule = RULE("/*", JSON_RULE_REGEX, .regex = pattern, .optional = true);
    static const struct row rows[] = {
        {"[]", NULL},
        {"[\"data:/a\"]", NULL},
        {"[\"\\u0064ata:\\/a\"]", NULL},
        {"[\"/data:/a\"]", "does not fit the pattern"},
        {"[\"data:/a\\n\"]", "does not fit the pattern"},
        {"[\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa?\"]",
         "cannot be judged: the pattern was given up at its limit"},
        {"[1]", TYPE},
        {"[null]", TYPE},
        {"{\"a\":\"data:/a\"}", WAY},
        {NULL, NULL},
    };

    (void)state;
    check(&rule, 1, rows);
    pattern_free(pattern);
}

/* Each string fits, at a cost. */
static void test_json_judge_patterns_have_a_limit_together(void **state)
{
    static const char costly[] =
        "\"foo bar foofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoofoo\",";
    struct pattern *pattern = compiled(".*foo.*bar.*");
    const struct json_rule rule = RULE("/*", JSON_RULE_REGEX, .regex = pattern);
    struct json_finding finding;
    size_t n = 4000, length = sizeof(costly) - 1;
    char *text = malloc(1 + n * length);

    (void)state;
    assert_non_null(text);
    text[0] = '[';
    for (size_t i = 0; i < n; i++)
        memcpy(text + 1 + i * length, costly, length);
    text[20 * length] = text[n * length] = ']';
    assert_null(judge(&rule, 1, (struct text){text, 20 * length + 1}, &finding));
    text[20 * length] = ',';
    assert_string_equal(judge(&rule, 1, (struct text){text, n * length + 1}, &finding),
                        "cannot be judged: the pattern was given up at its limit");
    free(text);
    pattern_free(pattern);
}

static void test_json_judge_strings_too_long_are_refused(void **state)
{
    static char body[2 * JSON_RULE_STRING_MOST_BYTES];
    const struct json_rule rule = PREFIX("/*", places, .optional = true);
    struct json_finding finding;

    (void)state;
    for (size_t length = JSON_RULE_STRING_MOST_BYTES; length <= JSON_RULE_STRING_MOST_BYTES + 1; length++) {
        int n = snprintf(body, sizeof(body), "[\"/srv/ci/%0*d\"]", (int)length - 8, 1);
        const char *wrong = judge(&rule, 1, (struct text){body, (size_t)n}, &finding);

        assert_int_equal(wrong != NULL, length > JSON_RULE_STRING_MOST_BYTES);
    }
}

/* Every key is looked for in each object, and others do not hinder. */
static void test_json_judge_many_keys_are_told_apart(void **state)
{
    const struct json_rule rule = IN("/k7", off, .optional = true);
    struct json_finding finding;
    char *body = malloc(2000000);

    (void)state;
    assert_non_null(body);
    for (unsigned n = 1; n < 70000; n = n * 2 + 1) {
        size_t length = 1;

        body[0] = '{';
        for (unsigned i = 10; i < n + 10; i++)
            length += (size_t)sprintf(body + length, "\"k%u\":%u,", i, i);
        memcpy(body + length - 1, "}", 2);
        assert_null(judge(&rule, 1, text_of(body), &finding));
        sprintf(body + length - 1, ",\"K%u\":1}", n / 2 + 10);
        assert_string_equal(judge(&rule, 1, text_of(body), &finding), TWICE);
        sprintf(body + length - 1, ",\"k7\":1}");
        assert_string_equal(judge(&rule, 1, text_of(body), &finding), LISTED);
    }
    free(body);
}

static void test_json_rules_that_contradict_are_refused(void **state)
{
    const struct json_rule both[] = {IN("/a/*", off, .optional = true), IN("/a/b", off, .optional = true)},
                           fold[] = {IN("/a/b", off, .optional = true), IN("/B", off, .optional = true)};
    struct json_rules *rules = NULL;
    struct json_rules_error error;

    (void)state;
    assert_int_equal(json_rules_new(both, 2, &rules, &error), -EINVAL);
    assert_int_equal(error.rule, 1);
    assert_int_equal(json_rules_new(fold, 2, &rules, &error), -EINVAL);
    assert_int_equal(error.rule, 1);
    assert_non_null(strstr(error.message, "\"B\" and \"b\""));
    assert_null(rules);
}

static void test_json_rule_pointers(void **state)
{
    (void)state;
    assert_null(json_rule_check_pointer(""));
    assert_null(json_rule_check_pointer("/"));
    assert_null(json_rule_check_pointer("/a/*/~0~1"));
    assert_non_null(json_rule_check_pointer("a"));
    assert_non_null(json_rule_check_pointer("/~"));
    assert_non_null(json_rule_check_pointer("/~2"));
    assert_non_null(json_rule_check_pointer("/\xc3\xa4"));
    assert_null(json_rule_check_pointer("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16"));
    assert_non_null(json_rule_check_pointer("/1/2/3/4/5/6/7/8/9/10/11/12/13/14/15/16/17"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_judge_value_in_a_list),
        cmocka_unit_test(test_json_judge_what_is_required),
        cmocka_unit_test(test_json_judge_what_is_empty),
        cmocka_unit_test(test_json_judge_numbers_are_plain),
        cmocka_unit_test(test_json_judge_strings_by_what_they_say),
        cmocka_unit_test(test_json_judge_each_path_of_an_array),
        cmocka_unit_test(test_json_judge_objects_in_arrays),
        cmocka_unit_test(test_json_judge_keys_and_what_is_absent),
        cmocka_unit_test(test_json_judge_patterns),
        cmocka_unit_test(test_json_judge_patterns_have_a_limit_together),
        cmocka_unit_test(test_json_judge_strings_too_long_are_refused),
        cmocka_unit_test(test_json_judge_many_keys_are_told_apart),
        cmocka_unit_test(test_json_rules_that_contradict_are_refused),
        cmocka_unit_test(test_json_rule_pointers),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
