#include "proxy/http/claims.h"

#include <stddef.h>
#include <stdint.h>

struct claim {
    struct text name;
    bool beginning;
};

static const struct claim claims[] = {
#define CLAIM(name) {{name, sizeof(name) - 1}, false},
#define CLAIMS(name) {{name, sizeof(name) - 1}, true},
#include "proxy/http/claims.def"
#undef CLAIM
#undef CLAIMS
};

#define CLAIM_BIT(c) (1u << ((c)&31))
#define CLAIM_IS_X(name) ((name)[0] == 'x' && (name)[1] == '-')

/* Whether some name begins like this one: most fields of a request are told apart here. The compiler makes each mask of
 * letters one number: the first of any name, and the third of those that begin with "x-" and of the others. */
static bool claim_may_begin(const char *name)
{
    const uint32_t first = 0
#define CLAIM(claim) | CLAIM_BIT((claim)[0])
#define CLAIMS(claim) CLAIM(claim)
#include "proxy/http/claims.def"
#undef CLAIM
        ;
    const uint32_t third_of_x = 0
#define CLAIM(claim) | (CLAIM_IS_X(claim) ? CLAIM_BIT((claim)[2]) : 0)
#include "proxy/http/claims.def"
#undef CLAIM
        ;
    const uint32_t third = 0
#define CLAIM(claim) | (CLAIM_IS_X(claim) ? 0 : CLAIM_BIT((claim)[2]))
#include "proxy/http/claims.def"
#undef CLAIM
#undef CLAIMS
        ;

    return first & CLAIM_BIT(name[0]) && (name[1] == '-' ? third_of_x | third : third) & CLAIM_BIT(name[2]);
}

bool claim_is(struct text name)
{
    if (name.length < 3 || !claim_may_begin(name.data))
        return false;
    for (size_t i = 0; i < sizeof(claims) / sizeof(claims[0]); i++) {
        struct text claim = claims[i].name;

        if ((name.data[2] | 0x20) != claim.data[2] || name.length < claim.length)
            continue;
        if (!claims[i].beginning && name.length != claim.length)
            continue;
        if (text_equal_nocase((struct text){name.data, claim.length}, claim))
            return true;
    }
    return false;
}
