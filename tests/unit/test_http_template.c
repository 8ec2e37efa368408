/* Templates: what a text is made of, what it expands to, and how it is spelt again. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/template.h"

static bool find_file(struct template_values *values, const struct template_piece *piece, struct text *ret_text)
{
    (void)values;
    *ret_text = TEXT_LITERAL("${request.path}");
    return !text_equal(piece->text, TEXT_LITERAL("/none"));
}

static const struct template_values request_values = {
    .uid = 1000,
    .gid = 4294967295,
    .pid = 0,
    .has_peer = true,
    .request_id = {"id", 2},
    .host = {"h:80", 4},
    .path = {"/a%20b", 6},
    .query = {"q=${peer.uid}", 13},
    .file = find_file,
};

/* NULL: no template. */
static const struct {
    const char *text, *expanded;
} rows[] = {
    {"", ""},
    {"abc", "abc"},
    {"$", "$"},
    {"$$", "$$"},
    {"$${", "${"},
    {"$${peer.uid}", "${peer.uid}"},
    {"$$${peer.uid}", "$${peer.uid}"},
    {"{}", "{}"},
    {"${peer.uid}", "1000"},
    {"${peer.gid} ${peer.pid}", "4294967295 0"},
    {"a${request.id}b${request.host}c", "aidbh:80c"},
    {"${request.path}?${request.query}", "/a%20b?q=${peer.uid}"}, /* once */
    {"Bearer ${file:/x}!", "Bearer ${request.path}!"},
    {"${", NULL},
    {"${}", NULL},
    {"${peer.uid", NULL},
    {"${peer.Uid}", NULL},
    {"${peer.uid }", NULL},
    {"${A}", NULL},
    {"${file:}", NULL},
    {"${file:x}", NULL},
};

static void test_template_expands_as_its_row_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct template_values values = request_values;
        struct template *template = NULL;
        char out[64];
        struct head_writer writer = {.out = out, .size = sizeof(out)};

        print_message("%s\n", rows[i].text);
        assert_int_equal(template_compile(rows[i].text, &template), rows[i].expanded ? 0 : -EINVAL);
        if (rows[i].expanded) {
            char *spelt = template_spell(template);

            assert_int_equal(template_expand(template, &values, &writer), TEMPLATE_DONE);
            assert_int_equal(writer.length, strlen(rows[i].expanded));
            assert_memory_equal(out, rows[i].expanded, writer.length);
            assert_string_equal(spelt, rows[i].text);
            free(spelt);
        }
        template_free(template);
    }
}

static void test_template_of_literal_is_spelt_escaped(void **state)
{
    struct template *template = template_of_literal("a${request.path}$${b");
    char *spelt = template_spell(template);

    (void)state;
    assert_string_equal(template_text(template), "a${request.path}$${b");
    assert_int_equal(template_kinds(template), TEMPLATE_BIT(TEMPLATE_LITERAL));
    assert_string_equal(spelt, "a$${request.path}$$${b");
    free(spelt);
    template_free(template);
}

static enum template_verdict expand(const char *text, struct template_values *values, size_t size)
{
    struct template *template = NULL;
    enum template_verdict verdict;
    char out[64];
    struct head_writer writer = {.out = out, .size = size};

    assert_int_equal(template_compile(text, &template), 0);
    verdict = template_expand(template, values, &writer);
    template_free(template);
    return verdict;
}

static void test_template_says_why_it_cannot_be_expanded(void **state)
{
    struct template_values values = request_values;

    (void)state;
    assert_int_equal(expand("abcd", &values, 4), TEMPLATE_DONE);
    assert_int_equal(expand("abcd", &values, 3), TEMPLATE_FULL);
    assert_int_equal(expand("${peer.uid}", &values, 3), TEMPLATE_FULL);
    assert_int_equal(expand("${file:/none}", &values, 64), TEMPLATE_NO_FILE);
    values.file = NULL;
    assert_int_equal(expand("${file:/x}", &values, 64), TEMPLATE_NO_FILE);
    values.has_peer = false;
    assert_int_equal(expand("${peer.pid}", &values, 64), TEMPLATE_NO_PEER);
    assert_int_equal(expand("${request.id}", &values, 64), TEMPLATE_DONE);
}

static void test_template_knows_its_kinds_and_bounds(void **state)
{
    struct template *template = NULL;

    (void)state;
    assert_int_equal(template_compile("ab${peer.uid}${request.id}${file:/x}${request.path}", &template), 0);
    assert_int_equal(template_kinds(template), TEMPLATE_BIT(TEMPLATE_LITERAL) | TEMPLATE_BIT(TEMPLATE_PEER_UID) |
                                                   TEMPLATE_BIT(TEMPLATE_REQUEST_ID) | TEMPLATE_BIT(TEMPLATE_FILE) |
                                                   TEMPLATE_BIT(TEMPLATE_REQUEST_PATH));
    assert_int_equal(template_bounded_bytes(template), 2 + 10 + 256);
    assert_null(template_text(template));
    template_free(template);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_template_expands_as_its_row_says),
        cmocka_unit_test(test_template_of_literal_is_spelt_escaped),
        cmocka_unit_test(test_template_says_why_it_cannot_be_expanded),
        cmocka_unit_test(test_template_knows_its_kinds_and_bounds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
