#include "tests/unit/exchange_rig.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <cmocka.h>

#include "tests/unit/http_text.h"
#include "tests/unit/name_service.h"
#include "tests/unit/publish_fixture.h"

#define RIG_TURNS_MOST 10000

static void rig_on_wake(struct exchange_client *client)
{
    CONTAINER_OF(client, struct rig, client)->n_wakes++;
}

static void rig_on_left(struct admission_desk *desk)
{
    struct rig *rig = desk->closure;

    rig->n_left++;
    admission_wait(desk, ADMISSION_FULL);
}

struct admission_pass rig_pass(struct rig *rig)
{
    struct admission_pass pass;

    admission_wait(&rig->admission.desks[0], ADMISSION_FULL);
    assert_int_equal(admission_enter(&rig->admission.desks[0], 7, false, &pass), ADMISSION_IN);
    return pass;
}

static void rig_listen(struct rig *rig)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};

    snprintf(rig->directory, sizeof(rig->directory), "/tmp/porthole-unit-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    snprintf(rig->path, sizeof(rig->path), "%s/target.sock", rig->directory);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s", rig->path);
    rig->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    assert_int_equal(bind(rig->listen_fd, (struct sockaddr *)&address, sizeof(address)), 0);
    assert_int_equal(listen(rig->listen_fd, 64), 0);
}

static void rig_configure(struct rig *rig)
{
    rig->endpoint =
        (struct endpoint_config){.address = {.kind = ADDRESS_UNIX, .text = rig->path, .name = rig->path}, .weight = 1};
    rig->target_config = (struct target_config){.name = "app",
                                                .endpoints = &rig->endpoint,
                                                .n_endpoints = 1,
                                                .connections_max = 16,
                                                .connections_queue = 16,
                                                .connections_idle = 16,
                                                .connections_idle_timeout_ms = RIG_PATIENCE_MS,
                                                .connections_max_age_ms = RIG_PATIENCE_MS,
                                                .connect_timeout_ms = RIG_PATIENCE_MS,
                                                .resolve_every_ms = RIG_PATIENCE_MS,
                                                .times.response_ms = RIG_PATIENCE_MS,
                                                .times.idle_ms = RIG_PATIENCE_MS,
                                                .times.tunnel_ms = RIG_PATIENCE_MS,
                                                .retries = {.attempts = 1,
                                                            .on = 1u << RETRY_CONNECT | 1u << RETRY_REUSED,
                                                            .budget_milli = 200,
                                                            .per_try_ms = UINT64_MAX}};
    rig->route = (struct route_config){.name = "front#1",
                                       .action = ROUTE_TARGET,
                                       .target = &rig->target_config,
                                       .respond = {.body = "", .content_type = "text/plain"}};
    rig->listener = (struct listener_config){.name = "front",
                                             .bind = {.kind = ADDRESS_UNIX, .name = "/front"},
                                             .limit_header_bytes = 16384,
                                             .limit_body_bytes = SIZE_UNLIMITED,
                                             .timeout_head_ms = RIG_PATIENCE_MS,
                                             .timeout_body_ms = RIG_PATIENCE_MS,
                                             .timeout_idle_ms = RIG_PATIENCE_MS,
                                             .limit_connections = 16,
                                             .limit_connections_per_uid = 15,
                                             .routes = &rig->route,
                                             .n_routes = 1};
    rig->snapshot = (struct snapshot){.references = 1,
                                      .n_workers = 1,
                                      .listeners = &rig->listener,
                                      .n_listeners = 1,
                                      .targets = &rig->target_config,
                                      .n_targets = 1};
    rig->client = (struct exchange_client){.wake = rig_on_wake,
                                           .listener = &rig->listener,
                                           .node = TEXT_LITERAL("_uid-7.gid-8"),
                                           .peer = TEXT_LITERAL("unix:uid=7,gid=8")};
}

static void rig_make_generation(struct rig *rig)
{
    rig->generation = generation_new(&rig->snapshot, &rig->endpoints);
    assert_non_null(rig->generation);
    rig->target = &rig->generation->targets[0];
    rig->client.generation = rig->generation;
}

void rig_renew(struct rig *rig)
{
    generation_unref(rig->generation);
    rig_make_generation(rig);
    assert_int_equal(exchange_env_grow(&rig->env, rig->generation), 0);
    exchange_env_renew(&rig->env, rig->generation);
}

int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    assert_int_equal(connect_global_init(true), 0);
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN); /* opens a descriptor of its own */
    rig->descriptors = fixture_count_descriptors();
    rig->target_fd = -1;
    rig->client_fd = -1;
    rig_listen(rig);
    rig_configure(rig);
    rig->loop = loop_new();
    mailbox_init(&rig->mailbox, rig->loop);
    name_service_reset("127.0.0.1");
    rig->resolver = resolver_new(name_service_look_up);
    rig->connector = connector_new(rig->loop);
    assert_non_null(rig->connector);
    connector_ask_for_names(rig->connector, &(struct resolver_desk){rig->resolver, &rig->mailbox});
    assert_int_equal(commons_init(&rig->commons, 1), 0);
    endpoints_init(&rig->endpoints, rig->loop, rig->connector, &rig->commons, 0);
    rig_make_generation(rig);
    rig->env = (struct exchange_env){.loop = rig->loop, .recorder.metrics = &rig->metrics};
    assert_int_equal(exchange_env_init(&rig->env, rig->generation), 0);
    admission_house_init(&rig->house);
    assert_int_equal(admission_init(&rig->admission, &rig->house, &rig->listener, 1), 0);
    rig->admission.desks[0].told = rig_on_left;
    rig->admission.desks[0].closure = rig;
    *state = rig;
    return 0;
}

int rig_teardown(void **state)
{
    struct rig *rig = *state;
    bool clean;

    exchange_end(rig->exchange, false);
    tunnels_cut_all(&rig->env.tunnels);
    clean = !rig->target->commons ||
            (places_n_held(&rig->target->commons->places) == 0 && !places_any_wait(&rig->target->commons->places));
    clean = clean && rig->admission.n_clients == 0 && rig->admission.n_users == 0;
    admission_deinit(&rig->admission);
    admission_house_deinit(&rig->house);
    exchange_env_deinit(&rig->env);
    clean = clean && rig->generation->n_holders == 1;
    generation_unref(rig->generation);
    clean = clean && rig->snapshot.references == 1;
    endpoints_deinit(&rig->endpoints);
    commons_deinit(&rig->commons);
    connector_free(rig->connector);
    resolver_free(rig->resolver);
    mailbox_deinit(&rig->mailbox);
    loop_free(rig->loop);
    rig_close(rig);
    if (rig->client_fd >= 0)
        close(rig->client_fd);
    rig_stop_listening(rig);
    rmdir(rig->directory);
    clean = clean && fixture_count_descriptors() == rig->descriptors;
    free(rig);
    return clean ? 0 : -1;
}

void rig_heed(struct rig *rig)
{
    struct message *message;

    while ((message = mailbox_take(&rig->mailbox)))
        message->run(message);
}

static int rig_round(struct rig *rig, int ms)
{
    bool busy = tunnels_are_ready(&rig->env.tunnels);
    int n = loop_run_once(rig->loop, busy ? 0 : ms);

    assert_true(n >= 0);
    rig_heed(rig);
    tunnels_turn(&rig->env.tunnels);
    return busy || n > 0;
}

void rig_turn(struct rig *rig)
{
    exchanges_turn(&rig->env);
    for (int i = 0; rig_round(rig, 0); i++)
        assert_true(i < RIG_TURNS_MOST);
}

void rig_pass_ms(struct rig *rig, unsigned ms)
{
    struct instant end = instant_add_ms(instant_now(), ms);

    while (instant_before(instant_now(), end))
        rig_round(rig, 1);
    rig_round(rig, 0); /* the loop knows that it has passed */
}

void rig_await_wake(struct rig *rig)
{
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);
    unsigned before = rig->n_wakes;

    while (rig->n_wakes == before) {
        rig_round(rig, 10);
        if (!instant_before(instant_now(), end))
            fail_msg("the client was never woken");
    }
}

void rig_await_outcome(struct rig *rig, enum outcome outcome)
{
    struct instant end = instant_add_ms(instant_now(), RIG_PATIENCE_MS);

    while (rig_count(rig, outcome) == 0) {
        rig_round(rig, 10);
        if (!instant_before(instant_now(), end))
            fail_msg("%s was never counted", outcome_info(outcome)->name);
    }
}

/* ---- the client ---- */

enum exchange_verdict rig_begin(struct rig *rig, const char *head)
{
    struct request_text text;
    struct fields *fields;

    assert_null(rig->exchange);
    assert_true(request_from_text(&text, text_of(head)));
    rig->exchange = exchange_new(&rig->env, &rig->client, text.request.target);
    assert_non_null(rig->exchange);
    fields = exchange_fields(rig->exchange);
    if (text.request.fields.n_items > fields->capacity)
        assert_true(exchange_grow_fields(rig->exchange));
    for (size_t i = 0; i < text.request.fields.n_items; i++)
        fields->items[i] = text.items[i];
    fields->n_items = text.request.fields.n_items;
    rig->verdict = exchange_head(rig->exchange, text.request.method, text.request.minor, strlen(head));
    return rig->verdict;
}

enum exchange_body_result rig_send_body(struct rig *rig, const char *data)
{
    enum exchange_body_result result;

    assert_true(exchange_takes_body(rig->exchange));
    result = exchange_body(rig->exchange, data, strlen(data));
    rig_turn(rig);
    return result;
}

void rig_finish_request(struct rig *rig)
{
    exchange_body_end(rig->exchange, NULL);
    rig_turn(rig);
}

void rig_finish_request_with(struct rig *rig, const char *trailers)
{
    struct request_text text;
    char head[2048];

    assert_true(snprintf(head, sizeof(head), "GET / 1\n%s", trailers) < (int)sizeof(head));
    assert_true(request_from_text(&text, text_of(head)));
    exchange_body_end(rig->exchange, &text.request.fields);
    rig_turn(rig);
}

void rig_take_answer(struct rig *rig)
{
    memset(&rig->answer, 0, sizeof(rig->answer));
    rig->n_body = 0;
    rig->body[0] = '\0';
    assert_true(exchange_answer(rig->exchange, &rig->answer));
}

ssize_t rig_take_body(struct rig *rig, size_t piece)
{
    ssize_t n;

    if (rig->answer.body == ANSWER_BUFFER) {
        assert_true(rig->answer.has_length);
        assert_true(rig->answer.length < sizeof(rig->body));
        memcpy(rig->body, rig->answer.data, rig->answer.length);
        rig->n_body = rig->answer.length;
        rig->body[rig->n_body] = '\0';
        return UPSTREAM_END;
    }
    if (rig->answer.body == ANSWER_NONE)
        return UPSTREAM_END;
    while ((n = exchange_read(rig->exchange, rig->body + rig->n_body, piece)) > 0 ||
           (n == UPSTREAM_WAIT && exchanges_are_ready(&rig->env))) {
        assert_true((size_t)n <= piece);
        exchanges_turn(&rig->env); /* the rest of what was too much for one */
        rig->n_body += (size_t)n;
        assert_true(rig->n_body + piece < sizeof(rig->body));
    }
    rig->body[rig->n_body] = '\0';
    return n;
}

void rig_end(struct rig *rig, bool delivered, enum outcome outcome)
{
    uint64_t before[N_OUTCOMES];

    for (int i = 0; i < N_OUTCOMES; i++)
        before[i] = rig_count(rig, (enum outcome)i);
    exchange_end(rig->exchange, delivered);
    rig->exchange = NULL;
    for (int i = 0; i < N_OUTCOMES; i++)
        if (rig_count(rig, (enum outcome)i) != before[i] + (i == (int)outcome))
            fail_msg("outcome %s was counted %d times, expected %s", outcome_info((enum outcome)i)->name,
                     (int)(rig_count(rig, (enum outcome)i) - before[i]), outcome_info(outcome)->name);
}

const char *rig_field(const struct rig *rig, const char *name)
{
    for (size_t i = 0; i < rig->answer.n_fields; i++) {
        const struct field *field = &rig->answer.fields[i];

        if (!field->drop && text_equal_nocase(field->name, text_of(name)))
            return field->value.data;
    }
    return NULL;
}

struct tunnel_client rig_make_client(struct rig *rig)
{
    int ends[2];

    if (rig->client_fd >= 0)
        close(rig->client_fd);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    rig->client_fd = ends[1];
    return (struct tunnel_client){.fd = ends[0],
                                  .generation = rig->generation,
                                  .listener = &rig->listener,
                                  .pass = rig_pass(rig),
                                  .is_unix = rig->listener.bind.kind != ADDRESS_TCP};
}

void rig_one_exchange(struct rig *rig)
{
    assert_int_equal(rig_begin(rig, "GET /before 1\nHost: a"), EXCHANGE_FORWARD);
    rig_finish_request(rig);
    if (rig->target_fd < 0 || rig_has_connection(rig))
        rig_accept(rig);
    rig_expect_request(rig, "GET /before HTTP/1.1\r\n", "\r\n\r\n");
    rig_send(rig, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok");
    rig_take_answer(rig);
    rig_end(rig, true, OUTCOME_FORWARDED);
}

/* ---- the target ---- */

bool rig_has_connection(struct rig *rig)
{
    struct timeval none = {0, 0};
    fd_set set;

    FD_ZERO(&set);
    FD_SET(rig->listen_fd, &set);
    return select(rig->listen_fd + 1, &set, NULL, NULL, &none) == 1;
}

void rig_accept(struct rig *rig)
{
    rig_close(rig);
    rig->target_fd = accept4(rig->listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (rig->target_fd < 0)
        fail_msg("nobody connected to the target: %s", strerror(errno));
}

ssize_t rig_receive(struct rig *rig)
{
    ssize_t n;

    rig->n_received = 0;
    do {
        n = recv(rig->target_fd, rig->received + rig->n_received, sizeof(rig->received) - 1 - rig->n_received, 0);
        if (n > 0)
            rig->n_received += (size_t)n;
    } while (n > 0);
    rig->received[rig->n_received] = '\0';
    if (n < 0 && errno != EAGAIN)
        return -2;
    if (n == 0 && rig->n_received == 0)
        return -1;
    return (ssize_t)rig->n_received;
}

void rig_expect_request(struct rig *rig, const char *first, const char *last)
{
    size_t n_last = strlen(last);

    rig_receive(rig);
    if (strncmp(rig->received, first, strlen(first)) != 0 || rig->n_received < n_last ||
        strcmp(rig->received + rig->n_received - n_last, last) != 0)
        fail_msg("expected '%s...%s', got '%s'", first, last, rig->received);
}

void rig_send_bytes(struct rig *rig, const char *data, size_t length)
{
    assert_int_equal(send(rig->target_fd, data, length, MSG_NOSIGNAL), length);
    rig_turn(rig);
}

void rig_send(struct rig *rig, const char *data)
{
    rig_send_bytes(rig, data, strlen(data));
}

void rig_close(struct rig *rig)
{
    if (rig->target_fd >= 0)
        close(rig->target_fd);
    rig->target_fd = -1;
}

void rig_stop_listening(struct rig *rig)
{
    if (rig->listen_fd >= 0)
        close(rig->listen_fd);
    rig->listen_fd = -1;
    unlink(rig->path);
}

uint32_t rig_n_idle(const struct rig *rig)
{
    return target_n_open(rig->target) - places_n_held(&rig->target->commons->places);
}

uint64_t rig_count(const struct rig *rig, enum outcome outcome)
{
    return counter_read(&rig->metrics.outcomes[outcome]);
}

void rig_send_with_descriptor(int fd, const char *data, size_t length)
{
    union {
        struct cmsghdr header;
        char bytes[CMSG_SPACE(sizeof(int))];
    } control = {.bytes = {0}};
    struct iovec part = {(void *)data, length};
    struct msghdr message = {
        .msg_iov = &part, .msg_iovlen = 1, .msg_control = &control, .msg_controllen = sizeof(control)};
    int passed = STDERR_FILENO;

    control.header.cmsg_level = SOL_SOCKET;
    control.header.cmsg_type = SCM_RIGHTS;
    control.header.cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(&control.header), &passed, sizeof(passed));
    assert_int_equal(sendmsg(fd, &message, MSG_NOSIGNAL), length);
}
