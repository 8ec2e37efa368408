/* Exposition: metrics as text, in Prometheus' format 0.0.4 or in OpenMetrics 1.0. Pure.
 *
 * Samples of one family come in a row, in the order of no table; a family without any is not mentioned. Values of
 * labels are any text: what is no UTF-8 is replaced. */
#ifndef PORTHOLE_REPORT_EXPOSITION_H
#define PORTHOLE_REPORT_EXPOSITION_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "proxy/base/builder.h"
#include "proxy/base/error.h"
#include "proxy/base/text.h"
#include "proxy/report/histogram.h"

enum family {
#define FAMILY(id, name, type, labels, help) FAMILY_##id,
#include "proxy/report/families.def"
#undef FAMILY
    N_FAMILIES
};

enum family_type { FAMILY_GAUGE, FAMILY_COUNTER, FAMILY_HISTOGRAM };

#define FAMILY_MOST_LABELS 5

struct family_info {
    const char *name;
    enum family_type type;
    const char *labels, *help;
};

extern const struct family_info family_infos[N_FAMILIES];

enum exposition_format { EXPOSITION_PROMETHEUS, EXPOSITION_OPENMETRICS };

/* Which one a scraper wants that sent these values of Accept, one after the other separated by commas: OpenMetrics if
 * that is named with no less weight than text (RFC 9110 12.5.1). */
enum exposition_format exposition_choose(struct text accept);
const char *exposition_content_type(enum exposition_format format);

struct exposition {
    enum exposition_format format;
    struct builder text;
    enum family family; /* that is being written */
    bool begun[N_FAMILIES];
};

void exposition_init(struct exposition *exposition, enum exposition_format format);
/* Ends it; the caller owns what is returned, which ends with NUL. NULL when out of memory. */
char *exposition_end(struct exposition *exposition, size_t *ret_length) WARN_UNUSED;

/* One sample; `values` of the family's labels, as many as it has. */
void exposition_put(struct exposition *exposition, enum family family, const char *const *values, uint64_t n);
/* The same of a time. */
void exposition_put_ns(struct exposition *exposition, enum family family, const char *const *values, uint64_t ns);
/* All samples of a histogram. */
void exposition_put_histogram(struct exposition *exposition, enum family family, const char *const *values,
                              const struct histogram_bounds *bounds, const struct histogram_sum *sum);

#endif
