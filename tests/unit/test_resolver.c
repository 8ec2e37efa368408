/* The resolver, with a name service that answers what, and when, the test wants. */
#include <errno.h>
#include <netdb.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/loop.h"
#include "proxy/reach/resolver.h"
#include "tests/unit/name_service.h"
#include "tests/unit/state_walk.h"

#define PATIENCE_MS 10000
#define EVERY_MS 30000

/* ---- a worker ---- */

struct worker {
    struct loop *loop;
    struct mailbox mailbox;
    struct resolver_desk desk;
};

/* Who asks. */
struct asker {
    enum resolver_result result;
    struct resolver_question *question;
    struct resolver_answer answer; /* owned: at once, or later */
    unsigned n_called;
    struct instant now; /* of the question */
};

static void worker_init(struct worker *worker, struct resolver *resolver)
{
    worker->loop = loop_new();
    assert_non_null(worker->loop);
    mailbox_init(&worker->mailbox, worker->loop);
    worker->desk = (struct resolver_desk){resolver, &worker->mailbox};
}

static void worker_deinit(struct worker *worker)
{
    mailbox_deinit(&worker->mailbox);
    loop_free(worker->loop);
}

static int setup(void **state)
{
    struct worker *worker = calloc(1, sizeof(*worker));

    name_service_reset("192.0.2.1");
    worker_init(worker, resolver_new(name_service_look_up));
    *state = worker;
    return 0;
}

static int teardown(void **state)
{
    struct worker *worker = *state;

    resolver_free(worker->desk.resolver);
    worker_deinit(worker);
    name_service_set("192.0.2.1", 0, false);
    name_service_await(&name_service.n_ended, name_service_count(&name_service.n_begun));
    free(worker);
    return 0;
}

static void asker_forget(struct asker *asker)
{
    asker->answer.found = addresses_unref(asker->answer.found);
}

static void asker_set(void *closure, const struct resolver_answer *answer)
{
    struct asker *asker = closure;

    asker->n_called++;
    asker->question = NULL;
    addresses_unref(asker->answer.found);
    asker->answer = *answer;
    addresses_ref(asker->answer.found);
}

/* Asks as if it were `later_ms` later than it is. */
static void ask_every(struct worker *worker, struct asker *asker, const char *host, uint64_t later_ms,
                      uint64_t every_ms)
{
    *asker = (struct asker){.now = instant_add_ms(instant_now(), later_ms)};
    asker->result =
        resolver_ask(&worker->desk, host, every_ms, asker->now, asker_set, asker, &asker->answer, &asker->question);
}

static void ask(struct worker *worker, struct asker *asker, const char *host, uint64_t later_ms)
{
    ask_every(worker, asker, host, later_ms, EVERY_MS);
}

static void heed(struct worker *worker)
{
    struct message *message;

    assert_true(loop_run_once(worker->loop, 10) >= 0);
    while ((message = mailbox_take(&worker->mailbox)))
        message->run(message);
}

static void await(struct worker *worker, struct asker *asker)
{
    struct instant end = instant_add_ms(instant_now(), PATIENCE_MS);

    assert_int_equal(asker->result, RESOLVER_WAIT);
    while (asker->n_called == 0 && instant_before(instant_now(), end))
        heed(worker);
    assert_int_equal(asker->n_called, 1);
}

static void assert_at(struct asker *asker, const char *address)
{
    struct addresses *expected = name_service_addresses(address);

    assert_non_null(asker->answer.found);
    assert_true(addresses_equal(asker->answer.found, expected));
    addresses_unref(expected);
    asker_forget(asker);
}

/* Asks, waits if need be, and expects this answer. */
static void expect(struct worker *worker, const char *host, uint64_t later_ms, const char *address)
{
    struct asker asker;

    ask(worker, &asker, host, later_ms);
    if (asker.result == RESOLVER_WAIT)
        await(worker, &asker);
    assert_at(&asker, address);
}

/* Asks until this is the answer, which a lookup in the background is about to bring. */
static void expect_soon(struct worker *worker, const char *host, const char *address)
{
    struct instant end = instant_add_ms(instant_now(), PATIENCE_MS);
    struct addresses *expected = name_service_addresses(address);
    bool is_there = false;

    while (!is_there && instant_before(instant_now(), end)) {
        struct asker asker;

        ask(worker, &asker, host, 0);
        assert_int_equal(asker.result, RESOLVER_FOUND);
        is_there = addresses_equal(asker.answer.found, expected);
        asker_forget(&asker);
        usleep(1000);
    }
    assert_true(is_there);
    addresses_unref(expected);
}

/* ---- tests ---- */

static void test_resolver_name_moves_as_its_table_says(void **state)
{
    (void)state;
    state_walk(&resolver_name_machine, NULL, "IDLE: IN_LINE\nIN_LINE: IDLE ASKED\nASKED: IDLE\n");
}

static void test_resolver_answer_is_waited_for_once_and_then_there(void **state)
{
    struct worker *worker = *state;
    struct asker first, second;

    ask(worker, &first, "a", 0);
    assert_null(first.answer.found);
    await(worker, &first);
    assert_at(&first, "192.0.2.1");
    ask(worker, &second, "A", 0);
    assert_int_equal(second.result, RESOLVER_FOUND);
    assert_at(&second, "192.0.2.1");
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
}

static void test_resolver_two_workers_share_one_lookup(void **state)
{
    struct worker *worker = *state, other;
    struct asker askers[4];

    worker_init(&other, worker->desk.resolver);
    name_service_set("192.0.2.1", 0, true);
    for (size_t i = 0; i < ARRAY_LENGTH(askers); i++)
        ask(i % 2 ? &other : worker, &askers[i], "silent", 0);
    name_service_await(&name_service.n_begun, 1);
    name_service_set("192.0.2.7", 0, false);
    for (size_t i = 0; i < ARRAY_LENGTH(askers); i++) {
        await(i % 2 ? &other : worker, &askers[i]);
        assert_at(&askers[i], "192.0.2.7");
    }
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    worker_deinit(&other);
}

static void test_resolver_silent_name_does_not_delay_others(void **state)
{
    struct worker *worker = *state;
    struct asker silent;

    name_service_set("192.0.2.1", 0, true);
    ask(worker, &silent, "silent", 0);
    name_service_await(&name_service.n_begun, 1);
    expect(worker, "a", 0, "192.0.2.1");
    assert_int_equal(silent.n_called, 0);
    resolver_withdraw(silent.question);
}

static void test_resolver_late_answer_is_kept_for_who_asks_later(void **state)
{
    struct worker *worker = *state;
    struct asker asker;

    name_service_set("192.0.2.1", 0, true);
    ask(worker, &asker, "silent", 0);
    name_service_await(&name_service.n_begun, 1);
    resolver_withdraw(asker.question);
    name_service_set("192.0.2.1", 0, false);
    expect(worker, "silent", 0, "192.0.2.1");
    assert_int_equal(asker.n_called, 0);
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
}

static void test_resolver_answer_withdrawn_in_the_mailbox_is_not_told(void **state)
{
    struct worker *worker = *state;
    struct asker asker;

    ask(worker, &asker, "a", 0);
    while (!atomic_load(&worker->mailbox.waiting))
        usleep(100);
    resolver_withdraw(asker.question);
    heed(worker);
    assert_false(atomic_load(&worker->mailbox.waiting));
    assert_int_equal(asker.n_called, 0);
}

static void test_resolver_mailbox_that_was_closed_drops_answers(void **state)
{
    struct worker *worker = *state;
    struct asker open, posted;

    ask(worker, &posted, "a", 0);
    name_service_await(&name_service.n_ended, 1);
    while (!atomic_load(&worker->mailbox.waiting))
        usleep(100);
    name_service_set("192.0.2.1", 0, true);
    ask(worker, &open, "silent", 0);
    mailbox_close(&worker->mailbox);
    name_service_set("192.0.2.1", 0, false);
    name_service_await(&name_service.n_ended, 2);
    usleep(20000);
    resolver_withdraw(posted.question);
    resolver_withdraw(open.question);
    resolver_withdraw(NULL);
    assert_int_equal(posted.n_called + open.n_called, 0);
}

static void test_resolver_failure_is_kept_for_a_moment(void **state)
{
    struct worker *worker = *state;
    struct asker asker;
    char why[200];

    name_service_set(NULL, EAI_NONAME, false);
    ask(worker, &asker, "a", 0);
    await(worker, &asker);
    assert_null(asker.answer.found);
    assert_int_equal(asker.answer.code, EAI_NONAME);
    resolver_explain("a", &asker.answer, why, sizeof(why));
    assert_string_equal(why, "cannot resolve a: Name or service not known");
    for (int i = 0; i < 100; i++) {
        ask(worker, &asker, "a", RESOLVER_PAUSE_MS / 2);
        assert_int_equal(asker.result, RESOLVER_FAILED);
        assert_int_equal(asker.answer.code, EAI_NONAME);
    }
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    name_service_set("192.0.2.1", 0, false);
    expect(worker, "a", RESOLVER_PAUSE_MS, "192.0.2.1");
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
}

static void test_resolver_failure_of_the_system_has_its_errno(void **state)
{
    struct worker *worker = *state;
    struct asker asker;
    char why[200];

    name_service.error_number = EMFILE;
    name_service_set(NULL, EAI_SYSTEM, false);
    ask(worker, &asker, "a", 0);
    await(worker, &asker);
    resolver_explain("a", &asker.answer, why, sizeof(why));
    assert_string_equal(why, "cannot resolve a: Too many open files");
}

static void test_resolver_answer_is_renewed_before_it_is_old(void **state)
{
    struct worker *worker = *state;

    expect(worker, "a", 0, "192.0.2.1");
    name_service_set("192.0.2.2", 0, false);
    expect(worker, "a", EVERY_MS / 2, "192.0.2.1");
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    /* In the background: nobody waits for it. */
    expect(worker, "a", EVERY_MS - 1000, "192.0.2.1");
    expect_soon(worker, "a", "192.0.2.2");
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
}

static void test_resolver_each_asker_has_its_own_idea_of_old(void **state)
{
    struct worker *worker = *state;
    struct asker patient, quick;

    expect(worker, "a", 0, "192.0.2.1");
    name_service_set("192.0.2.2", 0, false);
    ask(worker, &patient, "a", 5000);
    assert_int_equal(patient.result, RESOLVER_FOUND);
    ask_every(worker, &quick, "a", 5000, 5000);
    await(worker, &quick);
    assert_at(&patient, "192.0.2.1");
    assert_at(&quick, "192.0.2.2");
}

static void test_resolver_old_answer_waits_for_a_newer_one(void **state)
{
    struct worker *worker = *state;
    struct asker asker;

    expect(worker, "a", 0, "192.0.2.1");
    name_service_set("192.0.2.2", 0, false);
    ask(worker, &asker, "a", EVERY_MS);
    assert_int_equal(asker.result, RESOLVER_WAIT);
    assert_non_null(asker.answer.found); /* which will do, if need be */
    await(worker, &asker);
    assert_at(&asker, "192.0.2.2");
}

static void test_resolver_old_answer_is_used_while_the_service_is_silent(void **state)
{
    struct worker *worker = *state;
    struct asker asker;

    expect(worker, "silent", 0, "192.0.2.1");
    name_service_set("192.0.2.2", 0, true);
    ask(worker, &asker, "silent", EVERY_MS);
    assert_int_equal(asker.result, RESOLVER_WAIT);
    asker_forget(&asker);
    resolver_withdraw(asker.question);
    /* Who comes later has nothing to wait for. */
    ask(worker, &asker, "silent", EVERY_MS + RESOLVER_GRACE_MS);
    assert_int_equal(asker.result, RESOLVER_FOUND);
    assert_at(&asker, "192.0.2.1");
    name_service_await(&name_service.n_begun, 2);
}

static void test_resolver_old_answer_is_used_while_lookups_fail(void **state)
{
    struct worker *worker = *state;
    struct asker asker;

    expect(worker, "silent", 0, "192.0.2.1");
    name_service_set(NULL, EAI_AGAIN, false);
    expect(worker, "silent", EVERY_MS, "192.0.2.1");
    /* From now on nobody waits: the next lookup may be as silent as the last one was in vain. */
    name_service_set(NULL, EAI_AGAIN, true);
    for (int i = 0; i < 10; i++) {
        ask(worker, &asker, "silent", EVERY_MS + 2 * RESOLVER_PAUSE_MS);
        assert_int_equal(asker.result, RESOLVER_FOUND);
        assert_at(&asker, "192.0.2.1");
    }
    name_service_await(&name_service.n_begun, 3);
    name_service_set("192.0.2.2", 0, false);
    expect_soon(worker, "silent", "192.0.2.2");
}

static void test_resolver_name_that_is_gone_has_no_old_answer(void **state)
{
    struct worker *worker = *state;
    struct asker asker;

    expect(worker, "a", 0, "192.0.2.1");
    name_service_set(NULL, EAI_NONAME, false);
    ask(worker, &asker, "a", EVERY_MS);
    await(worker, &asker);
    assert_null(asker.answer.found);
    assert_int_equal(asker.answer.code, EAI_NONAME);
    ask(worker, &asker, "a", 0);
    assert_int_equal(asker.result, RESOLVER_FAILED);
}

static void test_resolver_doubt_asks_anew_but_once_a_second(void **state)
{
    struct worker *worker = *state;
    struct resolver *resolver = worker->desk.resolver;
    struct asker asker;

    resolver_doubt(resolver, "never-asked-for", instant_now());
    expect(worker, "a", 0, "192.0.2.1");
    name_service_set("192.0.2.2", 0, false);
    resolver_doubt(resolver, "a", instant_now());
    ask(worker, &asker, "a", 0);
    assert_int_equal(asker.result, RESOLVER_FOUND);
    assert_at(&asker, "192.0.2.1");
    assert_int_equal(name_service_count(&name_service.n_begun), 1);
    resolver_doubt(resolver, "a", instant_add_ms(instant_now(), RESOLVER_PAUSE_MS));
    expect(worker, "a", RESOLVER_PAUSE_MS, "192.0.2.2");
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
    resolver_doubt(resolver, "a", instant_now());
    expect(worker, "a", 0, "192.0.2.2");
    assert_int_equal(name_service_count(&name_service.n_begun), 2);
}

static void test_resolver_lookups_at_once_have_a_ceiling(void **state)
{
    enum { MORE = 10, N = RESOLVER_MOST_THREADS + MORE };
    struct worker *worker = *state;
    struct asker askers[N];
    char host[32];

    name_service_set("192.0.2.1", 0, true);
    for (int i = 0; i < N; i++) {
        snprintf(host, sizeof(host), "silent-%d", i);
        ask(worker, &askers[i], host, 0);
        assert_int_equal(askers[i].result, RESOLVER_WAIT);
    }
    name_service_await(&name_service.n_begun, RESOLVER_MOST_THREADS);
    usleep(20000);
    assert_int_equal(name_service_count(&name_service.n_begun), RESOLVER_MOST_THREADS);
    name_service_set("192.0.2.1", 0, false);
    for (int i = 0; i < N; i++) {
        await(worker, &askers[i]);
        assert_at(&askers[i], "192.0.2.1");
    }
    assert_int_equal(name_service_count(&name_service.n_most_inside), RESOLVER_MOST_THREADS);
}

static void test_resolver_names_have_a_ceiling(void **state)
{
    struct worker *worker = *state;
    char host[32];

    for (int i = 0; i < RESOLVER_MOST_NAMES + 2; i++) {
        snprintf(host, sizeof(host), "name-%d", i);
        expect(worker, host, (uint64_t)i, "192.0.2.1");
    }
    /* The last is kept, the first is not. */
    expect(worker, host, RESOLVER_MOST_NAMES + 3, "192.0.2.1");
    assert_int_equal(name_service_count(&name_service.n_begun), RESOLVER_MOST_NAMES + 2);
    expect(worker, "name-0", RESOLVER_MOST_NAMES + 4, "192.0.2.1");
    assert_int_equal(name_service_count(&name_service.n_begun), RESOLVER_MOST_NAMES + 3);
}

static void test_resolver_end_does_not_wait_for_lookups(void **state)
{
    struct worker *worker = *state;
    struct resolver *resolver = resolver_new(name_service_look_up);
    struct resolver_desk desk = {resolver, &worker->mailbox};
    struct asker askers[RESOLVER_MOST_THREADS + 2] = {0};
    struct instant begun;
    char host[32];

    name_service_set("192.0.2.1", 0, true);
    for (size_t i = 0; i < ARRAY_LENGTH(askers); i++) {
        snprintf(host, sizeof(host), "silent-%zu", i);
        assert_int_equal(resolver_ask(&desk, host, EVERY_MS, instant_now(), asker_set, &askers[i], &askers[i].answer,
                                      &askers[i].question),
                         RESOLVER_WAIT);
    }
    name_service_await(&name_service.n_begun, RESOLVER_MOST_THREADS);
    begun = instant_now();
    for (size_t i = 0; i < ARRAY_LENGTH(askers); i++)
        resolver_withdraw(askers[i].question);
    resolver_free(resolver);
    assert_true(instant_elapsed_us(begun, instant_now()) < 10000000);
    name_service_set("192.0.2.1", 0, false);
    name_service_await(&name_service.n_ended, RESOLVER_MOST_THREADS);
    usleep(50000); /* what is left is for a sanitizer to find */
    assert_int_equal(name_service_count(&name_service.n_begun), RESOLVER_MOST_THREADS);
}

/* Threads that ask, doubt and withdraw, all at once. */
static void *crowd_main(void *closure)
{
    struct worker worker;
    struct asker asker;
    char host[32];

    worker_init(&worker, closure);
    for (unsigned i = 0; i < 2000; i++) {
        snprintf(host, sizeof(host), "name-%u", i % 7);
        ask_every(&worker, &asker, host, (uint64_t)i * 100, 500);
        if (i % 5 == 0)
            resolver_doubt(worker.desk.resolver, host, asker.now);
        if (i % 3 == 0)
            resolver_withdraw(asker.result == RESOLVER_WAIT ? asker.question : NULL);
        else if (asker.result == RESOLVER_WAIT)
            await(&worker, &asker);
        asker_forget(&asker);
    }
    worker_deinit(&worker);
    return NULL;
}

static void test_resolver_many_threads_at_once(void **state)
{
    struct worker *worker = *state;
    pthread_t threads[4];

    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, crowd_main, worker->desk.resolver), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        pthread_join(threads[i], NULL);
}

#define RESOLVER_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_resolver_name_moves_as_its_table_says),
        RESOLVER_TEST(test_resolver_answer_is_waited_for_once_and_then_there),
        RESOLVER_TEST(test_resolver_two_workers_share_one_lookup),
        RESOLVER_TEST(test_resolver_silent_name_does_not_delay_others),
        RESOLVER_TEST(test_resolver_late_answer_is_kept_for_who_asks_later),
        RESOLVER_TEST(test_resolver_answer_withdrawn_in_the_mailbox_is_not_told),
        RESOLVER_TEST(test_resolver_mailbox_that_was_closed_drops_answers),
        RESOLVER_TEST(test_resolver_failure_is_kept_for_a_moment),
        RESOLVER_TEST(test_resolver_failure_of_the_system_has_its_errno),
        RESOLVER_TEST(test_resolver_answer_is_renewed_before_it_is_old),
        RESOLVER_TEST(test_resolver_each_asker_has_its_own_idea_of_old),
        RESOLVER_TEST(test_resolver_old_answer_waits_for_a_newer_one),
        RESOLVER_TEST(test_resolver_old_answer_is_used_while_the_service_is_silent),
        RESOLVER_TEST(test_resolver_old_answer_is_used_while_lookups_fail),
        RESOLVER_TEST(test_resolver_name_that_is_gone_has_no_old_answer),
        RESOLVER_TEST(test_resolver_doubt_asks_anew_but_once_a_second),
        RESOLVER_TEST(test_resolver_lookups_at_once_have_a_ceiling),
        RESOLVER_TEST(test_resolver_names_have_a_ceiling),
        RESOLVER_TEST(test_resolver_end_does_not_wait_for_lookups),
        RESOLVER_TEST(test_resolver_many_threads_at_once),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
