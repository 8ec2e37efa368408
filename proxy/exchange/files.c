#include "proxy/exchange/files.h"

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/state.h"

static bool files_find(struct template_values *values, const struct template_piece *piece, struct text *ret_text)
{
    struct files *files = CONTAINER_OF(values, struct files, values);
    struct exchange *exchange = files->exchange;
    struct secret *secret = &exchange->generation->secrets[piece->file];

    if (!secret_get(secret, loop_now(exchange->env->loop), ret_text)) {
        files->failed = secret;
        return false;
    }
    files->bytes += ret_text->length;
    return true;
}

void files_init(struct files *files, struct exchange *exchange)
{
    *files = (struct files){.values = {.file = files_find}, .exchange = exchange};
}

void files_refuse(const struct files *files)
{
    char reason[FAILURE_REASON_BYTES];

    exchange_refuse(files->exchange, OUTCOME_SECRET_UNUSABLE, secret_reason(files->failed, reason, sizeof(reason)));
}
