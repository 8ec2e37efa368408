/* porthole demo: the main job on a configuration of its own, shown with one real request. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/demo_echo.h"
#include "cmd/fetch.h"
#include "config/load.h"
#include "proxy/base/log.h"
#include "proxy/server.h"

#define DEMO_DIRECTORY_BYTES 64 /* so that a socket in it fits into sockaddr_un */
#define DEMO_PATH_BYTES (DEMO_DIRECTORY_BYTES + 16)
#define DEMO_TIMEOUT_MS 5000
#define DEMO_CONFIG                                                                         \
    "{ \"log\": { \"level\": \"warn\" }, \"watch\": false,\n"                               \
    "  \"listeners\": [ { \"name\": \"demo\", \"bind\": \"unix:%s\", \"mode\": \"0600\",\n" \
    "    \"routes\": [ { \"target\": \"echo\" } ] } ],\n"                                   \
    "  \"targets\": { \"echo\": { \"endpoints\": [\"unix:%s\"], \"connections\": { \"max\": %d } } } }\n"

/* One demonstration; on the stack of the verb. */
struct demo {
    bool once;
    char directory[DEMO_DIRECTORY_BYTES];
    char listener[DEMO_PATH_BYTES], target[DEMO_PATH_BYTES];
    struct server *server; /* owned */
    int status;            /* what the process exits with; written by the client's thread before it ends */
};

/* A private directory. Its name goes into JSON, where a quote or ${} would mean something: such a XDG_RUNTIME_DIR, like
 * one that is too long, gives way to /tmp. */
static int demo_make_directory(struct demo *demo)
{
    static const char plain[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789/_.-";
    static const char name[] = "/porthole-demo-XXXXXX";
    const char *parent = getenv("XDG_RUNTIME_DIR");

    if (!parent || *parent != '/' || parent[strspn(parent, plain)] != '\0' || access(parent, W_OK) < 0 ||
        strlen(parent) + sizeof(name) > sizeof(demo->directory))
        parent = "/tmp";
    snprintf(demo->directory, sizeof(demo->directory), "%.40s%s", parent, name);
    if (!mkdtemp(demo->directory))
        return -errno;
    snprintf(demo->listener, sizeof(demo->listener), "%s/demo.sock", demo->directory);
    snprintf(demo->target, sizeof(demo->target), "%s/echo.sock", demo->directory);
    return 0;
}

static int demo_make_server(struct demo *demo, struct error *error)
{
    _cleanup_(problems_deinit) struct problems problems = PROBLEMS_INIT;
    const struct server_options options = {.takeover = false};
    struct snapshot *snapshot = NULL;
    char *text = NULL;
    int r;

    if (asprintf(&text, DEMO_CONFIG, demo->listener, demo->target, DEMO_ECHO_THREADS) < 0)
        return error_set(error, -ENOMEM, "out of memory");
    r = config_parse(text, strlen(text), "demo", &snapshot, &problems);
    free(text);
    if (r > 0) {
        problems_print(&problems, "demo", "", stderr);
        return error_set(error, -EINVAL, "the built-in configuration is wrong");
    }
    if (r == 0) {
        log_configure(snapshot->log.level, snapshot->log.format);
        r = server_new(snapshot, &options, &demo->server, error);
    }
    if (r == 0)
        r = server_start(demo->server, error);
    snapshot_unref(snapshot);
    return r;
}

static int demo_show_exchange(const struct demo *demo)
{
    struct error error = ERROR_INIT;
    struct fetch *client = NULL;
    char address[DEMO_PATH_BYTES + 8];
    long status = 0;
    int r;

    snprintf(address, sizeof(address), "unix:%s", demo->listener);
    r = fetch_new(address, "/hello", &client, &error);
    if (r == 0) {
        printf("GET http://localhost/hello through %s\n\n", demo->listener);
        r = fetch_get(client, DEMO_TIMEOUT_MS, stdout, &status, &error);
    }
    fetch_free(client);
    if (r < 0 || status != 200) {
        fprintf(stderr, "porthole demo: %s\n", r < 0 ? error.message : "the answer is not 200");
        return CMD_FAILED;
    }
    return CMD_OK;
}

/* The thread that uses the proxy while the main thread runs it. */
static void *demo_use(void *opaque)
{
    struct demo *demo = opaque;

    demo->status = demo_show_exchange(demo);
    if (demo->status == CMD_OK && !demo->once)
        printf("Now you, in another terminal:\n\n  curl --unix-socket %s http://localhost/hello\n\nCtrl-C ends it.\n",
               demo->listener);
    if (fflush(stdout) != 0) {
        perror("porthole demo: standard output");
        demo->status = CMD_FAILED;
    }
    if (demo->status != CMD_OK || demo->once)
        server_stop(demo->server);
    return NULL;
}

static int demo_run(struct demo *demo, struct error *error)
{
    sigset_t all, before;
    pthread_t client;
    int r;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    r = -pthread_create(&client, NULL, demo_use, demo);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (r < 0)
        return error_set(error, r, "cannot start a thread: %s", strerror(-r));
    r = server_run(demo->server);
    pthread_join(client, NULL);
    if (r < 0)
        return error_set(error, r, "%s", strerror(-r));
    return 0;
}

static int demo_all(struct demo *demo)
{
    struct demo_echo *echo = NULL;
    struct error error = ERROR_INIT;
    int r = demo_make_directory(demo);

    if (r < 0) {
        fprintf(stderr, "porthole demo: cannot make a directory in %s: %s\n", demo->directory, strerror(-r));
        return CMD_FAILED;
    }
    r = demo_echo_new(demo->target, &echo, &error);
    if (r == 0)
        r = demo_make_server(demo, &error);
    if (r == 0)
        r = demo_run(demo, &error);
    server_free(demo->server);
    demo_echo_free(echo);
    rmdir(demo->directory);
    if (r < 0) {
        fprintf(stderr, "porthole demo: %s\n", error.message);
        return CMD_FAILED;
    }
    return demo->status;
}

int cmd_demo(int argc, char **argv)
{
    struct demo demo = {.status = CMD_OK};
    struct cmd_args args;
    int option, status;

    cmd_args_init(&args, argc, argv);
    while ((option = cmd_args_next(&args)) != 0) {
        if (option < 0)
            return CMD_USAGE;
        demo.once = true;
    }
    if (!cmd_args_operands(&args, 0))
        return CMD_USAGE;
    status = fetch_use_libcurl(argv[0]);
    return status == CMD_OK ? demo_all(&demo) : status;
}
