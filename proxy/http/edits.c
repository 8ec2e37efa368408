#include "proxy/http/edits.h"

#include <assert.h>
#include <stdlib.h>

#include "proxy/http/path.h"

#define LINE_BYTES (sizeof(": \r\n") - 1)

static_assert(N_FIELD_IDS <= 32, "a bit for each");

void edit_list_deinit(struct edit_list *list)
{
    for (size_t i = 0; list->items && i < list->n_items; i++) {
        free(list->items[i].name);
        template_free(list->items[i].value);
    }
    free(list->items);
    *list = (struct edit_list){0};
}

void edits_finish(struct edits *edits)
{
    edits->replaced = 0;
    edits->host = NULL;
    for (size_t i = 0; i < edits->set.n_items; i++) {
        enum field_id id = field_identify(text_of(edits->set.items[i].name));

        edits->replaced |= FIELD_BIT(id);
        if (id == FIELD_HOST)
            edits->host = &edits->set.items[i];
    }
    for (char **name = edits->remove; name && *name; name++)
        edits->replaced |= FIELD_BIT(field_identify(text_of(*name)));
    edits->replaced &= ~FIELD_BIT(FIELD_OTHER);
}

bool edits_hide(const struct edits *edits, struct text name)
{
    for (size_t i = 0; i < edits->set.n_items; i++)
        if (field_is_spelling_of(name, text_of(edits->set.items[i].name)))
            return true;
    for (char **removed = edits->remove; removed && *removed; removed++)
        if (field_is_spelling_of(name, text_of(*removed)))
            return true;
    return false;
}

void edits_mark(const struct edits *edits, struct fields *fields)
{
    for (size_t i = 0; i < fields->n_items; i++)
        if (edits_hide(edits, fields->items[i].name))
            fields->items[i].drop = true;
}

static enum template_verdict edit_list_write(const struct edit_list *list, const struct edit *except,
                                             struct template_values *values, struct head_writer *writer)
{
    enum template_verdict verdict = TEMPLATE_DONE;

    for (size_t i = 0; i < list->n_items && verdict == TEMPLATE_DONE; i++) {
        const struct edit *edit = &list->items[i];

        if (edit == except)
            continue;
        head_put(writer, text_of(edit->name));
        HEAD_PUT(writer, ": ");
        verdict = template_expand(edit->value, values, writer);
        HEAD_PUT(writer, "\r\n");
    }
    return verdict == TEMPLATE_DONE && writer->full ? TEMPLATE_FULL : verdict;
}

enum template_verdict edits_write(const struct edits *edits, struct template_values *values, struct head_writer *writer)
{
    enum template_verdict verdict = edit_list_write(&edits->set, edits->host, values, writer);

    return verdict == TEMPLATE_DONE ? edit_list_write(&edits->add, NULL, values, writer) : verdict;
}

void edits_take_request(struct template_values *values, const struct request *request)
{
    struct text path = path_split(request->origin, &values->query);

    values->host = request->authority;
    values->path = path.length > 0 ? path : TEXT_LITERAL("/");
}

static size_t edit_list_bounded_bytes(const struct edit_list *list)
{
    size_t bytes = 0;

    for (size_t i = 0; i < list->n_items; i++)
        if (list->items[i].value)
            bytes += strlen(list->items[i].name) + template_bounded_bytes(list->items[i].value) + LINE_BYTES;
    return bytes;
}

size_t edits_bounded_bytes(const struct edits *edits)
{
    return edit_list_bounded_bytes(&edits->set) + edit_list_bounded_bytes(&edits->add);
}

static unsigned edit_list_kinds(const struct edit_list *list)
{
    unsigned kinds = 0;

    for (size_t i = 0; i < list->n_items; i++)
        if (list->items[i].value)
            kinds |= template_kinds(list->items[i].value);
    return kinds;
}

unsigned edits_kinds(const struct edits *edits)
{
    return edit_list_kinds(&edits->set) | edit_list_kinds(&edits->add);
}

bool edits_may_name(enum field_id id)
{
    enum field_class class = field_class_of(id);

    return class != FIELD_CLASS_HOP && class != FIELD_CLASS_FRAME && id != FIELD_EXPECT && id != FIELD_TRAILER &&
           id != FIELD_VIA;
}
