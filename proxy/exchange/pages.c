#include "proxy/exchange/pages.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/base/line.h"
#include "proxy/exchange/exchange.h"
#include "proxy/exchange/problem.h"
#include "proxy/exchange/state.h"

/* ---- what hosts say ---- */

void page_wake(struct page *page)
{
    struct exchange_client *client = page->exchange->client;

    if (!page->asking)
        client->wake(client);
}

void page_answer(struct page *page, unsigned status, const char *content_type, char *body, size_t length)
{
    page->status = status;
    page->content_type = content_type;
    page->body = body;
    page->length = length;
    page_wake(page);
    if (!body)
        exchange_fail(page->exchange, OUTCOME_INTERNAL); /* the page is gone */
}

void page_answer_text(struct page *page, unsigned status, const char *content_type, const char *text)
{
    page_answer(page, status, content_type, strdup(text), strlen(text));
}

void page_refuse(struct page *page, unsigned status, const char *detail)
{
    const char *outcome = outcome_info(OUTCOME_RESPONDED)->name;
    size_t n = strlen(detail), escaped_bytes = 6 * n + 1, bytes = PROBLEM_BYTES + escaped_bytes;
    char *body = malloc(bytes + escaped_bytes);
    int length = 0;

    if (body) {
        line_escape(body + bytes, escaped_bytes, detail, n);
        length = problem_write(page->exchange, body, bytes, status, outcome, body + bytes);
    }
    page_answer(page, status, "application/problem+json", body, (size_t)length);
}

void page_stream(struct page *page, const char *content_type)
{
    page->status = 200;
    page->content_type = content_type;
    page_wake(page);
}

static void page_forget(struct page *page)
{
    struct page **place = page->closure;

    *place = NULL;
}

void page_remember(struct page *page, struct page **place)
{
    *place = page;
    page->closure = place;
    page->gone = page_forget;
}

struct page *page_recall(struct page **place)
{
    struct page *page = *place;

    if (page)
        page->gone = NULL;
    return page;
}

bool page_is_leaving(const struct page *page)
{
    return page->exchange->env->stopping;
}

/* ---- the source ---- */

static void pages_begin(struct exchange *exchange)
{
    const struct request *request = &exchange->request;
    struct text origin = request->origin;
    const char *mark = memchr(origin.data, '?', origin.length);
    size_t n = mark ? (size_t)(mark - origin.data) : origin.length;
    struct page_question question = {.listener = exchange->client->listener,
                                     .method = request->method,
                                     .path = {origin.data, n},
                                     .fields = &request->fields,
                                     .peer = exchange->client->peer,
                                     .is_unix = exchange->client->has_peer};

    if (mark)
        question.query = (struct text){mark + 1, origin.length - n - 1};
    exchange_move(exchange, EXCHANGE_WAITING);
    exchange->page->asking = true;
    exchange->env->pages->ask(exchange->env->pages, exchange->page, &question);
    if (exchange->page)
        exchange->page->asking = false;
}

static bool pages_has_answer(const struct exchange *exchange)
{
    return exchange->page && exchange->page->status != 0;
}

/* What the main thread is asked for comes later, and the client waits with its body until then. */
static enum exchange_verdict pages_expectation(const struct exchange *exchange)
{
    return pages_has_answer(exchange) ? EXCHANGE_REFUSE : EXCHANGE_EXPECT;
}

static bool pages_is_whole(const struct exchange *exchange)
{
    return pages_has_answer(exchange) && !exchange->page->read;
}

/* What changes all the time is not to be kept by anybody. */
static bool pages_answer(struct exchange *exchange, struct answer *answer)
{
    const struct page *page = exchange->page;

    if (!pages_has_answer(exchange))
        return false;
    exchange->own_fields[0] =
        (struct field){.name = TEXT_LITERAL("Content-Type"), .value = text_of(page->content_type)};
    exchange->own_fields[1] =
        page->allow ? (struct field){.name = TEXT_LITERAL("Allow"), .value = text_of(page->allow)}
                    : (struct field){.name = TEXT_LITERAL("Cache-Control"), .value = TEXT_LITERAL("no-store")};
    if (page->policy)
        exchange->own_fields[2] =
            (struct field){.name = TEXT_LITERAL("Content-Security-Policy"), .value = text_of(page->policy)};
    *answer = (struct answer){.status = page->status,
                              .fields = exchange->own_fields,
                              .n_fields = page->policy ? 3 : 2,
                              .body = page->read ? ANSWER_STREAM : ANSWER_BUFFER,
                              .data = page->body,
                              .length = page->length,
                              .has_length = !page->read};
    return true;
}

static ssize_t pages_read(struct exchange *exchange, char *data, size_t size)
{
    struct page *page = exchange->page;

    return page->read ? page->read(page, data, size) : SOURCE_CUT;
}

static void pages_end(struct exchange *exchange)
{
    struct page *page = exchange->page;

    exchange->page = NULL;
    if (!page)
        return;
    if (page->gone)
        page->gone(page);
    free(page->body);
    free(page);
}

static const struct exchange_source pages_source = {
    .outcome = OUTCOME_RESPONDED,
    .expectation = pages_expectation,
    .takes_body = source_always,
    .body = source_discard_body,
    .end_of_body = source_ignore_end,
    .turn = source_nothing,
    .trailers = source_no_trailers,
    .begin = pages_begin,
    .has_answer = pages_has_answer,
    .is_whole = pages_is_whole,
    .answer = pages_answer,
    .read = pages_read,
    .gather = source_gathers_nothing,
    .splice = source_copy,
    .splices_body = source_splices_none,
    .splice_body = source_copy_body,
    .end = pages_end,
};

void exchange_ask_page(struct exchange *exchange)
{
    exchange->limit_body_bytes = exchange->client->listener->limit_body_bytes;
    if (!exchange->env->pages) {
        exchange_refuse(exchange, OUTCOME_NO_ROUTE, NULL);
        return;
    }
    exchange->page = calloc(1, sizeof(*exchange->page));
    if (!exchange->page) {
        exchange_refuse(exchange, OUTCOME_INTERNAL, NULL);
        return;
    }
    exchange->page->exchange = exchange;
    exchange->source = &pages_source;
}
