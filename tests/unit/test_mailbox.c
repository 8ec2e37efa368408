/* Mailboxes: order, ownership, and threads that post at once, before the owner begins and after it has ended. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/mailbox.h"

#define N_SENDERS 4
#define N_EACH 5000

/* A message with a number, a descriptor, and a counter that tells its sender of the end. */
struct parcel {
    struct message message;
    unsigned sender, number;
    int fd; /* owned, -1 */
    atomic_uint *n_dropped;
};

static void parcel_free(struct parcel *parcel)
{
    if (parcel->fd >= 0)
        close(parcel->fd);
    free(parcel);
}

static void parcel_drop(struct message *message)
{
    struct parcel *parcel = CONTAINER_OF(message, struct parcel, message);

    atomic_fetch_add(parcel->n_dropped, 1);
    parcel_free(parcel);
}

static struct message *parcel_make(unsigned sender, unsigned number, atomic_uint *n_dropped)
{
    struct parcel *parcel = malloc(sizeof(*parcel));

    assert_non_null(parcel);
    *parcel = (struct parcel){
        .message.drop = parcel_drop, .sender = sender, .number = number, .fd = -1, .n_dropped = n_dropped};
    return &parcel->message;
}

struct office {
    struct loop *loop;
    struct mailbox mailbox;
    atomic_uint n_dropped;
};

static int office_setup(void **state)
{
    struct office *office = calloc(1, sizeof(*office));

    office->loop = loop_new();
    assert_non_null(office->loop);
    mailbox_init(&office->mailbox, office->loop);
    *state = office;
    return 0;
}

static int office_teardown(void **state)
{
    struct office *office = *state;

    mailbox_deinit(&office->mailbox);
    loop_free(office->loop);
    free(office);
    return 0;
}

static void office_expect(struct office *office, unsigned number)
{
    struct message *message = mailbox_take(&office->mailbox);
    struct parcel *parcel;

    assert_non_null(message);
    parcel = CONTAINER_OF(message, struct parcel, message);
    assert_int_equal(parcel->number, number);
    parcel_free(parcel);
}

static void test_mailbox_messages_are_taken_in_the_order_they_were_posted(void **state)
{
    struct office *office = *state;

    assert_null(mailbox_take(&office->mailbox));
    for (unsigned i = 0; i < 3; i++)
        mailbox_post(&office->mailbox, parcel_make(0, i, &office->n_dropped));
    office_expect(office, 0);
    mailbox_post(&office->mailbox, parcel_make(0, 3, &office->n_dropped));
    for (unsigned i = 1; i < 4; i++)
        office_expect(office, i);
    assert_null(mailbox_take(&office->mailbox));
    mailbox_post(&office->mailbox, parcel_make(0, 4, &office->n_dropped));
    office_expect(office, 4);
    assert_int_equal(office->n_dropped, 0);
}

static void test_mailbox_post_ends_a_sleep_of_the_owner(void **state)
{
    struct office *office = *state;

    mailbox_post(&office->mailbox, parcel_make(0, 0, &office->n_dropped));
    assert_true(loop_run_once(office->loop, -1) >= 0);
    office_expect(office, 0);
}

static void test_mailbox_closed_drops_what_is_left_with_what_it_carries(void **state)
{
    struct office *office = *state;
    struct message *message = parcel_make(0, 0, &office->n_dropped);
    int ends[2];
    char byte;

    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    CONTAINER_OF(message, struct parcel, message)->fd = ends[1];
    mailbox_post(&office->mailbox, message);
    mailbox_post(&office->mailbox, parcel_make(0, 1, &office->n_dropped));
    mailbox_close(&office->mailbox);
    assert_int_equal(office->n_dropped, 2);
    assert_int_equal(read(ends[0], &byte, 1), 0); /* the descriptor is closed */
    close(ends[0]);
    assert_null(mailbox_take(&office->mailbox));
}

static void test_mailbox_closed_drops_what_is_posted_later(void **state)
{
    struct office *office = *state;

    mailbox_close(&office->mailbox);
    mailbox_post(&office->mailbox, parcel_make(0, 0, &office->n_dropped));
    assert_int_equal(office->n_dropped, 1);
    assert_null(mailbox_take(&office->mailbox));
    mailbox_close(&office->mailbox);
    assert_int_equal(office->n_dropped, 1);
}

/* ---- threads ---- */

struct sender {
    struct office *office;
    unsigned number;
    pthread_t thread;
};

static void *sender_main(void *closure)
{
    struct sender *sender = closure;

    for (unsigned i = 0; i < N_EACH; i++)
        mailbox_post(&sender->office->mailbox, parcel_make(sender->number, i, &sender->office->n_dropped));
    return NULL;
}

static void senders_start(struct sender senders[N_SENDERS], struct office *office)
{
    for (unsigned i = 0; i < N_SENDERS; i++) {
        senders[i] = (struct sender){.office = office, .number = i};
        assert_int_equal(pthread_create(&senders[i].thread, NULL, sender_main, &senders[i]), 0);
    }
}

static void senders_join(struct sender senders[N_SENDERS])
{
    for (unsigned i = 0; i < N_SENDERS; i++)
        assert_int_equal(pthread_join(senders[i].thread, NULL), 0);
}

/* Takes until so many have come. Each sender's own messages must come in their order. */
static void office_take(struct office *office, unsigned n, unsigned next[N_SENDERS])
{
    struct message *message;

    while (n > 0) {
        assert_true(loop_run_once(office->loop, -1) >= 0);
        while (n > 0 && (message = mailbox_take(&office->mailbox))) {
            struct parcel *parcel = CONTAINER_OF(message, struct parcel, message);

            assert_int_equal(parcel->number, next[parcel->sender]);
            next[parcel->sender]++;
            parcel_free(parcel);
            n--;
        }
    }
}

static void test_mailbox_of_many_senders_loses_nothing_and_keeps_each_ones_order(void **state)
{
    struct office *office = *state;
    struct sender senders[N_SENDERS];
    unsigned next[N_SENDERS] = {0};

    senders_start(senders, office);
    office_take(office, N_SENDERS * N_EACH, next);
    senders_join(senders);
    assert_null(mailbox_take(&office->mailbox));
    assert_int_equal(office->n_dropped, 0);
}

static void test_mailbox_closed_while_others_post_frees_every_message(void **state)
{
    struct office *office = *state;
    struct sender senders[N_SENDERS];
    unsigned next[N_SENDERS] = {0};

    senders_start(senders, office);
    office_take(office, N_EACH, next);
    mailbox_close(&office->mailbox);
    senders_join(senders);
    assert_int_equal(office->n_dropped, (N_SENDERS - 1) * N_EACH);
}

#define MAILBOX_TEST(name) cmocka_unit_test_setup_teardown(name, office_setup, office_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        MAILBOX_TEST(test_mailbox_messages_are_taken_in_the_order_they_were_posted),
        MAILBOX_TEST(test_mailbox_post_ends_a_sleep_of_the_owner),
        MAILBOX_TEST(test_mailbox_closed_drops_what_is_left_with_what_it_carries),
        MAILBOX_TEST(test_mailbox_closed_drops_what_is_posted_later),
        MAILBOX_TEST(test_mailbox_of_many_senders_loses_nothing_and_keeps_each_ones_order),
        MAILBOX_TEST(test_mailbox_closed_while_others_post_frees_every_message),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
