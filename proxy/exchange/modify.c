#include "proxy/exchange/modify.h"

#include <stdlib.h>
#include <string.h>

#include "proxy/exchange/exchange.h"
#include "proxy/exchange/files.h"
#include "proxy/exchange/state.h"
#include "proxy/report/tap_line.h"

/* One expansion, on the stack. */
struct modifier {
    struct files files;
    struct exchange *exchange; /* borrowed */
    struct head_writer writer; /* into the worker's scratch memory */
};

/* ---- expanding ---- */

static void modifier_init(struct modifier *modifier, struct exchange *exchange, size_t size)
{
    const struct exchange_client *client = exchange->client;
    struct template_values *values = &modifier->files.values;

    files_init(&modifier->files, exchange);
    modifier->exchange = exchange;
    modifier->writer = (struct head_writer){.out = exchange->env->edit_scratch, .size = size};
    values->uid = client->uid;
    values->gid = client->gid;
    values->pid = (uint32_t)client->pid;
    values->has_peer = client->has_peer;
    values->request_id = exchange->forward.request_id;
    edits_take_request(values, &exchange->request);
}

/* The scratch memory keeps nothing of what a file holds. */
static void modifier_deinit(struct modifier *modifier)
{
    if (modifier->files.bytes > 0)
        explicit_bzero(modifier->writer.out, modifier->writer.length);
}

/* What a route adds has no room in the head. */
static void modifier_fail_full(struct modifier *modifier, enum outcome outcome)
{
    if (modifier->files.bytes > modifier->exchange->client->listener->limit_header_bytes)
        exchange_refuse(modifier->exchange, OUTCOME_SECRET_UNUSABLE, "a file has more than a head may have");
    else
        exchange_refuse(modifier->exchange, outcome, "no room for what the route adds");
}

/* The exchange fails as the verdict says; `full` is the outcome where there is no room. */
static void modifier_fail(struct modifier *modifier, enum template_verdict verdict, enum outcome full)
{
    switch (verdict) {
    case TEMPLATE_NO_FILE:
        files_refuse(&modifier->files);
        break;
    case TEMPLATE_NO_PEER:
        exchange_refuse(modifier->exchange, OUTCOME_INTERNAL, "the peer's credentials are not known");
        break;
    case TEMPLATE_FULL:
        modifier_fail_full(modifier, full);
        break;
    case TEMPLATE_DONE:
        break;
    }
}

/* ---- requests ---- */

/* The path that the target is asked for, at the front of the scratch memory. False: the exchange has failed. */
static bool modifier_rewrite(struct modifier *modifier, const struct rewrite *rewrite)
{
    struct exchange *exchange = modifier->exchange;
    struct exchange_env *env = exchange->env;
    const struct rewrite_room room = {env->patterns, env->path_scratch, env->path_scratch_bytes};

    switch (rewrite_apply(rewrite, exchange->request.origin, &room, &modifier->writer)) {
    case REWRITE_DONE:
        return true;
    case REWRITE_NOT:
        modifier->writer.length = 0;
        return true;
    case REWRITE_AMBIGUOUS:
        exchange_refuse(exchange, OUTCOME_AMBIGUOUS_PATH, "it cannot be rewritten safely");
        break;
    case REWRITE_UNDECIDED:
        exchange_refuse(exchange, OUTCOME_UNDECIDED, "the pattern of a rewrite was given up at its limit");
        break;
    case REWRITE_FULL:
        exchange_refuse(exchange, OUTCOME_URI_TOO_LONG, "no room for the rewritten path");
        break;
    }
    return false;
}

/* Copies what is in the scratch memory, a request-target and lines, into a block of the exchange's. */
static bool modifier_keep_request(struct modifier *modifier, const struct edits *edits, size_t n_origin)
{
    struct exchange *exchange = modifier->exchange;
    size_t length = modifier->writer.length;
    struct forward_edit *edit = malloc(sizeof(*edit) + length);
    char *texts;

    if (!edit) {
        exchange_fail(exchange, OUTCOME_INTERNAL);
        return false;
    }
    texts = (char *)(edit + 1);
    if (length > 0)
        memcpy(texts, modifier->writer.out, length);
    *edit = (struct forward_edit){
        .edits = edits,
        .origin = {texts, n_origin},
        .lines = {texts + n_origin, length - n_origin},
        .secret = modifier->files.bytes > 0,
    };
    if (edits->host)
        edit->host = text_of(template_text(edits->host->value));
    exchange->request_block = edit;
    exchange->forward.edit = edit;
    return true;
}

/* Whether one is set or added from a file or a variable, or is secret by its name. */
static bool modify_any_secret(const struct edit_list *list)
{
    for (size_t i = 0; i < list->n_items; i++)
        if (list->items[i].secret || tap_line_is_secret(text_of(list->items[i].name), NULL))
            return true;
    return false;
}

/* A target that knows TRACE gives the request back to the client, with the keys that we put there (RFC 9110 9.3.8).
 * Some know it as "trace", too. */
static bool modify_would_be_told(const struct exchange *exchange, const struct edits *edits)
{
    return text_equal_nocase(exchange->request.method, TEXT_LITERAL("TRACE")) &&
           (modify_any_secret(&edits->set) || modify_any_secret(&edits->add));
}

static bool modifier_write_request(struct modifier *modifier, const struct route_config *route)
{
    const struct edits *edits = &route->request_headers;
    enum template_verdict verdict;
    size_t n_origin;

    if (rewrite_is_any(&route->rewrite) && !modifier_rewrite(modifier, &route->rewrite))
        return false;
    n_origin = modifier->writer.length;
    verdict = edits_write(edits, &modifier->files.values, &modifier->writer);
    if (verdict == TEMPLATE_DONE)
        return modifier_keep_request(modifier, edits, n_origin);
    modifier_fail(modifier, verdict, OUTCOME_HEADER_TOO_LARGE);
    return false;
}

static __attribute__((noinline)) bool modify_request_by(struct exchange *exchange, const struct route_config *route)
{
    struct modifier modifier;
    bool done;

    if (modify_would_be_told(exchange, &route->request_headers)) {
        exchange_refuse(exchange, OUTCOME_NOT_SUPPORTED, "the answer to TRACE would tell what the route adds");
        return false;
    }
    modifier_init(&modifier, exchange, exchange->generation->edit_bytes);
    done = modifier_write_request(&modifier, route);
    modifier_deinit(&modifier);
    return done;
}

bool modify_request(struct exchange *exchange)
{
    const struct route_config *route = exchange->route;

    return !route || !route->modifies_request || modify_request_by(exchange, route);
}

void modify_request_trailers(struct exchange *exchange, struct fields *trailers)
{
    if (exchange->forward.edit)
        edits_mark(exchange->forward.edit->edits, trailers);
}

/* ---- answers ---- */

/* NULL: none. What only would be denied is answered as if there were no such route. */
static const struct edits *modify_answer_edits(const struct exchange *exchange)
{
    const struct route_config *route = exchange->route;

    if (!route || !route->modifies_answer || (exchange->observed && route->action == ROUTE_DENY))
        return NULL;
    return &route->response_headers;
}

/* The fields of an answer on their way: where they are to be, and behind them the values that had to be expanded. */
struct modified_fields {
    struct field *items;
    size_t n;
};

/* Adds the lines of a list: values lie in the scratch memory, as far as they are not in the configuration. */
static enum template_verdict modifier_add_fields(struct modifier *modifier, const struct edit_list *list,
                                                 struct modified_fields *fields)
{
    struct head_writer *writer = &modifier->writer;
    enum template_verdict verdict = TEMPLATE_DONE;

    for (size_t i = 0; i < list->n_items && verdict == TEMPLATE_DONE; i++) {
        const struct edit *edit = &list->items[i];
        struct text value = text_of(template_text(edit->value));

        if (!value.data) {
            size_t from = writer->length;

            verdict = template_expand(edit->value, &modifier->files.values, writer);
            value = (struct text){writer->out + from, writer->length - from};
            head_put(writer, (struct text){"", 1});
        }
        fields->items[fields->n++] = (struct field){.name = text_of(edit->name), .value = value};
    }
    return verdict == TEMPLATE_DONE && writer->full ? TEMPLATE_FULL : verdict;
}

static bool modifier_fits(const struct modifier *modifier, const struct modified_fields *fields)
{
    const struct exchange *exchange = modifier->exchange;
    size_t bytes = exchange->head_bytes + ANSWER_HEAD_MORE_BYTES;

    for (size_t i = 0; i < fields->n; i++)
        if (!fields->items[i].drop)
            bytes += fields->items[i].name.length + fields->items[i].value.length + sizeof(": \r\n");
    return bytes <=
           exchange_heads_bytes((size_t)exchange->client->listener->limit_header_bytes) + ANSWER_HEAD_MORE_BYTES;
}

/* Values from the scratch memory move into the block, behind the fields. */
static void modifier_move_values(const struct modifier *modifier, struct modified_fields *fields, char *to)
{
    const char *from = modifier->writer.out;

    if (modifier->writer.length == 0)
        return;
    memcpy(to, from, modifier->writer.length);
    for (size_t i = 0; i < fields->n; i++) {
        struct text *value = &fields->items[i].value;

        if ((uintptr_t)value->data >= (uintptr_t)from &&
            (uintptr_t)value->data < (uintptr_t)from + modifier->writer.length)
            value->data = to + (value->data - from);
    }
}

/* The block has its fields: as many as the answer and the edits have together. */
static enum template_verdict modifier_make_fields(struct modifier *modifier, const struct edits *edits,
                                                  const struct answer *answer, struct modified_fields *fields)
{
    enum template_verdict verdict;

    for (size_t i = 0; i < answer->n_fields; i++) {
        fields->items[i] = answer->fields[i];
        if (!fields->items[i].drop && edits_hide(edits, answer->fields[i].name))
            fields->items[i].drop = true;
    }
    fields->n = answer->n_fields;
    verdict = modifier_add_fields(modifier, &edits->set, fields);
    if (verdict == TEMPLATE_DONE)
        verdict = modifier_add_fields(modifier, &edits->add, fields);
    if (verdict == TEMPLATE_DONE && !modifier_fits(modifier, fields))
        verdict = TEMPLATE_FULL;
    return verdict;
}

/* Copies what was made into a block of the exchange's: `items` has the fields, in a block of `bytes`. */
static bool modifier_keep_answer(struct modifier *modifier, struct modified_fields *fields, size_t bytes)
{
    struct exchange *exchange = modifier->exchange;
    size_t length = modifier->writer.length;
    struct field *block = length > 0 ? realloc(fields->items, bytes + length) : fields->items;

    if (!block) {
        exchange_fail(exchange, OUTCOME_INTERNAL);
        return false;
    }
    fields->items = block;
    modifier_move_values(modifier, fields, (char *)block + bytes);
    exchange_drop_answer(exchange);
    exchange->answer_block = block;
    exchange->answer_secret_bytes = modifier->files.bytes > 0 ? bytes + length : 0;
    return true;
}

/* Not inlined, like modify_request_by: its frame would be paid for where nothing is changed. */
static __attribute__((noinline)) bool modify_answer_by(struct exchange *exchange, const struct edits *edits,
                                                       struct answer *answer)
{
    size_t bytes = (answer->n_fields + edits->set.n_items + edits->add.n_items) * sizeof(struct field);
    struct modified_fields fields = {.items = malloc(bytes)};
    enum template_verdict verdict;
    struct modifier modifier;
    bool kept = false;

    if (!fields.items) {
        exchange_fail(exchange, OUTCOME_INTERNAL);
        return false;
    }
    modifier_init(&modifier, exchange, exchange->env->edit_scratch_bytes);
    verdict = modifier_make_fields(&modifier, edits, answer, &fields);
    if (verdict == TEMPLATE_DONE)
        kept = modifier_keep_answer(&modifier, &fields, bytes);
    else
        modifier_fail(&modifier, verdict, OUTCOME_RESPONSE_HEAD_TOO_LARGE);
    modifier_deinit(&modifier);
    if (!kept) {
        free(fields.items);
        return false;
    }
    answer->fields = fields.items;
    answer->n_fields = fields.n;
    return true;
}

bool modify_answer(struct exchange *exchange, struct answer *answer)
{
    const struct edits *edits = modify_answer_edits(exchange);

    return !edits || modify_answer_by(exchange, edits, answer);
}

void modify_response_fields(struct exchange *exchange, struct fields *fields)
{
    const struct edits *edits = modify_answer_edits(exchange);

    if (edits)
        edits_mark(edits, fields);
}
