/* Reading JSON: what is one document to everybody, and what is on the tape. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/http/json_string.h"
#include "proxy/http/json_tape.h"

/* A tape of just enough tokens, in memory of its own. */
static const char *read_tape(struct json_tape *tape, struct text text, size_t *ret_at)
{
    tape->text = text;
    tape->capacity = json_tape_tokens(text.length);
    tape->tokens = malloc(tape->capacity * sizeof(*tape->tokens));
    assert_non_null(tape->tokens);
    return json_tape_read(tape, ret_at);
}

static const char *judge(struct text text, size_t *ret_at)
{
    struct json_tape tape;
    const char *wrong = read_tape(&tape, text, ret_at);

    free(tape.tokens);
    return wrong;
}

static void test_json_tape_takes_what_rfc_8259_has(void **state)
{
    static const char *const rows[] = {
        "null",
        "true",
        "false",
        "0",
        "-0",
        "-1",
        "10.25e+3",
        "1E-2",
        "0e0",
        "123456789012345678901234567890",
        "\"\"",
        "\"a\"",
        "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e4\"",
        "\"\\ud83d\\ude00\"",
        "\"\x7f\"",
        "\"\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80\"",
        "\"0123456789abcdef\\n0123456789abcdef\xc3\xa4 0123456789abcdef\"",
        "[]",
        "{}",
        "[[],[[]],{}]",
        "[1,2,3]",
        " \t\r\n{ \"a\" : [ 1 , 2 ] , \"b\" : { } } \n",
        "{\"\":\"\"}",
        "{\"a\":{\"b\":{\"c\":[{\"d\":null}]}}}",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t at;
        const char *wrong = judge(text_of(rows[i]), &at);

        if (wrong)
            fail_msg("%s: %s at %zu", rows[i], wrong, at);
    }
}

static void test_json_tape_refuses_what_is_none(void **state)
{
    static const struct {
        const char *text, *wrong;
        size_t at;
    } rows[] = {
        {"", "nothing in it", 0},
        {" ", "no end", 1},
        {"\xef\xbb\xbf{}", "a byte order mark", 0},
        {"{}{}", "something behind its end", 2},
        {"{} x", "something behind its end", 3},
        {"1 2", "something behind its end", 2},
        {"01", "something behind its end", 1},
        {"nul", "something that is no value", 0},
        {"nullx", "something behind its end", 4},
        {"True", "something that is no value", 0},
        {"NaN", "something that is no value", 0},
        {"Infinity", "something that is no value", 0},
        {"-Infinity", "a number that is none", 1},
        {"+1", "something that is no value", 0},
        {".5", "something that is no value", 0},
        {"1.", "a number that is none", 2},
        {"1e", "a number that is none", 2},
        {"-", "a number that is none", 1},
        {"0x1", "something behind its end", 1},
        {"'a'", "something that is no value", 0},
        {"\"a", "a string without an end", 2},
        {"\"a\\\"", "a string without an end", 4},
        {"\"\\", "an escape that is none", 1},
        {"\"\\x41\"", "an escape that is none", 1},
        {"\"\\u12\"", "an escape that is none", 3},
        {"\"\\u12g4\"", "an escape that is none", 3},
        {"\"\\u0000\"", "a NUL in a string", 3},
        {"\"\\ud800\"", "half of a surrogate pair", 7},
        {"\"\\ud800\\n\"", "half of a surrogate pair", 7},
        {"\"\\ud800\\ud800\"", "half of a surrogate pair", 7},
        {"\"\\udc00\"", "half of a surrogate pair", 7},
        {"\"\\udc00\\ud800\"", "half of a surrogate pair", 7},
        {"\"a\nb\"", "a control character in a string", 2},
        {"\"0123456\x1fz\"", "a control character in a string", 8},
        {"\"\xff\"", "bytes that are no UTF-8", 1},
        {"\"\xc0\x80\"", "bytes that are no UTF-8", 1},
        {"\"\xed\xa0\x80\"", "bytes that are no UTF-8", 1},
        {"\"\xc3\"", "bytes that are no UTF-8", 1},
        {"\"\xc3", "bytes that are no UTF-8", 1},
        {"[", "no end", 1},
        {"[1", "no end", 2},
        {"[1,", "no end", 3},
        {"[1,]", "something that is no value", 3},
        {"[,1]", "something that is no value", 1},
        {"[1 2]", "something between two values", 3},
        {"[1}", "something between two values", 2},
        {"]", "something that is no value", 0},
        {"{", "something else where a key should be", 1},
        {"{\"a\"}", "no colon behind a key", 4},
        {"{\"a\":}", "something that is no value", 5},
        {"{\"a\":1,}", "something else where a key should be", 7},
        {"{\"a\":1]", "something between two values", 6},
        {"{a:1}", "something else where a key should be", 1},
        {"{1:1}", "something else where a key should be", 1},
        {"{\"a\":1 \"b\":2}", "something between two values", 7},
        {"{}/**/", "something behind its end", 2},
        {"/**/{}", "something that is no value", 0},
        {"{}\x0b", "something behind its end", 2},
        {"\xc2\xa0{}", "something that is no value", 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        size_t at = SIZE_MAX;
        const char *wrong = judge(text_of(rows[i].text), &at);

        if (!wrong || strcmp(wrong, rows[i].wrong) != 0 || at != rows[i].at)
            fail_msg("%s: %s at %zu", rows[i].text, wrong ? wrong : "taken", at);
    }
    assert_string_equal(judge((struct text){"1\0", 2}, &(size_t){0}), "something behind its end");
    assert_string_equal(judge((struct text){"\"\0\"", 3}, &(size_t){0}), "a control character in a string");
}

static void test_json_tape_is_bounded_in_depth(void **state)
{
    char text[2 * JSON_TAPE_MOST_DEPTH + 2];
    size_t at;

    (void)state;
    for (size_t depth = JSON_TAPE_MOST_DEPTH; depth <= JSON_TAPE_MOST_DEPTH + 1; depth++) {
        const char *wrong;

        memset(text, '[', depth);
        memset(text + depth, ']', depth);
        wrong = judge((struct text){text, 2 * depth}, &at);
        assert_int_equal(wrong != NULL, depth > JSON_TAPE_MOST_DEPTH);
    }
}

static void test_json_tape_is_bounded_in_tokens(void **state)
{
    struct json_token tokens[3];
    struct json_tape tape = {.text = TEXT_LITERAL("[1,2]"), .tokens = tokens, .capacity = 3};
    size_t at;

    (void)state;
    assert_null(json_tape_read(&tape, &at));
    tape.capacity = 2;
    assert_string_equal(json_tape_read(&tape, &at), "too many values");
    assert_int_equal(at, 3);
}

static void test_json_tape_tells_what_is_where(void **state)
{
    static const struct {
        enum json_token_kind kind;
        const char *text;
        uint32_t next, count;
    } rows[] = {
        {JSON_TOKEN_OBJECT, "{\"a\":[1,{}],\"b\\n\":\"c\"}", 7, 2},
        {JSON_TOKEN_STRING, "a", 2, 0},
        {JSON_TOKEN_ARRAY, "[1,{}]", 5, 2},
        {JSON_TOKEN_NUMBER, "1", 4, 0},
        {JSON_TOKEN_OBJECT, "{}", 5, 0},
        {JSON_TOKEN_STRING, "b\\n", 6, 0},
        {JSON_TOKEN_STRING, "c", 7, 0},
    };
    struct json_tape tape;
    size_t at;

    (void)state;
    assert_null(read_tape(&tape, TEXT_LITERAL(" {\"a\":[1,{}],\"b\\n\":\"c\"} "), &at));
    assert_int_equal(tape.n_tokens, 7);
    for (size_t i = 0; i < tape.n_tokens; i++) {
        const struct json_token *token = &tape.tokens[i];

        assert_int_equal(token->kind, rows[i].kind);
        assert_true(text_equal(json_tape_text(&tape, token), text_of(rows[i].text)));
        assert_int_equal(token->next, rows[i].next);
        assert_int_equal(token->count, rows[i].count);
        assert_int_equal(token->escaped, i == 5);
    }
    free(tape.tokens);
}

/* ---- strings and numbers ---- */

static void test_json_string_says_what_its_escapes_mean(void **state)
{
    char out[64];
    struct json_tape tape;
    size_t at, n;

    (void)state;
    assert_null(read_tape(
        &tape, TEXT_LITERAL("\"\\\"\\\\\\/\\b\\f\\n\\r\\tA\\u0042\\u00e4\\u20ac\\ud83d\\ude00\xc3\xa4\""), &at));
    n = json_string_write(&tape, tape.tokens, out);
    assert_true(text_equal((struct text){out, n}, TEXT_LITERAL("\"\\/\b\f\n\r\tAB\xc3\xa4\xe2\x82\xac\xf0\x9f\x98\x80"
                                                               "\xc3\xa4")));
    assert_true(json_string_equals(&tape, tape.tokens, (struct text){out, n}));
    assert_false(json_string_equals(&tape, tape.tokens, (struct text){out, n - 1}));
    out[n - 1]++;
    assert_false(json_string_equals(&tape, tape.tokens, (struct text){out, n}));
    free(tape.tokens);
}

/* An array of two strings; they must hash alike when they fold alike. */
static bool folds_alike(const char *a, const char *b)
{
    struct json_tape tape;
    char text[128];
    size_t at;
    bool alike;

    snprintf(text, sizeof(text), "[\"%s\",\"%s\"]", a, b);
    assert_null(read_tape(&tape, text_of(text), &at));
    alike = json_string_folds_alike(&tape, &tape.tokens[1], &tape.tokens[2]);
    assert_int_equal(alike, json_string_folds_alike(&tape, &tape.tokens[2], &tape.tokens[1]));
    assert_int_equal(alike, json_string_hash(&tape, &tape.tokens[1]) == json_string_hash(&tape, &tape.tokens[2]));
    free(tape.tokens);
    return alike;
}

static void test_json_string_folds_as_decoders_do(void **state)
{
    (void)state;
    assert_true(folds_alike("HostConfig", "hostconfig"));
    assert_true(folds_alike("HostConfig", "HOSTCONFIG"));
    assert_true(folds_alike("HostConfig", "Ho\xc5\xbftConfig"));
    assert_true(folds_alike("HostConfig", "Ho\\u017ftConfig"));
    assert_true(folds_alike("HostConfig", "\\u0048ostConfig"));
    assert_true(folds_alike("OomKillDisable", "oom\xe2\x84\xaaillDisable"));
    assert_true(folds_alike("oomkilldisable", "oom\\u212aillDisable"));
    assert_true(folds_alike("Binds", "B\xc4\xb1nds"));
    assert_true(folds_alike("Binds", "B\xc4\xb0nds"));
    assert_true(folds_alike("\\u00e4", "\xc3\xa4"));
    assert_true(folds_alike("", ""));
    assert_true(folds_alike("abcdefghABCDEFGH", "ABCDEFGHabcdefgh"));
    assert_false(folds_alike("abcdefghABCDEFGH", "ABCDEFGHabcdefgi"));
    assert_false(folds_alike("abcdefgh", "abcdefghi"));
    assert_false(folds_alike("a", ""));
    assert_false(folds_alike("@[`{", "`{@["));
    assert_false(folds_alike("s", "\xc3\xa4"));
}

static bool integer(const char *text, int64_t *ret_n)
{
    struct json_tape tape;
    size_t at;
    bool plain;

    assert_null(read_tape(&tape, text_of(text), &at));
    plain = json_number_integer(&tape, tape.tokens, ret_n);
    free(tape.tokens);
    return plain;
}

static void test_json_number_integer_takes_plain_ones(void **state)
{
    static const char *const others[] = {
        "-0",
        "1.0",
        "1e0",
        "1E0",
        "0.0",
        "0e0",
        "-0.0",
        "10e-1",
        "9223372036854775808",
        "-9223372036854775809",
        "1e2",
        "18446744073709551616",
        "18446744073709551617",
        "99999999999999999999999999",
    };
    int64_t n = 7;

    (void)state;
    assert_true(integer("0", &n) && n == 0);
    assert_true(integer("1", &n) && n == 1);
    assert_true(integer("-1", &n) && n == -1);
    assert_true(integer("9223372036854775807", &n) && n == INT64_MAX);
    assert_true(integer("-9223372036854775808", &n) && n == INT64_MIN);
    n = 7;
    for (size_t i = 0; i < sizeof(others) / sizeof(others[0]); i++)
        if (integer(others[i], &n) || n != 7)
            fail_msg("%s is taken", others[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_json_tape_takes_what_rfc_8259_has),
        cmocka_unit_test(test_json_tape_refuses_what_is_none),
        cmocka_unit_test(test_json_tape_is_bounded_in_depth),
        cmocka_unit_test(test_json_tape_is_bounded_in_tokens),
        cmocka_unit_test(test_json_tape_tells_what_is_where),
        cmocka_unit_test(test_json_string_says_what_its_escapes_mean),
        cmocka_unit_test(test_json_string_folds_as_decoders_do),
        cmocka_unit_test(test_json_number_integer_takes_plain_ones),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
