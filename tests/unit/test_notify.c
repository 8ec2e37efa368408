/* What a service manager is told, and that nothing comes of it when it does not listen. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/log.h"
#include "proxy/notify.h"
#include "proxy/pulse.h"

struct manager {
    int fd;
    char variable[108]; /* NOTIFY_SOCKET */
    char heard[512];
};

static void manager_bind(struct manager *manager)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t length = strlen(manager->variable);

    manager->fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    memcpy(address.sun_path, manager->variable, length);
    if (address.sun_path[0] == '@')
        address.sun_path[0] = '\0';
    assert_int_equal(bind(manager->fd, (struct sockaddr *)&address,
                          (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + (address.sun_path[0] != 0))),
                     0);
}

static void manager_open(struct manager *manager, const char *format)
{
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    *manager = (struct manager){.fd = -1};
    snprintf(manager->variable, sizeof(manager->variable), "%sporthole-notify-%d", format, getpid());
    manager_bind(manager);
    setenv("NOTIFY_SOCKET", manager->variable, 1);
}

static void manager_close(struct manager *manager)
{
    if (manager->fd >= 0)
        close(manager->fd);
    unlink(manager->variable);
}

/* The next message, "" when there is none. */
static const char *manager_hear(struct manager *manager)
{
    ssize_t n = recv(manager->fd, manager->heard, sizeof(manager->heard) - 1, 0);

    manager->heard[n > 0 ? n : 0] = '\0';
    return manager->heard;
}

static void expect_each_message(const char *format)
{
    struct manager manager;
    struct notify notify;
    char expected[64];
    unsigned long long us = 0;

    manager_open(&manager, format);
    notify_init(&notify);
    assert_true(notify_is_wanted(&notify));
    notify_ready(&notify, "serving");
    snprintf(expected, sizeof(expected), "READY=1\nMAINPID=%d\nSTATUS=serving", getpid());
    assert_string_equal(manager_hear(&manager), expected);
    notify_reloading(&notify);
    assert_int_equal(sscanf(manager_hear(&manager), "RELOADING=1\nMONOTONIC_USEC=%llu\nSTATUS=reloading", &us), 1);
    assert_true(us > 0);
    notify_stopping(&notify, "a");
    assert_string_equal(manager_hear(&manager), "STOPPING=1\nSTATUS=a");
    notify_status(&notify, "b");
    assert_string_equal(manager_hear(&manager), "STATUS=b");
    notify_watchdog(&notify);
    assert_string_equal(manager_hear(&manager), "WATCHDOG=1");
    notify_deinit(&notify);
    manager_close(&manager);
}

static void test_notify_tells_by_path_and_by_abstract_name(void **state)
{
    (void)state;
    expect_each_message("/tmp/");
    expect_each_message("@");
}

static void test_notify_takes_its_variables_away(void **state)
{
    struct manager manager;
    struct notify notify;

    (void)state;
    manager_open(&manager, "@");
    setenv("WATCHDOG_USEC", "3000000", 1);
    notify_init(&notify);
    assert_int_equal(notify.watchdog_us, 3000000);
    assert_null(getenv("NOTIFY_SOCKET"));
    assert_null(getenv("WATCHDOG_USEC"));
    notify_deinit(&notify);
    manager_close(&manager);
}

static void test_notify_watchdog_of_another_process_is_none_of_ours(void **state)
{
    struct manager manager;
    struct notify notify;
    char pid[16];

    (void)state;
    manager_open(&manager, "@");
    setenv("WATCHDOG_USEC", "3000000", 1);
    setenv("WATCHDOG_PID", "1", 1);
    notify_init(&notify);
    assert_int_equal(notify.watchdog_us, 0);
    assert_null(getenv("WATCHDOG_PID"));
    notify_deinit(&notify);
    setenv("NOTIFY_SOCKET", manager.variable, 1);
    setenv("WATCHDOG_USEC", "3000000", 1);
    snprintf(pid, sizeof(pid), "%d", getpid());
    setenv("WATCHDOG_PID", pid, 1);
    notify_init(&notify);
    assert_int_equal(notify.watchdog_us, 3000000);
    notify_deinit(&notify);
    manager_close(&manager);
}

static void test_notify_without_a_manager_does_nothing(void **state)
{
    static const char *const values[] = {"", "relative", "@", "/", "vsock:2:1"};
    char longer[200];
    struct notify notify;

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    notify_init(&notify);
    assert_false(notify_is_wanted(&notify));
    for (size_t i = 0; i < ARRAY_LENGTH(values); i++) {
        setenv("NOTIFY_SOCKET", values[i], 1);
        notify_init(&notify);
        notify_ready(&notify, "serving");
        notify_deinit(&notify);
    }
    memset(longer, 'a', sizeof(longer) - 1);
    longer[0] = '/';
    longer[sizeof(longer) - 1] = '\0';
    setenv("NOTIFY_SOCKET", longer, 1);
    notify_init(&notify);
    assert_false(notify_is_wanted(&notify));
    notify_deinit(&notify);
}

/* One that was started anew, and one whose queue is full. */
static void test_notify_survives_its_manager(void **state)
{
    struct manager manager;
    struct notify notify;

    (void)state;
    manager_open(&manager, "@");
    notify_init(&notify);
    close(manager.fd);
    notify_status(&notify, "nobody hears");
    manager_bind(&manager);
    notify_status(&notify, "again");
    assert_string_equal(manager_hear(&manager), "STATUS=again");
    for (int i = 0; i < 100000; i++)
        notify_watchdog(&notify);
    assert_string_equal(manager_hear(&manager), "WATCHDOG=1");
    notify_deinit(&notify);
    manager_close(&manager);
}

/* ---- the pulse ---- */

static void run_for(struct loop *loop, int ms)
{
    for (int i = 0; i < ms; i++) {
        usleep(1000);
        assert_true(loop_run_once(loop, 0) >= 0);
    }
}

/* What a worker does in a round. */
static void take_all(struct mailbox *mailbox)
{
    struct message *message;

    while ((message = mailbox_take(mailbox)))
        message->run(message);
}

static size_t count_signs(struct manager *manager)
{
    size_t n = 0;

    while (manager_hear(manager)[0])
        n += strcmp(manager->heard, "WATCHDOG=1") == 0;
    return n;
}

static void test_pulse_tells_only_while_every_worker_answers(void **state)
{
    struct mailbox mailboxes[2] = {0};
    struct loop *loop = loop_new();
    struct manager manager;
    struct notify notify;
    struct pulse pulse;

    (void)state;
    manager_open(&manager, "@");
    setenv("WATCHDOG_USEC", "20000", 1);
    notify_init(&notify);
    assert_int_equal(pulse_init(&pulse, loop, &notify, 2), 0);
    for (int i = 0; i < 2; i++) {
        mailbox_init(&mailboxes[i], loop);
        pulse_add(&pulse, &mailboxes[i]);
    }
    pulse_start(&pulse, "serving");
    take_all(&mailboxes[0]);
    run_for(loop, 30);
    assert_string_equal(manager_hear(&manager), ""); /* the second has not begun */
    take_all(&mailboxes[1]);
    run_for(loop, 30);
    assert_non_null(strstr(manager_hear(&manager), "READY=1"));
    assert_int_equal(count_signs(&manager), 1); /* and now nobody answers */
    for (int i = 0; i < 5; i++) {
        take_all(&mailboxes[0]);
        take_all(&mailboxes[1]);
        run_for(loop, 20);
    }
    assert_true(count_signs(&manager) >= 4);
    for (int i = 0; i < 5; i++) {
        take_all(&mailboxes[0]);
        run_for(loop, 20);
    }
    assert_true(count_signs(&manager) <= 1); /* the second hangs */
    mailbox_close(&mailboxes[1]);
    take_all(&mailboxes[0]);
    run_for(loop, 30);
    assert_int_equal(count_signs(&manager), 0); /* it has ended, and nobody wanted it to */
    pulse_end(&pulse);
    run_for(loop, 30);
    assert_true(count_signs(&manager) >= 1);
    for (int i = 0; i < 2; i++)
        mailbox_deinit(&mailboxes[i]);
    pulse_deinit(&pulse);
    notify_deinit(&notify);
    loop_free(loop);
    manager_close(&manager);
}

static void test_pulse_without_a_manager_asks_nobody(void **state)
{
    struct loop *loop = loop_new();
    struct notify notify;
    struct mailbox mailbox;
    struct pulse pulse;

    (void)state;
    unsetenv("NOTIFY_SOCKET");
    notify_init(&notify);
    assert_int_equal(pulse_init(&pulse, loop, &notify, 1), 0);
    mailbox_init(&mailbox, loop);
    pulse_add(&pulse, &mailbox);
    pulse_start(&pulse, "serving");
    assert_null(mailbox_take(&mailbox));
    pulse_end(&pulse);
    pulse_deinit(&pulse);
    mailbox_deinit(&mailbox);
    loop_free(loop);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_notify_tells_by_path_and_by_abstract_name),
        cmocka_unit_test(test_notify_takes_its_variables_away),
        cmocka_unit_test(test_notify_watchdog_of_another_process_is_none_of_ours),
        cmocka_unit_test(test_notify_without_a_manager_does_nothing),
        cmocka_unit_test(test_notify_survives_its_manager),
        cmocka_unit_test(test_pulse_tells_only_while_every_worker_answers),
        cmocka_unit_test(test_pulse_without_a_manager_asks_nobody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
