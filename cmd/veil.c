#include "cmd/veil.h"

#include <stdlib.h>

/* No variable may stand in a path that is looked at. */
static char veil_path[] = "/(environment)";

static bool veil_edits(const struct written_list *written, const struct edit_list *from, struct edit_list *list)
{
    *list = (struct edit_list){calloc(from->n_items + 1, sizeof(*list->items)), from->n_items};
    if (!list->items)
        return false;
    for (size_t i = 0; i < from->n_items; i++) {
        const char *text = written_find(written, from->items[i].value);

        list->items[i] = from->items[i];
        if (text)
            list->items[i].value = template_of_literal(text);
        if (!list->items[i].value)
            return false;
    }
    return true;
}

static void veil_free_edits(struct edit_list *list, const struct edit_list *from)
{
    for (size_t i = 0; list->items && i < from->n_items; i++)
        if (list->items[i].value != from->items[i].value)
            template_free(list->items[i].value);
    free(list->items);
}

bool veil_init(struct veil *veil, const struct snapshot *snapshot, const struct route_config *route)
{
    const struct edits *edits = &route->request_headers;
    const struct written_list *written = &snapshot->written;

    *veil = (struct veil){.edits = *edits, .rewrite = route->rewrite};
    veil->edits.add.items = NULL;
    if (written_find(written, veil->rewrite.add_prefix))
        veil->rewrite.add_prefix = veil_path;
    if (written_find(written, veil->rewrite.to))
        veil->rewrite.to = veil_path;
    if (!veil_edits(written, &edits->set, &veil->edits.set) || !veil_edits(written, &edits->add, &veil->edits.add))
        return false;
    edits_finish(&veil->edits);
    return true;
}

void veil_deinit(struct veil *veil, const struct route_config *route)
{
    veil_free_edits(&veil->edits.set, &route->request_headers.set);
    veil_free_edits(&veil->edits.add, &route->request_headers.add);
}
