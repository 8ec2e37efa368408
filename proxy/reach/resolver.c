/* Everything is behind one lock, which is held for moments: looking up is done without it.
 *
 *   worker                                    a lookup's thread
 *   resolver_ask: name into the line,  --->   takes a name out of the line, looks it up,
 *     its question into the name                settles it: the answer into the name, and to each
 *   question's message is taken        <---     question's mailbox; then the next name, or ends
 *
 * Threads are detached and hold a reference to the resolver: nobody waits for one that hangs in getaddrinfo, at a stop
 * least of all. A name is not taken away while it is looked up.
 *
 * A question has two owners: who asks, in the thread of the mailbox; and the resolver, then the message it has become.
 * It is posted with the lock held, so that nobody posts to a mailbox whose questions have been withdrawn. */
#include "proxy/reach/resolver.h"

#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const struct state_machine resolver_name_machine = {
    .name = "name",
    .n_states = N_RESOLVER_NAME_STATES,
    .states =
        {
            [RESOLVER_NAME_IDLE] = {"IDLE", STATE_BIT(RESOLVER_NAME_IN_LINE)},
            [RESOLVER_NAME_IN_LINE] = {"IN_LINE", STATE_BIT(RESOLVER_NAME_ASKED) | STATE_BIT(RESOLVER_NAME_IDLE)},
            [RESOLVER_NAME_ASKED] = {"ASKED", STATE_BIT(RESOLVER_NAME_IDLE)},
        },
};

/* One host name. Owned by the resolver; behind its lock, but for the text of a name that is ASKED. */
struct resolver_name {
    enum resolver_name_state state;
    struct list link;             /* in resolver.names */
    struct list in_line;          /* in resolver.line while IN_LINE */
    struct list questions;        /* of struct resolver_question: who waits */
    struct resolver_answer known; /* owned; `found` outlives lookups that fail, whose code stands beside it then */
    struct instant found_at;      /* when the addresses were told */
    struct instant begun, ended;  /* of the last lookup; 0: there was none */
    struct instant used;          /* when somebody asked last */
    bool doubted;                 /* while it is looked up: the addresses do not answer */
    char host[];                  /* terminated */
};

struct resolver_question {
    struct message message; /* posted when answered */
    atomic_uint references;
    struct list link; /* in resolver_name.questions until answered */
    struct resolver_desk desk;
    resolver_fn *fn; /* the asker's thread's; NULL: withdrawn, or called */
    void *closure;
    struct resolver_answer answer; /* owned */
};

/* Owned by whoever made it and by each lookup's thread. */
struct resolver {
    resolver_look_up_fn *look_up;
    pthread_mutex_t lock; /* of everything below */
    unsigned references;
    bool closed;       /* nobody wants to know any more */
    struct list names; /* of struct resolver_name */
    unsigned n_names;
    struct list line; /* names that no thread has taken yet, the first come first */
    unsigned n_threads;
};

static void resolver_name_move(struct resolver_name *name, enum resolver_name_state to)
{
    state_check(&resolver_name_machine, name->state, to);
    name->state = to;
}

static bool resolver_is_over(struct instant since, uint64_t ms, struct instant now)
{
    return !instant_before(now, instant_add_ms(since, ms));
}

/* ---- questions ---- */

static void question_unref(struct resolver_question *question)
{
    if (atomic_fetch_sub_explicit(&question->references, 1, memory_order_acq_rel) != 1)
        return;
    addresses_unref(question->answer.found);
    free(question);
}

static void question_drop(struct message *message)
{
    question_unref(CONTAINER_OF(message, struct resolver_question, message));
}

/* In the asker's thread. */
static void question_run(struct message *message)
{
    struct resolver_question *question = CONTAINER_OF(message, struct resolver_question, message);
    resolver_fn *fn = question->fn;

    question->fn = NULL;
    if (fn) {
        fn(question->closure, &question->answer);
        question_unref(question);
    }
    question_unref(question);
}

static struct resolver_question *question_new(const struct resolver_desk *desk, resolver_fn *fn, void *closure)
{
    struct resolver_question *question = malloc(sizeof(*question));

    if (!question)
        return NULL;
    *question = (struct resolver_question){
        .message = {.drop = question_drop, .run = question_run}, .desk = *desk, .fn = fn, .closure = closure};
    atomic_init(&question->references, 2);
    list_init(&question->link);
    return question;
}

void resolver_withdraw(struct resolver_question *question)
{
    bool is_open;

    if (!question)
        return;
    question->fn = NULL;
    pthread_mutex_lock(&question->desk.resolver->lock);
    is_open = list_linked(&question->link);
    list_remove(&question->link);
    pthread_mutex_unlock(&question->desk.resolver->lock);
    if (is_open)
        question_unref(question);
    question_unref(question);
}

/* ---- life ---- */

struct resolver *resolver_new(resolver_look_up_fn *look_up)
{
    struct resolver *resolver = malloc(sizeof(*resolver));

    if (!resolver)
        return NULL;
    *resolver = (struct resolver){.look_up = look_up, .lock = PTHREAD_MUTEX_INITIALIZER, .references = 1};
    list_init(&resolver->names);
    list_init(&resolver->line);
    return resolver;
}

static void resolver_drop_name(struct resolver *resolver, struct resolver_name *name)
{
    list_remove(&name->link);
    resolver->n_names--;
    addresses_unref(name->known.found);
    free(name);
}

/* With the lock held, which is given back. */
static void resolver_unref_and_unlock(struct resolver *resolver)
{
    bool is_last = --resolver->references == 0;

    pthread_mutex_unlock(&resolver->lock);
    if (!is_last)
        return;
    while (!list_empty(&resolver->names))
        resolver_drop_name(resolver, CONTAINER_OF(resolver->names.next, struct resolver_name, link));
    pthread_mutex_destroy(&resolver->lock);
    free(resolver);
}

void resolver_free(struct resolver *resolver)
{
    if (!resolver)
        return;
    pthread_mutex_lock(&resolver->lock);
    resolver->closed = true;
    resolver_unref_and_unlock(resolver);
}

/* ---- looking up, in a thread ---- */

/* The name is not known, says who must know: what was known before does not hold any more. */
static bool resolver_is_contradiction(int code)
{
    return code == EAI_NONAME || code == EAI_NODATA || code == EAI_ADDRFAMILY;
}

static void resolver_tell(struct resolver_name *name)
{
    struct list *link;

    while ((link = list_pop(&name->questions))) {
        struct resolver_question *question = CONTAINER_OF(link, struct resolver_question, link);

        question->answer = name->known;
        addresses_ref(question->answer.found);
        mailbox_post(question->desk.mailbox, &question->message);
    }
}

/* A lookup has ended; takes over the addresses. */
static void resolver_settle(struct resolver_name *name, const struct resolver_answer *answer)
{
    resolver_name_move(name, RESOLVER_NAME_IDLE);
    name->ended = instant_now();
    name->doubted = false;
    if (answer->found || resolver_is_contradiction(answer->code)) {
        addresses_unref(name->known.found);
        name->known.found = answer->found;
        name->found_at = name->ended;
    }
    name->known.code = answer->code;
    name->known.error_number = answer->error_number;
    resolver_tell(name);
}

static struct resolver_answer resolver_look_up(const struct resolver *resolver, const char *host)
{
    struct resolver_answer answer = {.found = NULL};

    errno = 0;
    answer.code = resolver->look_up(host, &answer.found);
    answer.error_number = answer.code == EAI_SYSTEM ? errno : 0;
    return answer;
}

static void *resolver_main(void *closure)
{
    struct resolver *resolver = closure;
    struct list *first;

    pthread_mutex_lock(&resolver->lock);
    while (!resolver->closed && (first = list_pop(&resolver->line))) {
        struct resolver_name *name = CONTAINER_OF(first, struct resolver_name, in_line);
        struct resolver_answer answer;

        resolver_name_move(name, RESOLVER_NAME_ASKED);
        pthread_mutex_unlock(&resolver->lock);
        answer = resolver_look_up(resolver, name->host);
        pthread_mutex_lock(&resolver->lock);
        resolver_settle(name, &answer);
    }
    resolver->n_threads--;
    resolver_unref_and_unlock(resolver);
    return NULL;
}

static bool resolver_start_thread(struct resolver *resolver)
{
    pthread_attr_t attributes;
    sigset_t all, old;
    pthread_t thread;
    int r;

    if (pthread_attr_init(&attributes) != 0)
        return false;
    pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &old);
    r = pthread_create(&thread, &attributes, resolver_main, resolver);
    pthread_sigmask(SIG_SETMASK, &old, NULL);
    pthread_attr_destroy(&attributes);
    if (r != 0)
        return false;
    resolver->n_threads++;
    resolver->references++;
    return true;
}

/* Has it looked up, unless that is being done, or was done a moment ago. */
static void resolver_look_up_soon(struct resolver *resolver, struct resolver_name *name, struct instant now)
{
    if (name->state != RESOLVER_NAME_IDLE)
        return;
    if (name->ended.ns && !resolver_is_over(name->ended, RESOLVER_PAUSE_MS, now))
        return;
    resolver_name_move(name, RESOLVER_NAME_IN_LINE);
    list_append(&resolver->line, &name->in_line);
    name->begun = now;
    if (resolver->n_threads == RESOLVER_MOST_THREADS || resolver_start_thread(resolver) || resolver->n_threads > 0)
        return;
    list_remove(&name->in_line);
    resolver_name_move(name, RESOLVER_NAME_IDLE);
    name->ended = now;
    name->known.code = EAI_SYSTEM;
    name->known.error_number = EAGAIN;
}

/* ---- asking ---- */

static struct resolver_name *resolver_find(struct resolver *resolver, const char *host)
{
    for (struct list *link = resolver->names.next; link != &resolver->names; link = link->next) {
        struct resolver_name *name = CONTAINER_OF(link, struct resolver_name, link);

        if (strcasecmp(name->host, host) == 0)
            return name;
    }
    return NULL;
}

/* Makes room for one more. False when all of them are being looked up. */
static bool resolver_make_room(struct resolver *resolver)
{
    struct resolver_name *oldest = NULL;

    if (resolver->n_names < RESOLVER_MOST_NAMES)
        return true;
    for (struct list *link = resolver->names.next; link != &resolver->names; link = link->next) {
        struct resolver_name *name = CONTAINER_OF(link, struct resolver_name, link);

        if (name->state == RESOLVER_NAME_IDLE && (!oldest || instant_before(name->used, oldest->used)))
            oldest = name;
    }
    if (oldest)
        resolver_drop_name(resolver, oldest);
    return oldest;
}

static struct resolver_name *resolver_take_name(struct resolver *resolver, const char *host)
{
    struct resolver_name *name = resolver_find(resolver, host);
    size_t length = strlen(host);

    if (name || !resolver_make_room(resolver))
        return name;
    name = calloc(1, sizeof(*name) + length + 1);
    if (!name)
        return NULL;
    memcpy(name->host, host, length);
    list_init(&name->link);
    list_init(&name->in_line);
    list_init(&name->questions);
    list_append(&resolver->names, &name->link);
    resolver->n_names++;
    return name;
}

/* Has it renewed where that is due, and says whether to wait for that: always without an answer; with an old one for a
 * moment only, and not when the name service is in trouble, or everybody would pay for that. */
static enum resolver_result resolver_judge(struct resolver *resolver, struct resolver_name *name, uint64_t every_ms,
                                           struct instant now)
{
    bool is_old = name->doubted || resolver_is_over(name->found_at, every_ms, now);

    name->used = now;
    if (!name->known.found || is_old || resolver_is_over(name->found_at, every_ms - every_ms / 4, now))
        resolver_look_up_soon(resolver, name, now);
    if (!name->known.found)
        return name->state == RESOLVER_NAME_IDLE ? RESOLVER_FAILED : RESOLVER_WAIT;
    if (!is_old || name->state == RESOLVER_NAME_IDLE || name->known.code != 0 ||
        resolver_is_over(name->begun, RESOLVER_GRACE_MS, now))
        return RESOLVER_FOUND;
    return RESOLVER_WAIT;
}

enum resolver_result resolver_ask(const struct resolver_desk *desk, const char *host, uint64_t every_ms,
                                  struct instant now, resolver_fn *fn, void *closure,
                                  struct resolver_answer *ret_answer, struct resolver_question **ret_question)
{
    struct resolver *resolver = desk->resolver;
    enum resolver_result result = RESOLVER_FAILED;
    struct resolver_question *question = NULL;
    struct resolver_name *name;

    *ret_answer = (struct resolver_answer){.code = EAI_MEMORY};
    pthread_mutex_lock(&resolver->lock);
    name = resolver_take_name(resolver, host);
    if (name) {
        result = resolver_judge(resolver, name, every_ms, now);
        if (result == RESOLVER_WAIT && !(question = question_new(desk, fn, closure)))
            result = name->known.found ? RESOLVER_FOUND : RESOLVER_FAILED;
        if (question)
            list_append(&name->questions, &question->link);
        if (name->known.code != 0 || name->known.found)
            *ret_answer = name->known;
        addresses_ref(ret_answer->found);
    }
    pthread_mutex_unlock(&resolver->lock);
    if (question)
        *ret_question = question;
    return result;
}

void resolver_doubt(struct resolver *resolver, const char *host, struct instant now)
{
    struct resolver_name *name;

    pthread_mutex_lock(&resolver->lock);
    name = resolver_find(resolver, host);
    if (name) {
        resolver_look_up_soon(resolver, name, now);
        name->doubted = name->state != RESOLVER_NAME_IDLE;
    }
    pthread_mutex_unlock(&resolver->lock);
}

void resolver_explain(const char *host, const struct resolver_answer *answer, char *out, size_t size)
{
    const char *why = answer->code == EAI_SYSTEM ? strerrordesc_np(answer->error_number) : gai_strerror(answer->code);

    snprintf(out, size, "cannot resolve %s: %s", host, why ? why : "unknown error");
}
