/* What is counted in series, as samples: slots of all workers together. Any thread. */
#ifndef PORTHOLE_REPORT_SERIES_WRITE_H
#define PORTHOLE_REPORT_SERIES_WRITE_H

#include "proxy/report/exposition.h"
#include "proxy/report/series.h"

/* Those of listeners and routes; then those of targets and endpoints. A series of which nothing was ever seen is left
 * out: a route comes with its first request. */
void series_write_listeners(const struct series_book *book, struct exposition *exposition);
void series_write_targets(const struct series_book *book, struct exposition *exposition);

#endif
