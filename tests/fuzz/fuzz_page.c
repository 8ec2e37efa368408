/* What is asked of admin listeners, in the notation of tests/unit/http_text.h: which page answers, and whether a
 * browser that was led here by another site gets anywhere.
 *
 * The first byte says which kind of listener it is. Whatever is asked, something is changed only by POST to exactly
 * that page, under a Host that is no site's, and never for a page of another site. */
#include <arpa/inet.h>
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "config/address.h"
#include "proxy/admin/admin.h"
#include "proxy/base/log.h"
#include "proxy/exchange/problem.h"
#include "proxy/exchange/state.h"
#include "tests/unit/http_text.h"

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size);

/* The admin worker and the main thread, both of whose mailboxes are looked into here. */
static struct {
    struct loop *loop;
    struct mailbox main, worker;
    struct admin_desk desk;
    struct admin admin;
    struct listener_config listeners[2]; /* TCP, Unix */
    enum admin_wish wished;
    unsigned argument;
} rig;

static void rig_gather(struct admin_desk *desk UNUSED, struct facts *facts UNUSED)
{
}

static void rig_wish(struct admin_desk *desk UNUSED, enum admin_wish wish, unsigned argument)
{
    rig.wished = wish;
    rig.argument = argument;
}

static void rig_bind(struct listener_config *listener, const char *text)
{
    struct error error = ERROR_INIT;

    assert(address_parse(text, ADDRESS_TO_BIND, &listener->bind, &error) == 0);
    listener->pages = (1u << N_PAGES) - 1;
    listener->name = strdup("admin");
}

static void rig_init(void)
{
    rig.loop = loop_new();
    assert(rig.loop);
    mailbox_init(&rig.main, rig.loop);
    mailbox_init(&rig.worker, rig.loop);
    rig.desk = (struct admin_desk){.main = &rig.main, .gather = rig_gather, .wish = rig_wish};
    assert(admin_init(&rig.admin, &rig.desk, 1) == 0);
    rig.admin.mailbox = &rig.worker;
    rig_bind(&rig.listeners[0], "tcp:admin.test:9180");
    rig_bind(&rig.listeners[1], "unix:/run/porthole/admin.sock");
}

/* ---- what may be asked ---- */

static const struct field *find(const struct fields *fields, const char *name)
{
    for (size_t i = 0; i < fields->n_items; i++)
        if (text_equal_nocase(fields->items[i].name, text_of(name)))
            return &fields->items[i];
    return NULL;
}

/* Another reading: of a valid Host, what stands before its port. */
static bool is_site(struct text host, bool is_tcp)
{
    char name[512], *colon;
    struct in_addr four;

    if (host.length >= sizeof(name))
        return true;
    memcpy(name, host.data, host.length);
    name[host.length] = '\0';
    if (name[0] == '[')
        return false;
    colon = strchr(name, ':');
    if (colon)
        *colon = '\0';
    if (inet_pton(AF_INET, name, &four) == 1 || strcasecmp(name, "localhost") == 0)
        return false;
    /* A number is one to browsers, too, and no name ends in one. */
    if (name[0] != '\0' && name[strspn(name, "0123456789.")] == '\0')
        return false;
    return is_tcp ? strcasecmp(name, "admin.test") != 0 : strchr(name, '.') != NULL;
}

static bool is_led(const struct fields *fields)
{
    const struct field *site = find(fields, "Sec-Fetch-Site");

    if (!site)
        return find(fields, "Origin") != NULL;
    return !text_equal(site->value, TEXT_LITERAL("same-origin")) && !text_equal(site->value, TEXT_LITERAL("none"));
}

static bool is_path(const struct page_question *question, const char *path)
{
    return text_equal(question->path, text_of(path));
}

static void check_wish(const struct page_question *question)
{
    static const char *const paths[] = {[ADMIN_NOTHING] = "",
                                        [ADMIN_RELOAD] = "/reload",
                                        [ADMIN_DRAIN] = "/drain",
                                        [ADMIN_QUIT] = "/quit",
                                        [ADMIN_LOG_LEVEL] = "/log-level"};
    const struct field *host = find(question->fields, "Host");
    bool is_tcp = question->listener == &rig.listeners[0];

    if (rig.wished == ADMIN_NOTHING)
        return;
    assert(text_equal(question->method, TEXT_LITERAL("POST")) && is_path(question, paths[rig.wished]));
    assert(!is_led(question->fields));
    assert(!is_tcp || (host && !is_site(host->value, true)));
    /* A browser sends no slash in a Host. */
    assert(is_tcp || !host || !is_site(host->value, false) || memchr(host->value.data, '/', host->value.length) ||
           memchr(host->value.data, '%', host->value.length));
    assert(rig.wished != ADMIN_LOG_LEVEL || text_equal(question->query, text_of(log_level_names[rig.argument])));
}

/* ---- asking ---- */

static void wake(struct exchange_client *client UNUSED)
{
}

/* What was posted to the main thread is done; answers are thrown away. */
static void run_messages(void)
{
    struct message *message;

    while ((message = mailbox_take(&rig.main)))
        message->run(message);
    while ((message = mailbox_take(&rig.worker)))
        message->drop(message);
}

static void ask(const struct page_question *question)
{
    static struct exchange exchange;
    static struct exchange_env env;
    struct exchange_client client = {.wake = wake};
    struct page page = {.exchange = &exchange, .asking = true};
    char data[64];

    memset(&exchange, 0, offsetof(struct exchange, id));
    memset(&exchange.failure, 0, sizeof(exchange.failure));
    exchange.env = &env;
    exchange.client = &client;
    exchange.source = &problem_source;
    exchange.forward.request_id = TEXT_LITERAL("0123456789abcdef");
    rig.wished = ADMIN_NOTHING;
    rig.admin.host.ask(&rig.admin.host, &page, question);
    if (page.status == 0)
        run_messages();
    else if (page.read)
        assert(page.read(&page, data, sizeof(data)) == SOURCE_WAIT && is_path(question, "/tap"));
    if (page.gone && page.read)
        page.gone(&page);
    free(page.body);
    check_wish(question);
}

int LLVMFuzzerTestOneInput(const uint8_t *bytes, size_t size)
{
    struct request_text given;
    struct request *request = &given.request;
    struct page_question question = {.is_unix = false};
    unsigned status = 0;
    const char *mark;

    if (!rig.loop)
        rig_init();
    if (size < 2 || !request_from_text(&given, (struct text){(const char *)bytes + 1, size - 1}))
        return 0;
    question.listener = &rig.listeners[bytes[0] & 1];
    request->local = question.is_unix = bytes[0] & 1;
    if (request_check(request, &status))
        return 0;
    mark = memchr(request->origin.data, '?', request->origin.length);
    question.method = request->method;
    question.fields = &request->fields;
    question.path =
        (struct text){request->origin.data, mark ? (size_t)(mark - request->origin.data) : request->origin.length};
    if (mark)
        question.query = (struct text){mark + 1, request->origin.length - question.path.length - 1};
    ask(&question);
    return 0;
}
