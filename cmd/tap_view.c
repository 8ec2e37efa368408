#include "cmd/tap_view.h"

#include <string.h>

#include "proxy/base/error.h"
#include "proxy/base/line.h"
#include "proxy/base/utf8.h"

#define CELL_BYTES 4096
#define LEAST_WIDTH 20u
#define LEAST_PATH 8u
#define TINY 40u /* below so many characters, there is room for next to nothing */

/* A column: its widths on terminals that are tiny, narrow and wide, 0: it is left out. The path has what the others
 * leave. */
struct column {
    const char *name;
    unsigned tiny, narrow, wide;
    bool is_right;
};

enum { TIME, PEER, METHOD, PATH, STATUS, TOOK, IN, OUT, ROUTE, TARGET, OUTCOME, N_COLUMNS };

static const struct column columns[N_COLUMNS] = {
    [TIME] = {"TIME", 0, 8, 12, false},
    [PEER] = {"PEER", 0, 0, 16, false},
    [METHOD] = {"METHOD", 4, 6, 7, false},
    [PATH] = {"PATH", 0, 0, 0, false},
    [STATUS] = {"STATUS", 3, 6, 6, true},
    [TOOK] = {"TOOK", 0, 7, 7, true},
    [IN] = {"IN", 0, 0, 6, true},
    [OUT] = {"OUT", 0, 0, 6, true},
    [ROUTE] = {"ROUTE", 0, 0, 14, false},
    [TARGET] = {"TARGET", 0, 0, 14, false},
    [OUTCOME] = {"OUTCOME", 0, 0, 16, false},
};

struct cells {
    char text[N_COLUMNS][CELL_BYTES];
};

/* ---- text ---- */

static size_t view_width_of(const unsigned char *s, size_t length)
{
    uint32_t c = length > 0 ? utf8_code_point(s, length) : 0;

    /* East Asian wide characters and emoji, roughly: a row that is too short is better than one that is too long. */
    return c >= 0x1100 && (c <= 0x115f || (c >= 0x2e80 && c <= 0xa4cf) || (c >= 0xac00 && c <= 0xd7a3) ||
                           (c >= 0xf900 && c <= 0xfaff) || (c >= 0xfe30 && c <= 0xfe6f) ||
                           (c >= 0xff00 && c <= 0xff60) || c >= 0x1f000)
               ? 2
               : 1;
}

/* Writes a cell, cut or filled to its width. */
static void view_put_cell(FILE *out, const char *cell, size_t width, bool is_right, bool is_last)
{
    const unsigned char *s = (const unsigned char *)cell;
    size_t n = strlen(cell), used = 0, end = 0;
    bool cut = false;

    while (end < n) {
        size_t length = utf8_length(s + end, n - end);
        size_t wide = view_width_of(s + end, length);

        if (used + wide > width) {
            cut = true;
            break;
        }
        used += wide;
        end += length > 0 ? length : 1;
    }
    if (cut) /* the last character gives its place to the sign that there was more */
        while (end > 0 && used + 1 > width) {
            do
                end--;
            while (end > 0 && (s[end] & 0xc0) == 0x80);
            used -= view_width_of(s + end, utf8_length(s + end, n - end));
        }
    fprintf(out, "%*s%.*s%s%*s", is_right ? (int)(width - used - cut) : 0, "", (int)end, cell, cut ? "~" : "",
            is_right || is_last ? 0 : (int)(width - used - cut), "");
}

static void view_take_text(char cell[CELL_BYTES], const json_t *record, const char *key)
{
    const json_t *value = json_object_get(record, key);

    cell[0] = '\0';
    if (json_is_string(value))
        line_escape(cell, CELL_BYTES, json_string_value(value), json_string_length(value));
}

static json_int_t view_number(const json_t *record, const char *key)
{
    return json_integer_value(json_object_get(record, key));
}

static void view_take_bytes(char cell[CELL_BYTES], json_int_t n)
{
    static const char units[] = " KMGTPE";
    double value = (double)n;
    size_t unit = 0;

    for (; value >= 999.5 && unit < sizeof(units) - 2; unit++)
        value /= 1024;
    if (unit == 0)
        snprintf(cell, CELL_BYTES, "%d", (int)n);
    else
        snprintf(cell, CELL_BYTES, value < 9.95 ? "%.1f%c" : "%.0f%c", value, units[unit]);
}

static void view_take_duration(char cell[CELL_BYTES], json_int_t us)
{
    if (us < 1000)
        snprintf(cell, CELL_BYTES, "%dus", (int)us);
    else if (us < 1000000)
        snprintf(cell, CELL_BYTES, us < 100000 ? "%.1fms" : "%.0fms", (double)us / 1e3);
    else
        snprintf(cell, CELL_BYTES, us < 100000000 ? "%.1fs" : "%.0fs", (double)us / 1e6);
}

/* ---- rows ---- */

static size_t view_width(const struct tap_view_style *style, size_t column)
{
    size_t others = 0, total = style->width > LEAST_WIDTH ? style->width : LEAST_WIDTH;

    if (column != PATH && total < TINY)
        return columns[column].tiny;
    if (column != PATH)
        return total < TAP_VIEW_NARROW ? columns[column].narrow : columns[column].wide;
    for (size_t i = 0; i < N_COLUMNS; i++)
        if (i != PATH && view_width(style, i) > 0)
            others += view_width(style, i) + 1;
    return total > others + LEAST_PATH ? total - others : LEAST_PATH;
}

static const char *view_colour(json_int_t status)
{
    if (status >= 200 && status < 300)
        return "\033[32m";
    if (status >= 100 && status < 400)
        return "\033[36m";
    return status >= 400 && status < 500 ? "\033[33m" : "\033[31m";
}

static void view_put_row(FILE *out, const struct cells *cells, const struct tap_view_style *style, const char *colour)
{
    const char *gap = "";

    for (size_t i = 0; i < N_COLUMNS; i++) {
        size_t width = view_width(style, i);
        bool coloured = colour && style->colours && (i == STATUS || i == OUTCOME);

        if (width == 0)
            continue;
        fputs(gap, out);
        gap = " ";
        if (coloured)
            fputs(colour, out);
        view_put_cell(out, cells->text[i], width, columns[i].is_right, i == N_COLUMNS - 1);
        if (coloured)
            fputs("\033[0m", out);
    }
    putc('\n', out);
}

void tap_view_head(FILE *out, const struct tap_view_style *style)
{
    struct cells cells;

    for (size_t i = 0; i < N_COLUMNS; i++)
        snprintf(cells.text[i], CELL_BYTES, "%s", columns[i].name);
    if (style->colours)
        fputs("\033[1m", out);
    view_put_row(out, &cells, style, NULL);
    if (style->colours)
        fputs("\033[0m", out);
}

/* Where it does not fit, without what is less than a second. */
static void view_take_time(char cell[CELL_BYTES], const json_t *record, size_t width)
{
    char time[CELL_BYTES];
    const char *begin;

    view_take_text(time, record, "time");
    begin = strchr(time, 'T');
    snprintf(cell, CELL_BYTES, "%s", begin ? begin + 1 : time);
    cell[strcspn(cell, strlen(cell) > width + 1 ? ".Z" : "Z")] = '\0';
}

static void view_put_lost(FILE *out, const json_t *record, const struct tap_view_style *style)
{
    fprintf(out, "%s... %lld records are missing: this reader is too slow, or a filter would help%s\n",
            style->colours ? "\033[35m" : "", (long long)view_number(record, "lost"), style->colours ? "\033[0m" : "");
}

void tap_view_row(FILE *out, const json_t *record, const struct tap_view_style *style)
{
    const char *event = json_string_value(json_object_get(record, "event"));
    bool begins = event && strcmp(event, "tunnel_begin") == 0, ends = event && strcmp(event, "tunnel_end") == 0;
    static struct cells cells; /* one thread writes */

    if (event && strcmp(event, "lost") == 0) {
        view_put_lost(out, record, style);
        return;
    }
    view_take_time(cells.text[TIME], record, view_width(style, TIME));
    view_take_text(cells.text[PEER], record, "peer");
    if (strncmp(cells.text[PEER], "unix:", 5) == 0)
        memmove(cells.text[PEER], cells.text[PEER] + 5, strlen(cells.text[PEER] + 5) + 1);
    view_take_text(cells.text[METHOD], record, "method");
    view_take_text(cells.text[PATH], record, "request");
    if (cells.text[PATH][0] == '\0') /* a stream has none */
        view_take_text(cells.text[PATH], record, "listener");
    snprintf(cells.text[STATUS], CELL_BYTES, "%lld", (long long)view_number(record, "status"));
    view_take_duration(cells.text[TOOK], view_number(record, "total_us"));
    view_take_bytes(cells.text[IN], view_number(record, "bytes_in"));
    view_take_bytes(cells.text[OUT], view_number(record, "bytes_out"));
    view_take_text(cells.text[ROUTE], record, "route");
    view_take_text(cells.text[TARGET], record, "target");
    view_take_text(cells.text[OUTCOME], record, "outcome");
    if (begins)
        snprintf(cells.text[OUTCOME], CELL_BYTES, "tunnel begins");
    if (ends && strcmp(cells.text[OUTCOME], "tunneled") == 0)
        snprintf(cells.text[OUTCOME], CELL_BYTES, "tunnel ends");
    view_put_row(out, &cells, style, view_colour(view_number(record, "status")));
}
