/* A clear view decodes to the same bytes as the path itself, has nothing in it that a server would resolve, and is its
 * own view. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>

#include "proxy/http/path.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static int hex(char c)
{
    const char *digits = "0123456789abcdef", *at = c ? strchr(digits, c >= 'A' && c <= 'F' ? c + 32 : c) : NULL;

    return at ? (int)(at - digits) : -1;
}

/* What a server that decodes everything sees of the path. */
static size_t decode(struct text path, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < path.length && path.data[i] != '?'; i++) {
        char c = path.data[i];

        if (c == '%' && i + 2 < path.length && hex(path.data[i + 1]) >= 0 && hex(path.data[i + 2]) >= 0) {
            c = (char)(hex(path.data[i + 1]) * 16 + hex(path.data[i + 2]));
            i += 2;
        }
        out[n++] = c;
    }
    return n;
}

static void check_decoded(const char *path, size_t length)
{
    for (size_t i = 0; i < length; i++) {
        size_t n = 0;

        assert(path[i] != '?' && path[i] != '#' && (unsigned char)path[i] < 0xf5);
        assert(path[i] != '\\' && path[i] != '\0' && path[i] != '\n' && path[i] != '\r');
        if (path[i] != '/')
            continue;
        while (i + 1 + n < length && path[i + 1 + n] != '/' && path[i + 1 + n] != ';')
            n++;
        assert(n != 1 || path[i + 1] != '.');
        assert(n != 2 || path[i + 1] != '.' || path[i + 2] != '.');
        assert(n > 0 || i + 1 == length);
    }
}

/* A condition is accepted exactly when it is its own view, and a complaint is about a byte of it. */
static void check_condition(struct text path, enum path_verdict verdict, struct text view, char *scratch)
{
    size_t at = 0;
    const char *wrong = path_check(path, scratch, &at);
    bool starts = path.length > 0 && path.data[0] == '/';

    assert(!wrong == (starts && verdict == PATH_CLEAR && text_equal(path, view)));
    assert(!wrong || at < path.length || path.length == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct text origin = {(const char *)bytes, size};
    char *view = malloc(size + 1), *again = malloc(size + 1), *decoded = malloc(size + 1);
    size_t length = 0, n_again = 0, n_decoded;
    enum path_verdict verdict;

    assert(view && again && decoded);
    verdict = path_view(origin, view, size, &length);
    assert(verdict != PATH_TOO_LONG && length <= size);
    if (length > 0)
        assert(path_view(origin, again, length - 1, &n_again) == PATH_TOO_LONG);
    check_condition(origin, verdict, (struct text){view, length}, again);
    if (verdict == PATH_CLEAR) {
        assert(path_view((struct text){view, length}, again, length, &n_again) == PATH_CLEAR);
        assert(text_equal((struct text){view, length}, (struct text){again, n_again}));
        n_decoded = decode(origin, decoded);
        if (bytes[0] != '?') {
            n_again = decode((struct text){view, length}, again);
            assert(text_equal((struct text){decoded, n_decoded}, (struct text){again, n_again}));
        }
        check_decoded(decoded, n_decoded);
    }
    free(view);
    free(again);
    free(decoded);
    return 0;
}
