#include "config/secret_name.h"

#include <stddef.h>
#include <string.h>
#include <strings.h>

bool secret_name_is_one(const char *name)
{
    /* Of X-Registry-Config: it holds a password for each registry. */
    static const char *const words[] = {"auth",   "cookie", "credential",       "jwt",     "key",
                                        "passw",  "pwd",    "secret",           "session", "signature",
                                        "ticket", "token",  "x-registry-config"};

    for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
        if (strcasestr(name, words[i]))
            return true;
    return false;
}

bool secret_name_begins(const char *text)
{
    static const char *const schemes[] = {"Basic ", "Bearer ", "Digest ", "DPoP ", "Negotiate ", "NTLM ", "Token "};

    for (size_t i = 0; i < sizeof(schemes) / sizeof(schemes[0]); i++)
        if (strncasecmp(text, schemes[i], strlen(schemes[i])) == 0)
            return true;
    return false;
}
