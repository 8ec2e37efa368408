#include "proxy/exchange/answer.h"

#include <string.h>

#include "proxy/exchange/capture.h"
#include "proxy/exchange/modify.h"
#include "proxy/exchange/problem.h"
#include "proxy/exchange/state.h"

bool exchange_answer(struct exchange *exchange, struct answer *ret_answer)
{
    if (!exchange->source->answer(exchange, ret_answer))
        return false;
    if (exchange->source != &problem_source && !modify_answer(exchange, ret_answer) &&
        !exchange->source->answer(exchange, ret_answer))
        return false;
    if (exchange->capture)
        capture_answer(exchange, ret_answer);
    exchange->teller = exchange->source;
    exchange->status = ret_answer->status;
    if (ret_answer->body == ANSWER_BUFFER && !exchange->request.is_head)
        exchange->buffered_bytes = ret_answer->length;
    ret_answer->chunkable = exchange->request.minor == 1;
    ret_answer->is_head = exchange->request.is_head;
    /* What a tap wants to see goes through our hands. */
    if (exchange->capture && exchange->capture->body_most > 0)
        ret_answer->spliceable = false;
    ret_answer->close = exchange->close || exchange->client->leaving || exchange->env->closing;
    exchange_move(exchange, EXCHANGE_ANSWERED);
    return true;
}

bool exchange_has_early_answer(const struct exchange *exchange)
{
    return exchange->state == EXCHANGE_RECEIVING && exchange->source->has_answer(exchange);
}

bool exchange_has_broken_off(const struct exchange *exchange)
{
    return exchange->teller && exchange->teller != exchange->source;
}

bool exchange_is_told(const struct exchange *exchange)
{
    return exchange->teller == exchange->source && exchange->source->is_whole(exchange);
}

ssize_t exchange_read(struct exchange *exchange, char *data, size_t size)
{
    ssize_t n = exchange->source->read(exchange, data, size);

    if (n <= 0)
        return n;
    exchange->sent_bytes += (uint64_t)n;
    if (exchange->capture)
        capture_answer_body(exchange->capture, data, (size_t)n);
    return n;
}

size_t exchange_gather(struct exchange *exchange, char *data, size_t size, bool receive)
{
    size_t n = exchange->source->gather(exchange, data, size, receive);

    exchange->sent_bytes += n;
    if (exchange->capture && n > 0)
        capture_answer_body(exchange->capture, data, n);
    return n;
}

ssize_t exchange_splice(struct exchange *exchange, struct pipe *pipe)
{
    ssize_t n = exchange->source->splice(exchange, pipe);

    if (n > 0)
        exchange->sent_bytes += (uint64_t)n;
    return n;
}

static void exchange_keep_text(struct text *text, char **to)
{
    memcpy(*to, text->data, text->length);
    text->data = *to;
    *to += text->length;
}

/* The place is what the request-target has left of its own: few methods and ids do not fit there. */
bool exchange_keep_request(struct exchange *exchange)
{
    struct text *method = &exchange->request.method, *id = &exchange->forward.request_id;
    size_t used = exchange->target.data == exchange->target_inline ? exchange->target.length : 0;
    char *to = exchange->target_inline + used;

    /* What it offers to go on with is recorded, too. */
    if (exchange->request.upgrade || method->length + id->length > TARGET_INLINE_BYTES - used)
        return false;
    exchange_keep_text(method, &to);
    if (id->data != exchange->id)
        exchange_keep_text(id, &to);
    return true;
}

const struct fields *exchange_trailers(struct exchange *exchange)
{
    return exchange->source->trailers(exchange);
}
