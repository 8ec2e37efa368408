/* Names, values, lists, numbers, and which fields end at this hop. */
#include <ctype.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "proxy/http/fields.h"

static void test_field_identify_every_known_name_in_any_case(void **state)
{
    static const struct {
        enum field_id id;
        const char *name;
        enum field_class class;
    } known[] = {
#define FIELD(id, name, class) {FIELD_##id, name, FIELD_CLASS_##class},
#include "proxy/http/fields.def"
#undef FIELD
    };

    (void)state;
    assert_int_equal(sizeof(known) / sizeof(known[0]) + 1, N_FIELD_IDS);
    for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
        char name[64];
        size_t length = strlen(known[i].name);

        assert_int_equal(field_class_of(known[i].id), known[i].class);
        for (size_t j = 0; j <= length; j++)
            name[j] = (char)toupper((unsigned char)known[i].name[j]);
        assert_int_equal(field_identify(text_of(known[i].name)), known[i].id);
        assert_int_equal(field_identify(text_of(name)), known[i].id);
        for (size_t j = 0; j < length; j++) {
            struct text mutated = {name, length};
            char c = name[j];

            name[j] = (char)(c ^ 0x20); /* a letter changes its case, '-' becomes CR */
            assert_int_equal(field_identify(mutated), c == '-' ? FIELD_OTHER : known[i].id);
            name[j] = '_';
            assert_int_equal(field_identify(mutated), FIELD_OTHER);
            name[j] = c;
        }
        assert_int_equal(field_identify((struct text){name, length - 1}), FIELD_OTHER);
    }
    assert_int_equal(field_class_of(FIELD_OTHER), FIELD_CLASS_END);
}

static void test_field_identify_other_names_other(void **state)
{
    static const char *const names[] = {"",
                                        "a",
                                        "ts",
                                        "vid",
                                        "hose",
                                        "data",
                                        "expects",
                                        "accept",
                                        "upgrades",
                                        "content-type",
                                        "x-forward",
                                        "x-forwarded-by",
                                        "content-lengtx",
                                        "x-forwarded-port",
                                        "xroxy-connection",
                                        "user-agent"};

    (void)state;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        assert_int_equal(field_identify(text_of(names[i])), FIELD_OTHER);
    assert_int_equal(field_identify((struct text){NULL, 0}), FIELD_OTHER);
}

/* The classes, once more and by another way, for every byte. */
static void test_text_is_token_and_value_every_byte(void **state)
{
    (void)state;
    for (int byte = 0; byte < 256; byte++) {
        char c = (char)byte;
        bool token = byte < 128 && (isalnum(byte) || (byte && strchr("!#$%&'*+-.^_`|~", byte)));
        bool value = byte == '\t' || (byte >= 32 && byte != 127);
        char around[] = {'a', c, 'b'};

        assert_int_equal(text_is_token((struct text){&c, 1}), token);
        assert_int_equal(text_is_token((struct text){around, 3}), token);
        assert_int_equal(text_is_field_value((struct text){&c, 1}), value);
        assert_int_equal(text_is_field_value((struct text){around, 3}), value);
        for (size_t i = 0; i < 21; i++) {
            char long_value[] = "0123456789\tabc\xff ~!/:{";

            long_value[i] = c;
            assert_int_equal(text_is_field_value((struct text){long_value, 21}), value);
        }
    }
    assert_false(text_is_token((struct text){NULL, 0}));
    assert_true(text_is_field_value((struct text){NULL, 0}));
}

static void test_text_trim_spaces_and_tabs_only(void **state)
{
    static const char *const rows[][2] = {
        {"", ""}, {" ", ""}, {" \t ", ""}, {"a", "a"}, {"\t a \tb \t", "a \tb"}, {"\na\r", "\na\r"}, {"\x0b", "\x0b"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
        assert_true(text_equal(text_trim(text_of(rows[i][0])), text_of(rows[i][1])));
    assert_int_equal(text_trim((struct text){NULL, 0}).length, 0);
}

static void test_text_next_element_lists_elements(void **state)
{
    /* Elements joined by '|'. */
    static const char *const rows[][2] = {
        {"", ""},
        {",", ""},
        {" , ,\t", ""},
        {"a", "a|"},
        {"a,b", "a|b|"},
        {" a , b ,, c,", "a|b|c|"},
        {"a b", "a b|"},
        {"\"a,b\",c", "\"a,b\"|c|"},
        {"x=\"a\\\",b\",c", "x=\"a\\\",b\"|c|"},
        {"a\\,b", "a\\|b|"},
        {"\"a,b", "\"a,b|"},
        {"\"a\\", "\"a\\|"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct text rest = text_of(rows[i][0]), element;
        char joined[64] = "";

        while (text_next_element(&rest, &element))
            snprintf(joined + strlen(joined), sizeof(joined) - strlen(joined), "%.*s|", (int)element.length,
                     element.data);
        assert_string_equal(joined, rows[i][1]);
        assert_false(text_next_element(&rest, &element));
    }
}

static void test_text_to_length_bounds_and_digits_only(void **state)
{
    static const struct {
        const char *text;
        bool good;
        uint64_t length;
    } rows[] = {
        {"0", true, 0},
        {"5", true, 5},
        {"0000000000000000000000005", true, 5},
        {"9223372036854775807", true, INT64_MAX},
        {"9223372036854775808", false, 0},
        {"9223372036854775810", false, 0},
        {"18446744073709551615", false, 0},
        {"18446744073709551616", false, 0},
        {"92233720368547758070", false, 0},
        {"", false, 0},
        {" 5", false, 0},
        {"5 ", false, 0},
        {"+5", false, 0},
        {"-5", false, 0},
        {"5a", false, 0},
        {"/", false, 0},
        {":", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        uint64_t length = 77;

        assert_int_equal(text_to_length(text_of(rows[i].text), &length), rows[i].good);
        assert_int_equal(length, rows[i].good ? rows[i].length : 77);
    }
}

static void test_fields_mark_hop_by_hop_refused_list_outputs_untouched(void **state)
{
    struct field items[] = {
        {.name = TEXT_LITERAL("Connection"), .value = TEXT_LITERAL("close, a b"), .id = FIELD_CONNECTION}};
    struct fields fields = {items, 1, 1};
    struct connection_options options = {.keep_alive = true, .te = true};

    (void)state;
    assert_false(fields_mark_hop_by_hop(&fields, &options));
    assert_true(!options.close && options.keep_alive && !options.upgrade && options.te);
}

static void test_fields_mark_hop_by_hop_options_reported(void **state)
{
    struct field items[] = {
        {.name = TEXT_LITERAL("Connection"), .value = TEXT_LITERAL("CLOSE"), .id = FIELD_CONNECTION},
        {.name = TEXT_LITERAL("Close"), .value = TEXT_LITERAL("a")},
        {.name = TEXT_LITERAL("Connection"), .value = TEXT_LITERAL("Keep-Alive, UPGRADE, x"), .id = FIELD_CONNECTION},
        {.name = TEXT_LITERAL("X"), .value = TEXT_LITERAL("a")},
    };
    struct fields fields = {items, 4, 4};
    struct connection_options options;

    (void)state;
    assert_true(fields_mark_hop_by_hop(&fields, &options));
    assert_true(options.close && options.keep_alive && options.upgrade && !options.te);
    assert_true(items[0].drop && !items[1].drop && items[2].drop && items[3].drop);
    items[0].value = TEXT_LITERAL("Te");
    fields.n_items = 1;
    assert_true(fields_mark_hop_by_hop(&fields, &options));
    assert_true(!options.close && !options.keep_alive && !options.upgrade && options.te);
    fields.n_items = 0;
    assert_true(fields_mark_hop_by_hop(&fields, &options));
    assert_false(options.close || options.keep_alive || options.upgrade || options.te);
}

/* Te goes in any case; Trailer stays unless the peer wants it gone. */
static void test_fields_mark_hop_by_hop_te_dropped_trailer_kept(void **state)
{
    struct field items[] = {
        {.name = TEXT_LITERAL("TE"), .value = TEXT_LITERAL("trailers"), .id = FIELD_TE},
        {.name = TEXT_LITERAL("Trailer"), .value = TEXT_LITERAL("a"), .id = FIELD_TRAILER},
        {.name = TEXT_LITERAL("Connection"), .value = TEXT_LITERAL("keep-alive"), .id = FIELD_CONNECTION},
    };
    struct fields fields = {items, 3, 3};
    struct connection_options options;

    (void)state;
    assert_true(fields_mark_hop_by_hop(&fields, &options));
    assert_true(items[0].drop && !items[1].drop);
    items[2].value = TEXT_LITERAL("trailer");
    assert_true(fields_mark_hop_by_hop(&fields, &options));
    assert_true(items[1].drop);
}

/* Our own options are none of the 64 names. */
static void test_fields_mark_hop_by_hop_many_names_bounded(void **state)
{
    char value[512];
    size_t length = (size_t)snprintf(value, sizeof(value), "close, TE, upgrade, keep-alive");
    struct field item = {.name = TEXT_LITERAL("Connection"), .id = FIELD_CONNECTION};
    struct fields fields = {&item, 1, 1};
    struct connection_options options;

    (void)state;
    for (size_t i = 0; i < 64; i++)
        length += (size_t)snprintf(value + length, sizeof(value) - length, ",ab");
    item.value = (struct text){value, length};
    assert_true(fields_mark_hop_by_hop(&fields, &options));
    snprintf(value + length, sizeof(value) - length, ",ab");
    item.value = text_of(value);
    assert_false(fields_mark_hop_by_hop(&fields, &options));
}

static void test_fields_parse_lines_split_until_bad_or_full(void **state)
{
    static const struct {
        const char *lines;
        bool good;
        size_t n_fields; /* before the bad one */
    } rows[] = {
        {"", true, 0},
        {"A: b\r\n", true, 1},
        {"A: b\r\nte:\r\n", true, 2},
        {"A: b\r\nC: d\r\nE: f\r\n", false, 2},
        {"A: b\r\n\r\n", false, 1},
        {"A: b\r\n c\r\n", false, 1},
        {"A\r\n", false, 0},
        {"A:\r\r\n", false, 0},
        {"A:\n\r\n", false, 0},
        {"\r\n", false, 0},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct field items[2] = {{.drop = true}, {.drop = true}};
        struct fields fields = {items, 99, 2};
        const char *why = fields_parse(text_of(rows[i].lines), &fields);

        if (!why != rows[i].good || fields.n_items != rows[i].n_fields)
            fail_msg("row %zu: %zu fields, %s", i, fields.n_items, why ? why : "good");
        if (fields.n_items > 0)
            assert_true(text_equal(items[0].name, TEXT_LITERAL("A")) && text_equal(items[0].value, TEXT_LITERAL("b")) &&
                        items[0].id == FIELD_OTHER && !items[0].drop);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_field_identify_every_known_name_in_any_case),
        cmocka_unit_test(test_field_identify_other_names_other),
        cmocka_unit_test(test_text_is_token_and_value_every_byte),
        cmocka_unit_test(test_text_trim_spaces_and_tabs_only),
        cmocka_unit_test(test_text_next_element_lists_elements),
        cmocka_unit_test(test_text_to_length_bounds_and_digits_only),
        cmocka_unit_test(test_fields_mark_hop_by_hop_refused_list_outputs_untouched),
        cmocka_unit_test(test_fields_mark_hop_by_hop_options_reported),
        cmocka_unit_test(test_fields_mark_hop_by_hop_te_dropped_trailer_kept),
        cmocka_unit_test(test_fields_mark_hop_by_hop_many_names_bounded),
        cmocka_unit_test(test_fields_parse_lines_split_until_bad_or_full),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
