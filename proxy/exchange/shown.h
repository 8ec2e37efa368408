/* What is shown of a request to those who watch: logs, taps, the list of clients. */
#ifndef PORTHOLE_EXCHANGE_SHOWN_H
#define PORTHOLE_EXCHANGE_SHOWN_H

#include "proxy/base/text.h"

struct exchange;

/* The request-target; parameters that a route of the listener compares with what a variable or a file holds have no
 * values. Lives as long as the exchange. */
struct text exchange_shown_target(struct exchange *exchange);

#endif
