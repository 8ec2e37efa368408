#include "proxy/admin/clients_page.h"

#include <stdlib.h>

#include "proxy/admin/reply.h"
#include "proxy/serve/census.h"

/* Goes from worker to worker, and then back to the one who answers; who has it owns it. A worker that has ended drops
 * it, which sends it on: nobody waits for an answer that does not come. */
struct round {
    struct message message;
    struct admin *admin;
    struct page *page; /* the admin worker's; NULL: it is gone */
    size_t next;       /* which worker is asked; n_workers: none any more */
    json_t *clients;   /* owned; NULL: memory was wanting */
    size_t n_clients, n_omitted;
};

static void round_go_on(struct round *round);

static void round_free(struct round *round)
{
    json_decref(round->clients);
    free(round);
}

static void round_add(void *closure, const struct census_entry *entry)
{
    static const char *const states[] = {"idle", "exchange", "tunnel"};
    struct round *round = closure;
    char since[REPLY_TIME_BYTES];
    json_t *client = json_pack("{s:o,s:o,s:s,s:I,s:I,s:I,s:I}", "listener", reply_text(entry->listener), "peer",
                               reply_text(entry->peer), "state", states[entry->state], "here_us",
                               (json_int_t)entry->here_us, "age_us", (json_int_t)entry->age_us, "bytes_in",
                               (json_int_t)entry->received_bytes, "bytes_out", (json_int_t)entry->sent_bytes);

    reply_set_text(client, "since",
                   text_of(reply_time((struct wall_time){wall_time_now().ns - entry->here_us * 1000}, since)));
    reply_set_text(client, "method", entry->method);
    reply_set_text(client, "request", entry->request);
    reply_set_text(client, "route", entry->route);
    reply_set_text(client, "target", entry->target);
    if (entry->has_uid)
        (void)json_object_set_new(client, "uid", json_integer(entry->uid));
    if (entry->pid > 0)
        (void)json_object_set_new(client, "pid", json_integer(entry->pid));
    if (json_array_append_new(round->clients, client) != 0) {
        json_decref(round->clients);
        round->clients = NULL;
    }
    round->n_clients++;
}

/* In a worker. */
static void round_run(struct message *message)
{
    struct round *round = CONTAINER_OF(message, struct round, message);
    const struct admin_worker *worker = &round->admin->workers[round->next];

    round->n_omitted +=
        census_take(worker->clients, worker->tunnels, CLIENTS_PAGE_MOST - round->n_clients, round_add, round);
    round->next++;
    round_go_on(round);
}

/* It has ended. */
static void round_skip(struct message *message)
{
    struct round *round = CONTAINER_OF(message, struct round, message);

    round->next++;
    round_go_on(round);
}

/* Back in the admin worker. */
static void round_tell(struct message *message)
{
    struct round *round = CONTAINER_OF(message, struct round, message);
    struct page *page = page_recall(&round->page);

    if (page)
        reply_json(page, 200,
                   round->clients
                       ? json_pack("{s:O,s:I}", "clients", round->clients, "omitted", (json_int_t)round->n_omitted)
                       : NULL);
    round_free(round);
}

static void round_drop(struct message *message)
{
    round_free(CONTAINER_OF(message, struct round, message));
}

static void round_go_on(struct round *round)
{
    struct admin *admin = round->admin;

    if (round->next < admin->n_workers) {
        round->message = (struct message){.run = round_run, .drop = round_skip};
        mailbox_post(admin->workers[round->next].mailbox, &round->message);
    } else {
        round->message = (struct message){.run = round_tell, .drop = round_drop};
        mailbox_post(admin->mailbox, &round->message);
    }
}

void clients_page_ask(struct admin *admin, struct page *page, const struct page_question *question UNUSED)
{
    struct round *round = calloc(1, sizeof(*round));

    if (!round) {
        page_answer(page, 500, "", NULL, 0);
        return;
    }
    *round = (struct round){.admin = admin, .clients = json_array()};
    page_remember(page, &round->page);
    round_go_on(round);
}
