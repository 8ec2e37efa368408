/* A request in the notation of tests/unit/http_text.h. What is forwarded of a good one is read again by a strict
 * reader: it must be good itself, mean the same, and have one Host and one way to tell its end. */
#include <assert.h>
#include <stdlib.h>

#include "proxy/http/upgrade.h"
#include "tests/unit/http_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The next line of a head of ours, which ends in CR LF and has no other of these two. */
static struct text read_line(struct text *rest)
{
    struct text line = http_text_cut(rest, '\n');

    assert(line.length > 0 && line.data[line.length - 1] == '\r');
    line.length--;
    assert(!memchr(line.data, '\r', line.length) && !memchr(line.data, '\0', line.length));
    return line;
}

static void read_head(struct text head, struct request *request)
{
    struct text line = read_line(&head);

    request->method = http_text_cut(&line, ' ');
    request->target = http_text_cut(&line, ' ');
    assert(text_equal(line, TEXT_LITERAL("HTTP/1.1")));
    request->minor = 1;
    while ((line = read_line(&head)).length > 0) {
        struct text name = http_text_cut(&line, ':');

        assert(request->fields.n_items < request->fields.capacity);
        request->fields.items[request->fields.n_items++] = field_of(name, line);
    }
    assert(head.length == 0);
}

/* What is offered to the hop: nothing that the client has not asked for, and what a target may agree to. */
static void check_offers(const struct request *sent, const struct request *given, char *const *allowed,
                         const size_t *counts)
{
    bool offered = upgrade_is_offered(given, allowed);
    struct upgrade_offers offers = {given, allowed, 0, {NULL, 0}};
    struct text protocol;
    size_t n_offers = 0;

    while (upgrade_next_offer(&offers, &protocol))
        n_offers++;
    assert(offered == (n_offers > 0) && (!offered || given->upgrade));
    assert(sent->upgrade == offered && sent->trailers == given->trailers && !sent->close);
    assert(counts[FIELD_CONNECTION] == (offered || given->trailers));
    assert(counts[FIELD_UPGRADE] == offered && counts[FIELD_TE] == given->trailers);
    assert(counts[FIELD_KEEP_ALIVE] == 0 && counts[FIELD_PROXY_CONNECTION] == 0);
    assert(counts[FIELD_TRAILER] == 0 || given->body == BODY_CHUNKED);
    assert(upgrade_is_agreed(given, allowed, &sent->fields) == (n_offers > 0 && n_offers <= 16));
}

static void check_meaning(const struct request *sent, const struct request *given, const struct forward *forward)
{
    size_t counts[N_FIELD_IDS] = {0};

    for (size_t i = 0; i < sent->fields.n_items; i++)
        counts[sent->fields.items[i].id]++;
    check_offers(sent, given, forward->upgrade_allowed, counts);
    assert(counts[FIELD_HOST] == 1);
    assert(counts[FIELD_CONTENT_LENGTH] == (given->body == BODY_LENGTH));
    assert(counts[FIELD_TRANSFER_ENCODING] == (given->body == BODY_CHUNKED));
    assert(counts[FIELD_EXPECT] == forward->expect_continue);
    assert(counts[FIELD_X_REQUEST_ID] == 1 && counts[FIELD_X_FORWARDED_PROTO] >= 1);
    assert(sent->body == given->body && sent->content_length == given->content_length);
    assert(text_equal(sent->method, given->method) && text_equal(sent->authority, given->authority));
    if (given->origin.data[0] == '?')
        assert(text_equal((struct text){sent->origin.data + 1, sent->origin.length - 1}, given->origin));
    else
        assert(text_equal(sent->origin, given->origin));
}

static void check_forwarded(const struct request *request, const struct forward *forward)
{
    struct field items[HTTP_TEXT_FIELDS + 12];
    struct request again = {.fields = {items, 0, HTTP_TEXT_FIELDS + 12}};
    static char large[1 << 20];
    size_t length = forward_write(request, forward, large, sizeof(large));
    char *exact = malloc(length);
    unsigned status;

    assert(exact && length > 0);
    assert(forward_write(request, forward, exact, length - 1) == 0);
    assert(forward_write(request, forward, exact, length) == length && memcmp(exact, large, length) == 0);
    read_head((struct text){exact, length}, &again);
    assert(!request_check(&again, &status));
    check_meaning(&again, request, forward);
    free(exact);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    static const struct forward unix_client = {.client_node = {"_uid-7.gid-8", 12}, .request_id = {"id", 2}};
    static char tcp[] = "tcp", h2c[] = "h2c";
    static char *const some[] = {tcp, h2c, NULL};
    struct forward tcp_client = {.client_address = {"2001:db8::1", 11},
                                 .client_node = {"\"[2001:db8::1]\"", 15},
                                 .request_id = {"id", 2},
                                 .upgrade_allowed = some};
    struct request_text text;
    unsigned status = 0;
    const char *why;

    if (size > 65536 || !request_from_text(&text, (struct text){(const char *)bytes, size}))
        return 0;
    why = request_check(&text.request, &status);
    assert(!why == !status);
    if (why)
        return 0;
    tcp_client.expect_continue = text.request.expect_continue;
    check_forwarded(&text.request, &unix_client);
    check_forwarded(&text.request, &tcp_client);
    assert(request_given_id(&text.request).length <= REQUEST_ID_MOST_BYTES);
    return 0;
}
