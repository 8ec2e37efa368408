#include "proxy/admin/facts.h"

#include <stdlib.h>

void facts_deinit(struct facts *facts)
{
    snapshot_unref(facts->snapshot);
    free(facts->reload_problem);
    free(facts->listeners);
    *facts = (struct facts){.snapshot = NULL};
}
