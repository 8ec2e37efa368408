#include "proxy/reach/response_half.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>

#include "proxy/http/upgrade.h"

#define MOST_INTERIM 64
#define FRAMING_PER_TURN 2048u  /* bytes of chunks that are not content; about, and not in the first turn */
#define NARROW_MOST_BYTES 2048u /* of a response that is kept in memory of its own size */
#define SPARING_BYTES 4096u     /* of a response that is received while many others are */
#define RECEIVES_PER_TURN 16    /* that bring pieces of a head, or of a body's framing; then others have their turn */

const struct state_machine response_half_machine = {
    .name = "response half",
    .n_states = N_RESPONSE_HALF_STATES,
    .states =
        {
            [RESPONSE_HALF_IDLE] = {"IDLE", STATE_BIT(RESPONSE_HALF_AWAITED)},
            [RESPONSE_HALF_AWAITED] = {"AWAITED", STATE_BIT(RESPONSE_HALF_IDLE) | STATE_BIT(RESPONSE_HALF_BODY) |
                                                      STATE_BIT(RESPONSE_HALF_SWITCHED)},
            [RESPONSE_HALF_BODY] = {"BODY", STATE_BIT(RESPONSE_HALF_IDLE) | STATE_BIT(RESPONSE_HALF_COMPLETE)},
            [RESPONSE_HALF_COMPLETE] = {"COMPLETE", STATE_BIT(RESPONSE_HALF_IDLE)},
            [RESPONSE_HALF_SWITCHED] = {"SWITCHED", 0},
        },
};

static enum half_result response_half_bad(struct response_half *half, const char *why)
{
    failure_note(half->failure, OUTCOME_BAD_RESPONSE, 0, why);
    return HALF_FAILED;
}

void response_half_drop(struct response_half *half)
{
    buffer_give(half->store, half->in);
    half->in = NULL;
    if (half->trailers)
        buffer_give(half->store, half->trailers);
    half->trailers = NULL;
    field_room_drop(&half->room);
}

void response_half_leave(struct response_half *half)
{
    response_half_move(half, RESPONSE_HALF_IDLE);
    if (half->in)
        response_half_drop(half);
    half->unparsed = half->more = half->body_in_buffer = half->got_bytes = false;
    half->scanned = half->head_bytes = half->receive_bytes = 0;
    half->remaining_bytes = 0;
    half->error_number = 0;
    half->chunked = (struct chunked){0};
}

/* ---- the body ---- */

/* Bytes after the end of a message: the target and we disagree about where it ended. */
static void response_half_complete(struct response_half *half, size_t rest)
{
    if (rest > 0)
        half->response.reusable = false;
    response_half_move(half, RESPONSE_HALF_COMPLETE);
}

/* Keeps a piece of the trailer section for a client that knows trailers. The decoder bounds the whole. */
static bool response_half_keep_trailers(struct response_half *half, struct text piece)
{
    if (half->request->minor == 0 || piece.length == 0)
        return true;
    if (!half->trailers)
        half->trailers = buffer_take(half->store);
    if (!half->trailers || buffer_room(half->trailers) < piece.length)
        return false;
    memcpy(half->trailers->data + half->trailers->end, piece.data, piece.length);
    half->trailers->end += piece.length;
    return true;
}

struct text response_half_trailers(const struct response_half *half)
{
    if (!half->trailers)
        return (struct text){NULL, 0};
    return (struct text){half->trailers->data, half->trailers->end};
}

/* Whether there is a trailer field, not only the empty line. */
static bool response_half_has_trailers(const struct response_half *half)
{
    return half->trailers && half->trailers->end > 2;
}

/* It is framing that costs: of what is little else, less is received the next time. */
static void response_half_pace(struct response_half *half, size_t bytes, size_t framing_bytes)
{
    if (framing_bytes > FRAMING_PER_TURN)
        half->receive_bytes = bytes * FRAMING_PER_TURN / framing_bytes;
    else if (framing_bytes < FRAMING_PER_TURN / 2)
        half->receive_bytes *= 2;
}

/* Whether all trailers will find room when they are parsed, which is made here: the client gets all of them, or no
 * end. */
static bool response_half_holds_trailers(struct response_half *half)
{
    struct text section = response_half_trailers(half);
    size_t n_lines = 0;

    for (size_t i = 0; i < section.length; i++)
        n_lines += section.data[i] == '\n';
    if (n_lines > FIELD_ROOM_FEW + 1 && !half->room.many && !field_room_grow(&half->room, &half->response.fields))
        return false;
    return n_lines <= RESPONSE_HALF_MOST_FIELDS + 1; /* and the empty line */
}

/* Decodes chunks in place: payload moves down to `to`, which is never after the input. Returns the payload's
 * length, or RESPONSE_HALF_CUT and in *ret_why what is wrong with them. */
static ssize_t response_half_unchunk(struct response_half *half, char *to, struct text in, const char **ret_why)
{
    size_t length = 0, bytes = in.length;

    for (;;) {
        struct text data = {NULL, 0};
        size_t used = 0;
        enum chunked_result result = chunked_decode(&half->chunked, in, &used, &data);

        *ret_why = "malformed chunk";
        if (result == CHUNKED_BAD || (result == CHUNKED_TRAILER && !response_half_keep_trailers(half, data)))
            return RESPONSE_HALF_CUT;
        *ret_why = "too many trailers";
        if (result == CHUNKED_END && !response_half_holds_trailers(half))
            return RESPONSE_HALF_CUT;
        if (result == CHUNKED_DATA) {
            memmove(to + length, data.data, data.length);
            length += data.length;
        }
        in = (struct text){in.data + used, in.length - used};
        if (result == CHUNKED_DATA || result == CHUNKED_TRAILER)
            continue;
        response_half_pace(half, bytes, bytes - length);
        if (result == CHUNKED_END)
            response_half_complete(half, in.length);
        return (ssize_t)length;
    }
}

/* What a receive that brought nothing means. */
static ssize_t response_half_nothing(struct response_half *half, const struct channel *channel, ssize_t n)
{
    if (n == -EAGAIN)
        return RESPONSE_HALF_WAIT;
    failure_note(half->failure, OUTCOME_TARGET_TRUNCATED, (int)-n, channel_reason(channel));
    return RESPONSE_HALF_CUT;
}

/* Takes up to size bytes that arrived with the head. */
static size_t response_half_from_buffer(struct response_half *half, char *data, size_t size)
{
    size_t n = buffer_length(half->in);

    if (n > size)
        n = size;
    memcpy(data, half->in->data + half->in->start, n);
    half->in->start += n;
    return n;
}

/* The last piece of a body of known length: one byte more is asked for, so that a target that says too much is found
 * out now and not as the beginning of the next exchange's response. */
static ssize_t response_half_receive_last(struct response_half *half, struct channel *channel, char *data,
                                          size_t length)
{
    char extra;
    ssize_t n = channel_recv_parts(channel, data, length, &extra, 1);

    if (n > 0 && (size_t)n > length) {
        half->response.reusable = false;
        n = (ssize_t)length;
    }
    return n;
}

/* The next piece of a body of known length, of which something is to come: a count, or what receiving has returned. */
static ssize_t response_half_take_length(struct response_half *half, struct channel *channel, char *data, size_t size)
{
    ssize_t n;

    if (buffer_length(half->in) > 0)
        n = (ssize_t)response_half_from_buffer(half, data,
                                               size < half->remaining_bytes ? size : (size_t)half->remaining_bytes);
    else if (size >= half->remaining_bytes)
        n = response_half_receive_last(half, channel, data, (size_t)half->remaining_bytes);
    else
        n = channel_recv(channel, data, size);
    if (n <= 0)
        return n;
    half->remaining_bytes -= (uint64_t)n;
    if (half->remaining_bytes == 0)
        response_half_complete(half, buffer_length(half->in));
    return n;
}

static ssize_t response_half_read_length(struct response_half *half, struct channel *channel, char *data, size_t size)
{
    ssize_t n;

    if (half->remaining_bytes == 0)
        return RESPONSE_HALF_END;
    n = response_half_take_length(half, channel, data, size);
    return n > 0 ? n : response_half_nothing(half, channel, n);
}

size_t response_half_gather(struct response_half *half, struct channel *channel, char *data, size_t size, bool receive)
{
    size_t length = 0;

    while (length < size && half->state == RESPONSE_HALF_BODY && half->response.body == BODY_LENGTH) {
        ssize_t n;

        if (buffer_length(half->in) == 0 && !(receive && (channel->tls || channel->maybe_more)))
            break;
        n = response_half_take_length(half, channel, data + length, size - length);
        if (n <= 0)
            break;
        length += (size_t)n;
    }
    return length;
}

static ssize_t response_half_read_chunked(struct response_half *half, struct channel *channel, char *data, size_t size)
{
    /* What came with the head is decoded already (response_half_keep_body). */
    if (buffer_length(half->in) > 0)
        return (ssize_t)response_half_from_buffer(half, data, size);
    for (int i = 0; i < RECEIVES_PER_TURN; i++) {
        const char *why;
        ssize_t n;

        if (half->receive_bytes > 0 && half->receive_bytes < size)
            size = half->receive_bytes;
        n = channel_recv(channel, data, size);
        if (n <= 0)
            return response_half_nothing(half, channel, n);
        n = response_half_unchunk(half, data, (struct text){data, (size_t)n}, &why);
        if (n < 0)
            failure_note(half->failure, OUTCOME_TARGET_TRUNCATED, 0, why);
        if (n != 0)
            return n;
        if (half->state == RESPONSE_HALF_COMPLETE)
            return RESPONSE_HALF_END;
    }
    half->more = true;
    return RESPONSE_HALF_WAIT;
}

static ssize_t response_half_read_until_close(struct response_half *half, struct channel *channel, char *data,
                                              size_t size)
{
    ssize_t n;

    if (buffer_length(half->in) > 0)
        return (ssize_t)response_half_from_buffer(half, data, size);
    n = channel_recv(channel, data, size);
    if (n < 0)
        return response_half_nothing(half, channel, n);
    if (n > 0)
        return n;
    response_half_complete(half, 0);
    return RESPONSE_HALF_END;
}

ssize_t response_half_read(struct response_half *half, struct channel *channel, char *data, size_t size)
{
    if (half->state == RESPONSE_HALF_COMPLETE) {
        /* A chunked body that came with its head, but could not leave with it because of its trailers. */
        if (response_half_has_trailers(half) && buffer_length(half->in) > 0)
            return (ssize_t)response_half_from_buffer(half, data, size);
        return RESPONSE_HALF_END;
    }
    switch (half->response.body) {
    case BODY_LENGTH:
        return response_half_read_length(half, channel, data, size);
    case BODY_CHUNKED:
        return response_half_read_chunked(half, channel, data, size);
    case BODY_UNTIL_CLOSE:
        return response_half_read_until_close(half, channel, data, size);
    default:
        return RESPONSE_HALF_END;
    }
}

uint64_t response_half_to_come(const struct response_half *half)
{
    if (half->state != RESPONSE_HALF_BODY || half->response.body != BODY_LENGTH)
        return 0;
    return half->remaining_bytes - buffer_length(half->in);
}

/* How much may be spliced; 0: the next piece must be read. */
static uint64_t response_half_spliceable(const struct response_half *half, uint64_t least_of_chunk)
{
    uint64_t n;

    if (buffer_length(half->in) > 0)
        return 0;
    switch (half->response.body) {
    case BODY_LENGTH:
        return half->remaining_bytes;
    case BODY_CHUNKED:
        n = chunked_data_to_come(&half->chunked);
        return n >= least_of_chunk ? n : 0;
    case BODY_UNTIL_CLOSE:
        return PIPE_BYTES;
    default:
        return 0;
    }
}

/* So much of the body has been spliced. */
static void response_half_has_spliced(struct response_half *half, uint64_t n)
{
    if (half->response.body == BODY_CHUNKED)
        chunked_skip_data(&half->chunked, n);
    if (half->response.body != BODY_LENGTH)
        return;
    half->remaining_bytes -= n;
    if (half->remaining_bytes == 0)
        response_half_complete(half, 0);
}

/* A kernel or a sandbox may have no splice(2) for these sockets. What comes behind the body stays in the socket, where
 * the pool finds it. */
ssize_t response_half_splice(struct response_half *half, struct channel *channel, struct pipe *pipe,
                             uint64_t least_of_chunk)
{
    uint64_t most = response_half_spliceable(half, least_of_chunk);
    ssize_t n;

    if (most == 0)
        return RESPONSE_HALF_COPY;
    n = pipe_fill(pipe, channel->fd, most < PIPE_BYTES ? (size_t)most : PIPE_BYTES);
    if (n == -EINVAL || n == -ENOSYS || n == -EPERM)
        return RESPONSE_HALF_COPY;
    if (n == 0 && half->response.body == BODY_UNTIL_CLOSE) {
        response_half_complete(half, 0);
        return RESPONSE_HALF_END;
    }
    if (n <= 0)
        return response_half_nothing(half, channel, n);
    channel->maybe_more = true;
    response_half_has_spliced(half, (uint64_t)n);
    return n;
}

/* ---- the head ---- */

/* Receives what fits behind what is there: HALF_MORE when something came. */
static enum half_result response_half_fill(struct response_half *half, struct channel *channel)
{
    struct buffer *in = half->in;
    ssize_t n = channel_recv(channel, in->data + in->end, buffer_room(in));

    if (n > 0) {
        in->end += (size_t)n;
        half->got_bytes = half->unparsed = true;
        return HALF_MORE;
    }
    if (n == -EAGAIN)
        return HALF_WAIT;
    if (n == 0 && buffer_length(in) > 0)
        return response_half_bad(half, "the connection ended inside the response head");
    half->error_number = (int)-n;
    return HALF_LOST;
}

static bool response_half_body_is_small(const struct response_half *half)
{
    return half->response.body == BODY_LENGTH && half->remaining_bytes <= half->in->size - half->in->start;
}

/* Keeps a body that is short enough in the buffer, where it can leave together with the head. Whatever has not arrived
 * yet is asked for once; a target that is not done by then is streamed. */
static enum half_result response_half_keep_body(struct response_half *half, struct channel *channel)
{
    struct buffer *in = half->in;
    size_t used;
    ssize_t n;

    if (half->response.body == BODY_CHUNKED && buffer_length(in) > 0) {
        char *body = in->data + in->start;
        const char *why;

        n = response_half_unchunk(half, body, (struct text){body, buffer_length(in)}, &why);
        if (n < 0)
            return response_half_bad(half, why);
        in->end = in->start + (size_t)n;
        half->body_in_buffer = half->state == RESPONSE_HALF_COMPLETE && !response_half_has_trailers(half);
        return HALF_DONE;
    }
    if (!response_half_body_is_small(half))
        return HALF_DONE;
    if (buffer_length(in) < half->remaining_bytes && buffer_room(in) > 0) {
        n = channel_recv(channel, in->data + in->end, buffer_room(in));
        if (n > 0)
            in->end += (size_t)n;
    }
    if (buffer_length(in) < half->remaining_bytes)
        return HALF_DONE;
    half->body_in_buffer = true;
    used = buffer_length(in) - (size_t)half->remaining_bytes;
    in->end -= used;
    response_half_complete(half, used);
    return HALF_DONE;
}

static enum half_result response_half_final(struct response_half *half, struct channel *channel)
{
    response_half_move(half, RESPONSE_HALF_BODY);
    if (half->response.body == BODY_NONE) {
        half->body_in_buffer = true;
        response_half_complete(half, buffer_length(half->in));
        half->in->end = half->in->start;
        return HALF_DONE;
    }
    half->remaining_bytes = half->response.body == BODY_LENGTH ? half->response.content_length : 0;
    return response_half_keep_body(half, channel);
}

/* An interim response (RFC 9110 15.2): 100 is news for a client that expects it, others are passed on. */
static enum half_result response_half_interim(struct response_half *half)
{
    if (++half->n_interim > MOST_INTERIM)
        return response_half_bad(half, "too many interim responses");
    half->scanned = 0;
    half->unparsed = buffer_length(half->in) > 0;
    if (!half->unparsed)
        buffer_compact(half->in);
    if (half->response.status == 100)
        half->continue_seen = true;
    return HALF_MORE;
}

/* 101 Switching Protocols (RFC 9110 7.8, 15.2.2). */
static enum half_result response_half_switch(struct response_half *half)
{
    char *const *allowed = half->forward->upgrade_allowed;

    if (!upgrade_is_offered(half->request, allowed))
        return response_half_bad(half, "101 without a request to upgrade");
    if (!half->response.upgrade || !upgrade_is_agreed(half->request, allowed, &half->response.fields))
        return response_half_bad(half, "101 to a protocol that was not offered");
    response_half_move(half, RESPONSE_HALF_SWITCHED);
    return HALF_DONE;
}

/* The head goes on, and may need more room. */
static enum half_result response_half_make_room(struct response_half *half)
{
    struct buffer *wide;

    buffer_compact(half->in);
    if (buffer_room(half->in) > 0)
        return HALF_WAIT;
    if (half->in->size >= half->store->wide_size) {
        failure_note(half->failure, OUTCOME_RESPONSE_HEAD_TOO_LARGE, 0, NULL);
        return HALF_FAILED;
    }
    wide = buffer_widen(half->store, half->in);
    if (!wide) {
        failure_note(half->failure, OUTCOME_INTERNAL, ENOMEM, NULL);
        return HALF_FAILED;
    }
    half->in = wide;
    return HALF_WAIT;
}

/* One that has more fields than most is looked at again, with room for all. */
static enum response_result response_half_parse_head(struct response_half *half, size_t *ret_used, const char **ret_why)
{
    struct response *response = &half->response;
    const struct buffer *in = half->in;
    enum response_result result;

    do {
        response->fields = field_room_fields(&half->room);
        result = response_parse(in->data + in->start, buffer_length(in), &half->scanned, half->request->is_head,
                                response, ret_used, ret_why);
    } while (result == RESPONSE_BAD && response->fields.n_items == FIELD_ROOM_FEW &&
             field_room_grow(&half->room, &response->fields));
    return result;
}

/* Parses what is there. HALF_WAIT: more bytes are needed. */
static enum half_result response_half_parse(struct response_half *half, struct channel *channel)
{
    struct buffer *in = half->in;
    const char *why = NULL;
    size_t used = 0;

    half->unparsed = false;
    switch (response_half_parse_head(half, &used, &why)) {
    case RESPONSE_MORE:
        return response_half_make_room(half);
    case RESPONSE_BAD:
        return response_half_bad(half, why);
    case RESPONSE_DONE:
        break;
    }
    in->start += used;
    half->head_bytes = used;
    half->personal = half->personal || half->response.personal;
    if (half->response.status >= 200)
        return response_half_final(half, channel);
    if (half->response.status == 101)
        return response_half_switch(half);
    return response_half_interim(half);
}

static void text_move(struct text *text, const struct buffer *from, const struct buffer *to)
{
    uintptr_t offset = (uintptr_t)text->data - (uintptr_t)from->data;

    if (text->data && offset <= from->end)
        text->data = to->data + offset;
}

/* Nothing more is received into `in`: of a short response little is kept until its client has taken it, and the next
 * one finds the buffer hot. */
static void response_half_narrow(struct response_half *half)
{
    struct response *response = &half->response;
    struct buffer *narrow = half->in->end <= NARROW_MOST_BYTES ? buffer_narrow(half->in) : NULL;

    if (!narrow)
        return;
    text_move(&response->reason, half->in, narrow);
    for (size_t i = 0; i < response->fields.n_items; i++) {
        text_move(&response->fields.items[i].name, half->in, narrow);
        text_move(&response->fields.items[i].value, half->in, narrow);
    }
    buffer_give(half->store, half->in);
    half->in = narrow;
}

static enum half_result response_half_receive_on(struct response_half *half, struct channel *channel)
{
    enum half_result result;

    if (!half->in)
        half->in = buffer_take_sparing(half->store, SPARING_BYTES);
    if (!half->in) {
        failure_note(half->failure, OUTCOME_INTERNAL, ENOMEM, NULL);
        return HALF_FAILED;
    }
    /* Edge-triggered: read until there is nothing left, the head is there, or there is another turn. */
    half->more = false;
    for (int i = 0; i < RECEIVES_PER_TURN; i++) {
        if (half->unparsed) {
            result = response_half_parse(half, channel);
            if (result != HALF_WAIT)
                return result;
        }
        result = response_half_fill(half, channel);
        if (result != HALF_MORE)
            return result;
    }
    half->more = true;
    return HALF_WAIT;
}

enum half_result response_half_receive(struct response_half *half, struct channel *channel)
{
    enum half_result result = response_half_receive_on(half, channel);

    if (result == HALF_DONE) {
        response_half_narrow(half);
    } else if (result == HALF_WAIT && half->in->end == 0) {
        buffer_give(half->store, half->in);
        half->in = NULL;
    }
    return result;
}
