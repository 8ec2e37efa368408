/* Expansion, through config_parse: what a string becomes, and what is no reference. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "config/load.h"

/* A is "a", EMPTY is empty, BRACE is "}", REFERENCE is "${A}", and no other is set. */
static const struct {
    const char *text, *expanded; /* NULL: an error */
} rows[] = {
    {"", ""},
    {"$", "$"},
    {"$$", "$$"},
    {"{}", "{}"},
    {"}${A}{", "}a{"},
    {"$A", "$A"},
    {"${A}", "a"},
    {"${A}${A}", "aa"},
    {"$${A}", "${A}"},
    {"$$${A}", "$${A}"},
    {"$$${", "$${"},
    {"${EMPTY}", ""},
    {"${BRACE}", "}"},
    {"${REFERENCE}", "${A}"}, /* once */
    {"${A:-x}", "a"},
    {"${U:-x}", "x"},
    {"${U:-}", ""},
    {"${EMPTY:-x}", "x"},
    {"${U:-${A}}", "a"},
    {"${U:-${U:-${EMPTY:-c}}}", "c"},
    {"${U:-x${A}y${A}z}!", "xayaz!"},
    {"${A:-${U}}", "a"},
    {"${U:-$${A}}", "${A}"},
    {"${A:-$${A}}", "a"},
    {"${U:-{\"x\": {}}}", "{\"x\": {}}"},
    {"${U:-$}", "$"},
    {"${U:-$$}", "$$"},
    {"${U:-:-}", ":-"},
    {"${U:-${BRACE}}", "}"},
    {"${U}", NULL},
    {"${U:-${U}}", NULL},
    {"${", NULL},
    {"${}", NULL},
    {"${A", NULL},
    {"${A:}", NULL},
    {"${A:-", NULL},
    {"${A:-${A}", NULL},
    {"${A:-{}", NULL},
    {"${A:-$${}", NULL},
    {"${A:-${}}", NULL},
    {"${A:-${1}}", NULL},
    {"${A-x}", NULL},
    {"${A b}", NULL},
    {"${1}", NULL},
    {"${U:-$}{A}", "${A}"}, /* no reference is made of parts */
    {"${file:/x}", NULL},
    {"${A:-${file:/x}}", "a"}, /* not needed */
    {"${A:-${request.x}}", NULL},
    {"${U:-${file:/x}}", NULL},
    {"${request.path}", NULL},
    {"${request.pth}", NULL},
    {"${request.path:-x}", NULL},
    {"${request.path", NULL},
    {"${.}", NULL},
    {"${file:", NULL},
    {"${file:}", NULL},
    {"${file:x}", NULL},
};

/* What stands in the body of an answer. `text` has no control character. */
static int expand(const char *text, struct snapshot **ret_snapshot, struct problems *problems)
{
    char escaped[256], document[512];
    size_t n = 0;
    int length;

    for (; *text; text++) {
        if (*text == '"')
            escaped[n++] = '\\';
        escaped[n++] = *text;
    }
    escaped[n] = '\0';
    length =
        snprintf(document, sizeof(document),
                 "{\"listeners\":[{\"bind\":\"unix:/a\",\"routes\":[{\"respond\":{\"status\":200,\"body\":\"%s\"}}]}]}",
                 escaped);
    return config_parse(document, (size_t)length, "test", ret_snapshot, problems);
}

static int set_environment(void **state UNUSED)
{
    unsetenv("U");
    return setenv("A", "a", 1) | setenv("EMPTY", "", 1) | setenv("BRACE", "}", 1) | setenv("REFERENCE", "${A}", 1);
}

static void test_expand_gives_text_or_one_problem(void **state UNUSED)
{
    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        struct problems problems = PROBLEMS_INIT;
        struct snapshot *snapshot = NULL;
        print_message("%s\n", rows[i].text);
        assert_int_equal(expand(rows[i].text, &snapshot, &problems), rows[i].expanded ? 0 : 1);
        if (rows[i].expanded)
            assert_string_equal(snapshot->listeners[0].routes[0].respond.body, rows[i].expanded);
        else
            assert_int_equal(problems.n_items, 1);
        snapshot_unref(snapshot);
        problems_deinit(&problems);
    }
}

static void test_expand_control_character_names_its_variable(void **state UNUSED)
{
    static const char document[] =
        "{\"listeners\":[{\"bind\":\"unix:/${A}${CONTROL}\",\"routes\":[{\"target\":\"unix:/t\"}]}]}";
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;

    for (int c = 1; c < 0xa0; c++) {
        char utf8[3] = {(char)c}, expected[16];
        if (c >= 0x20 && c < 0x7f)
            continue;
        if (c >= 0x80)
            memcpy(utf8, (char[]){(char)0xc2, (char)c, '\0'}, 3);
        assert_int_equal(setenv("CONTROL", utf8, 1), 0);
        assert_int_equal(config_parse(document, strlen(document), "test", &snapshot, &problems), 1);
        assert_int_equal(problems.n_items, 1);
        snprintf(expected, sizeof(expected), "U+%04X", (unsigned)c);
        assert_non_null(strstr(problems.items[0].message, expected));
        assert_non_null(strstr(problems.items[0].message, "the environment variable CONTROL"));
        problems_deinit(&problems);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(test_expand_gives_text_or_one_problem, set_environment),
        cmocka_unit_test_setup(test_expand_control_character_names_its_variable, set_environment),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
