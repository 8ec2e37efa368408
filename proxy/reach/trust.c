#include "proxy/reach/trust.h"

#include <stdlib.h>

/* NULL when it is not set or empty. The environment does not change while porthole runs. */
static const char *trust_variable(const char *name)
{
    const char *value = getenv(name); // NOLINT(concurrency-mt-unsafe)

    return value && value[0] != '\0' ? value : NULL;
}

const char *trust_ca_file(const struct tls_config *tls)
{
    return tls->ca ? tls->ca : trust_variable("SSL_CERT_FILE");
}

const char *trust_ca_directory(const struct tls_config *tls)
{
    return tls->ca ? NULL : trust_variable("SSL_CERT_DIR");
}

bool trust_has_changed(struct trust *trust, const struct tls_config *tls, struct instant now)
{
    const char *const paths[TRUST_FILES] = {trust_ca_file(tls), tls->cert, tls->key};
    bool first = trust->looked_at.ns == 0, changed = false;

    if (!first && instant_before(now, instant_add_ms(trust->looked_at, TRUST_LOOK_MS)))
        return false;
    trust->looked_at = now;
    for (size_t i = 0; i < TRUST_FILES; i++) {
        struct file_mark mark = file_mark_at(paths[i]);

        changed = changed || !file_mark_equal(&mark, &trust->marks[i]);
        trust->marks[i] = mark;
    }
    return changed && !first;
}
