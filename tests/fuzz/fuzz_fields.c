/* Lists, numbers and names against a second, simple way to say the same. */
#include <assert.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#include "proxy/http/fields.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_list(struct text value)
{
    struct text rest = value, element;
    size_t n_elements = 0;

    while (text_next_element(&rest, &element)) {
        struct text trimmed = text_trim(element);

        assert(element.length > 0 && trimmed.length == element.length);
        assert(element.data >= value.data && element.data + element.length <= rest.data);
        assert(rest.data + rest.length == value.data + value.length);
        n_elements++;
    }
    assert(n_elements <= value.length / 2 + 1);
}

static void check_number(struct text s)
{
    uint64_t length = 0;
    char *terminated, *end;
    unsigned long long expected;

    if (!text_to_length(s, &length))
        return;
    terminated = strndup(s.data, s.length);
    assert(terminated && strlen(terminated) == s.length && strspn(terminated, "0123456789") == s.length);
    errno = 0;
    expected = strtoull(terminated, &end, 10);
    assert(errno == 0 && *end == '\0' && expected == length && length <= INT64_MAX);
    free(terminated);
}

static void check_name(struct text name)
{
    enum field_id expected = FIELD_OTHER;

#define FIELD(id, lower, class)                       \
    if (text_equal_nocase(name, TEXT_LITERAL(lower))) \
        expected = FIELD_##id;
#include "proxy/http/fields.def"
#undef FIELD
    assert(field_identify(name) == expected);
}

/* The input as a Connection field, with fields that it may or may not name. */
static void check_connection(struct text value)
{
    struct field items[] = {
        {.name = TEXT_LITERAL("Connection"), .value = value, .id = FIELD_CONNECTION},
        {.name = TEXT_LITERAL("Host"), .id = FIELD_HOST},
        {.name = TEXT_LITERAL("Via"), .id = FIELD_VIA},
        {.name = TEXT_LITERAL("a"), .id = FIELD_OTHER},
    };
    struct fields fields = {items, 4, 4};
    struct text rest = value, element;
    struct connection_options options, expected = {0};
    bool named = false, tokens = true;

    while (text_next_element(&rest, &element)) {
        tokens = tokens && text_is_token(element);
        named = named || text_equal_nocase(element, TEXT_LITERAL("a"));
        expected.close = expected.close || text_equal_nocase(element, TEXT_LITERAL("close"));
        expected.keep_alive = expected.keep_alive || text_equal_nocase(element, TEXT_LITERAL("keep-alive"));
        expected.upgrade = expected.upgrade || text_equal_nocase(element, TEXT_LITERAL("upgrade"));
        expected.te = expected.te || text_equal_nocase(element, TEXT_LITERAL("te"));
    }
    if (!fields_mark_hop_by_hop(&fields, &options))
        return;
    assert(tokens && items[0].drop && !items[1].drop && !items[2].drop && items[3].drop == named);
    assert(options.close == expected.close && options.keep_alive == expected.keep_alive);
    assert(options.upgrade == expected.upgrade && options.te == expected.te);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct text s = {(const char *)bytes, size};

    check_list(s);
    check_number(s);
    check_name(s);
    check_connection(s);
    if (text_is_token(s))
        assert(text_is_field_value(s) && text_trim(s).length == s.length);
    return 0;
}
