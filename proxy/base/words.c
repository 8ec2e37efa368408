#include "proxy/base/words.h"

#include <stdint.h>
#include <string.h>

/* The longest word that words_nearest looks at; no key, method, verb or option of ours is longer. */
#define WORDS_LONGEST 31

const char *words_show(const char *text, char out[WORDS_SHOWN_BYTES])
{
    size_t length = strlen(text);

    if (length < WORDS_SHOWN_BYTES) {
        memcpy(out, text, length + 1);
        return out;
    }
    length = WORDS_SHOWN_BYTES - sizeof("...");
    while (length > 0 && ((unsigned char)text[length] & 0xc0) == 0x80)
        length--;
    memcpy(out, text, length);
    memcpy(out + length, "...", sizeof("..."));
    return out;
}

size_t words_control_length(const char *text, unsigned *ret_code)
{
    const unsigned char *c = (const unsigned char *)text;

    *ret_code = c[0];
    if (c[0] < 0x20 || c[0] == 0x7f)
        return c[0] != '\0';
    *ret_code = c[1];
    return c[0] == 0xc2 && c[1] >= 0x80 && c[1] < 0xa0 ? 2 : 0;
}

static unsigned words_least(unsigned a, unsigned b)
{
    return a < b ? a : b;
}

/* Edit distance in which two neighbours that changed places count as one error. */
static unsigned words_distance(const char *a, const char *b)
{
    size_t n_a = strlen(a), n_b = strlen(b);
    unsigned rows[WORDS_LONGEST + 1][WORDS_LONGEST + 1];

    if (n_a > WORDS_LONGEST || n_b > WORDS_LONGEST)
        return UINT32_MAX;
    for (size_t i = 0; i <= n_a; i++) {
        for (size_t j = 0; j <= n_b; j++) {
            if (i == 0 || j == 0) {
                rows[i][j] = (unsigned)(i + j);
                continue;
            }
            rows[i][j] = rows[i - 1][j - 1] + (a[i - 1] != b[j - 1]);
            rows[i][j] = words_least(rows[i][j], 1 + words_least(rows[i - 1][j], rows[i][j - 1]));
            if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
                rows[i][j] = words_least(rows[i][j], 1 + rows[i - 2][j - 2]);
        }
    }
    return rows[n_a][n_b];
}

const char *words_nearest(const char *given, const char *const *candidates)
{
    const char *best = NULL;
    /* A third of the word may be wrong; of a short word, one letter. */
    unsigned limit = words_least((unsigned)(strlen(given) / 3), 3);

    if (limit == 0)
        limit = 1;
    for (; *candidates; candidates++) {
        unsigned distance = words_distance(given, *candidates);
        /* A word that shares nothing with a short candidate isn't near it. */
        if (distance <= limit && distance < strlen(*candidates)) {
            best = *candidates;
            limit = distance - (distance > 0);
        }
    }
    return best;
}
