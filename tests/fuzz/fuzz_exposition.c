/* Whatever a label holds, each line of an exposition is a comment or one sample, and no value ends its quotes early;
 * and whatever a scraper sends as Accept, it gets one of the two formats. */
#include <assert.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/utf8.h"
#include "proxy/report/exposition.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

static void check_utf8(const char *text, size_t n)
{
    while (n > 0) {
        size_t length = utf8_length((const unsigned char *)text, n);

        assert(length > 0);
        text += length;
        n -= length;
    }
}

/* name{label="value",...} number; returns what is behind its line end. */
static const char *check_sample(const char *at)
{
    at += strcspn(at, "{ \n");
    while (*at == '{' || *at == ',') {
        at++;
        at += strspn(at, "abcdefghijklmnopqrstuvwxyz_0123456789");
        assert(at[0] == '=' && at[1] == '"');
        for (at += 2; *at != '"'; at++) {
            assert(*at != '\0' && *at != '\n');
            if (*at == '\\') {
                at++;
                assert(*at == '"' || *at == '\\' || *at == 'n');
            }
        }
        at++;
    }
    at += *at == '}';
    assert(*at == ' ');
    at++;
    assert(strspn(at, "0123456789.") > 0);
    at += strspn(at, "0123456789.");
    assert(*at == '\n');
    return at + 1;
}

static void check_text(const char *text, size_t length)
{
    assert(strlen(text) == length);
    check_utf8(text, length);
    while (*text)
        text = *text == '#' ? strchr(text, '\n') + 1 : check_sample(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    char *value = calloc(1, size + 1), *text;
    struct histogram_sum sum = {.buckets = {size}, .n = size};
    struct exposition exposition;
    enum exposition_format format;
    size_t length;

    assert(value);
    if (size > 0)
        memcpy(value, bytes, size);
    format = exposition_choose((struct text){value, size});
    assert(exposition_content_type(format));
    exposition_init(&exposition, format);
    exposition_put(&exposition, FAMILY_REQUESTS, (const char *const[]){value, "b", value, "200", value}, size);
    exposition_put_histogram(&exposition, FAMILY_REQUEST_DURATION, (const char *const[]){value, value},
                             &histogram_requests, &sum);
    text = exposition_end(&exposition, &length);
    assert(text);
    check_text(text, length);
    free(text);
    free(value);
    return 0;
}
