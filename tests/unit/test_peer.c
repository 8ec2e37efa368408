/* Peers: credentials as of connect, rules by uid and by every kind of gid, and how they are written. */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/error.h"
#include "proxy/listen/peer.h"

#define STRANGER_UID 1234
#define STRANGER_GID 2345
#define N_MANY_GROUPS 200 /* more than fit into the first read */
#define FIRST_GROUP 7000

/* A connection from a child process with other credentials. */
struct connection {
    int fd;
    pid_t pid;
    int stop; /* the child leaves when this is closed */
};

/* The child becomes uid and gid with n_groups supplementary groups, then makes the pair that the parent looks at. */
static void connection_child(int channel, int stop, size_t n_groups)
{
    gid_t groups[N_MANY_GROUPS];
    int pair[2];
    char byte = 0, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);

    for (size_t i = 0; i < n_groups; i++)
        groups[i] = (gid_t)(FIRST_GROUP + i);
    if (setgroups(n_groups, groups) < 0 || setresgid(STRANGER_GID, STRANGER_GID, STRANGER_GID) < 0 ||
        setresuid(STRANGER_UID, STRANGER_UID, STRANGER_UID) < 0 || socketpair(AF_UNIX, SOCK_STREAM, 0, pair) < 0)
        _exit(1);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof(int));
    memcpy(CMSG_DATA(header), &pair[0], sizeof(int));
    if (sendmsg(channel, &message, 0) != 1)
        _exit(1);
    _exit(read(stop, &byte, 1) == 0 ? 0 : 1);
}

static struct connection connection_open(size_t n_groups)
{
    char byte, control[CMSG_SPACE(sizeof(int))] = {0};
    struct iovec iov = {&byte, 1};
    struct msghdr message = {
        .msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
    struct connection connection;
    const struct cmsghdr *header;
    int channel[2], stop[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, channel), 0);
    assert_int_equal(pipe2(stop, O_CLOEXEC), 0);
    connection.pid = fork();
    assert_true(connection.pid >= 0);
    if (connection.pid == 0) {
        close(stop[1]);
        close(channel[0]);
        connection_child(channel[1], stop[0], n_groups);
    }
    close(stop[0]);
    close(channel[1]);
    assert_int_equal(recvmsg(channel[0], &message, 0), 1);
    header = CMSG_FIRSTHDR(&message);
    if (!header)
        abort();
    memcpy(&connection.fd, CMSG_DATA(header), sizeof(int));
    connection.stop = stop[1];
    close(channel[0]);
    return connection;
}

static void connection_close(struct connection *connection)
{
    int status;

    close(connection->stop);
    assert_int_equal(waitpid(connection->pid, &status, 0), connection->pid);
    assert_int_equal(status, 0);
    close(connection->fd);
}

static const struct peer_rule rule_uid = {.has_uid = true, .uid = STRANGER_UID};
static const struct peer_rule rule_other_uid = {.has_uid = true, .uid = STRANGER_UID + 1};
static const struct peer_rule rule_gid = {.has_gid = true, .gid = STRANGER_GID};
static const struct peer_rule rule_other_gid = {.has_gid = true, .gid = STRANGER_GID + 1};
static const struct peer_rule rule_nothing = {.has_uid = false};

static bool allowed(const struct connection *connection, const struct peer_rule *rules, size_t n)
{
    struct peer peer;

    assert_int_equal(peer_read(connection->fd, true, &peer), 0);
    return peer_is_allowed(&peer, connection->fd, rules, n);
}

static void test_peer_unix_credentials_are_the_connectors(void **state)
{
    struct connection connection = connection_open(0);
    struct peer peer;
    char text[64];

    (void)state;
    assert_int_equal(peer_read(connection.fd, true, &peer), 0);
    assert_true(peer.is_unix);
    assert_int_equal(peer.uid, STRANGER_UID);
    assert_int_equal(peer.gid, STRANGER_GID);
    assert_int_equal(peer.pid, connection.pid);
    assert_string_equal(peer.address, "");
    assert_int_equal(peer_format(&peer, text, sizeof(text)), strlen("unix:uid=1234,gid=2345"));
    assert_string_equal(text, "unix:uid=1234,gid=2345");
    connection_close(&connection);
}

static void test_peer_rules_by_uid_and_gid_need_all_that_is_given(void **state)
{
    struct connection connection = connection_open(0);
    struct peer_rule both = {.has_uid = true, .uid = STRANGER_UID, .has_gid = true, .gid = STRANGER_GID};
    struct peer_rule two[] = {rule_other_uid, rule_gid};

    (void)state;
    assert_true(allowed(&connection, NULL, 0));
    assert_true(allowed(&connection, &rule_uid, 1));
    assert_false(allowed(&connection, &rule_other_uid, 1));
    assert_true(allowed(&connection, &rule_gid, 1));
    assert_false(allowed(&connection, &rule_other_gid, 1));
    assert_true(allowed(&connection, &both, 1));
    both.uid++;
    assert_false(allowed(&connection, &both, 1));
    both = (struct peer_rule){.has_uid = true, .uid = STRANGER_UID, .has_gid = true, .gid = STRANGER_GID + 1};
    assert_false(allowed(&connection, &both, 1));
    assert_true(allowed(&connection, two, 2));
    assert_false(allowed(&connection, &rule_nothing, 1));
    connection_close(&connection);
}

static void test_peer_supplementary_groups_match_few_and_many(void **state)
{
    static const size_t counts[] = {1, 64, 65, N_MANY_GROUPS};

    (void)state;
    for (size_t i = 0; i < ARRAY_LENGTH(counts); i++) {
        struct connection connection = connection_open(counts[i]);
        struct peer_rule last = {.has_gid = true, .gid = (gid_t)(FIRST_GROUP + counts[i] - 1)};
        struct peer_rule beyond = {.has_gid = true, .gid = (gid_t)(FIRST_GROUP + counts[i])};
        struct peer_rule several[] = {beyond, last};

        assert_true(allowed(&connection, &last, 1));
        assert_false(allowed(&connection, &beyond, 1));
        assert_true(allowed(&connection, several, 2));
        connection_close(&connection);
    }
}

static bool denied(const struct connection *connection, const struct peer_rule *rules, size_t n)
{
    struct peer peer;

    assert_int_equal(peer_read(connection->fd, true, &peer), 0);
    return peer_is_denied(&peer, connection->fd, rules, n);
}

static void test_peer_rules_that_deny_fit_as_those_that_allow(void **state)
{
    struct connection connection = connection_open(2);
    struct peer_rule both = {.has_uid = true, .uid = STRANGER_UID, .has_gid = true, .gid = STRANGER_GID + 1};
    struct peer_rule second = {.has_gid = true, .gid = FIRST_GROUP + 1};
    struct peer_rule two[] = {rule_other_uid, second};

    (void)state;
    assert_false(denied(&connection, NULL, 0));
    assert_true(denied(&connection, &rule_uid, 1));
    assert_false(denied(&connection, &rule_other_uid, 1));
    assert_true(denied(&connection, &rule_gid, 1));
    assert_false(denied(&connection, &rule_other_gid, 1));
    assert_false(denied(&connection, &both, 1));
    assert_true(denied(&connection, two, 2));
    assert_false(denied(&connection, &rule_nothing, 1));
    connection_close(&connection);
}

static void test_peer_of_whom_too_little_is_known_is_denied(void **state)
{
    struct peer nobody = {.is_unix = true, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct peer secretive = {.is_unix = true, .uid = STRANGER_UID, .gid = STRANGER_GID};
    struct peer remote = {.uid = (uid_t)-1};

    (void)state;
    assert_true(peer_is_denied(&nobody, -1, &rule_uid, 1));
    assert_true(peer_is_denied(&secretive, -1, &rule_other_gid, 1));
    assert_false(peer_is_denied(&secretive, -1, &rule_other_uid, 1));
    assert_false(peer_is_denied(&remote, -1, &rule_uid, 1));
}

static void test_peer_without_credentials_matches_no_rule(void **state)
{
    struct peer peer = {.is_unix = true, .uid = (uid_t)-1, .gid = (gid_t)-1};
    struct peer_rule nobody = {.has_uid = true, .uid = (uid_t)-1};
    struct peer_rule nobodys = {.has_gid = true, .gid = (gid_t)-1};

    (void)state;
    assert_false(peer_is_allowed(&peer, -1, &nobody, 1));
    assert_false(peer_is_allowed(&peer, -1, &nobodys, 1));
    assert_true(peer_is_allowed(&peer, -1, NULL, 0));
}

static void test_peer_groups_that_cannot_be_read_do_not_match(void **state)
{
    struct peer peer = {.is_unix = true, .uid = STRANGER_UID, .gid = STRANGER_GID};

    (void)state;
    assert_false(peer_is_allowed(&peer, -1, &rule_other_gid, 1));
    assert_true(peer_is_allowed(&peer, -1, &rule_gid, 1));
}

static void test_peer_read_without_a_connection_fails_and_keeps_output(void **state)
{
    struct peer peer = {.port = 42};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    (void)state;
    assert_int_equal(peer_read(fd, false, &peer), -ENOTCONN);
    close(fd);
    assert_int_equal(peer_read(fd, false, &peer), -EBADF);
    assert_int_equal(peer.port, 42);
}

static void test_peer_tcp_has_address_and_matches_no_rule(void **state)
{
    struct sockaddr_in address = {.sin_family = AF_INET}, client_address = {.sin_family = AF_INET};
    socklen_t length = sizeof(address);
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int client = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct peer_rule root = {.has_uid = true, .uid = 0};
    struct peer peer;
    int fd;

    (void)state;
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, length), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &length), 0);
    assert_int_equal(connect(client, (struct sockaddr *)&address, length), 0);
    assert_int_equal(getsockname(client, (struct sockaddr *)&client_address, &length), 0);
    fd = accept(listener, NULL, NULL);
    assert_int_equal(peer_read(fd, false, &peer), 0);
    assert_false(peer.is_unix);
    assert_string_equal(peer.address, "127.0.0.1");
    assert_int_equal(peer.port, ntohs(client_address.sin_port));
    assert_int_equal(peer.uid, (uid_t)-1);
    assert_false(peer_is_allowed(&peer, fd, &root, 1));
    assert_true(peer_is_allowed(&peer, fd, NULL, 0));
    close(fd);
    close(client);
    close(listener);
}

static void test_peer_format_writes_both_families_and_cuts_to_size(void **state)
{
    struct peer peer = {.address = "192.0.2.1", .port = 4711};
    char text[64], small[8];

    (void)state;
    assert_int_equal(peer_format(&peer, text, sizeof(text)), 14);
    assert_string_equal(text, "192.0.2.1:4711");
    strcpy(peer.address, "2001:db8::1");
    peer_format(&peer, text, sizeof(text));
    assert_string_equal(text, "[2001:db8::1]:4711");
    assert_int_equal(peer_format(&peer, small, sizeof(small)), 7);
    assert_string_equal(small, "[2001:d");
    assert_int_equal(peer_format(&peer, small, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_peer_unix_credentials_are_the_connectors),
        cmocka_unit_test(test_peer_rules_by_uid_and_gid_need_all_that_is_given),
        cmocka_unit_test(test_peer_supplementary_groups_match_few_and_many),
        cmocka_unit_test(test_peer_rules_that_deny_fit_as_those_that_allow),
        cmocka_unit_test(test_peer_of_whom_too_little_is_known_is_denied),
        cmocka_unit_test(test_peer_without_credentials_matches_no_rule),
        cmocka_unit_test(test_peer_groups_that_cannot_be_read_do_not_match),
        cmocka_unit_test(test_peer_read_without_a_connection_fails_and_keeps_output),
        cmocka_unit_test(test_peer_tcp_has_address_and_matches_no_rule),
        cmocka_unit_test(test_peer_format_writes_both_families_and_cuts_to_size),
    };

    return cmocka_run_group_tests_name("peer", tests, NULL, NULL);
}
