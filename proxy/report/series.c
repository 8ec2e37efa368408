#include "proxy/report/series.h"

#include <errno.h>
#include <search.h>
#include <stdlib.h>
#include <string.h>

#include "proxy/base/log.h"

#define CACHE_LINE 64

static const struct series_kind_info {
    size_t slot_bytes, most;
    const char *words;
} series_kinds[N_SERIES_KINDS] = {
    [SERIES_LISTENER] = {sizeof(struct listener_slot), SERIES_MOST_LISTENERS, "listeners"},
    [SERIES_ROUTE] = {sizeof(struct route_slot), SERIES_MOST_ROUTES, "routes"},
    [SERIES_TARGET] = {sizeof(struct target_slot), SERIES_MOST_TARGETS, "targets"},
    [SERIES_ENDPOINT] = {sizeof(struct endpoint_slot), SERIES_MOST_ENDPOINTS, "endpoints"},
};

static int series_compare(const void *a, const void *b)
{
    const struct series *one = a, *other = b;
    int order = (int)one->kind - (int)other->kind;

    if (order == 0)
        order = strcmp(one->owner, other->owner);
    return order ? order : strcmp(one->name, other->name);
}

static void series_free_cells(struct series *series, size_t n_workers)
{
    for (size_t i = 0; i < n_workers && series->slots; i++) {
        switch (series->kind) {
        case SERIES_LISTENER:
            cells_deinit(&listener_slot(series, i)->refused);
            cells_deinit(&listener_slot(series, i)->accept_errors);
            break;
        case SERIES_ROUTE:
            cells_deinit(&route_slot(series, i)->requests);
            cells_deinit(&route_slot(series, i)->tunnels);
            break;
        case SERIES_TARGET:
            cells_deinit(&target_slot(series, i)->retries);
            break;
        case SERIES_ENDPOINT:
            cells_deinit(&endpoint_slot(series, i)->connects);
            break;
        case N_SERIES_KINDS:
            break;
        }
    }
}

static void series_free(struct series *series, size_t n_workers)
{
    series_free_cells(series, n_workers);
    spell_deinit(&series->saturated);
    free(series->slots);
    free((char *)(uintptr_t)series->owner);
    free((char *)(uintptr_t)series->name);
    free(series);
}

int series_book_init(struct series_book *book, size_t n_workers)
{
    struct worker_clock *clocks = calloc(n_workers, sizeof(*clocks));

    if (!clocks)
        return -ENOMEM;
    *book = (struct series_book){.n_workers = n_workers, .clocks = clocks};
    pthread_mutex_init(&book->lock, NULL);
    return 0;
}

void series_book_begin(struct series_book *book, size_t worker)
{
    struct worker_clock *clock = &book->clocks[worker];

    if (pthread_getcpuclockid(pthread_self(), &clock->id) == 0)
        atomic_store(&clock->known, true);
}

void series_book_end(struct series_book *book, size_t worker)
{
    atomic_store(&book->clocks[worker].known, false);
}

uint64_t series_book_cpu_ns(const struct series_book *book, size_t worker)
{
    const struct worker_clock *clock = &book->clocks[worker];
    struct timespec time;

    if (!atomic_load(&clock->known) || clock_gettime(clock->id, &time) < 0)
        return 0;
    return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static void series_leave(void *node)
{
    (void)node;
}

void series_book_deinit(struct series_book *book)
{
    if (book->n_workers == 0)
        return;
    tdestroy(book->tree, series_leave);
    for (int kind = 0; kind < N_SERIES_KINDS; kind++) {
        struct series *next;

        for (struct series *series = atomic_load(&book->first[kind]); series; series = next) {
            next = atomic_load(&series->next);
            series_free(series, book->n_workers);
        }
    }
    pthread_mutex_destroy(&book->lock);
    free(book->clocks);
    *book = (struct series_book){.n_workers = 0};
}

/* Workers do not share a cache line. NULL when out of memory. */
static struct series *series_new(struct series_book *book, enum series_kind kind, const char *owner, const char *name)
{
    struct series *series = calloc(1, sizeof(*series));
    size_t bytes;

    if (!series)
        return NULL;
    series->kind = kind;
    series->book = book;
    spell_init(&series->saturated);
    series->owner = strdup(owner);
    series->name = strdup(name);
    series->slot_bytes = (series_kinds[kind].slot_bytes + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE;
    bytes = series->slot_bytes * book->n_workers;
    series->slots = aligned_alloc(CACHE_LINE, bytes);
    if (!series->owner || !series->name || !series->slots) {
        free(series->slots);
        series->slots = NULL;
        series_free(series, 0);
        return NULL;
    }
    memset(series->slots, 0, bytes);
    return series;
}

/* Those of the rest, and that of no route, are beside the others: as many as there are owners. */
static bool series_is_counted(const char *name)
{
    return strcmp(name, "") != 0 && strcmp(name, SERIES_OTHER) != 0;
}

static struct series *series_add(struct series_book *book, enum series_kind kind, const char *owner, const char *name)
{
    struct series *series = series_new(book, kind, owner, name);

    if (!series)
        return NULL;
    if (!tsearch(series, &book->tree, series_compare)) {
        series_free(series, book->n_workers);
        return NULL;
    }
    book->n[kind] += series_is_counted(name);
    atomic_store_explicit(&series->next, atomic_load(&book->first[kind]), memory_order_relaxed);
    atomic_store_explicit(&book->first[kind], series, memory_order_release);
    return series;
}

static struct series *series_get(const struct series_book *book, enum series_kind kind, const char *owner,
                                 const char *name)
{
    const struct series key = {.kind = kind, .owner = owner, .name = name};
    void *found = tfind(&key, &book->tree, series_compare);

    return found ? *(struct series **)found : NULL;
}

const struct series *series_look(struct series_book *book, enum series_kind kind, const char *owner, const char *name)
{
    const struct series *series;

    pthread_mutex_lock(&book->lock);
    series = series_get(book, kind, owner ? owner : "", name);
    pthread_mutex_unlock(&book->lock);
    return series;
}

static void series_tell_full(struct series_book *book, enum series_kind kind, const char *name)
{
    if (!book->told[kind])
        LOG_EVENT(LOG_LEVEL_WARN, "there are too many names to count each by itself: the rest is counted as \"other\"",
                  LOG_STRING("of", series_kinds[kind].words), LOG_STRING("first", name),
                  LOG_NUMBER("most", series_kinds[kind].most));
    book->told[kind] = true;
}

/* Endpoints and routes of owners that are beyond: they are of no owner that can be told. */
static const char *series_owner(const struct series_book *book, enum series_kind kind, const char *owner)
{
    enum series_kind of = kind == SERIES_ROUTE ? SERIES_LISTENER : SERIES_TARGET;

    if (!owner)
        return "";
    return series_get(book, of, "", owner) ? owner : SERIES_OTHER;
}

struct series *series_find(struct series_book *book, enum series_kind kind, const char *owner, const char *name)
{
    struct series *series;

    pthread_mutex_lock(&book->lock);
    owner = series_owner(book, kind, owner);
    series = series_get(book, kind, owner, name);
    if (!series && series_is_counted(name) && book->n[kind] >= series_kinds[kind].most) {
        series_tell_full(book, kind, name);
        name = SERIES_OTHER;
        series = series_get(book, kind, owner, name);
    }
    if (!series)
        series = series_add(book, kind, owner, name);
    pthread_mutex_unlock(&book->lock);
    return series;
}

void series_check(struct series *series, bool up)
{
    if (!series)
        return;
    atomic_store_explicit(&series->checked, true, memory_order_relaxed);
    atomic_store_explicit(&series->state, up ? SERIES_UP : SERIES_DOWN, memory_order_relaxed);
}

void series_uncheck(struct series *series)
{
    if (series)
        atomic_store_explicit(&series->checked, false, memory_order_relaxed);
}

void series_certify(struct series *series, int64_t not_after)
{
    if (series && not_after > 0)
        atomic_store_explicit(&series->not_after, not_after, memory_order_relaxed);
}

void series_count_connect(struct series *series, size_t worker, enum outcome outcome)
{
    cells_add(&endpoint_slot(series, worker)->connects, outcome, outcome, 1);
    if (!atomic_load_explicit(&series->checked, memory_order_relaxed))
        atomic_store_explicit(&series->state, outcome == OUTCOME_FORWARDED ? SERIES_UP : SERIES_DOWN,
                              memory_order_relaxed);
}
