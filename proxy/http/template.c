/* A template is one block of memory: the struct, its pieces, and behind them their texts, each terminated. */
#include "proxy/http/template.h"

#include <errno.h>
#include <stdlib.h>

#define TEMPLATE_FILE_PREFIX "file:"

struct template_reference {
    struct text name;
    size_t most_bytes;
};

static const struct template_reference template_references[N_TEMPLATE_KINDS] = {
    [TEMPLATE_LITERAL] = {{"", 0}, 0},
    [TEMPLATE_FILE] = {{"file:/PATH", 10}, 0},
#define TEMPLATE(id, name, bytes) [TEMPLATE_##id] = {{name, sizeof(name) - 1}, bytes},
#include "proxy/http/template.def"
#undef TEMPLATE
};

const char *template_name(enum template_kind kind)
{
    return template_references[kind].name.data;
}

enum template_kind template_kind_of(struct text name)
{
    for (size_t kind = TEMPLATE_FILE + 1; kind < N_TEMPLATE_KINDS; kind++)
        if (text_equal(name, template_references[kind].name))
            return (enum template_kind)kind;
    return TEMPLATE_LITERAL;
}

/* A template on its way: counted first, then made. */
struct template_builder {
    struct template *made; /* NULL: only counted */
    char *texts;           /* where the next text of a piece goes */
    size_t n_pieces, n_bytes;
    bool in_literal; /* the last piece is one, and goes on */
};

static struct template_piece *template_begin_piece(struct template_builder *builder, enum template_kind kind)
{
    struct template_piece *piece = builder->made ? &builder->made->pieces[builder->n_pieces] : NULL;

    builder->n_pieces++;
    builder->n_bytes++; /* the NUL */
    builder->in_literal = kind == TEMPLATE_LITERAL;
    if (!piece)
        return NULL;
    if (builder->n_pieces > 1)
        builder->texts++;
    *piece = (struct template_piece){.kind = kind, .text = {builder->texts, 0}};
    return piece;
}

static void template_add_text(struct template_builder *builder, struct text text)
{
    struct template_piece *piece;

    builder->n_bytes += text.length;
    if (!builder->made)
        return;
    piece = &builder->made->pieces[builder->n_pieces - 1];
    if (text.length > 0)
        memcpy(builder->texts, text.data, text.length);
    builder->texts += text.length;
    piece->text.length += text.length;
}

static void template_add_literal(struct template_builder *builder, struct text text)
{
    if (!builder->in_literal)
        template_begin_piece(builder, TEMPLATE_LITERAL);
    template_add_text(builder, text);
}

/* What stands between "${" and "}". */
static int template_add_reference(struct template_builder *builder, struct text name)
{
    struct text prefix = TEXT_LITERAL(TEMPLATE_FILE_PREFIX);
    enum template_kind kind = template_kind_of(name);

    if (kind != TEMPLATE_LITERAL) {
        template_begin_piece(builder, kind);
        return 0;
    }
    if (name.length <= prefix.length || memcmp(name.data, prefix.data, prefix.length) != 0 ||
        name.data[prefix.length] != '/')
        return -EINVAL;
    template_begin_piece(builder, TEMPLATE_FILE);
    template_add_text(builder, (struct text){name.data + prefix.length, name.length - prefix.length});
    return 0;
}

static int template_build(struct template_builder *builder, const char *text)
{
    while (*text) {
        size_t length = 1 + strcspn(text + 1, "$");
        int r;

        if (strncmp(text, "$${", 3) == 0) {
            template_add_literal(builder, TEXT_LITERAL("${"));
            text += 3;
        } else if (strncmp(text, "${", 2) == 0) {
            length = strcspn(text, "}");
            if (text[length] == '\0')
                return -EINVAL;
            r = template_add_reference(builder, (struct text){text + 2, length - 2});
            if (r < 0)
                return r;
            text += length + 1;
        } else {
            template_add_literal(builder, (struct text){text, length});
            text += length;
        }
    }
    return 0;
}

/* NULL when out of memory. */
static struct template *template_allocate(struct template_builder *counted)
{
    size_t bytes = sizeof(struct template) + counted->n_pieces * sizeof(struct template_piece);
    struct template *template = calloc(1, bytes + counted->n_bytes);

    if (!template)
        return NULL;
    template->n_pieces = counted->n_pieces;
    *counted = (struct template_builder){.made = template, .texts = (char *)template + bytes};
    return template;
}

int template_compile(const char *text, struct template **ret_template)
{
    struct template_builder builder = {0};
    struct template *template;
    int r = template_build(&builder, text);

    if (r < 0)
        return r;
    template = template_allocate(&builder);
    if (!template)
        return -ENOMEM;
    r = template_build(&builder, text);
    if (r == 0)
        *ret_template = template;
    else
        template_free(template);
    return r;
}

struct template *template_of_literal(const char *text)
{
    struct template_builder builder = {0};
    struct template *template;
    bool any = text[0] != '\0';

    if (any)
        template_add_literal(&builder, text_of(text));
    template = template_allocate(&builder);
    if (template && any)
        template_add_literal(&builder, text_of(text));
    return template;
}

void template_free(struct template *template)
{
    free(template);
}

unsigned template_kinds(const struct template *template)
{
    unsigned kinds = 0;

    for (size_t i = 0; i < template->n_pieces; i++)
        kinds |= TEMPLATE_BIT(template->pieces[i].kind);
    return kinds;
}

const char *template_text(const struct template *template)
{
    if (template->n_pieces == 0)
        return "";
    return template->n_pieces == 1 && template->pieces[0].kind == TEMPLATE_LITERAL ? template->pieces[0].text.data
                                                                                   : NULL;
}

size_t template_bounded_bytes(const struct template *template)
{
    size_t bytes = 0;

    for (size_t i = 0; i < template->n_pieces; i++) {
        const struct template_piece *piece = &template->pieces[i];

        bytes += piece->kind == TEMPLATE_LITERAL ? piece->text.length : template_references[piece->kind].most_bytes;
    }
    return bytes;
}

/* ---- spelling ---- */

static char *template_spell_literal(char *to, struct text text)
{
    for (size_t i = 0; i < text.length; i++) {
        if (text.data[i] == '{' && i > 0 && text.data[i - 1] == '$')
            *to++ = '$';
        *to++ = text.data[i];
    }
    return to;
}

static size_t template_piece_bytes(const struct template_piece *piece)
{
    switch (piece->kind) {
    case TEMPLATE_LITERAL: /* at worst one more byte for every "${" */
        return piece->text.length + piece->text.length / 2;
    case TEMPLATE_FILE:
        return sizeof("${" TEMPLATE_FILE_PREFIX "}") + piece->text.length;
    default:
        return sizeof("${}") + template_references[piece->kind].name.length;
    }
}

char *template_spell(const struct template *template)
{
    size_t bytes = 1;
    char *spelt, *to;

    for (size_t i = 0; i < template->n_pieces; i++)
        bytes += template_piece_bytes(&template->pieces[i]);
    to = spelt = malloc(bytes);
    if (!spelt)
        return NULL;
    for (size_t i = 0; i < template->n_pieces; i++) {
        const struct template_piece *piece = &template->pieces[i];

        if (piece->kind == TEMPLATE_LITERAL) {
            to = template_spell_literal(to, piece->text);
            continue;
        }
        to = stpcpy(to, "${");
        if (piece->kind == TEMPLATE_FILE)
            to = stpcpy(to, TEMPLATE_FILE_PREFIX);
        to = stpcpy(to, piece->kind == TEMPLATE_FILE ? piece->text.data : template_name(piece->kind));
        *to++ = '}';
    }
    *to = '\0';
    return spelt;
}

/* ---- expanding ---- */

static enum template_verdict template_put_number(const struct template_values *values, uint32_t n,
                                                 struct head_writer *writer)
{
    if (!values->has_peer)
        return TEMPLATE_NO_PEER;
    head_put_number(writer, n);
    return TEMPLATE_DONE;
}

static enum template_verdict template_put(const struct template_piece *piece, struct template_values *values,
                                          struct head_writer *writer)
{
    struct text text = {NULL, 0};

    switch (piece->kind) {
    case TEMPLATE_PEER_UID:
        return template_put_number(values, values->uid, writer);
    case TEMPLATE_PEER_GID:
        return template_put_number(values, values->gid, writer);
    case TEMPLATE_PEER_PID:
        return template_put_number(values, values->pid, writer);
    case TEMPLATE_FILE:
        if (!values->file || !values->file(values, piece, &text))
            return TEMPLATE_NO_FILE;
        break;
    case TEMPLATE_LITERAL:
        text = piece->text;
        break;
    case TEMPLATE_REQUEST_ID:
        text = values->request_id;
        break;
    case TEMPLATE_REQUEST_HOST:
        text = values->host;
        break;
    case TEMPLATE_REQUEST_PATH:
        text = values->path;
        break;
    case TEMPLATE_REQUEST_QUERY:
        text = values->query;
        break;
    case N_TEMPLATE_KINDS:
        break;
    }
    head_put(writer, text);
    return TEMPLATE_DONE;
}

enum template_verdict template_expand(const struct template *template, struct template_values *values,
                                      struct head_writer *writer)
{
    enum template_verdict verdict = TEMPLATE_DONE;

    for (size_t i = 0; i < template->n_pieces && verdict == TEMPLATE_DONE; i++)
        verdict = template_put(&template->pieces[i], values, writer);
    return verdict == TEMPLATE_DONE && writer->full ? TEMPLATE_FULL : verdict;
}
