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

/* The letters that the names begin with, a bit each: most fields of a request are none of them. */
static uint32_t claim_letters(void)
{
    return 0
#define CLAIM(name) | 1u << ((name)[0] & 31)
#define CLAIMS(name) | 1u << ((name)[0] & 31)
#include "proxy/http/claims.def"
#undef CLAIM
#undef CLAIMS
        ;
}

bool claim_is(struct text name)
{
    if (name.length < 3 || !(claim_letters() >> (name.data[0] & 31) & 1))
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
