#include "cmd/status_view.h"

#include <string.h>

#include "cmd/table.h"
#include "proxy/base/line.h"

#define VIEW_TEXT_BYTES 1024
#define VIEW_LEAST_ROWS 3

/* ---- reading ---- */

/* "" where there is no such text. */
static const char *view_text(const json_t *object, const char *key)
{
    const char *text = json_string_value(json_object_get(object, key));

    return text ? text : "";
}

static void view_put_text(struct table *table, const json_t *object, const char *key)
{
    table_put(table, view_text(object, key));
}

static void view_put_number(struct table *table, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);

    if (json_is_number(value))
        table_put_number(table, json_number_value(value));
    else
        table_put(table, "");
}

static void view_put_time(struct table *table, const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    double us = json_number_value(value);
    char text[32];

    if (!json_is_number(value))
        text[0] = '\0';
    else if (us < 1000)
        snprintf(text, sizeof(text), "%.0fus", us);
    else if (us < 1000000)
        snprintf(text, sizeof(text), "%.1fms", us / 1000);
    else
        snprintf(text, sizeof(text), "%.1fs", us / 1000000);
    table_put(table, text);
}

/* The row of the earlier document with the same listener and name. */
static const json_t *view_find_before(const struct status_view *view, const char *array, const json_t *row)
{
    const json_t *rows = json_object_get(view->before, array);

    for (size_t i = 0; i < json_array_size(rows); i++) {
        const json_t *found = json_array_get(rows, i);

        if (strcmp(view_text(found, "name"), view_text(row, "name")) == 0 &&
            strcmp(view_text(found, "listener"), view_text(row, "listener")) == 0)
            return found;
    }
    return NULL;
}

/* Of another process's there is none. */
static void view_put_rate(struct table *table, const struct status_view *view, const char *array, const json_t *row,
                          const char *key)
{
    const json_t *before = view->before ? view_find_before(view, array, row) : NULL;
    double n = json_number_value(json_object_get(row, key)) - json_number_value(json_object_get(before, key));

    if (before && n >= 0 && view->seconds > 0 && json_is_number(json_object_get(row, key)))
        table_put_number(table, n / view->seconds);
    else
        table_put(table, "");
}

/* ---- the head ---- */

static void view_write_line(const struct status_view *view, FILE *out, const char *text)
{
    char escaped[VIEW_TEXT_BYTES];

    line_escape(escaped, sizeof(escaped), text, strlen(text));
    if (view->height > 0 && strlen(escaped) > view->width)
        escaped[view->width] = '\0';
    fprintf(out, "%s\n", escaped);
}

static void view_write_head(const struct status_view *view, FILE *out)
{
    double up = json_number_value(json_object_get(view->now, "uptime_s"));
    bool is_ready = json_is_true(json_object_get(view->now, "ready"));
    char text[VIEW_TEXT_BYTES];

    snprintf(text, sizeof(text), "porthole %s  %s, %s  pid %.0f  up %.0fd %02.0f:%02.0f  workers %.0f",
             view_text(view->now, "version"), view_text(view->now, "state"), is_ready ? "ready" : "NOT READY",
             json_number_value(json_object_get(view->now, "pid")), (double)(long)(up / 86400),
             (double)((long)up / 3600 % 24), (double)((long)up / 60 % 60),
             json_number_value(json_object_get(view->now, "workers")));
    view_write_line(view, out, text);
}

/* Returns how many lines. */
static size_t view_write_texts(const struct status_view *view, FILE *out, const json_t *texts)
{
    const json_t *text;
    size_t i;

    json_array_foreach((json_t *)texts, i, text)
    {
        fputs("  ", out);
        view_write_line(view, out, json_string_value(text) ? json_string_value(text) : "");
    }
    return json_array_size(texts);
}

static size_t view_write_configuration(const struct status_view *view, FILE *out)
{
    const json_t *config = json_object_get(view->now, "config"), *reload = json_object_get(config, "reload");
    const char *state = view_text(reload, "state");
    char text[VIEW_TEXT_BYTES];

    snprintf(text, sizeof(text), "%s  in effect since %s", view_text(config, "file"), view_text(config, "loaded"));
    view_write_line(view, out, text);
    if (strcmp(state, "failed") != 0)
        return 1;
    snprintf(text, sizeof(text), "THE LAST RELOAD FAILED at %s; what ran before still runs:", view_text(reload, "at"));
    view_write_line(view, out, text);
    return 2 + view_write_texts(view, out, json_object_get(reload, "errors"));
}

/* ---- the tables ---- */

static void view_fill_listeners(const struct status_view *view, struct table *table)
{
    static const struct table_column columns[] = {{"LISTENER", false, 0}, {"STATE", false, 0},   {"CLIENTS", true, 0},
                                                  {"IDLE", true, 8},      {"REQ/S", true, 1},    {"REQUESTS", true, 2},
                                                  {"ERRORS", true, 2},    {"MODE", false, 3},    {"REFUSED", true, 5},
                                                  {"TUNNELS", true, 6},   {"ADDRESS", false, 4}, {"PEERS", false, 7}};
    const json_t *row;
    size_t i;

    table_init(table, columns, sizeof(columns) / sizeof(columns[0]));
    json_array_foreach((json_t *)json_object_get(view->now, "listeners"), i, row)
    {
        view_put_text(table, row, "name");
        table_put(table, json_is_true(json_object_get(row, "up")) ? "up" : "NOT THERE");
        view_put_number(table, row, "connections");
        view_put_number(table, row, "idle");
        view_put_rate(table, view, "listeners", row, "requests");
        view_put_number(table, row, "requests");
        view_put_number(table, row, "errors");
        view_put_text(table, row, "mode");
        view_put_number(table, row, "refused");
        view_put_number(table, row, "tunnels");
        view_put_text(table, row, "bind");
        view_put_text(table, row, "peers");
    }
}

static void view_put_endpoints(struct table *table, const json_t *target)
{
    const json_t *endpoint;
    size_t i;

    json_array_foreach((json_t *)json_object_get(target, "endpoints"), i, endpoint)
    {
        view_put_text(table, target, "name");
        view_put_text(table, endpoint, "state");
        view_put_text(table, endpoint, "address");
        view_put_number(table, endpoint, "open");
        view_put_number(table, endpoint, "idle");
        view_put_number(table, target, "waiting");
        view_put_number(table, endpoint, "requests");
        view_put_time(table, endpoint, "p50_us");
        view_put_number(table, endpoint, "weight");
        view_put_text(table, endpoint, "reason");
        view_put_text(table, target, "balance");
    }
}

static void view_fill_targets(const struct status_view *view, struct table *table)
{
    static const struct table_column columns[] = {{"TARGET", false, 0},  {"HEALTH", false, 0}, {"ENDPOINT", false, 1},
                                                  {"OPEN", true, 3},     {"IDLE", true, 5},    {"WAIT", true, 2},
                                                  {"REQUESTS", true, 3}, {"P50", true, 3},     {"WEIGHT", true, 6},
                                                  {"WHY", false, 2},     {"BALANCE", false, 7}};
    const json_t *target;
    size_t i;

    table_init(table, columns, sizeof(columns) / sizeof(columns[0]));
    json_array_foreach((json_t *)json_object_get(view->now, "targets"), i, target)
    {
        view_put_endpoints(table, target);
    }
}

static void view_fill_routes(const struct status_view *view, struct table *table)
{
    static const struct table_column columns[] = {
        {"ROUTE", false, 0}, {"REQ/S", true, 1}, {"REQUESTS", true, 0}, {"ERRORS", true, 0},  {"REFUSED", true, 4},
        {"P50", true, 3},    {"P99", true, 2},   {"ACTION", false, 5},  {"TARGET", false, 3}, {"LISTENER", false, 6}};
    const json_t *row;
    size_t i;

    table_init(table, columns, sizeof(columns) / sizeof(columns[0]));
    json_array_foreach((json_t *)json_object_get(view->now, "routes"), i, row)
    {
        view_put_text(table, row, "name");
        view_put_rate(table, view, "routes", row, "requests");
        view_put_number(table, row, "requests");
        view_put_number(table, row, "errors");
        view_put_number(table, row, "refused");
        view_put_time(table, row, "p50_us");
        view_put_time(table, row, "p99_us");
        view_put_text(table, row, "action");
        view_put_text(table, row, "target");
        view_put_text(table, row, "listener");
    }
}

/* Each has its part of what is left of the screen; the last one has the rest. */
void status_view_write(const struct status_view *view, FILE *out)
{
    static void (*const fill[])(const struct status_view *view,
                                struct table *table) = {view_fill_listeners, view_fill_targets, view_fill_routes};
    size_t n_lines = 1, n_tables = sizeof(fill) / sizeof(fill[0]);

    view_write_head(view, out);
    n_lines += view_write_texts(view, out, json_object_get(view->now, "reasons"));
    n_lines += view_write_configuration(view, out);
    for (size_t i = 0; i < n_tables; i++) {
        size_t left = view->height > n_lines ? (view->height - n_lines) / (n_tables - i) : 0;
        size_t most = view->height == 0 ? (size_t)-1 : left > VIEW_LEAST_ROWS + 3 ? left - 3 : VIEW_LEAST_ROWS;
        struct table table;

        fill[i](view, &table);
        if (table.n_cells > 0) {
            size_t n_rows = table.n_cells / table.n_columns;

            putc('\n', out);
            table_write(&table, out, view->width, most);
            n_lines += 2 + (n_rows > most ? most + 1 : n_rows);
        }
        table_deinit(&table);
    }
}
