/* Answers as libmicrohttpd sends them. */
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proxy/exchange/answer.h"
#include "proxy/exchange/hand_over.h"
#include "proxy/serve/answer_date.h"
#include "proxy/serve/bulk.h"
#include "proxy/serve/frontend_call.h"
#include "proxy/serve/frontend_head.h"
#include "proxy/serve/frontend_memory.h"
#include "proxy/serve/turns.h"

#define BLOCK_BYTES (64u * 1024)
#define SMALL_BYTES 1024u       /* a block of less may be what is left of hundreds of chunks */
#define SMALL_BLOCK_PIECES 256u /* of work (turns.h), which it may have cost */

/* ---- streams ---- */

/* The library refuses empty values; a space is the same to every reader (RFC 9110 5.5). */
static const char *field_value(const struct field *field)
{
    return field->value.length ? field->value.data : " ";
}

/* The library sends the footers that a response has when its chunked body ends. */
static bool client_add_trailers(struct client *client)
{
    const struct fields *trailers = exchange_trailers(client->request.exchange);

    client->request.trailers_told = trailers;
    for (size_t i = 0; trailers && i < trailers->n_items; i++)
        if (!trailers->items[i].drop && MHD_add_response_footer(client->request.response, trailers->items[i].name.data,
                                                                field_value(&trailers->items[i])) != MHD_YES)
            return false;
    return true;
}

static ssize_t client_read(void *closure, uint64_t position, char *data, size_t size)
{
    struct client *client = closure;
    ssize_t n;

    (void)position;
    client->clients->n_calls++;
    if (client->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (!client_has_turn(client)) {
        client_yield(client);
        return 0;
    }
    if (client->request.flows && bulk_stream(client))
        return 0;
    if (client->cut)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    n = exchange_read(client->request.exchange, data, size);
    client->request.flows = client->request.movable && n >= (ssize_t)client->clients->env->bulk_bytes;
    if (n > 0)
        client_spend(client, n < (ssize_t)SMALL_BYTES ? SMALL_BLOCK_PIECES : 1, (size_t)n);
    if (n == SOURCE_WAIT) {
        if (client->phase != CLIENT_WAITING)
            client_arm(client, CLIENT_WAITING);
        client_wait(client);
        return 0;
    }
    client_stop_waiting(client);
    client_arm(client, CLIENT_RESPONSE);
    if (n > 0)
        return n;
    if (n != SOURCE_END)
        return MHD_CONTENT_READER_END_WITH_ERROR;
    if (client_add_trailers(client))
        return MHD_CONTENT_READER_END_OF_STREAM;
    exchange_fail(client->request.exchange, OUTCOME_INTERNAL);
    return MHD_CONTENT_READER_END_WITH_ERROR;
}

/* A response whose body is not sent: to HEAD, 304, 204. Framing is what the target said, which may be nothing: the
 * length is a field like others (RFC 9110 8.6: never with 204). */
static struct MHD_Response *client_make_empty(void)
{
    return MHD_create_response_empty(MHD_RF_HEAD_ONLY_RESPONSE);
}

/* Of a body of which the rest is moved beside the library. */
static struct MHD_Response *client_make_beginning(const struct client *client)
{
    struct text beginning = bulk_beginning(client);
    struct MHD_Response *response;

    if (beginning.length == 0)
        return MHD_create_response_empty(MHD_RF_INSANITY_HEADER_CONTENT_LENGTH);
    response = MHD_create_response_from_buffer(beginning.length, (void *)beginning.data, MHD_RESPMEM_PERSISTENT);
    if (response && MHD_set_response_options(response, MHD_RF_INSANITY_HEADER_CONTENT_LENGTH, MHD_RO_END) != MHD_YES) {
        MHD_destroy_response(response);
        return NULL;
    }
    return response;
}

static bool response_add_length(struct MHD_Response *response, const struct answer *answer)
{
    char digits[24];

    snprintf(digits, sizeof(digits), "%llu", (unsigned long long)answer->length);
    return MHD_add_response_header(response, "Content-Length", digits) == MHD_YES;
}

/* ---- tunnels ---- */

/* The 101 has been sent. The tunnel gets a descriptor of its own, so that the library and its memory for the connection
 * are rid of it at once. */
static void frontend_on_upgrade(void *closure, struct MHD_Connection *connection, void *context, const char *early,
                                size_t early_bytes, MHD_socket fd, struct MHD_UpgradeResponseHandle *handle)
{
    struct client *client = closure;
    struct tunnel_client end = {.fd = fcntl(fd, F_DUPFD_CLOEXEC, 0),
                                .generation = client->side.generation,
                                .listener = client->side.listener,
                                .is_unix = client->peer.is_unix,
                                .uid = client->peer.uid};

    (void)connection;
    (void)context;
    interest_end(&client->interest);
    loop_remove(&client->watch);
    if (end.fd < 0) {
        exchange_fail(client->request.exchange, OUTCOME_INTERNAL);
    } else {
        end.pass = admission_steal(&client->pass);
        if (exchange_tunnel(client->request.exchange, &end, (struct text){early, early_bytes}) == 0)
            client_arm(client, CLIENT_TUNNEL);
    }
    MHD_upgrade_action(handle, MHD_UPGRADE_ACTION_CLOSE);
    client->clients->dirty = true;
}

/* ---- responses ---- */

static struct MHD_Response *client_make_response(struct client *client, const struct answer *answer)
{
    uint64_t length = answer->has_length ? answer->length : MHD_SIZE_UNKNOWN;

    if (client->request.bulk)
        return client_make_beginning(client);
    switch (answer->body) {
    case ANSWER_BUFFER:
        return MHD_create_response_from_buffer((size_t)answer->length, (void *)answer->data, MHD_RESPMEM_PERSISTENT);
    case ANSWER_STREAM:
        return MHD_create_response_from_callback(length, length < BLOCK_BYTES ? (size_t)length : BLOCK_BYTES,
                                                 client_read, client, NULL);
    case ANSWER_TUNNEL:
        return MHD_create_response_for_upgrade(frontend_on_upgrade, client);
    default:
        return client_make_empty();
    }
}

/* What a 426 wants to be upgraded to is for this hop (RFC 9110 7.8). */
static bool answer_names_protocol(const struct answer *answer)
{
    for (size_t i = 0; i < answer->n_fields; i++)
        if (answer->fields[i].id == FIELD_UPGRADE && !answer->fields[i].drop)
            return true;
    return false;
}

/* One by one. */
static bool response_add_fields(struct MHD_Response *response, const struct answer *answer, bool length)
{
    const char *date = answer_date(answer);

    if (date && MHD_add_response_header(response, "Date", date) != MHD_YES)
        return false;
    for (size_t i = 0; i < answer->n_fields; i++) {
        const struct field *field = &answer->fields[i];

        if (!field->drop && MHD_add_response_header(response, field->name.data, field_value(field)) != MHD_YES)
            return false;
    }
    return !length || response_add_length(response, answer);
}

/* `bulk`: the body is moved beside the library, which is told its length as a field that it does not compare with what
 * it has to send. */
static bool response_add_head(struct MHD_Response *response, const struct answer *answer, bool close, bool bulk)
{
    bool length = answer->body == ANSWER_NONE && answer->names_length;

    /* First of all: a Connection field added later loses the library's own Date and framing. */
    if (close && MHD_add_response_header(response, "Connection", "close") != MHD_YES)
        return false;
    if (answer->status == 426 && answer_names_protocol(answer) &&
        MHD_add_response_header(response, "Connection", "Upgrade") != MHD_YES)
        return false;
    if (!frontend_head_tell(answer, length) && !response_add_fields(response, answer, length))
        return false;
    return !bulk || response_add_length(response, answer);
}

/* The client has its answer already: what the library says to end the request is for nobody (detour.h). It may take the
 * connection for none of TCP then, and not set this option any more. */
enum MHD_Result frontend_tell_nobody(struct client *client)
{
    struct MHD_Response *response = MHD_create_response_empty(MHD_RF_NONE);
    enum MHD_Result result = MHD_NO;
    int on = 1;

    if (!response)
        return MHD_NO;
    if (!client->peer.is_unix)
        (void)setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
    if (detour_begin(&client->detour, client->fd))
        result = MHD_queue_response(client->connection, 200, response);
    MHD_destroy_response(response);
    return result;
}

enum MHD_Result frontend_tell(struct client *client, const struct answer *answer, bool close)
{
    enum MHD_Result result = MHD_NO;
    struct MHD_Response *response;
    bool bulk;

    client_stop_waiting(client);
    close = close || frontend_memory_is_outgrown(client);
    bulk = bulk_prepare(client, answer, close);
    client->request.movable = answer->spliceable && answer->body == ANSWER_STREAM && !answer->has_length;
    client->request.framed = answer->chunkable;
    response = client_make_response(client, answer);
    if (!response)
        return MHD_NO;
    client->request.response = response; /* the library's, as long as it reads */
    if (response_add_head(response, answer, close && answer->body != ANSWER_TUNNEL, bulk)) {
        client->request.told = true;
        client->request.told_small =
            answer->body == ANSWER_NONE || (answer->body == ANSWER_BUFFER && answer->length < BLOCK_BYTES);
        client->request.told_run = client->clients->run;
        client_arm(client, CLIENT_RESPONSE);
        result = MHD_queue_response(client->connection, answer->status, response);
    }
    MHD_destroy_response(response);
    return result;
}
