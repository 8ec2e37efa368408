/* The library's memory for a connection ("pool"), as memorypool.c and connection.c of libmicrohttpd 1.0.10 use it:
 *
 *   | request head | what came behind it | ... the response head goes here ... | records of the fields |
 *   ^ the method, or an empty line before it                                                           ^ pool_bytes
 *
 * What came behind the head is the next request, or the body. How much that is the library tells nobody, but:
 * - It reads into half of the memory, into more only when a head or a large piece of a body does not fit there, and
 *   then leaves something free.
 * - The memory is zero at first, and it clears what was used between two requests, so that what has not been used since
 *   is zero.
 *
 * The memory begins with the method, at most an empty line in front of it, since the library moves what it has read to
 * the front for each request, and blocks of memory begin at multiples of 16. Knowing it also lets the kernel have the
 * idle pages of it (client_on_silence).
 *
 * Above 32 KiB the library maps it, which is told where (connection_memory.h). By default there is little to spare
 * beside two heads; what does not fit is told by hand. */
#include "proxy/serve/frontend_memory.h"

#include <microhttpd.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#define ALIGNMENT 16u
#define MOST_BEFORE_METHOD_BYTES 2 /* one empty line (RFC 9112 2.2) */
#define RECORD_BYTES 64u           /* struct MHD_HTTP_Req_Header, rounded */
#define MALLOC_MOST_BYTES (32u * 1024)
#define RECORDS_AND_MORE_BYTES (UPSTREAM_MOST_FIELDS * RECORD_BYTES + 1024) /* beside two heads that are full */
#define READ_MORE_BYTES 1500u  /* or an eighth of what is free: by what the library's read buffer grows */
#define LEFT_FREE_BYTES 10000u /* by a read buffer that grew for a body: 7/8 of 8 * 1500 */

/* The library rounds mappings to pages, too: asked for whole ones it has what it was asked for. */
size_t frontend_memory_bytes(size_t header_bytes)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE), bytes = exchange_heads_bytes(header_bytes);

    bytes += bytes <= MALLOC_MOST_BYTES ? 1 : RECORDS_AND_MORE_BYTES;
    return (bytes + page - 1) / page * page;
}

bool frontend_memory_is_outgrown(const struct client *client)
{
    return client->pool_bytes < client->clients->pool_bytes &&
           client->pool_bytes < frontend_memory_bytes(client->side.listener->limit_header_bytes);
}

/* ---- what is kept ---- */

/* With cookies parsed (never by the library that we build) there is a copy of each field, and a record of each pair. */
static size_t client_cookie_bytes(const struct client *client, const struct fields *fields)
{
    size_t bytes = 0;
    int n_pairs;

    if (MHD_is_feature_supported(MHD_FEATURE_COOKIE_PARSING) != MHD_YES)
        return 0;
    n_pairs = MHD_get_connection_values_n(client->connection, MHD_COOKIE_KIND, NULL, NULL);
    for (size_t i = 0; i < fields->n_items; i++)
        if (text_equal_nocase(fields->items[i].name, TEXT_LITERAL("Cookie")))
            bytes += fields->items[i].value.length + RECORD_BYTES;
    return bytes + (size_t)(n_pairs > 0 ? n_pairs : 0) * RECORD_BYTES;
}

void frontend_memory_head(struct client *client, const char *method, const struct fields *fields, size_t n_fields,
                          size_t head_bytes)
{
    size_t before = (uintptr_t)method % ALIGNMENT;

    client->pool = before <= MOST_BEFORE_METHOD_BYTES ? (char *)method - before : NULL;
    client->request.memory = (struct client_memory){
        .head_bytes = head_bytes,
        .record_bytes = n_fields * RECORD_BYTES + client_cookie_bytes(client, fields),
    };
}

void frontend_memory_body(struct client *client, size_t bytes)
{
    client->request.memory.body_bytes += bytes;
}

void frontend_memory_trailers(struct client *client)
{
    client->request.memory.has_trailers = true;
}

/* ---- what is free ---- */

/* What is free for sure, whatever has come behind the request. */
static size_t client_free_bytes(const struct client *client)
{
    const struct client_memory *memory = &client->request.memory;
    size_t half = client->pool_bytes / 2, read = memory->head_bytes + READ_MORE_BYTES + half / 8, free;

    if (read < half)
        read = half;
    read += memory->record_bytes;
    free = read < 2 * half ? 2 * half - read : 0;
    return memory->body_bytes > half / 2 && free > LEFT_FREE_BYTES ? LEFT_FREE_BYTES : free;
}

static bool client_has_clear(const struct client *client, size_t bytes)
{
    size_t end = client->pool_bytes - client->request.memory.record_bytes;
    const char *room = client->pool + end - bytes;

    return room[0] == 0 && memcmp(room, room + 1, bytes - 1) == 0;
}

static size_t answer_head_bytes(const struct answer *answer)
{
    size_t bytes = ANSWER_HEAD_MORE_BYTES + answer->reason.length;

    for (size_t i = 0; i < answer->n_fields; i++)
        if (!answer->fields[i].drop)
            bytes += answer->fields[i].name.length + answer->fields[i].value.length + sizeof(": \r\n");
    return bytes;
}

bool frontend_memory_suffices(const struct client *client, const struct answer *answer)
{
    size_t bytes;

    /* Trailers stay where they were read, with blanks around them that nobody is told of: beside them nothing is sure,
     * and an answer's own trailers need room, too. */
    if (client->request.memory.has_trailers)
        return false;
    bytes = answer_head_bytes(answer);
    if (bytes <= client_free_bytes(client))
        return true;
    return client->pool && !client->request.memory.told &&
           client->request.memory.head_bytes + client->request.memory.record_bytes + bytes < client->pool_bytes &&
           client_has_clear(client, bytes);
}
