#include "config/json_memory.h"

#include <errno.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

#include "proxy/base/list.h"

/* In front of each block that the library has. */
struct json_block {
    _Alignas(max_align_t) struct list link; /* with the others of the document that is being parsed, else with nobody */
};

/* One thread's. */
static _Thread_local struct {
    struct list blocks; /* of the document that is being parsed */
    jmp_buf way_out;
    bool parsing;
    bool failed;
} json_memory;

/* Returns NULL only when nothing is being parsed. */
static void *json_memory_take(size_t size)
{
    struct json_block *block = size < SIZE_MAX - sizeof(*block) ? malloc(sizeof(*block) + size) : NULL;

    if (!block) {
        json_memory.failed = true;
        if (json_memory.parsing)
            longjmp(json_memory.way_out, 1);
        return NULL;
    }
    list_init(&block->link);
    if (json_memory.parsing)
        list_append(&json_memory.blocks, &block->link);
    return block + 1;
}

static void json_memory_give(void *memory)
{
    struct json_block *block = memory;

    if (!block)
        return;
    block--;
    list_remove(&block->link);
    free(block);
}

/* Each is its own from now on. */
static void json_memory_scatter(void)
{
    while (!list_empty(&json_memory.blocks))
        list_remove(json_memory.blocks.next);
}

static void json_memory_give_all(void)
{
    while (!list_empty(&json_memory.blocks))
        json_memory_give(CONTAINER_OF(json_memory.blocks.next, struct json_block, link) + 1);
}

int json_memory_parse(const char *text, size_t length, size_t flags, json_t **ret_tree, json_error_t *ret_error)
{
    json_set_alloc_funcs(json_memory_take, json_memory_give);
    list_init(&json_memory.blocks);
    json_memory.failed = false;
    json_memory.parsing = true;
    if (setjmp(json_memory.way_out) != 0) {
        json_memory.parsing = false;
        json_memory_give_all();
        return -ENOMEM;
    }
    *ret_tree = json_loadb(text, length, flags, ret_error);
    json_memory.parsing = false;
    json_memory_scatter();
    return 0;
}

bool json_memory_has_failed(void)
{
    return json_memory.failed;
}
