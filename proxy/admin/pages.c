/* Who answers each page. */
#include <jansson.h>
#include <stdlib.h>
#include <string.h>

#include "config/load.h"
#include "proxy/admin/admin.h"
#include "proxy/admin/clients_page.h"
#include "proxy/admin/metrics.h"
#include "proxy/admin/ready.h"
#include "proxy/admin/reply.h"
#include "proxy/admin/status.h"
#include "proxy/admin/tap.h"
#include "proxy/admin/ui.h"
#include "proxy/base/log.h"

#define PLAIN "text/plain; charset=utf-8"

static void page_healthz(struct admin *admin UNUSED, struct page *page, const struct page_question *question UNUSED)
{
    page_answer_text(page, 200, PLAIN, "ok\n");
}

static void page_readyz(struct page *page, const struct facts *facts, unsigned argument UNUSED)
{
    bool ready = false;
    json_t *document = ready_document(facts, &ready);

    reply_json(page, ready ? 200 : 503, document);
}

static void page_status(struct page *page, const struct facts *facts, unsigned argument UNUSED)
{
    reply_json(page, 200, status_document(facts));
}

/* What was asked for has been begun. */
static void page_done(struct page *page, const struct facts *facts UNUSED, unsigned argument UNUSED)
{
    page_answer_text(page, 202, PLAIN, "asked for\n");
}

static void page_config(struct page *page, const struct facts *facts, unsigned argument UNUSED)
{
    char loaded[REPLY_TIME_BYTES];
    json_t *file = json_string(facts->snapshot->source); /* NULL: a name that is no UTF-8 */

    reply_json(page, 200,
               json_pack("{s:o,s:s,s:s?,s:o}", "file", file ? file : json_null(), "sha256", facts->snapshot->sha256,
                         "loaded", reply_time(facts->loaded, loaded), "config", config_redacted(facts->snapshot)));
}

/* The level is the query's: /log-level?debug. -1: it is none. */
static int page_find_level(struct text query)
{
    for (int i = 0; log_level_names[i]; i++)
        if (text_equal(query, text_of(log_level_names[i])))
            return i;
    return -1;
}

static void page_log_level(struct admin *admin, struct page *page, const struct page_question *question)
{
    int level = page_find_level(question->query);

    if (level < 0)
        page_refuse(page, 400, "say which level: POST /log-level?debug, or info, warn, error");
    else
        admin_inquire(admin, page, PAGE_LOG_LEVEL, (unsigned)level);
}

static void page_ui(struct admin *admin UNUSED, struct page *page, const struct page_question *question UNUSED)
{
    char *copy = malloc(ui_document_bytes);

    if (copy)
        memcpy(copy, ui_document, ui_document_bytes);
    page->policy = ui_policy;
    page_answer(page, 200, "text/html; charset=utf-8", copy, ui_document_bytes);
}

const struct admin_page admin_pages[N_PAGES] = {
    [PAGE_HEALTHZ] = {"GET", ADMIN_NOTHING, page_healthz, NULL},
    [PAGE_READYZ] = {"GET", ADMIN_NOTHING, NULL, page_readyz},
    [PAGE_METRICS] = {"GET", ADMIN_NOTHING, metrics_ask, metrics_tell},
    [PAGE_CONFIG] = {"GET", ADMIN_NOTHING, NULL, page_config},
    [PAGE_STATUS] = {"GET", ADMIN_NOTHING, NULL, page_status},
    [PAGE_CLIENTS] = {"GET", ADMIN_NOTHING, clients_page_ask, NULL},
    [PAGE_TAP] = {"GET", ADMIN_NOTHING, tap_page_ask, NULL},
    [PAGE_UI] = {"GET", ADMIN_NOTHING, page_ui, NULL},
    [PAGE_RELOAD] = {"POST", ADMIN_RELOAD, NULL, page_done},
    [PAGE_DRAIN] = {"POST", ADMIN_DRAIN, NULL, page_done},
    [PAGE_QUIT] = {"POST", ADMIN_QUIT, NULL, page_done},
    [PAGE_LOG_LEVEL] = {"POST", ADMIN_LOG_LEVEL, page_log_level, page_done},
};
