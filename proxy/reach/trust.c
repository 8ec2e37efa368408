#include "proxy/reach/trust.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

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

static void trust_look_at(const char *path, struct trust_mark *ret)
{
    struct stat status;

    memset(ret, 0, sizeof(*ret));
    if (!path || stat(path, &status) < 0)
        return;
    ret->device = status.st_dev;
    ret->inode = status.st_ino;
    ret->size = status.st_size;
    ret->modified = status.st_mtim;
    ret->changed = status.st_ctim;
}

static bool trust_same_time(struct timespec a, struct timespec b)
{
    return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static bool trust_same_mark(const struct trust_mark *a, const struct trust_mark *b)
{
    return a->device == b->device && a->inode == b->inode && a->size == b->size &&
           trust_same_time(a->modified, b->modified) && trust_same_time(a->changed, b->changed);
}

bool trust_has_changed(struct trust *trust, const struct tls_config *tls, struct instant now)
{
    const char *const paths[TRUST_FILES] = {trust_ca_file(tls), tls->cert, tls->key};
    bool first = trust->looked_at.ns == 0, changed = false;

    if (!first && instant_before(now, instant_add_ms(trust->looked_at, TRUST_LOOK_MS)))
        return false;
    trust->looked_at = now;
    for (size_t i = 0; i < TRUST_FILES; i++) {
        struct trust_mark mark;

        trust_look_at(paths[i], &mark);
        changed = changed || !trust_same_mark(&mark, &trust->marks[i]);
        trust->marks[i] = mark;
    }
    return changed && !first;
}
