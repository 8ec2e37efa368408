/* The head of an answer, as libmicrohttpd is to write it. */
#ifndef PORTHOLE_SERVE_FRONTEND_HEAD_H
#define PORTHOLE_SERVE_FRONTEND_HEAD_H

#include "proxy/exchange/source.h"

/* From within the library, before an answer is queued: the next head that the library makes in this thread, which is
 * this answer's, has its reason phrase and its fields in their order; with `length` the length, too, where the target
 * has it. False when the library must be given the fields one by one, Date among them: then it has the phrase. The
 * answer is borrowed until then. */
bool frontend_head_tell(const struct answer *answer, bool length);
/* A request is over: should its head not have been made, nothing of it is left. */
void frontend_head_forget(void);

#endif
