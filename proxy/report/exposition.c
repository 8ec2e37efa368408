#include "proxy/report/exposition.h"

#include <assert.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "proxy/base/utf8.h"

#define REPLACEMENT "\xEF\xBF\xBD" /* U+FFFD */

const struct family_info family_infos[N_FAMILIES] = {
#define FAMILY(id, name, type, labels, help) {name, FAMILY_##type, labels, help},
#include "proxy/report/families.def"
#undef FAMILY
};

/* ---- which format ---- */

static struct text exposition_trim(struct text text)
{
    while (text.length > 0 && (text.data[0] == ' ' || text.data[0] == '\t')) {
        text.data++;
        text.length--;
    }
    while (text.length > 0 && (text.data[text.length - 1] == ' ' || text.data[text.length - 1] == '\t'))
        text.length--;
    return text;
}

/* What comes before the separator, which is taken off. */
static struct text exposition_next(struct text *rest, char separator)
{
    const char *end = rest->length > 0 ? memchr(rest->data, separator, rest->length) : NULL;
    struct text first = *rest;

    if (end) {
        first.length = (size_t)(end - rest->data);
        rest->data = end + 1;
        rest->length -= first.length + 1;
    } else {
        *rest = (struct text){NULL, 0};
    }
    return exposition_trim(first);
}

/* A weight in thousandths (RFC 9110 12.4.2); what is none is the most. */
static unsigned exposition_weight(struct text q)
{
    unsigned weight = 0, scale = 1000;

    if (q.length == 0 || q.data[0] != '0')
        return 1000;
    for (size_t i = 2; i < q.length && scale > 1 && q.data[i] >= '0' && q.data[i] <= '9'; i++) {
        scale /= 10;
        weight += (unsigned)(q.data[i] - '0') * scale;
    }
    return weight;
}

enum exposition_format exposition_choose(struct text accept)
{
    unsigned open = 0, plain = 0;

    while (accept.length > 0) {
        struct text item = exposition_next(&accept, ','), type = exposition_next(&item, ';');
        unsigned weight = 1000;

        while (item.length > 0) {
            struct text parameter = exposition_next(&item, ';');

            if (parameter.length > 2 && (parameter.data[0] == 'q' || parameter.data[0] == 'Q') &&
                parameter.data[1] == '=')
                weight = exposition_weight((struct text){parameter.data + 2, parameter.length - 2});
        }
        if (text_equal_nocase(type, TEXT_LITERAL("application/openmetrics-text")))
            open = weight > open ? weight : open;
        else if (text_equal_nocase(type, TEXT_LITERAL("text/plain")))
            plain = weight > plain ? weight : plain;
    }
    return open > 0 && open >= plain ? EXPOSITION_OPENMETRICS : EXPOSITION_PROMETHEUS;
}

const char *exposition_content_type(enum exposition_format format)
{
    return format == EXPOSITION_OPENMETRICS ? "application/openmetrics-text; version=1.0.0; charset=utf-8"
                                            : "text/plain; version=0.0.4; charset=utf-8";
}

/* ---- text ---- */

static void exposition_add(struct exposition *exposition, const char *data, size_t n)
{
    builder_add(&exposition->text, data, n);
}

static void exposition_say(struct exposition *exposition, const char *text)
{
    exposition_add(exposition, text, strlen(text));
}

/* How many bytes of it stand for themselves, as nearly all do. */
static size_t exposition_plain(const char *value, size_t n)
{
    size_t i = 0;

    while (i < n && (unsigned char)value[i] < 0x80 && value[i] != '\n' && value[i] != '"' && value[i] != '\\')
        i++;
    return i;
}

/* The value of a label, in quotes. */
static void exposition_quote(struct exposition *exposition, const char *value)
{
    size_t left = strlen(value);

    exposition_say(exposition, "\"");
    while (left > 0) {
        size_t n_plain = exposition_plain(value, left);
        size_t n = n_plain > 0 ? n_plain : utf8_length((const unsigned char *)value, left);

        if (n == 0)
            exposition_say(exposition, REPLACEMENT);
        else if (*value == '\n')
            exposition_say(exposition, "\\n");
        else if (*value == '"' || *value == '\\')
            exposition_say(exposition, *value == '"' ? "\\\"" : "\\\\");
        else
            exposition_add(exposition, value, n);
        n = n ? n : 1;
        value += n;
        left -= n;
    }
    exposition_say(exposition, "\"");
}

/* ---- families ---- */

/* Its name without what the format adds to samples of counters. */
static void exposition_say_family(struct exposition *exposition, enum family family)
{
    const struct family_info *info = &family_infos[family];
    size_t length = strlen(info->name);

    if (exposition->format == EXPOSITION_OPENMETRICS && info->type == FAMILY_COUNTER)
        length -= strlen("_total");
    exposition_add(exposition, info->name, length);
}

static void exposition_begin(struct exposition *exposition, enum family family)
{
    static const char *const types[] = {
        [FAMILY_GAUGE] = "gauge", [FAMILY_COUNTER] = "counter", [FAMILY_HISTOGRAM] = "histogram"};

    if (exposition->family == family)
        return;
    assert(!exposition->begun[family]);
    exposition->begun[family] = true;
    exposition->family = family;
    exposition_say(exposition, "# HELP ");
    exposition_say_family(exposition, family);
    exposition_say(exposition, " ");
    exposition_say(exposition, family_infos[family].help);
    exposition_say(exposition, "\n# TYPE ");
    exposition_say_family(exposition, family);
    exposition_say(exposition, " ");
    exposition_say(exposition, types[family_infos[family].type]);
    exposition_say(exposition, "\n");
}

/* The name of a sample with its labels, to which more can be added. */
static void exposition_open_sample(struct exposition *exposition, enum family family, const char *suffix,
                                   const char *const *values)
{
    const char *labels = family_infos[family].labels, *separator = "{";

    exposition_begin(exposition, family);
    exposition_say(exposition, family_infos[family].name);
    exposition_say(exposition, suffix);
    for (size_t i = 0; *labels; i++) {
        size_t n = strcspn(labels, ",");

        exposition_say(exposition, separator);
        exposition_add(exposition, labels, n);
        exposition_say(exposition, "=");
        exposition_quote(exposition, values[i]);
        labels += labels[n] ? n + 1 : n;
        separator = ",";
    }
}

static void exposition_begin_sample(struct exposition *exposition, enum family family, const char *suffix,
                                    const char *const *values)
{
    exposition_open_sample(exposition, family, suffix, values);
    exposition_say(exposition, *family_infos[family].labels ? "} " : " ");
}

/* snprintf would be a quarter of a large exposition. */
static void exposition_say_count(struct exposition *exposition, uint64_t n)
{
    char text[sizeof("18446744073709551615\n")];
    size_t at = sizeof(text);

    text[--at] = '\n';
    do
        text[--at] = (char)('0' + n % 10);
    while (n /= 10);
    exposition_add(exposition, text + at, sizeof(text) - at);
}

static void exposition_say_ns(struct exposition *exposition, uint64_t ns)
{
    char text[48];

    snprintf(text, sizeof(text), "%" PRIu64 ".%09" PRIu64 "\n", ns / 1000000000u, ns % 1000000000u);
    exposition_say(exposition, text);
}

void exposition_put(struct exposition *exposition, enum family family, const char *const *values, uint64_t n)
{
    exposition_begin_sample(exposition, family, "", values);
    exposition_say_count(exposition, n);
}

void exposition_put_ns(struct exposition *exposition, enum family family, const char *const *values, uint64_t ns)
{
    exposition_begin_sample(exposition, family, "", values);
    exposition_say_ns(exposition, ns);
}

/* The rest of a bucket's sample. */
static void exposition_say_bucket(struct exposition *exposition, enum family family, const char *bound, uint64_t n)
{
    exposition_say(exposition, *family_infos[family].labels ? ",le=\"" : "{le=\"");
    exposition_say(exposition, bound);
    exposition_say(exposition, "\"} ");
    exposition_say_count(exposition, n);
}

/* Buckets, which are most of what there is to say, begin alike: their labels are found once. */
void exposition_put_histogram(struct exposition *exposition, enum family family, const char *const *values,
                              const struct histogram_bounds *bounds, const struct histogram_sum *sum)
{
    size_t at, n_alike;
    uint64_t n = 0;

    exposition_begin(exposition, family);
    at = exposition->text.length;
    exposition_open_sample(exposition, family, "_bucket", values);
    n_alike = exposition->text.length - at;
    for (size_t i = 0; i < bounds->n; i++) {
        n += sum->buckets[i];
        exposition_say_bucket(exposition, family, bounds->seconds[i], n);
        builder_repeat(&exposition->text, at, n_alike);
    }
    exposition_say_bucket(exposition, family, "+Inf", sum->n);
    exposition_begin_sample(exposition, family, "_sum", values);
    exposition_say_ns(exposition, sum->sum_ns);
    exposition_begin_sample(exposition, family, "_count", values);
    exposition_say_count(exposition, sum->n);
}

/* ---- life ---- */

void exposition_init(struct exposition *exposition, enum exposition_format format)
{
    *exposition = (struct exposition){.format = format, .family = N_FAMILIES};
}

char *exposition_end(struct exposition *exposition, size_t *ret_length)
{
    exposition_say(exposition, exposition->format == EXPOSITION_OPENMETRICS ? "# EOF\n" : "");
    return builder_end(&exposition->text, ret_length);
}
