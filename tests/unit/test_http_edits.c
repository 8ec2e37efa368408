/* Edits: what is left of a client's fields, and what a route writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "tests/unit/http_text.h"

#define BEHIND "Via: 1.1 porthole\r\nForwarded: for=_uid-7.gid-8;host=h;proto=http\r\n"
#define HOST "X-Forwarded-Host: h\r\n"
#define PROTO "X-Forwarded-Proto: http\r\n"
#define ID "X-Request-Id: id\r\n"

/* A row's edits: up to two of each, NULL: no more. */
static const struct {
    const char *set[4], *add[4], *remove[3]; /* set and add: names and values */
    const char *request, *expected;
} rows[] = {
    {{0},
     {0},
     {"cookie"},
     "GET / 1\nHost: h\nCookie: a\nCOOKIE: b\nA: c",
     "GET / HTTP/1.1\r\nHost: h\r\nA: c\r\n" BEHIND HOST PROTO ID},
    {{"X-User", "u"},
     {0},
     {0},
     "GET / 1\nHost: h\nX-User: a\nx_user: b\nX.USER: c\nX-Users: d\nX--User: e",
     "GET / HTTP/1.1\r\nHost: h\r\nX-Users: d\r\nX--User: e\r\nX-User: u\r\n" BEHIND HOST PROTO ID},
    {{"X-User", "u"},
     {0},
     {0},
     "GET / 1\nHost: h\nConnection: x-user\nX-User: a",
     "GET / HTTP/1.1\r\nHost: h\r\nX-User: u\r\n" BEHIND HOST PROTO ID},
    {{0},
     {"A", "2", "B", ""},
     {0},
     "GET / 1\nHost: h\nA: 1",
     "GET / HTTP/1.1\r\nHost: h\r\nA: 1\r\nA: 2\r\nB: \r\n" BEHIND HOST PROTO ID},
    {{"A", "2"},
     {"a", "3"},
     {0},
     "GET / 1\nHost: h\nA: 1",
     "GET / HTTP/1.1\r\nHost: h\r\nA: 2\r\na: 3\r\n" BEHIND HOST PROTO ID},
    {{0}, {"A", "2"}, {"A"}, "GET / 1\nHost: h\nA: 1", "GET / HTTP/1.1\r\nHost: h\r\nA: 2\r\n" BEHIND HOST PROTO ID},
    {{"Host", "x:1"}, {0}, {0}, "GET / 1\nHost: h", "GET / HTTP/1.1\r\nHost: x:1\r\n" BEHIND HOST PROTO ID},
    {{"X-Forwarded-Proto", "https"},
     {0},
     {0},
     "GET / 1\nHost: h",
     "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-Proto: https\r\n" BEHIND HOST ID},
    {{"X-Request-Id", "mine"},
     {0},
     {"X-Forwarded-Host"},
     "GET / 1\nHost: h\nX-Request-Id: a",
     "GET / HTTP/1.1\r\nHost: h\r\nX-Request-Id: mine\r\n" BEHIND PROTO},
    {{0},
     {0},
     {"Forwarded", "X-Forwarded-Proto"},
     "GET / 1\nHost: h",
     "GET / HTTP/1.1\r\nHost: h\r\nVia: 1.1 porthole\r\n" HOST ID},
    {{"A", "${request.path}|${request.query}|${request.host}|${peer.uid}"},
     {0},
     {0},
     "GET http://h?q 1\nHost: x",
     "GET /?q HTTP/1.1\r\nHost: h\r\nA: /|q|h|7\r\n" BEHIND HOST PROTO ID},
    {{"A", "${request.path}|${request.query}"},
     {0},
     {0},
     "GET /a%2f/../b 1\nHost: h",
     "GET /a%2f/../b HTTP/1.1\r\nHost: h\r\nA: /a%2f/../b|\r\n" BEHIND HOST PROTO ID},
};

static void fill(struct edit_list *list, const char *const texts[4])
{
    list->items = calloc(2, sizeof(*list->items));
    for (size_t i = 0; i < 4 && texts[i]; i += 2) {
        list->items[list->n_items].name = strdup(texts[i]);
        assert_int_equal(template_compile(texts[i + 1], &list->items[list->n_items++].value), 0);
    }
}

static void make(struct edits *edits, const char *const set[4], const char *const add[4], const char *const remove[3])
{
    *edits = (struct edits){0};
    fill(&edits->set, set);
    fill(&edits->add, add);
    edits->remove = calloc(3, sizeof(*edits->remove));
    for (size_t i = 0; i < 2 && remove[i]; i++)
        edits->remove[i] = strdup(remove[i]);
    edits_finish(edits);
}

static void unmake(struct edits *edits)
{
    edit_list_deinit(&edits->set);
    edit_list_deinit(&edits->add);
    for (char **name = edits->remove; *name; name++)
        free(*name);
    free(edits->remove);
}

static void test_edits_of_a_request_are_as_the_row_says(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct template_values values = {.uid = 7, .has_peer = true};
        struct forward forward = {.client_node = {"_uid-7.gid-8", 12}, .request_id = {"id", 2}};
        char lines[256], out[1024];
        struct head_writer writer = {.out = lines, .size = sizeof(lines)};
        struct forward_edit edit = {.lines = {lines, 0}};
        struct request_text text;
        struct edits edits;
        unsigned status;
        size_t length;

        make(&edits, rows[i].set, rows[i].add, rows[i].remove);
        assert_true(request_from_text(&text, text_of(rows[i].request)));
        assert_null(request_check(&text.request, &status));
        edits_take_request(&values, &text.request);
        assert_int_equal(edits_write(&edits, &values, &writer), TEMPLATE_DONE);
        edit.edits = &edits;
        edit.lines.length = writer.length;
        if (edits.host)
            edit.host = text_of(template_text(edits.host->value));
        forward.edit = &edit;
        length = forward_write(&text.request, &forward, out, sizeof(out) - 1);
        out[length] = '\0';
        print_message("%zu\n", i);
        assert_int_equal(length, strlen(rows[i].expected) + 2);
        assert_memory_equal(out, rows[i].expected, length - 2);
        unmake(&edits);
    }
}

static void test_edits_mark_trailers_in_every_spelling(void **state)
{
    static const char *const set[4] = {"X-Sum", "s"}, *const add[4] = {"X-Free", "f"}, *const removed[3] = {"X-Gone"};
    struct field items[] = {
        {.name = {"x_sum", 5}}, {.name = {"X.GONE", 6}}, {.name = {"X-Free", 6}}, {.name = {"X-Sums", 6}}};
    struct fields fields = {items, 4, 4};
    struct edits edits;

    (void)state;
    make(&edits, set, add, removed);
    edits_mark(&edits, &fields);
    assert_true(items[0].drop && items[1].drop);
    assert_false(items[2].drop || items[3].drop);
    unmake(&edits);
}

/* Nothing is cut: there is room for all lines, or for none. */
static void test_edits_without_room_are_refused(void **state)
{
    static const char *const set[4] = {"A", "bcd"}, *const none[4] = {0};
    struct template_values values = {0};
    struct edits edits;
    char out[16];

    (void)state;
    make(&edits, set, none, none);
    assert_int_equal(edits_bounded_bytes(&edits), 8);
    for (size_t size = 0; size <= 8; size++) {
        struct head_writer writer = {.out = out, .size = size};

        assert_int_equal(edits_write(&edits, &values, &writer), size < 8 ? TEMPLATE_FULL : TEMPLATE_DONE);
    }
    unmake(&edits);
}

static void test_edits_of_framing_are_not_allowed(void **state)
{
    static const char *const no[] = {"Connection", "TE",  "upgrade", "Transfer-Encoding", "content-length",
                                     "Expect",     "Via", "Trailer", "Keep-Alive",        "Proxy-Connection"};
    static const char *const yes[] = {"Host", "Date", "X-Request-Id", "Forwarded", "Anything"};

    (void)state;
    for (size_t i = 0; i < sizeof(no) / sizeof(no[0]); i++)
        assert_false(edits_may_name(field_identify(text_of(no[i]))));
    for (size_t i = 0; i < sizeof(yes) / sizeof(yes[0]); i++)
        assert_true(edits_may_name(field_identify(text_of(yes[i]))));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_edits_of_a_request_are_as_the_row_says),
        cmocka_unit_test(test_edits_mark_trailers_in_every_spelling),
        cmocka_unit_test(test_edits_without_room_are_refused),
        cmocka_unit_test(test_edits_of_framing_are_not_allowed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
