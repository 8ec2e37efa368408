/* The time of an answer: whoever has a clock and passes one on that has none adds it (RFC 9110 6.6.1). */
#ifndef PORTHOLE_SERVE_ANSWER_DATE_H
#define PORTHOLE_SERVE_ANSWER_DATE_H

#include "proxy/exchange/source.h"
#include "proxy/http/date.h"

/* DATE_BYTES - 1 of text and a terminator, valid until the next call in this thread; NULL when its fields have one. */
const char *answer_date(const struct answer *answer);

#endif
