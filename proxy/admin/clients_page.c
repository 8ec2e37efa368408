#include "proxy/admin/clients_page.h"

#include <stdatomic.h>
#include <stdlib.h>

#include "proxy/admin/reply.h"
#include "proxy/serve/census.h"

struct round;

/* What one worker says. Goes to it and comes back; a worker that has ended drops it, which sends it back, too. */
struct round_part {
    struct message message;
    struct round *round;
    const struct admin_worker *worker; /* borrowed */
    json_t *clients;                   /* owned; NULL: nothing is said */
    size_t n_omitted;
    bool out_of_memory;
};

/* All are asked at once, and nobody is waited for who is busy: what is there after a while is the answer. The admin
 * worker's, but for the parts, which are each with whom they are; whoever gives the last one back frees it. */
struct round {
    struct admin *admin;
    struct page *page;  /* NULL: it is gone, or has its answer */
    struct timer timer; /* from the question to the last part */
    json_t *clients;    /* owned; NULL: memory was wanting */
    size_t n_omitted;
    size_t n_silent;       /* parts that are not back */
    atomic_size_t n_parts; /* that are not given back */
    struct round_part parts[];
};

/* By any thread. */
static void round_unref(struct round *round)
{
    if (atomic_fetch_sub(&round->n_parts, 1) > 1)
        return;
    json_decref(round->clients);
    free(round);
}

static void part_add(void *closure, const struct census_entry *entry)
{
    static const char *const states[] = {"idle", "exchange", "tunnel"};
    struct round_part *part = closure;
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
    part->out_of_memory = json_array_append_new(part->clients, client) != 0 || part->out_of_memory;
}

/* ---- the answer, in the admin worker ---- */

static void round_answer(struct round *round)
{
    struct page *page = page_recall(&round->page);

    round->page = NULL;
    if (page)
        reply_json(page, 200,
                   round->clients ? json_pack("{s:O,s:I,s:I}", "clients", round->clients, "omitted",
                                              (json_int_t)round->n_omitted, "silent", (json_int_t)round->n_silent)
                                  : NULL);
}

static void round_on_time(struct timer *timer)
{
    round_answer(CONTAINER_OF(timer, struct round, timer));
}

static void round_take(struct round *round, const struct round_part *part)
{
    bool good = round->clients && !part->out_of_memory;

    round->n_omitted += part->n_omitted;
    for (size_t i = 0; good && i < json_array_size(part->clients); i++) {
        if (json_array_size(round->clients) < CLIENTS_PAGE_MOST)
            good = json_array_append(round->clients, json_array_get(part->clients, i)) == 0;
        else
            round->n_omitted++;
    }
    if (good)
        return;
    json_decref(round->clients);
    round->clients = NULL;
}

static void part_tell(struct message *message)
{
    struct round_part *part = CONTAINER_OF(message, struct round_part, message);
    struct round *round = part->round;

    round_take(round, part);
    json_decref(part->clients);
    if (--round->n_silent == 0) {
        timer_disarm(&round->timer);
        round_answer(round);
    }
    round_unref(round);
}

/* The admin worker has ended, and its pages with it. */
static void part_drop(struct message *message)
{
    struct round_part *part = CONTAINER_OF(message, struct round_part, message);

    json_decref(part->clients);
    round_unref(part->round);
}

/* ---- the question ---- */

static void part_send_back(struct round_part *part)
{
    part->message = (struct message){.run = part_tell, .drop = part_drop};
    mailbox_post(part->round->admin->mailbox, &part->message);
}

/* In the worker. */
static void part_run(struct message *message)
{
    struct round_part *part = CONTAINER_OF(message, struct round_part, message);

    part->clients = json_array();
    part->out_of_memory = !part->clients;
    if (part->clients)
        part->n_omitted = census_take(part->worker->clients, part->worker->tunnels, CLIENTS_PAGE_MOST, part_add, part);
    part_send_back(part);
}

static void part_skip(struct message *message)
{
    part_send_back(CONTAINER_OF(message, struct round_part, message));
}

void clients_page_ask(struct admin *admin, struct page *page, const struct page_question *question UNUSED)
{
    size_t n = admin->n_workers;
    struct round *round = calloc(1, sizeof(*round) + n * sizeof(round->parts[0]));

    if (!round) {
        page_answer(page, 500, "", NULL, 0);
        return;
    }
    round->admin = admin;
    round->clients = json_array();
    round->n_silent = n;
    atomic_init(&round->n_parts, n);
    page_remember(page, &round->page);
    timer_init(&round->timer, round_on_time);
    timer_arm(admin->mailbox->loop, &round->timer, CLIENTS_PAGE_WAIT_MS);
    for (size_t i = 0; i < n; i++) {
        struct round_part *part = &round->parts[i];

        *part = (struct round_part){
            .message = {.run = part_run, .drop = part_skip}, .round = round, .worker = &admin->workers[i]};
        mailbox_post(part->worker->mailbox, &part->message);
    }
}
