#include "config/pages.h"

#include <stddef.h>

const char *const page_names[] = {
#define PAGE(id, name, path, everywhere, sentence) [PAGE_##id] = (name),
#include "config/pages.def"
#undef PAGE
    [N_PAGES] = NULL};

const char *const page_paths[] = {
#define PAGE(id, name, path, everywhere, sentence) [PAGE_##id] = (path),
#include "config/pages.def"
#undef PAGE
    [N_PAGES] = NULL};

static const unsigned pages_everywhere = 0
#define PAGE(id, name, path, everywhere, sentence) | ((everywhere) ? 1u << PAGE_##id : 0u)
#include "config/pages.def"
#undef PAGE
    ;

unsigned pages_by_default(const struct address *bind)
{
    return bind->kind == ADDRESS_TCP ? pages_everywhere : (1u << N_PAGES) - 1;
}
