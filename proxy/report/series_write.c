#include "proxy/report/series_write.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/snapshot.h"

/* ---- sums ---- */

/* A counter of all workers, by where it is in a slot. */
static uint64_t series_sum(const struct series *series, size_t offset)
{
    uint64_t n = 0;

    for (size_t i = 0; i < series->book->n_workers; i++)
        n += counter_read((const struct counter *)(const void *)(series->slots + i * series->slot_bytes + offset));
    return n;
}

static struct histogram_sum series_sum_histogram(const struct series *series, size_t offset)
{
    struct histogram_sum sum = {.n = 0};

    for (size_t i = 0; i < series->book->n_workers; i++)
        histogram_read((const struct histogram *)(const void *)(series->slots + i * series->slot_bytes + offset), &sum);
    return sum;
}

/* Cells of all workers: those with the same key together. */
struct cells_sum {
    struct {
        uint32_t key;
        uint64_t n;
    } * items; /* owned */
    size_t n, size;
    bool failed;
};

static void cells_sum_add(void *closure, uint32_t key, uint64_t n)
{
    struct cells_sum *sum = closure;

    for (size_t i = 0; i < sum->n; i++)
        if (sum->items[i].key == key) {
            sum->items[i].n += n;
            return;
        }
    if (sum->n == sum->size) {
        size_t size = sum->size ? 2 * sum->size : 16;
        void *grown = realloc(sum->items, size * sizeof(sum->items[0]));

        sum->failed = sum->failed || !grown;
        if (!grown)
            return;
        sum->items = grown;
        sum->size = size;
    }
    sum->items[sum->n].key = key;
    sum->items[sum->n++].n = n;
}

/* ---- writing ---- */

/* Writes one combination of a series. */
typedef void series_cell_fn(struct exposition *exposition, const struct series *series, uint32_t key, uint64_t n);

static void series_write_cells(struct exposition *exposition, const struct series *series, size_t offset,
                               series_cell_fn *fn)
{
    struct cells_sum sum = {.items = NULL};

    for (size_t i = 0; i < series->book->n_workers; i++)
        cells_read((const struct cells *)(const void *)(series->slots + i * series->slot_bytes + offset), cells_sum_add,
                   &sum);
    for (size_t i = 0; i < sum.n; i++)
        fn(exposition, series, sum.items[i].key, sum.items[i].n);
    exposition->text.failed = exposition->text.failed || sum.failed;
    free(sum.items);
}

static void series_write_all_cells(struct exposition *exposition, const struct series_book *book, enum series_kind kind,
                                   size_t offset, series_cell_fn *fn)
{
    for (const struct series *series = series_first(book, kind); series; series = series_next(series))
        series_write_cells(exposition, series, offset, fn);
}

/* Labels of a listener's or target's family: its name; of a route's or endpoint's: the owner's name before it. */
static void series_values(const struct series *series, const char *values[2])
{
    bool owned = series->kind == SERIES_ROUTE || series->kind == SERIES_ENDPOINT;

    values[0] = owned ? series->owner : series->name;
    values[1] = series->name;
}

/* A listener that was never served, of a configuration that was refused; a route without a request; a target that was
 * never used. */
static bool series_is_seen(const struct series *series)
{
    switch (series->kind) {
    case SERIES_LISTENER:
        return atomic_load_explicit(&series->served, memory_order_relaxed);
    case SERIES_ROUTE:
        return series_sum_histogram(series, offsetof(struct route_slot, duration)).n > 0;
    default:
        return true;
    }
}

static void series_write_counts(struct exposition *exposition, const struct series_book *book, enum series_kind kind,
                                enum family family, size_t offset)
{
    const char *values[2];

    for (const struct series *series = series_first(book, kind); series; series = series_next(series)) {
        series_values(series, values);
        if (series_is_seen(series))
            exposition_put(exposition, family, values, series_sum(series, offset));
    }
}

static void series_write_histograms(struct exposition *exposition, const struct series_book *book,
                                    enum series_kind kind, enum family family, size_t offset,
                                    const struct histogram_bounds *bounds)
{
    const char *values[2];

    for (const struct series *series = series_first(book, kind); series; series = series_next(series)) {
        struct histogram_sum sum = series_sum_histogram(series, offset);

        series_values(series, values);
        if (sum.n > 0)
            exposition_put_histogram(exposition, family, values, bounds, &sum);
    }
}

/* ---- listeners and routes ---- */

static const char *series_outcome(uint32_t key)
{
    return key == CELLS_UNPLACED ? SERIES_OTHER : outcome_info((enum outcome)(key & 0xff))->name;
}

static void series_write_request(struct exposition *exposition, const struct series *series, uint32_t key, uint64_t n)
{
    char code[16] = SERIES_OTHER;
    const char *method = key == CELLS_UNPLACED ? SERIES_OTHER : method_labels[key >> 8 & 0xff];
    const char *const values[] = {series->owner, series->name, method, code, series_outcome(key)};

    if (key != CELLS_UNPLACED && key >> 16 != REQUEST_CODE_REST)
        snprintf(code, sizeof(code), "%u", (unsigned)(key >> 16));
    exposition_put(exposition, FAMILY_REQUESTS, values, n);
}

static void series_write_tunnel(struct exposition *exposition, const struct series *series, uint32_t key, uint64_t n)
{
    const char *protocol = key == CELLS_UNPLACED ? SERIES_OTHER : protocol_labels[key >> 8 & 0xff];
    const char *const values[] = {series->owner, series->name, protocol, series_outcome(key)};

    exposition_put(exposition, FAMILY_TUNNELS_ENDED, values, n);
}

static void series_write_refused(struct exposition *exposition, const struct series *series, uint32_t key, uint64_t n)
{
    static const char *const reasons[N_SERIES_REFUSALS] = {
        [REFUSED_PEER] = "peer", [REFUSED_USER_FULL] = "connections_per_uid"};
    const char *const values[] = {series->name, key < N_SERIES_REFUSALS ? reasons[key] : SERIES_OTHER};

    exposition_put(exposition, FAMILY_LISTENER_REFUSED, values, n);
}

static void series_write_accept_error(struct exposition *exposition, const struct series *series, uint32_t key,
                                      uint64_t n)
{
    const char *name = strerrorname_np((int)key);
    const char *const values[] = {series->name, name && key != 0 ? name : SERIES_OTHER};

    exposition_put(exposition, FAMILY_LISTENER_ACCEPT_ERRORS, values, n);
}

/* What has begun and not ended: the ends are read first, so that it is never less than none. */
static uint64_t series_open(const struct series *series, size_t begun, size_t ended)
{
    uint64_t n_ended = series_sum(series, ended), n_begun = series_sum(series, begun);

    return n_begun > n_ended ? n_begun - n_ended : 0;
}

static void series_write_in_flight(struct exposition *exposition, const struct series_book *book)
{
    for (const struct series *series = series_first(book, SERIES_LISTENER); series; series = series_next(series))
        if (series_is_seen(series))
            exposition_put(
                exposition, FAMILY_REQUESTS_IN_FLIGHT, (const char *const[]){series->name},
                series_open(series, offsetof(struct listener_slot, begun), offsetof(struct listener_slot, ended)));
}

static void series_write_tunnels(struct exposition *exposition, const struct series_book *book)
{
    for (const struct series *series = series_first(book, SERIES_LISTENER); series; series = series_next(series))
        for (size_t i = 0; i < N_PROTOCOL_LABELS; i++) {
            const char *const values[] = {series->name, protocol_labels[i]};
            size_t at = i * sizeof(struct counter), begun = offsetof(struct listener_slot, tunnels_begun) + at;

            if (series_sum(series, begun) > 0)
                exposition_put(exposition, FAMILY_TUNNELS, values,
                               series_open(series, begun, offsetof(struct listener_slot, tunnels_ended) + at));
        }
}

static void series_write_tunnel_bytes(struct exposition *exposition, const struct series_book *book)
{
    for (const struct series *series = series_first(book, SERIES_LISTENER); series; series = series_next(series)) {
        uint64_t in = series_sum(series, offsetof(struct listener_slot, tunnel_received));
        uint64_t out = series_sum(series, offsetof(struct listener_slot, tunnel_sent));

        if (in + out == 0)
            continue;
        exposition_put(exposition, FAMILY_TUNNEL_BYTES, (const char *const[]){series->name, "sent"}, in);
        exposition_put(exposition, FAMILY_TUNNEL_BYTES, (const char *const[]){series->name, "received"}, out);
    }
}

static void series_write_saturated(struct exposition *exposition, const struct series_book *book)
{
    for (struct series *series = series_first(book, SERIES_LISTENER); series; series = series_next(series))
        if (series_is_seen(series))
            exposition_put_ns(exposition, FAMILY_LISTENER_SATURATED, (const char *const[]){series->name},
                              spell_ns(&series->saturated));
}

static void series_write_again(struct exposition *exposition, const struct series_book *book)
{
    for (const struct series *series = series_first(book, SERIES_LISTENER); series; series = series_next(series))
        if (series_is_seen(series))
            exposition_put(exposition, FAMILY_LISTENER_AGAIN, (const char *const[]){series->name},
                           counter_read(&series->again));
}

void series_write_listeners(const struct series_book *book, struct exposition *exposition)
{
#define IN(type, field) offsetof(struct type##_slot, field)
    series_write_counts(exposition, book, SERIES_LISTENER, FAMILY_LISTENER_ACCEPTED, IN(listener, accepted));
    series_write_all_cells(exposition, book, SERIES_LISTENER, IN(listener, refused), series_write_refused);
    series_write_all_cells(exposition, book, SERIES_LISTENER, IN(listener, accept_errors), series_write_accept_error);
    series_write_saturated(exposition, book);
    series_write_again(exposition, book);
    series_write_all_cells(exposition, book, SERIES_ROUTE, IN(route, requests), series_write_request);
    series_write_in_flight(exposition, book);
    series_write_histograms(exposition, book, SERIES_ROUTE, FAMILY_REQUEST_DURATION, IN(route, duration),
                            &histogram_requests);
    series_write_counts(exposition, book, SERIES_ROUTE, FAMILY_REQUEST_BYTES, IN(route, received));
    series_write_counts(exposition, book, SERIES_ROUTE, FAMILY_RESPONSE_BYTES, IN(route, sent));
    series_write_tunnels(exposition, book);
    series_write_all_cells(exposition, book, SERIES_ROUTE, IN(route, tunnels), series_write_tunnel);
    series_write_tunnel_bytes(exposition, book);
    series_write_histograms(exposition, book, SERIES_LISTENER, FAMILY_TUNNEL_DURATION, IN(listener, tunnel_duration),
                            &histogram_tunnels);
}

/* ---- targets and endpoints ---- */

static void series_write_connect(struct exposition *exposition, const struct series *series, uint32_t key, uint64_t n)
{
    const char *const values[] = {series->owner, series->name,
                                  key == OUTCOME_FORWARDED ? "connected" : series_outcome(key)};

    exposition_put(exposition, FAMILY_TARGET_CONNECTS, values, n);
}

static void series_write_retry(struct exposition *exposition, const struct series *series, uint32_t key, uint64_t n)
{
    static const char *const reasons[RETRY_NEVER] = {"connect", "reused_connection", "502", "503", "504"};
    const char *const values[] = {series->name, key < RETRY_NEVER ? reasons[key] : SERIES_OTHER};

    exposition_put(exposition, FAMILY_TARGET_RETRIES, values, n);
}

/* Of those that are still asked: nobody waits for one to come back that is not configured any more. */
static void series_write_up(struct exposition *exposition, const struct series_book *book)
{
    for (const struct series *series = series_first(book, SERIES_ENDPOINT); series; series = series_next(series))
        if (atomic_load_explicit(&series->n_users, memory_order_relaxed) > 0 &&
            atomic_load_explicit(&series->state, memory_order_relaxed) != SERIES_UNKNOWN)
            exposition_put(exposition, FAMILY_TARGET_UP, (const char *const[]){series->owner, series->name},
                           atomic_load_explicit(&series->state, memory_order_relaxed) == SERIES_UP);
}

static void series_write_checks(struct exposition *exposition, const struct series_book *book)
{
    static const char *const results[] = {"failed", "passed"};

    for (const struct series *series = series_first(book, SERIES_TARGET); series; series = series_next(series))
        for (size_t i = 0; i < 2; i++)
            if (counter_read(&series->checks[0]) + counter_read(&series->checks[1]) > 0)
                exposition_put(exposition, FAMILY_TARGET_CHECKS, (const char *const[]){series->name, results[i]},
                               counter_read(&series->checks[i]));
}

static void series_write_certificates(struct exposition *exposition, const struct series_book *book)
{
    for (const struct series *series = series_first(book, SERIES_ENDPOINT); series; series = series_next(series))
        if (atomic_load_explicit(&series->n_users, memory_order_relaxed) > 0 && series_not_after(series) > 0)
            exposition_put(exposition, FAMILY_TARGET_CERTIFICATE, (const char *const[]){series->owner, series->name},
                           series_not_after(series));
}

void series_write_targets(const struct series_book *book, struct exposition *exposition)
{
    series_write_up(exposition, book);
    series_write_all_cells(exposition, book, SERIES_ENDPOINT, IN(endpoint, connects), series_write_connect);
    series_write_histograms(exposition, book, SERIES_TARGET, FAMILY_TARGET_CONNECT_DURATION, IN(target, connect),
                            &histogram_requests);
    series_write_histograms(exposition, book, SERIES_TARGET, FAMILY_TARGET_RESPONSE_HEAD, IN(target, response_head),
                            &histogram_requests);
    series_write_all_cells(exposition, book, SERIES_TARGET, IN(target, retries), series_write_retry);
    series_write_checks(exposition, book);
    series_write_certificates(exposition, book);
}
