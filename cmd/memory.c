#include "cmd/memory.h"

#include <inttypes.h>
#include <stdio.h>

#include "proxy/memory_need.h"

#define KIB 1024.0
#define MIB (1024 * KIB)

static void memory_print_part(const char *what, uint64_t bytes)
{
    if (bytes > 0)
        printf("  %10.1f MiB  %s\n", (double)bytes / MIB, what);
}

static void memory_print_clients(const struct snapshot *snapshot, const struct listener_config *listener)
{
    uint32_t n = memory_need_clients(listener);
    uint64_t each = memory_need_each(snapshot, listener);

    printf("  %10.1f MiB  %" PRIu32 " clients of %s, %.0f KiB each\n", (double)(n * each) / MIB, n, listener->name,
           (double)each / KIB);
}

void memory_print(const struct snapshot *snapshot, const char *file)
{
    struct memory_need need;

    memory_need(snapshot, &need);
    printf("%s: at most %.1f MiB\n", file, (double)memory_need_total(&need) / MIB);
    memory_print_part("porthole itself", need.program);
    for (size_t i = 0; i < snapshot_n_sockets(snapshot); i++)
        memory_print_clients(snapshot, snapshot_socket(snapshot, i));
    memory_print_part("connections to https targets", need.tls);
    memory_print_part("bodies that rules judge", need.bodies);
    memory_print_part("readers of taps", need.taps);
    memory_print_part("gaps between what is in use", need.gaps);
}
