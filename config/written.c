#include "config/written.h"

#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int written_add(struct written_list *list, const void *value, const char *text)
{
    size_t n = list->n_items;
    struct written *item;

    /* Grows when the number is a power of two, which stands for the capacity. */
    if ((n & (n - 1)) == 0) {
        struct written *grown = reallocarray(list->items, n ? 2 * n : 1, sizeof(*grown));

        if (!grown)
            return -ENOMEM;
        list->items = grown;
    }
    item = &list->items[n];
    item->value = value;
    item->text = strdup(text);
    if (!item->text)
        return -ENOMEM;
    list->n_items++;
    return 0;
}

static int written_compare(const void *a, const void *b)
{
    uintptr_t left = (uintptr_t)((const struct written *)a)->value;
    uintptr_t right = (uintptr_t)((const struct written *)b)->value;

    return (left > right) - (left < right);
}

void written_sort(struct written_list *list)
{
    if (list->n_items > 0)
        qsort(list->items, list->n_items, sizeof(*list->items), written_compare);
}

const char *written_find(const struct written_list *list, const void *value)
{
    const struct written key = {.value = value};
    const struct written *found;

    if (list->n_items == 0)
        return NULL;
    found = bsearch(&key, list->items, list->n_items, sizeof(key), written_compare);
    return found ? found->text : NULL;
}

void written_deinit(struct written_list *list)
{
    for (size_t i = 0; i < list->n_items; i++)
        free(list->items[i].text);
    free(list->items);
    *list = (struct written_list){NULL, 0};
}
