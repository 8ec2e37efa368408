/* What files hold that a route refers to (config's ${file:/path}): a condition, or a field that is set. */
#ifndef PORTHOLE_EXCHANGE_FILES_H
#define PORTHOLE_EXCHANGE_FILES_H

#include "proxy/base/secret.h"
#include "proxy/http/template.h"

struct exchange;

/* One question, on the stack. What is read is the generation's. */
struct files {
    struct template_values values; /* for a template, or a condition; its `file` asks here */
    struct exchange *exchange;     /* borrowed */
    const struct secret *failed;   /* which one cannot be used; NULL: all can */
    size_t bytes;                  /* of those that were used, all together */
};

/* The other values are the caller's to set. */
void files_init(struct files *files, struct exchange *exchange);
/* The exchange fails, for the file that failed. */
void files_refuse(const struct files *files);

#endif
