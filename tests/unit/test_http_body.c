/* The chunked coding: what is accepted, what is refused, and that it makes no difference how it arrives. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "proxy/http/body.h"

/* What came of decoding a message. */
struct decoded {
    enum chunked_result result; /* the last one: MORE, END or BAD */
    size_t used;                /* meaningless after BAD */
    char body[256];
    size_t n_body;
    char trailers[32768];
    size_t n_trailers;
};

static void append(char *to, size_t size, size_t *length, struct text data)
{
    assert_true(data.length <= size - *length);
    memcpy(to + *length, data.data, data.length);
    *length += data.length;
}

/* Feeds `in` up to its end or the end of the message, and goes on in `decoded`. */
static void decode_piece(struct chunked *chunked, struct text in, struct decoded *decoded)
{
    size_t used = 0;

    do {
        struct text data;
        size_t n = 0;

        decoded->result = chunked_decode(chunked, (struct text){in.data + used, in.length - used}, &n, &data);
        if (decoded->result == CHUNKED_BAD)
            return;
        used += n;
        assert_true(used <= in.length);
        if (decoded->result == CHUNKED_DATA || decoded->result == CHUNKED_TRAILER)
            assert_true(data.length > 0 && data.data + data.length == in.data + used);
        if (decoded->result == CHUNKED_DATA)
            append(decoded->body, sizeof(decoded->body), &decoded->n_body, data);
        if (decoded->result == CHUNKED_TRAILER)
            append(decoded->trailers, sizeof(decoded->trailers), &decoded->n_trailers, data);
    } while (decoded->result == CHUNKED_DATA || decoded->result == CHUNKED_TRAILER);
    if (decoded->result == CHUNKED_MORE)
        assert_int_equal(used, in.length);
    decoded->used += used;
}

/* Decodes the first `first` bytes in one call, then the rest in pieces of `step`. */
static struct decoded decode_split(struct text in, size_t first, size_t step)
{
    struct chunked chunked = {0};
    struct decoded decoded = {0};
    size_t at = 0, n = first;

    do {
        if (n > in.length - at)
            n = in.length - at;
        decode_piece(&chunked, (struct text){in.data + at, n}, &decoded);
        at += n;
        n = step;
    } while (decoded.result == CHUNKED_MORE && at < in.length);
    return decoded;
}

static void assert_same(const struct decoded *a, const struct decoded *b)
{
    assert_int_equal(a->result, b->result);
    assert_int_equal(a->n_body, b->n_body);
    assert_memory_equal(a->body, b->body, a->n_body);
    if (a->result == CHUNKED_BAD)
        return;
    assert_int_equal(a->used, b->used);
    assert_int_equal(a->n_trailers, b->n_trailers);
    assert_memory_equal(a->trailers, b->trailers, a->n_trailers);
}

#define ROW(result, literal, body)                             \
    {                                                          \
        {literal, sizeof(literal) - 1}, CHUNKED_##result, body \
    }

static const struct {
    struct text in;
    enum chunked_result result;
    const char *body;
} rows[] = {
    ROW(MORE, "", ""),
    ROW(END, "0\r\n\r\n", ""),
    ROW(END, "00\r\n\r\n", ""),
    ROW(END, "0000000000000000\r\n\r\n", ""),
    ROW(END, "1\r\na\r\n0\r\n\r\n", "a"),
    ROW(END, "5\r\nab\r\nc\r\n0\r\n\r\n", "ab\r\nc"),
    ROW(END, "3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n", "abcde"),
    ROW(END, "a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ROW(END, "A\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ROW(END, "000000000000000a\r\n0123456789\r\n0\r\n\r\n", "0123456789"),
    ROW(END, "5\r\n0\r\n\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    ROW(END, "1;a\r\nb\r\n0\r\n\r\n", "b"),
    ROW(END, "1;a=b;c=\"d;e\"\r\nb\r\n0;f\r\n\r\n", "b"),
    ROW(END, "1 ;a\r\nb\r\n0\r\n\r\n", "b"),
    ROW(END, "1 \t ; a = b \r\nb\r\n0\r\n\r\n", "b"),
    ROW(END, "1;\r\nb\r\n0;\r\n\r\n", "b"),
    ROW(END, "1;\xc3\xa9\r\nb\r\n0\r\n\r\n", "b"),
    ROW(END, "0\r\nA: b\r\n\r\n", ""),
    ROW(END, "0\r\nA:\r\nB:\tc d\xff\r\n\r\n", ""),
    ROW(END, "0\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n", ""),
    ROW(END, "0\r\n\r\nGET / HTTP/1.1\r\n", ""),
    ROW(END, "1\r\na\r\n0\r\n\r\n0\r\n\r\n", "a"),
    ROW(MORE, "0\r\n", ""),
    ROW(MORE, "0\r\n\r", ""),
    ROW(MORE, "0\r\nA: b\r\n", ""),
    ROW(MORE, "1", ""),
    ROW(MORE, "1\r\n", ""),
    ROW(MORE, "2\r\na", "a"),
    ROW(MORE, "1\r\na", "a"),
    ROW(MORE, "1\r\na\r\n", "a"),
    ROW(MORE, "7fffffffffffffff\r\na", "a"),
    ROW(MORE, "7FFFFFFFFFFFFFFF\r\na", "a"),
    ROW(BAD, "8000000000000000\r\n", ""),
    ROW(BAD, "ffffffffffffffff\r\n", ""),
    ROW(BAD, "FFFFFFFFFFFFFFFE\r\n", ""),
    ROW(BAD, "10000000000000000\r\n", ""),
    ROW(BAD, "00000000000000000\r\n", ""),
    ROW(BAD, "00000000000000001\r\na\r\n0\r\n\r\n", ""),
    ROW(BAD, "10000000000000005\r\n", ""),
    ROW(BAD, "\r\n", ""),
    ROW(BAD, "\n", ""),
    ROW(BAD, " 1\r\n", ""),
    ROW(BAD, "\t1\r\n", ""),
    ROW(BAD, "1 \r\na", ""),
    ROW(BAD, "1\t\r\na", ""),
    ROW(BAD, "1 2\r\n", ""),
    ROW(BAD, "1 a;b\r\n", ""),
    ROW(BAD, ";a\r\n", ""),
    ROW(BAD, "+1\r\n", ""),
    ROW(BAD, "-1\r\n", ""),
    ROW(BAD, "0x1\r\n", ""),
    ROW(BAD, "1h\r\n", ""),
    ROW(BAD, "g\r\n", ""),
    ROW(BAD, "1,\r\n", ""),
    ROW(BAD, "1_0\r\n", ""),
    ROW(BAD, "1.0\r\n", ""),
    ROW(BAD, "\0001\r\n", ""),
    ROW(BAD, "1\0\r\n", ""),
    ROW(BAD, "\xef\xbc\x91\r\n", ""),
    ROW(BAD, "1\na\r\n0\r\n\r\n", ""),
    ROW(BAD, "1\r\r\na", ""),
    ROW(BAD, "1\ra", ""),
    ROW(BAD, "1;a\nb\r\n", ""),
    ROW(BAD, "1;a\rb\r\n", ""),
    ROW(BAD, "1;a\0\r\n", ""),
    ROW(BAD, "1;\x0b\r\n", ""),
    ROW(BAD, "1;\x7f\r\n", ""),
    ROW(BAD, "1;\"\n\"\r\n", ""),
    ROW(BAD, "1\r\nab", "a"),
    ROW(BAD, "1\r\na\n0\r\n\r\n", "a"),
    ROW(BAD, "1\r\na\n\n0\r\n\r\n", "a"),
    ROW(BAD, "1\r\na\r0", "a"),
    ROW(BAD, "1\r\na0\r\n\r\n", "a"),
    ROW(BAD, "2\r\na\r\n0\r\n\r\n", "a\r"),
    ROW(BAD, "0\n\n", ""),
    ROW(BAD, "0\n\r\n", ""),
    ROW(BAD, "0\r\n\n", ""),
    ROW(BAD, "0\r\n\rG", ""),
    ROW(BAD, "0\r\n:a\r\n\r\n", ""),
    ROW(BAD, "0\r\nA\r\n\r\n", ""),
    ROW(BAD, "0\r\nA : b\r\n\r\n", ""),
    ROW(BAD, "0\r\n A: b\r\n\r\n", ""),
    ROW(BAD, "0\r\nA: b\r\n c\r\n\r\n", ""),
    ROW(BAD, "0\r\nA: b\nC: d\r\n\r\n", ""),
    ROW(BAD, "0\r\nA: b\n\r\n", ""),
    ROW(BAD, "0\r\nA: b\r\r\n\r\n", ""),
    ROW(BAD, "0\r\nA: \0\r\n\r\n", ""),
    ROW(BAD, "0\r\nGET / HTTP/1.1\r\n\r\n", ""),
    ROW(BAD, "1\r\na\r\n\r\n0\r\n\r\n", "a"),
};

static void test_chunked_decode_every_split_same_result(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
        struct decoded whole = decode_split(rows[i].in, rows[i].in.length, 1);

        if (whole.result != rows[i].result ||
            !text_equal((struct text){whole.body, whole.n_body}, text_of(rows[i].body)))
            fail_msg("row %zu: result %d, body %.*s", i, whole.result, (int)whole.n_body, whole.body);
        for (size_t first = 0; first < rows[i].in.length; first++) {
            struct decoded two = decode_split(rows[i].in, first, rows[i].in.length);
            struct decoded bytes = decode_split(rows[i].in, first, 1);

            assert_same(&whole, &two);
            assert_same(&whole, &bytes);
        }
    }
}

static void test_chunked_decode_after_end_uses_nothing(void **state)
{
    struct chunked chunked = {0};
    struct text data = {NULL, 0};
    size_t used = 99;

    (void)state;
    assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL("0\r\n\r\nrest"), &used, &data), CHUNKED_TRAILER);
    assert_int_equal(used, 5);
    assert_true(text_equal(data, TEXT_LITERAL("\r\n")));
    data = (struct text){NULL, 0};
    for (size_t i = 0; i < 2; i++) {
        used = 99;
        assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL("rest"), &used, &data), CHUNKED_END);
        assert_int_equal(used, 0);
        assert_null(data.data);
    }
}

/* Whatever comes before and after it: all of a section in one piece, and the end without any input. */
static void test_chunked_decode_trailer_section_handed_out(void **state)
{
    static const char *const sections[] = {
        "\r\n",
        "A: b\r\n\r\n",
        "A:\r\nB: \tc \xff\r\nA:d\r\n\r\n",
        "Content-Length: 5\r\nGrpc-Status:0\r\n\r\n",
    };

    (void)state;
    for (size_t i = 0; i < sizeof(sections) / sizeof(sections[0]); i++) {
        char message[128];
        struct chunked chunked = {0};
        struct text section = text_of(sections[i]), in = {message, 0}, data = {NULL, 0};
        size_t used = 0;

        in.length = (size_t)snprintf(message, sizeof(message), "1\r\na\r\n0;b\r\n%s", sections[i]);
        assert_int_equal(chunked_decode(&chunked, in, &used, &data), CHUNKED_DATA);
        in = (struct text){in.data + used, in.length - used};
        assert_int_equal(chunked_decode(&chunked, in, &used, &data), CHUNKED_TRAILER);
        assert_true(text_equal(data, section));
        assert_ptr_equal(data.data, in.data + in.length - section.length);
        assert_int_equal(used, in.length);
        assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL(""), &used, &data), CHUNKED_END);
        assert_int_equal(used, 0);
        for (size_t first = 0; first < strlen(message); first++) {
            struct decoded decoded = decode_split(text_of(message), first, 1);

            assert_int_equal(decoded.result, CHUNKED_END);
            assert_int_equal(decoded.used, strlen(message));
            assert_true(text_equal((struct text){decoded.trailers, decoded.n_trailers}, section));
            assert_int_equal(decoded.n_body, 1);
        }
    }
}

/* The size's own line is not part of the section, nor is what was bad. */
static void test_chunked_decode_bad_trailer_outputs_untouched(void **state)
{
    struct chunked chunked = {0};
    struct text data = {NULL, 0};
    size_t used = 99;

    (void)state;
    assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL("0\r\n"), &used, &data), CHUNKED_MORE);
    assert_int_equal(used, 3);
    assert_null(data.data);
    assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL("A: b\r\nC\r\n"), &used, &data), CHUNKED_BAD);
    assert_int_equal(used, 3);
    assert_null(data.data);
    assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL("\r\n"), &used, &data), CHUNKED_BAD);
}

static void test_chunked_decode_after_bad_stays_bad(void **state)
{
    struct chunked chunked = {0};
    struct text data = {NULL, 0};
    size_t used = 99;

    (void)state;
    assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL("x"), &used, &data), CHUNKED_BAD);
    assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL("0\r\n\r\n"), &used, &data), CHUNKED_BAD);
    assert_int_equal(chunked_decode(&chunked, TEXT_LITERAL(""), &used, &data), CHUNKED_BAD);
    assert_int_equal(used, 99);
    assert_null(data.data);
}

/* The result of a message with n_filler bytes between `before` and `after`. */
static enum chunked_result decode_filled(const char *before, size_t n_filler, const char *after)
{
    size_t n_before = strlen(before), n_after = strlen(after);
    char *message = malloc(n_before + n_filler + n_after);
    struct decoded decoded;

    assert_non_null(message);
    memcpy(message, before, n_before);
    memset(message + n_before, 'x', n_filler);
    memcpy(message + n_before + n_filler, after, n_after);
    decoded = decode_split((struct text){message, n_before + n_filler + n_after}, 1000, 100);
    free(message);
    return decoded.result;
}

static void test_chunked_decode_line_ceiling_holds(void **state)
{
    (void)state;
    assert_int_equal(decode_filled("1;", 16384, "\r\na\r\n0\r\n\r\n"), CHUNKED_END);
    assert_int_equal(decode_filled("1;", 16385, "\r\na\r\n0\r\n\r\n"), CHUNKED_BAD);
    assert_int_equal(decode_filled("1;", 1 << 20, ""), CHUNKED_BAD);
    assert_int_equal(decode_filled("0\r\n", 16379, ":\r\n\r\n"), CHUNKED_END);
    assert_int_equal(decode_filled("0\r\n", 16380, ":\r\n\r\n"), CHUNKED_BAD);
    assert_int_equal(decode_filled("0\r\nA:", 16378, "\r\n\r\n"), CHUNKED_END);
    assert_int_equal(decode_filled("0\r\nA:b\r\nC:", 16374, "\r\n\r\n"), CHUNKED_BAD);
    assert_int_equal(decode_filled("0\r\nA:b\r\nC:", 16373, "\r\n\r\n"), CHUNKED_END);
}

/* A long stream whose chunks carry small extensions goes on for ever. */
static void test_chunked_decode_many_extensions_accepted(void **state)
{
    struct chunked chunked = {0};
    struct decoded decoded = {0};

    (void)state;
    for (size_t i = 0; i < 20000; i++) {
        decoded.n_body = 0;
        decode_piece(&chunked, TEXT_LITERAL("1;a=b\r\nc\r\n"), &decoded);
        assert_int_equal(decoded.result, CHUNKED_MORE);
        assert_int_equal(decoded.n_body, 1);
    }
}

static void test_chunk_write_head_any_size_decodes_to_it(void **state)
{
    static const struct {
        uint64_t n;
        const char *head;
    } heads[] = {
        {1, "1\r\n"},
        {9, "9\r\n"},
        {10, "a\r\n"},
        {15, "f\r\n"},
        {16, "10\r\n"},
        {255, "ff\r\n"},
        {65536, "10000\r\n"},
        {0x1234abcd, "1234abcd\r\n"},
        {INT64_MAX, "7fffffffffffffff\r\n"},
        {UINT64_MAX, "ffffffffffffffff\r\n"},
    };

    (void)state;
    for (size_t i = 0; i < sizeof(heads) / sizeof(heads[0]); i++) {
        char out[CHUNK_HEAD_BYTES];
        struct text head = {out, chunk_write_head(out, heads[i].n)}, data;
        struct chunked chunked = {0};
        size_t used;

        assert_true(text_equal(head, text_of(heads[i].head)));
        if (heads[i].n > INT64_MAX)
            continue;
        assert_int_equal(chunked_decode(&chunked, head, &used, &data), CHUNKED_MORE);
        assert_int_equal(chunked.remaining_bytes, heads[i].n);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_chunked_decode_every_split_same_result),
        cmocka_unit_test(test_chunked_decode_after_end_uses_nothing),
        cmocka_unit_test(test_chunked_decode_trailer_section_handed_out),
        cmocka_unit_test(test_chunked_decode_bad_trailer_outputs_untouched),
        cmocka_unit_test(test_chunked_decode_after_bad_stays_bad),
        cmocka_unit_test(test_chunked_decode_line_ceiling_holds),
        cmocka_unit_test(test_chunked_decode_many_extensions_accepted),
        cmocka_unit_test(test_chunk_write_head_any_size_decodes_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
