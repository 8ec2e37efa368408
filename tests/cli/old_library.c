/* porthole with a libmicrohttpd that says of itself what $LIBRARY_VERSION says. The Makefile links this in front of the
 * library's own word (--wrap). */
#include <stdlib.h>

const char *__wrap_MHD_get_version(void);

const char *__wrap_MHD_get_version(void)
{
    const char *version = getenv("LIBRARY_VERSION");

    return version ? version : "0";
}
