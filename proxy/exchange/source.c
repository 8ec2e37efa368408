#include "proxy/exchange/source.h"

#include "proxy/base/error.h"

void source_nothing(struct exchange *exchange UNUSED)
{
}

enum exchange_verdict source_refuse_body(const struct exchange *exchange UNUSED)
{
    return EXCHANGE_REFUSE;
}

bool source_always(const struct exchange *exchange UNUSED)
{
    return true;
}

bool source_discard_body(struct exchange *exchange UNUSED, const char *data UNUSED, size_t length UNUSED)
{
    return false;
}

void source_ignore_end(struct exchange *exchange UNUSED, const struct fields *trailers UNUSED)
{
}

ssize_t source_cut(struct exchange *exchange UNUSED, char *data UNUSED, size_t size UNUSED)
{
    return SOURCE_CUT;
}

size_t source_gathers_nothing(struct exchange *exchange UNUSED, char *data UNUSED, size_t size UNUSED,
                              bool receive UNUSED)
{
    return 0;
}

ssize_t source_copy(struct exchange *exchange UNUSED, struct pipe *pipe UNUSED)
{
    return SOURCE_COPY;
}

uint64_t source_splices_none(const struct exchange *exchange UNUSED)
{
    return 0;
}

ssize_t source_copy_body(struct exchange *exchange UNUSED, int fd UNUSED, uint64_t most UNUSED)
{
    return SOURCE_COPY;
}

const struct fields *source_no_trailers(struct exchange *exchange UNUSED)
{
    return NULL;
}
