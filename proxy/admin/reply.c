#include "proxy/admin/reply.h"

#include <stdio.h>
#include <stdlib.h>

void reply_json(struct page *page, unsigned status, json_t *document)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = document ? open_memstream(&text, &length) : NULL;
    bool good = out && json_dumpf(document, out, JSON_INDENT(1)) == 0 && fputc('\n', out) != EOF;

    json_decref(document);
    if (out && fclose(out) != 0)
        good = false;
    if (!good) {
        free(text);
        text = NULL;
    }
    page_answer(page, status, "application/json", text, text ? length : 0);
}
