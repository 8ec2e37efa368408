/* sha256_hex against the examples of NIST and every length around a block. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "proxy/base/error.h"
#include "proxy/base/sha256.h"

static const struct {
    const char *text, *hash;
} rows[] = {
    {"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
    {"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
    {"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
     "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
    {"abcdefghbcdefghicdefghijdefghijkefghijklfghijklmghijklmnhijklmnoijklmnopjklmnopqklmnopqrlmnopqrsmnopqrstnopqrstu",
     "cf5b16a778af8380036ce59e7b0492370b249b11e8f07a51afac45037afee9d1"},
};

static void test_sha256_hex_of_published_examples(void **state UNUSED)
{
    char out[SHA256_HEX_BYTES];

    for (size_t i = 0; i < ARRAY_LENGTH(rows); i++) {
        sha256_hex(rows[i].text, strlen(rows[i].text), out);
        assert_string_equal(out, rows[i].hash);
    }
}

static void test_sha256_hex_of_a_million_letters(void **state UNUSED)
{
    size_t length = 1000000;
    char *text = malloc(length);
    char out[SHA256_HEX_BYTES];

    assert_non_null(text);
    memset(text, 'a', length);
    sha256_hex(text, length, out);
    assert_string_equal(out, "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
    free(text);
}

/* The hashes of 0 to 192 letters "a", one after the other, hashed: every way in which padding can meet a block. */
static void test_sha256_hex_of_every_length_around_blocks(void **state UNUSED)
{
    char text[192], hashes[193 * 64 + 1], out[SHA256_HEX_BYTES];

    memset(text, 'a', sizeof(text));
    for (size_t n = 0; n <= sizeof(text); n++)
        sha256_hex(text, n, hashes + 64 * n);
    sha256_hex(hashes, 193 * 64, out);
    assert_string_equal(out, "b4442fc5eb24ba9df23d86895d1bf1b6f72bdfc371f40c59d3c660593bbba01c");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_sha256_hex_of_published_examples),
        cmocka_unit_test(test_sha256_hex_of_a_million_letters),
        cmocka_unit_test(test_sha256_hex_of_every_length_around_blocks),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
