#include "proxy/serve/early_answer.h"

#include <sys/socket.h>

#include "proxy/http/status.h"
#include "proxy/serve/answer_date.h"

/* ---- heads ---- */

static void early_answer_put_status(struct head_writer *writer, unsigned status, struct text reason)
{
    HEAD_PUT(writer, "HTTP/1.1 ");
    head_put_number(writer, status);
    HEAD_PUT(writer, " ");
    head_put(writer, reason.length > 0 ? reason : text_of(status_phrase(status)));
    HEAD_PUT(writer, "\r\n");
}

void early_answer_put_fields(struct head_writer *writer, const struct field *fields, size_t n_fields,
                             const uint64_t *length)
{
    for (size_t i = 0; i < n_fields; i++) {
        if (!fields[i].drop) {
            head_put_field(writer, fields[i].name, fields[i].value);
        } else if (length && fields[i].id == FIELD_CONTENT_LENGTH) {
            head_put(writer, fields[i].name);
            HEAD_PUT(writer, ": ");
            head_put_number(writer, *length);
            HEAD_PUT(writer, "\r\n");
            length = NULL; /* equal ones are told once */
        }
    }
}

/* The empty line. Returns the length of the whole head, 0 when it does not fit. */
static size_t early_answer_put_end(struct head_writer *writer)
{
    HEAD_PUT(writer, "\r\n");
    return writer->full ? 0 : writer->length;
}

size_t early_answer_write_head(const struct answer *answer, bool chunked, bool close, char *out, size_t size)
{
    struct head_writer writer = {.out = out, .size = size};
    const uint64_t *length = answer->has_length && answer->status != 204 && !chunked ? &answer->length : NULL;
    const char *date = answer_date(answer);

    early_answer_put_status(&writer, answer->status, answer->reason);
    if (close)
        HEAD_PUT(&writer, "Connection: close\r\n");
    if (date)
        head_put_field(&writer, TEXT_LITERAL("Date"), (struct text){date, DATE_BYTES - 1});
    if (chunked)
        HEAD_PUT(&writer, "Transfer-Encoding: chunked\r\n");
    if (length && !answer->names_length) {
        HEAD_PUT(&writer, "Content-Length: ");
        head_put_number(&writer, *length);
        HEAD_PUT(&writer, "\r\n");
    }
    early_answer_put_fields(&writer, answer->fields, answer->n_fields, answer->names_length ? length : NULL);
    return early_answer_put_end(&writer);
}

/* ---- whole answers ---- */

struct buffer_store *early_answer_blocks(const struct client *client)
{
    return &client->clients->env->tunnels.blocks;
}

void early_answer_end(struct client *client)
{
    shutdown(client->fd, SHUT_WR);
    client_arm(client, CLIENT_LINGER);
    if (client->suspended)
        client_wake(client);
}

/* The answer before it has left the library whole, so that nothing can come in between. What has no room now is not
 * worth waiting for; half of it would be the end. The exchange is left alone: this is called from where its answer is
 * parsed. */
void early_answer_interim(struct client *client, unsigned status, struct text reason, const struct fields *fields)
{
    struct buffer *block = buffer_take(early_answer_blocks(client));
    struct head_writer writer = {.out = block ? block->data : NULL, .size = block ? block->size : 0};
    size_t length;
    ssize_t sent;

    early_answer_put_status(&writer, status, reason);
    early_answer_put_fields(&writer, fields->items, fields->n_items, NULL);
    length = early_answer_put_end(&writer);
    sent = length > 0 ? sendto(client->fd, writer.out, length, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0) : 0;
    if (sent > 0 && (size_t)sent < length)
        client_cut(client);
    buffer_give(early_answer_blocks(client), block);
}

bool early_answer_has_body(const struct answer *answer)
{
    return answer->body == ANSWER_BUFFER && answer->length > 0 && !answer->is_head;
}

void early_answer_tell(struct client *client, const struct answer *answer)
{
    struct buffer *block = buffer_take(early_answer_blocks(client));
    size_t n = block ? early_answer_write_head(answer, false, true, block->data, block->size) : 0;

    if (n > 0)
        client->request.told = sendto(client->fd, block->data, n, MSG_NOSIGNAL | MSG_DONTWAIT, NULL, 0) == (ssize_t)n;
    buffer_give(early_answer_blocks(client), block);
    early_answer_end(client);
}
