/* libmicrohttpd has a phrase for each status, and no way to be given another. It asks for it by two functions of its
 * public interface, once for each head that it makes, within the call in which the answer was queued. These definitions
 * stand before its own: in a static program the library's are not linked, from a shared library the call finds ours
 * first (were it bound to its own, answers would have the phrase of their status). */
#include "proxy/serve/frontend_reason.h"

#include <microhttpd.h>

#include "proxy/http/status.h"

static _Thread_local struct text frontend_reason; /* borrowed; empty: none */

void frontend_reason_tell(struct text reason)
{
    frontend_reason = reason;
}

void frontend_reason_forget(void)
{
    frontend_reason = (struct text){NULL, 0};
}

static struct text frontend_reason_for(unsigned status)
{
    return frontend_reason.length > 0 ? frontend_reason : text_of(status_phrase(status));
}

/* Asked first. */
size_t MHD_get_reason_phrase_len_for(unsigned status)
{
    return frontend_reason_for(status).length;
}

const char *MHD_get_reason_phrase_for(unsigned status)
{
    struct text reason = frontend_reason_for(status);

    frontend_reason_forget();
    return reason.data;
}
