/* The reason phrase of an answer, as libmicrohttpd is to write it. */
#ifndef PORTHOLE_SERVE_FRONTEND_REASON_H
#define PORTHOLE_SERVE_FRONTEND_REASON_H

#include "proxy/base/text.h"

/* From within the library, as an answer is queued: the next head that the library makes in this thread, which is this
 * answer's, has this phrase, or the one of its status when it is empty. Borrowed until then. */
void frontend_reason_tell(struct text reason);
/* A request is over: should its head not have been made, the phrase is gone. */
void frontend_reason_forget(void);

#endif
