/* Checks from one snapshot to the next: what stays goes on, what is new begins, what is gone ends. */
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

#include "config/load.h"
#include "proxy/reach/checks.h"
#include "tests/unit/publish_fixture.h"

#define N_ENDPOINTS 3

/* Endpoints that count who connects. What they accept they keep, without a word. */
struct rig {
    struct fixture *fixture;
    struct loop *loop;
    struct commons commons;
    struct resolver *resolver;
    struct checks *checks;
    char paths[N_ENDPOINTS][96];
    int fds[N_ENDPOINTS];
    unsigned n_asked[N_ENDPOINTS];
    int kept[64];
    size_t n_kept;
};

static int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    fixture_setup((void **)&rig->fixture);
    rig->loop = loop_new();
    rig->resolver = resolver_new(addresses_look_up);
    assert_int_equal(commons_init(&rig->commons, 1), 0);
    rig->checks = checks_new(rig->loop, &rig->commons, rig->resolver);
    assert_non_null(rig->checks);
    for (int i = 0; i < N_ENDPOINTS; i++) {
        struct sockaddr_un address = {.sun_family = AF_UNIX};
        char name[8];

        snprintf(name, sizeof(name), "%c", 'a' + i);
        snprintf(rig->paths[i], sizeof(rig->paths[i]), "%s", fixture_path(rig->fixture, name));
        snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->paths[i]);
        rig->fds[i] = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        assert_int_equal(bind(rig->fds[i], (struct sockaddr *)&address, sizeof(address)), 0);
        assert_int_equal(listen(rig->fds[i], 16), 0);
    }
    checks_start(rig->checks);
    *state = rig;
    return 0;
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;

    checks_free(rig->checks);
    commons_deinit(&rig->commons);
    resolver_free(rig->resolver);
    loop_free(rig->loop);
    for (int i = 0; i < N_ENDPOINTS; i++)
        close(rig->fds[i]);
    for (size_t i = 0; i < rig->n_kept; i++)
        close(rig->kept[i]);
    fixture_teardown((void **)&rig->fixture);
    free(rig);
    return 0;
}

/* The targets' text, of which %a to %c are the endpoints. */
static void reload(struct rig *rig, const char *targets)
{
    struct problems problems = PROBLEMS_INIT;
    struct snapshot *snapshot = NULL;
    struct checks_plan *plan = NULL;
    char text[8192];
    size_t n = (size_t)snprintf(text, sizeof(text),
                                "{\"listeners\":[{\"bind\":\"unix:/tmp/w\",\"routes\":[{\"respond\":"
                                "{\"status\":200}}]}],\"targets\":{");

    for (const char *at = targets; *at; at++) {
        if (*at == '%')
            n += (size_t)snprintf(text + n, sizeof(text) - n, "\"unix:%s\"", rig->paths[*++at - 'a']);
        else
            text[n++] = *at;
    }
    snprintf(text + n, sizeof(text) - n, "}}");
    if (config_parse(text, strlen(text), "test", &snapshot, &problems))
        problems_print(&problems, "test", "", stderr);
    problems_deinit(&problems);
    assert_non_null(snapshot);
    /* One that comes to nothing before it leaves nothing. */
    assert_int_equal(checks_plan(rig->checks, snapshot, &plan), 0);
    checks_plan_free(plan);
    assert_int_equal(checks_plan(rig->checks, snapshot, &plan), 0);
    snapshot_unref(snapshot);
    checks_adopt(rig->checks, plan);
}

static void turn(struct rig *rig, uint64_t ms)
{
    struct instant end = instant_add_ms(instant_now(), ms);

    do {
        assert_true(loop_run_once(rig->loop, 5) >= 0);
        checks_attend(rig->checks);
        for (int i = 0; i < N_ENDPOINTS; i++) {
            int fd;

            while (rig->n_kept < ARRAY_LENGTH(rig->kept) &&
                   (fd = accept4(rig->fds[i], NULL, NULL, SOCK_CLOEXEC)) >= 0) {
                rig->kept[rig->n_kept++] = fd;
                rig->n_asked[i]++;
            }
        }
    } while (instant_before(instant_now(), end));
}

static void expect_asked(const struct rig *rig, unsigned a, unsigned b, unsigned c)
{
    assert_int_equal(rig->n_asked[0], a);
    assert_int_equal(rig->n_asked[1], b);
    assert_int_equal(rig->n_asked[2], c);
}

/* A reference. */
static struct standing *find_standing(struct rig *rig, struct commons_target *target, int endpoint)
{
    const struct address address = {.kind = ADDRESS_UNIX, .name = rig->paths[endpoint]};
    char *key = address_canonical(&address);
    struct standing *standing = standing_find(&target->standings, key, "");

    free(key);
    return standing;
}

static struct standing *standing_of(struct rig *rig, const char *target, int endpoint)
{
    const struct target_config config = {.name = (char *)(uintptr_t)target};
    struct commons_target *commons = commons_target(&rig->commons, &config, false);
    struct standing *standing = find_standing(rig, commons, endpoint);

    standing_unref(standing);
    commons_target_unref(commons);
    return standing;
}

static bool is_down(struct rig *rig, const char *target, int endpoint)
{
    return standing_rank(standing_of(rig, target, endpoint), instant_now()) == STANDING_DOWN;
}

#define HEALTH "\"health\":{\"interval\":\"10m\",\"fall\":1}"
#define SILENT "\"health\":{\"path\":\"/\",\"interval\":\"10m\",\"timeout\":\"400ms\",\"fall\":1}"

static void test_checks_of_what_stays_are_not_begun_again(void **state)
{
    struct rig *rig = *state;

    reload(rig, "\"app\":{\"endpoints\":[%a,%b]," HEALTH "}");
    turn(rig, 50);
    expect_asked(rig, 1, 1, 0);
    for (int i = 0; i < 5; i++) {
        reload(rig, "\"app\":{\"endpoints\":[%b,%a]," HEALTH "}");
        turn(rig, 20);
    }
    expect_asked(rig, 1, 1, 0);
    /* Another one, in the middle: it alone is asked. */
    reload(rig, "\"other\":{\"endpoints\":[%b]},\"app\":{\"endpoints\":[%b,%c,%a],\"balance\":\"random\"," HEALTH "}");
    turn(rig, 50);
    expect_asked(rig, 1, 1, 1);
    /* Those of another target are others; and what is asked in another way is asked at once. */
    reload(rig,
           "\"new\":{\"endpoints\":[%a]," HEALTH "},\"app\":{\"endpoints\":[%b],\"health\":{\"interval\":\"9m\"}}");
    turn(rig, 50);
    expect_asked(rig, 2, 2, 1);
}

/* An interval counts from the last check on, whatever reloads come between. */
static void test_checks_keep_their_schedule(void **state)
{
    struct rig *rig = *state;
    struct instant begun = instant_now();

    for (int i = 0; i < 25; i++) {
        reload(rig, "\"app\":{\"endpoints\":[%a],\"health\":{\"interval\":\"1s\"}}");
        turn(rig, 100);
    }
    assert_in_range(rig->n_asked[0], 2, 2 + instant_elapsed_us(begun, instant_now()) / 900000);
}

/* One at work is let finish, and told of by the rules that it began with; then it is the new snapshot's. */
static void test_checks_at_work_go_on(void **state)
{
    struct rig *rig = *state;

    reload(rig, "\"app\":{\"endpoints\":[%a]," SILENT "}");
    for (int i = 0; i < 12; i++) {
        turn(rig, 50);
        reload(rig, "\"app\":{\"endpoints\":[%a]," SILENT "}");
    }
    expect_asked(rig, 1, 0, 0);
    assert_true(is_down(rig, "app", 0));
    turn(rig, 50);
    expect_asked(rig, 1, 0, 0);
}

static void test_checks_of_what_is_gone_end(void **state)
{
    struct rig *rig = *state;
    char byte;

    reload(rig, "\"app\":{\"endpoints\":[%a,%b]," SILENT "}");
    turn(rig, 50);
    expect_asked(rig, 1, 1, 0);
    reload(rig, "\"app\":{\"endpoints\":[%b]," SILENT "}");
    turn(rig, 20);
    /* Its connection was closed in the middle of it. */
    while (recv(rig->kept[0], &byte, 1, MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(recv(rig->kept[0], &byte, 1, MSG_DONTWAIT), 0);
    reload(rig, "\"app\":{\"endpoints\":[%b]}");
    turn(rig, 600);
    expect_asked(rig, 1, 1, 0);
    assert_int_equal(checks_n_descriptors(rig->checks), 0);
}

/* Or nobody would ever ask it again. */
static void test_checks_that_end_leave_nobody_down(void **state)
{
    struct rig *rig = *state;
    struct target_config config = {.name = (char *)(uintptr_t) "app"};
    struct commons_target *holder;
    struct standing *standing;

    reload(rig, "\"app\":{\"endpoints\":[%a,%b]," SILENT "}");
    turn(rig, 600);
    assert_true(is_down(rig, "app", 0));
    holder = commons_target(&rig->commons, &config, false); /* a generation */
    standing = find_standing(rig, holder, 0);
    reload(rig, "\"app\":{\"endpoints\":[%a,%b]," SILENT "}");
    assert_true(is_down(rig, "app", 0));
    reload(rig, "\"app\":{\"endpoints\":[%a,%b],\"health\":{\"path\":\"/\",\"fall\":2}}");
    assert_true(is_down(rig, "app", 0));
    reload(rig, "\"app\":{\"endpoints\":[%a,%b]}");
    assert_false(is_down(rig, "app", 0));
    assert_true(standings_are_good(&holder->standings));
    standing_unref(standing);
    commons_target_unref(holder);
}

/* More than may be at work at once: those that wait are not forgotten, nor asked twice. Their second time may come
 * after a thousandth of the interval. */
static void test_checks_that_wait_go_on(void **state)
{
    struct rig *rig = *state;
    char targets[4096] = "";
    size_t n = 0;

    for (int i = 0; i < 40; i++)
        n += (size_t)snprintf(targets + n, sizeof(targets) - n,
                              "%s\"t%d\":{\"endpoints\":[%%a],\"health\":{\"path\":\"/\","
                              "\"interval\":\"10h\",\"timeout\":\"2s\"}}",
                              i ? "," : "", i);
    reload(rig, targets);
    turn(rig, 100);
    assert_int_equal(rig->n_asked[0], CHECKS_MOST_AT_ONCE);
    reload(rig, targets);
    turn(rig, 100);
    assert_int_equal(rig->n_asked[0], CHECKS_MOST_AT_ONCE);
    for (int i = 0; i < 100 && rig->n_asked[0] < 40; i++)
        turn(rig, 100);
    turn(rig, 100);
    assert_int_equal(rig->n_asked[0], 40);
}

#define CHECKS_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        CHECKS_TEST(test_checks_of_what_stays_are_not_begun_again),
        CHECKS_TEST(test_checks_keep_their_schedule),
        CHECKS_TEST(test_checks_at_work_go_on),
        CHECKS_TEST(test_checks_of_what_is_gone_end),
        CHECKS_TEST(test_checks_that_end_leave_nobody_down),
        CHECKS_TEST(test_checks_that_wait_go_on),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
