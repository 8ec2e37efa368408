/* Outputs: lines come out whole, nothing blocks, and nobody who shares a place is harmed. */
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "proxy/base/output.h"

/* A directory with a file in it, which goes with the test. */
struct rig {
    char directory[64], path[80], moved[80];
    char content[1 << 17];
};

static int rig_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_non_null(rig);
    strcpy(rig->directory, "/tmp/porthole-unit-output-XXXXXX");
    assert_non_null(mkdtemp(rig->directory));
    snprintf(rig->path, sizeof(rig->path), "%.64s/log", rig->directory);
    snprintf(rig->moved, sizeof(rig->moved), "%.64s/log.1", rig->directory);
    *state = rig;
    return 0;
}

static int rig_teardown(void **state)
{
    struct rig *rig = *state;

    unlink(rig->path);
    unlink(rig->moved);
    rmdir(rig->directory);
    free(rig);
    return 0;
}

static const char *content_of(struct rig *rig, const char *path)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t n;

    assert_true(fd >= 0);
    n = read(fd, rig->content, sizeof(rig->content) - 1);
    assert_true(n >= 0);
    rig->content[n] = '\0';
    close(fd);
    return rig->content;
}

static struct output *opened(const char *name)
{
    struct output *output = NULL;
    int r = output_open(name, &output);

    if (r < 0)
        fail_msg("%s: %s", name, strerror(-r));
    return output;
}

static ssize_t put(struct output *output, const char *lines)
{
    return output_write(output, lines, strlen(lines));
}

static void test_output_pipe_is_non_blocking_for_us_alone(void **state)
{
    static char line[OUTPUT_WRITE_BYTES];
    struct output *output;
    char name[32];
    int ends[2];
    int n = 0;
    ssize_t r;

    (void)state;
    memset(line, '\n', sizeof(line));
    assert_int_equal(pipe(ends), 0);
    snprintf(name, sizeof(name), "/dev/fd/%d", ends[1]);
    output = opened(name);
    while ((r = output_write(output, line, sizeof(line))) > 0)
        assert_true(++n < 100000);
    assert_int_equal(r, -EAGAIN);
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    output_unref(output);
    close(ends[0]);
    close(ends[1]);
    assert_int_equal(output_open(name, &output), -EBADF);
}

/* A socket has no second description: what is written must not block even so. */
static void test_output_full_socket_says_try_again(void **state)
{
    char line[1000], name[32];
    struct output *output;
    int ends[2];
    int n = 0;
    ssize_t r;

    (void)state;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, ends), 0);
    snprintf(name, sizeof(name), "/proc/self/fd/%d", ends[1]);
    output = opened(name);
    while ((r = output_write(output, line, sizeof(line))) > 0)
        assert_true(++n < 100000);
    assert_int_equal(r, -EAGAIN);
    assert_false(fcntl(ends[1], F_GETFL) & O_NONBLOCK);
    close(ends[0]); /* no SIGPIPE */
    assert_int_equal(put(output, "x\n"), -EPIPE);
    output_unref(output);
    close(ends[1]);
}

/* Whatever the descriptor is: a socket cannot be opened by its path. */
static void test_output_every_name_of_a_descriptor_means_it(void **state)
{
    struct rig *rig = *state;
    int ends[2], saved = fcntl(STDOUT_FILENO, F_DUPFD_CLOEXEC, 3);
    struct output *outputs[7];
    char process[40], data[64];

    snprintf(process, sizeof(process), "/proc/%ld/fd/1", (long)getpid());
    assert_int_equal(symlink("/dev/stdout", rig->path), 0);
    fflush(stdout);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    assert_int_equal(dup2(ends[0], STDOUT_FILENO), STDOUT_FILENO);
    outputs[0] = opened("stdout");
    outputs[1] = opened("/dev/stdout");
    outputs[2] = opened("/dev/fd/1");
    outputs[3] = opened("/proc/self/fd/1");
    outputs[4] = opened("/proc/thread-self/fd/1");
    outputs[5] = opened(process);
    outputs[6] = opened(rig->path);
    assert_int_equal(dup2(saved, STDOUT_FILENO), STDOUT_FILENO);
    close(saved);
    for (size_t i = 0; i < ARRAY_LENGTH(outputs); i++) {
        assert_int_equal(put(outputs[i], "line\n"), 5);
        assert_int_equal(read(ends[1], data, sizeof(data)), 5);
        output_unref(outputs[i]);
    }
    close(ends[0]);
    close(ends[1]);
    output_unref(NULL);
}

/* "( echo; porthole; echo ) > file": one offset for all. */
static void test_output_file_that_was_given_shares_its_offset(void **state)
{
    struct rig *rig = *state;
    int fd = open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    struct output *output;
    char name[32];

    assert_true(fd >= 0);
    assert_int_equal(write(fd, "script 1\n", 9), 9);
    snprintf(name, sizeof(name), "/dev/fd/%d", fd);
    output = opened(name);
    assert_int_equal(put(output, "ours\n"), 5);
    assert_int_equal(write(fd, "script 2\n", 9), 9);
    assert_int_equal(put(output, "ours\n"), 5);
    assert_string_equal(content_of(rig, rig->path), "script 1\nours\nscript 2\nours\n");
    output_unref(output);
    close(fd);
}

/* A full disk, which takes a part of a line: a limit on the size of files behaves like one. */
static void test_output_full_file_takes_whole_lines_and_tears_one_off(void **state)
{
    struct rig *rig = *state;
    struct output *output = opened(rig->path);
    struct output *other = opened(rig->path);
    struct rlimit room, before;

    signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    room = (struct rlimit){12, before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &room), 0);
    assert_int_equal(put(output, "one\ntwo\nthree\n"), 8);
    assert_true(put(output, "three\n") < 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(put(other, "three\n"), 6);
    assert_int_equal(put(output, "four\n"), 5);
    assert_string_equal(content_of(rig, rig->path), "one\ntwo\nthre\nthree\nfour\n");
    output_unref(output);
    output_unref(other);
}

static void test_output_reopened_writes_to_the_new_file(void **state)
{
    struct rig *rig = *state;
    struct output *output = opened(rig->path);
    struct error error = ERROR_INIT;
    struct stat status;

    assert_int_equal(put(output, "old\n"), 4);
    assert_int_equal(rename(rig->path, rig->moved), 0);
    assert_int_equal(put(output, "old\n"), 4);
    assert_int_equal(output_reopen_all(&error), 0);
    assert_int_equal(put(output, "new\n"), 4);
    assert_string_equal(content_of(rig, rig->moved), "old\nold\n");
    assert_string_equal(content_of(rig, rig->path), "new\n");
    assert_int_equal(stat(rig->path, &status), 0);
    assert_int_equal(status.st_mode & 0777 & ~0640, 0);
    output_unref(output);
}

static void test_output_that_cannot_be_reopened_stays(void **state)
{
    struct rig *rig = *state;
    struct output *output = opened(rig->path);
    struct error error = ERROR_INIT;

    assert_int_equal(rename(rig->path, rig->moved), 0);
    assert_int_equal(mkdir(rig->path, 0700), 0);
    assert_int_equal(output_reopen_all(&error), -EISDIR);
    assert_non_null(strstr(error.message, rig->path));
    assert_int_equal(put(output, "still\n"), 6);
    assert_string_equal(content_of(rig, rig->moved), "still\n");
    output_unref(output);
    rmdir(rig->path);
}

/* What others may put at the path of a log: neither opened nor opened again, and the lines stay where they went. */
static void expect_refused(struct rig *rig, struct output *output, int code)
{
    struct error error = ERROR_INIT;
    struct output *other = NULL;
    char same[128];

    snprintf(same, sizeof(same), "%s/./log", rig->directory);
    assert_int_equal(output_open(same, &other), code);
    assert_null(other);
    assert_int_equal(output_reopen_all(&error), code);
    assert_non_null(strstr(error.message, output_explain(code)));
    assert_int_equal(put(output, "still\n"), 6);
    assert_int_equal(unlink(rig->path), 0);
}

static void test_output_of_a_planted_file_is_refused_and_stays(void **state)
{
    struct rig *rig = *state;
    struct output *output = opened(rig->path);
    char victim[128];

    snprintf(victim, sizeof(victim), "%s/victim", rig->directory);
    assert_true(close(open(victim, O_WRONLY | O_CREAT | O_CLOEXEC, 0600)) == 0);
    assert_int_equal(rename(rig->path, rig->moved), 0);
    assert_int_equal(symlink("victim", rig->path), 0); /* wherever it is */
    expect_refused(rig, output, -ELOOP);
    assert_int_equal(chmod(rig->directory, 0777), 0);
    assert_int_equal(link(victim, rig->path), 0);
    expect_refused(rig, output, -EPERM);
    assert_true(close(open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0666)) == 0);
    assert_int_equal(chown(rig->path, 65534, 65534), 0);
    expect_refused(rig, output, -EPERM);
    assert_int_equal(mkfifo(rig->path, 0666), 0); /* without a reader */
    expect_refused(rig, output, -ENXIO);
    assert_string_equal(content_of(rig, rig->moved), "still\nstill\nstill\nstill\n");
    assert_string_equal(content_of(rig, victim), "");
    unlink(victim);
    output_unref(output);
}

/* In a directory that only we may write everything is as the administrator made it. */
static void test_output_of_a_file_with_two_names_in_a_directory_of_ours_is_opened(void **state)
{
    struct rig *rig = *state;

    output_unref(opened(rig->path));
    assert_int_equal(link(rig->path, rig->moved), 0);
    output_unref(opened(rig->path));
    unlink(rig->moved);
    assert_int_equal(chmod(rig->directory, 0777), 0);
    output_unref(opened(rig->path)); /* ours, with one name */
}

#define THREAD_LINES 200

static void *write_many(void *path)
{
    struct output *output = NULL;
    char line[200];

    if (output_open(path, &output) < 0)
        return path;
    memset(line, 'x', sizeof(line));
    line[sizeof(line) - 1] = '\n';
    for (int i = 0; i < THREAD_LINES; i++) {
        if (output_write(output, line, sizeof(line)) != sizeof(line))
            return path;
        if (i % 20 == 0)
            output_reopen_all(NULL);
    }
    output_unref(output);
    return NULL;
}

static void test_output_of_threads_keeps_lines_whole(void **state)
{
    struct rig *rig = *state;
    int fd = open(rig->path, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    pthread_t threads[4];
    char given[32];
    size_t n = 0;

    snprintf(given, sizeof(given), "/dev/fd/%d", fd);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++)
        assert_int_equal(pthread_create(&threads[i], NULL, write_many, i < 3 ? given : rig->moved), 0);
    for (size_t i = 0; i < ARRAY_LENGTH(threads); i++) {
        void *failed;

        pthread_join(threads[i], &failed);
        assert_null(failed);
    }
    for (const char *at = content_of(rig, rig->path), *end; (end = strchr(at, '\n')); at = end + 1) {
        assert_int_equal(end - at, 199);
        n++;
    }
    assert_int_equal(n, 3 * THREAD_LINES);
    close(fd);
}

#define RIG_TEST(name) cmocka_unit_test_setup_teardown(name, rig_setup, rig_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_output_pipe_is_non_blocking_for_us_alone),
        cmocka_unit_test(test_output_full_socket_says_try_again),
        RIG_TEST(test_output_every_name_of_a_descriptor_means_it),
        RIG_TEST(test_output_file_that_was_given_shares_its_offset),
        RIG_TEST(test_output_full_file_takes_whole_lines_and_tears_one_off),
        RIG_TEST(test_output_reopened_writes_to_the_new_file),
        RIG_TEST(test_output_that_cannot_be_reopened_stays),
        RIG_TEST(test_output_of_a_planted_file_is_refused_and_stays),
        RIG_TEST(test_output_of_a_file_with_two_names_in_a_directory_of_ours_is_opened),
        RIG_TEST(test_output_of_threads_keeps_lines_whole),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
