#include "proxy/admin/metrics.h"

#include <stdio.h>
#include <string.h>

#include "proxy/admin/ready.h"
#include "proxy/admin/targets.h"
#include "proxy/base/log.h"
#include "proxy/reach/commons.h"
#include "proxy/reach/connect.h"
#include "proxy/report/series_write.h"
#include "proxy/serve/frontend.h"

/* ---- the process and its configuration ---- */

static void metrics_put_versions(struct exposition *exposition)
{
    struct connect_versions curl = connect_library_versions();
    const char *const values[] = {PORTHOLE_VERSION, frontend_library_version(), curl.version, curl.tls};

    exposition_put(exposition, FAMILY_BUILD_INFO, values, 1);
}

static void metrics_put_config(struct exposition *exposition, const struct facts *facts)
{
    const char *const values[] = {facts->snapshot->source, facts->snapshot->sha256};

    exposition_put(exposition, FAMILY_CONFIG_INFO, values, 1);
    exposition_put(exposition, FAMILY_CONFIG_RELOADS, (const char *const[]){"ok"}, facts->n_reloads);
    exposition_put(exposition, FAMILY_CONFIG_RELOADS, (const char *const[]){"failed"}, facts->n_refused);
    exposition_put(exposition, FAMILY_CONFIG_GOOD, NULL, !facts->reload_tried || facts->reload_good);
    exposition_put_ns(exposition, FAMILY_CONFIG_LOADED, NULL, facts->loaded.ns);
}

static void metrics_put_ready(struct exposition *exposition, const struct facts *facts)
{
    bool ready = false;

    json_decref(ready_look(facts, &ready));
    exposition_put(exposition, FAMILY_READY, NULL, ready);
}

static void metrics_put_logs(struct exposition *exposition, const struct facts *facts)
{
    exposition_put(exposition, FAMILY_LOG_DROPPED, (const char *const[]){"access"}, facts->n_dropped_lines);
    exposition_put(exposition, FAMILY_LOG_DROPPED, (const char *const[]){"error"}, log_dropped());
}

static void metrics_put_memory(struct exposition *exposition, const struct facts *facts)
{
    const struct facts_memory *memory = &facts->memory;

    if (memory->limit_bytes != UINT64_MAX) {
        exposition_put(exposition, FAMILY_MEMORY_LIMIT, NULL, memory->limit_bytes);
        exposition_put(exposition, FAMILY_MEMORY_USED, NULL, memory->used_bytes);
    }
    exposition_put(exposition, FAMILY_MEMORY_SHORT, NULL, memory->brake);
    exposition_put(exposition, FAMILY_MEMORY_PAUSES, NULL, memory->n_pauses);
}

static void metrics_put_process(struct exposition *exposition, const struct facts *facts)
{
    const struct process_figures *process = &facts->process;

    /* Whose thread has ended is not told of. */
    for (size_t i = 0; i < facts->series->n_workers; i++) {
        uint64_t cpu_ns = series_book_cpu_ns(facts->series, i);
        char worker[24] = "admin";

        if (i < facts->n_workers)
            snprintf(worker, sizeof(worker), "%zu", i);
        if (cpu_ns > 0)
            exposition_put_ns(exposition, FAMILY_WORKER_CPU, (const char *const[]){worker}, cpu_ns);
    }
    exposition_put_ns(exposition, FAMILY_PROCESS_CPU, NULL, process->cpu_ns);
    if (process->n_descriptors > 0)
        exposition_put(exposition, FAMILY_PROCESS_FDS, NULL, process->n_descriptors);
    exposition_put(exposition, FAMILY_PROCESS_MAX_FDS, NULL, process->most_descriptors);
    if (process->resident_bytes > 0)
        exposition_put(exposition, FAMILY_PROCESS_MEMORY, NULL, process->resident_bytes);
    exposition_put_ns(exposition, FAMILY_PROCESS_STARTED, NULL, facts->started.ns);
}

/* ---- listeners ---- */

static void metrics_put_listeners(struct exposition *exposition, const struct facts *facts)
{
    static const char *const states[] = {"exchange", "tunnel", "idle"};

    for (size_t i = 0; i < facts->n_listeners; i++)
        exposition_put(exposition, FAMILY_LISTENER_UP, (const char *const[]){facts->listeners[i].config->name},
                       facts->listeners[i].up);
    for (size_t i = 0; i < facts->n_listeners; i++) {
        const struct admission_counts *counts = &facts->listeners[i].counts;
        const unsigned others = counts->n_tunnels + counts->n_idle;
        const unsigned n[] = {counts->n_clients > others ? counts->n_clients - others : 0, counts->n_tunnels,
                              counts->n_idle};

        for (size_t state = 0; state < ARRAY_LENGTH(states); state++)
            exposition_put(exposition, FAMILY_LISTENER_CONNECTIONS,
                           (const char *const[]){facts->listeners[i].config->name, states[state]}, n[state]);
    }
    for (size_t i = 0; i < facts->n_listeners; i++)
        exposition_put(exposition, FAMILY_LISTENER_LIMIT, (const char *const[]){facts->listeners[i].config->name},
                       facts->listeners[i].config->limit_connections);
    for (size_t i = 0; i < facts->n_listeners; i++)
        exposition_put(exposition, FAMILY_LISTENER_WAITING, (const char *const[]){facts->listeners[i].config->name},
                       facts->listeners[i].counts.n_waiting);
    for (size_t i = 0; i < facts->n_listeners; i++)
        if (facts->listeners[i].has_backlog)
            exposition_put(exposition, FAMILY_LISTENER_BACKLOG, (const char *const[]){facts->listeners[i].config->name},
                           facts->listeners[i].backlog);
}

/* ---- targets ---- */

static void metrics_put_in_use(void *closure, const struct commons_target *target)
{
    exposition_put(closure, FAMILY_TARGET_IN_USE, (const char *const[]){target->name}, places_n_held(&target->places));
}

static void metrics_put_endpoint(struct exposition *exposition, const struct facts *facts, const char *target,
                                 const struct endpoint_view *endpoint)
{
    /* One that is counted among others has no name to be told by. */
    if (!series_look(facts->series, SERIES_ENDPOINT, target, endpoint->address))
        return;
    exposition_put(exposition, FAMILY_TARGET_CONNECTIONS, (const char *const[]){target, endpoint->address, "in_use"},
                   endpoint->n_busy);
    exposition_put(exposition, FAMILY_TARGET_CONNECTIONS, (const char *const[]){target, endpoint->address, "idle"},
                   endpoint->n_idle);
}

static void metrics_put_connections(struct exposition *exposition, const struct facts *facts)
{
    for (size_t i = 0; i < facts->snapshot->n_targets; i++) {
        const struct target_config *target = &facts->snapshot->targets[i];
        struct target_view view;

        if (!target_view_init(&view, facts, target))
            exposition->text.failed = true;
        target_view_connections(&view, facts);
        exposition->text.failed = exposition->text.failed || view.out_of_memory;
        for (size_t k = 0; k < view.n_endpoints; k++)
            metrics_put_endpoint(exposition, facts, target->name, &view.endpoints[k]);
        target_view_deinit(&view);
    }
}

static void metrics_put_limit(void *closure, const struct commons_target *target)
{
    exposition_put(closure, FAMILY_TARGET_LIMIT, (const char *const[]){target->name}, places_most(&target->places));
}

static void metrics_put_waiting(void *closure, const struct commons_target *target)
{
    exposition_put(closure, FAMILY_TARGET_WAITING, (const char *const[]){target->name},
                   atomic_load_explicit(&target->places.n_waiting, memory_order_relaxed));
}

/* Whose file is not configured any more is not told of. */
static void metrics_put_certificates(struct exposition *exposition, const struct facts *facts)
{
    for (size_t i = 0; i < facts->snapshot->n_targets; i++) {
        const struct target_config *target = &facts->snapshot->targets[i];

        if (target->tls.cert && target->series && series_not_after(target->series) > 0)
            exposition_put(exposition, FAMILY_OWN_CERTIFICATE, (const char *const[]){target->name, target->tls.cert},
                           series_not_after(target->series));
    }
}

static void metrics_put_targets(struct exposition *exposition, const struct facts *facts)
{
    metrics_put_connections(exposition, facts);
    commons_visit(facts->commons, metrics_put_in_use, exposition);
    commons_visit(facts->commons, metrics_put_limit, exposition);
    commons_visit(facts->commons, metrics_put_waiting, exposition);
}

/* ---- the page ---- */

void metrics_tell(struct page *page, const struct facts *facts, unsigned format)
{
    struct exposition exposition;
    size_t length;
    char *text;

    exposition_init(&exposition, (enum exposition_format)format);
    metrics_put_versions(&exposition);
    metrics_put_config(&exposition, facts);
    metrics_put_ready(&exposition, facts);
    metrics_put_listeners(&exposition, facts);
    series_write_listeners(facts->series, &exposition);
    metrics_put_targets(&exposition, facts);
    series_write_targets(facts->series, &exposition);
    metrics_put_certificates(&exposition, facts);
    metrics_put_logs(&exposition, facts);
    metrics_put_memory(&exposition, facts);
    metrics_put_process(&exposition, facts);
    text = exposition_end(&exposition, &length);
    page_answer(page, 200, exposition_content_type((enum exposition_format)format), text, length);
}

void metrics_ask(struct admin *admin, struct page *page, const struct page_question *question)
{
    enum exposition_format format = EXPOSITION_PROMETHEUS;

    /* Several fields of the name are one list (RFC 9110 5.3), of which one that names it is enough. */
    for (size_t i = 0; i < question->fields->n_items && format == EXPOSITION_PROMETHEUS; i++)
        if (text_equal_nocase(question->fields->items[i].name, TEXT_LITERAL("Accept")))
            format = exposition_choose(question->fields->items[i].value);
    admin_inquire(admin, page, PAGE_METRICS, format);
}
