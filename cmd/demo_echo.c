#include "cmd/demo_echo.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "proxy/http/body.h"
#include "proxy/http/request.h"

#define DEMO_ECHO_HEAD_BYTES 32768
#define DEMO_ECHO_BODY_BYTES 65536
#define DEMO_ECHO_FIELDS 128

/* One thread and the connection that it serves. */
struct demo_echo_worker {
    struct demo_echo *echo; /* borrowed */
    pthread_t thread;
    bool running; /* thread is valid */
    int fd;       /* owned; -1 between connections. Guarded by echo->mutex where it changes */
    size_t n_in;  /* bytes received and not used yet */
    char in[DEMO_ECHO_HEAD_BYTES];
    size_t n_body;
    char body[DEMO_ECHO_BODY_BYTES];
};

/* Owned by the verb's main thread. */
struct demo_echo {
    struct sockaddr_un address;
    int fd; /* owned; all workers accept from it */
    pthread_mutex_t mutex;
    bool stopping; /* guarded by mutex */
    struct demo_echo_worker workers[DEMO_ECHO_THREADS];
};

static bool demo_echo_send(struct demo_echo_worker *worker, const char *data, size_t length)
{
    while (length > 0) {
        ssize_t n = send(worker->fd, data, length, MSG_NOSIGNAL);

        if (n <= 0)
            return false;
        data += n;
        length -= (size_t)n;
    }
    return true;
}

/* Receives more; false at the end of the connection and when the buffer is full. */
static bool demo_echo_receive(struct demo_echo_worker *worker)
{
    ssize_t n = recv(worker->fd, worker->in + worker->n_in, sizeof(worker->in) - worker->n_in, 0);

    if (n <= 0)
        return false;
    worker->n_in += (size_t)n;
    return true;
}

static void demo_echo_use(struct demo_echo_worker *worker, size_t n)
{
    worker->n_in -= n;
    memmove(worker->in, worker->in + n, worker->n_in);
}

/* The text up to `end`, which is cut off *rest together with it. */
static struct text demo_echo_cut(struct text *rest, const char *end)
{
    const char *at = memmem(rest->data, rest->length, end, strlen(end));
    size_t length = at ? (size_t)(at - rest->data) : rest->length;
    struct text cut = {rest->data, length};
    size_t used = at ? length + strlen(end) : length;

    rest->data += used;
    rest->length -= used;
    return cut;
}

/* Takes a head apart into views of it. False when it is none; request_check judges the rest. */
static bool demo_echo_parse(struct text head, struct request *request)
{
    struct text line = demo_echo_cut(&head, "\r\n");

    request->method = demo_echo_cut(&line, " ");
    request->target = demo_echo_cut(&line, " ");
    if (!text_equal(line, TEXT_LITERAL("HTTP/1.1")) && !text_equal(line, TEXT_LITERAL("HTTP/1.0")))
        return false;
    request->minor = (unsigned)(line.data[line.length - 1] - '0');
    while (head.length > 0) {
        struct field field = {.drop = false};

        line = demo_echo_cut(&head, "\r\n");
        field.name = demo_echo_cut(&line, ":");
        field.value = text_trim(line);
        field.id = field_identify(field.name);
        if (request->fields.n_items == request->fields.capacity)
            return false;
        request->fields.items[request->fields.n_items++] = field;
    }
    return true;
}

/* Keeps a piece of the body, as far as there is room: an echo of the beginning is enough. */
static void demo_echo_keep(struct demo_echo_worker *worker, struct text piece)
{
    size_t room = sizeof(worker->body) - worker->n_body;
    size_t n = piece.length < room ? piece.length : room;

    if (n > 0)
        memcpy(worker->body + worker->n_body, piece.data, n);
    worker->n_body += n;
}

static bool demo_echo_read_length(struct demo_echo_worker *worker, uint64_t left)
{
    for (;;) {
        size_t n = worker->n_in < left ? worker->n_in : (size_t)left;

        demo_echo_keep(worker, (struct text){worker->in, n});
        demo_echo_use(worker, n);
        left -= n;
        if (left == 0)
            return true;
        if (!demo_echo_receive(worker))
            return false;
    }
}

static bool demo_echo_read_chunked(struct demo_echo_worker *worker)
{
    struct chunked chunked = {0};

    for (;;) {
        struct text data = {NULL, 0};
        size_t used = 0;
        enum chunked_result result = chunked_decode(&chunked, (struct text){worker->in, worker->n_in}, &used, &data);

        if (result == CHUNKED_BAD)
            return false;
        if (result == CHUNKED_DATA)
            demo_echo_keep(worker, data);
        demo_echo_use(worker, used);
        if (result == CHUNKED_END)
            return true;
        if (result == CHUNKED_MORE && !demo_echo_receive(worker))
            return false;
    }
}

static bool demo_echo_read_body(struct demo_echo_worker *worker, const struct request *request)
{
    static const char go_on[] = "HTTP/1.1 100 Continue\r\n\r\n";

    worker->n_body = 0;
    if (request->body == BODY_NONE)
        return true;
    if (request->expect_continue && !demo_echo_send(worker, go_on, sizeof(go_on) - 1))
        return false;
    return request->body == BODY_CHUNKED ? demo_echo_read_chunked(worker)
                                         : demo_echo_read_length(worker, request->content_length);
}

/* Answers with the head as it came (`echoed`), an empty line and the body. */
static bool demo_echo_answer(struct demo_echo_worker *worker, const char *echoed, size_t length, bool is_head,
                             bool close_after)
{
    char head[160];
    int n = snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: %zu\r\n%s\r\n",
                     length + worker->n_body, close_after ? "Connection: close\r\n" : "");

    if (n < 0 || !demo_echo_send(worker, head, (size_t)n))
        return false;
    return is_head || (demo_echo_send(worker, echoed, length) && demo_echo_send(worker, worker->body, worker->n_body));
}

/* One exchange; true when the connection can carry another. */
static bool demo_echo_exchange(struct demo_echo_worker *worker)
{
    static const char bad[] = "HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    struct field items[DEMO_ECHO_FIELDS];
    struct request request = {.fields = {.items = items, .capacity = ARRAY_LENGTH(items)}};
    char head[DEMO_ECHO_HEAD_BYTES];
    const char *end;
    size_t length;
    unsigned status;

    while (!(end = memmem(worker->in, worker->n_in, "\r\n\r\n", 4)))
        if (!demo_echo_receive(worker))
            return false;
    length = (size_t)(end - worker->in) + 4;
    memcpy(head, worker->in, length); /* the request's views outlive worker->in, which moves on to the body */
    demo_echo_use(worker, length);
    if (!demo_echo_parse((struct text){head, length - 4}, &request) || request_check(&request, &status)) {
        demo_echo_send(worker, bad, sizeof(bad) - 1);
        return false;
    }
    return demo_echo_read_body(worker, &request) &&
           demo_echo_answer(worker, head, length, request.is_head, request.close) && !request.close;
}

/* Puts a connection (or -1) into the worker, where demo_echo_free can cut it. */
static bool demo_echo_set_connection(struct demo_echo_worker *worker, int fd)
{
    bool stopping;

    pthread_mutex_lock(&worker->echo->mutex);
    if (worker->fd >= 0)
        close(worker->fd);
    worker->fd = fd;
    stopping = worker->echo->stopping;
    pthread_mutex_unlock(&worker->echo->mutex);
    return !stopping;
}

static void *demo_echo_main(void *opaque)
{
    struct demo_echo_worker *worker = opaque;
    bool running = true;

    while (running) {
        int fd = accept4(worker->echo->fd, NULL, NULL, SOCK_CLOEXEC);

        if (fd < 0 && (errno == EINTR || errno == ECONNABORTED))
            continue;
        if (fd < 0)
            break;
        worker->n_in = 0;
        if (demo_echo_set_connection(worker, fd))
            while (demo_echo_exchange(worker))
                ;
        running = demo_echo_set_connection(worker, -1);
    }
    return NULL;
}

static int demo_echo_start(struct demo_echo *echo)
{
    sigset_t all, before;
    int r = 0;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (size_t i = 0; i < DEMO_ECHO_THREADS && r == 0; i++) {
        struct demo_echo_worker *worker = &echo->workers[i];

        r = -pthread_create(&worker->thread, NULL, demo_echo_main, worker);
        worker->running = r == 0;
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return r;
}

int demo_echo_new(const char *path, struct demo_echo **ret_echo, struct error *error)
{
    struct demo_echo *echo = calloc(1, sizeof(*echo));
    int r = 0;

    if (!echo)
        return error_set(error, -ENOMEM, "out of memory");
    pthread_mutex_init(&echo->mutex, NULL);
    for (size_t i = 0; i < DEMO_ECHO_THREADS; i++) {
        echo->workers[i].echo = echo;
        echo->workers[i].fd = -1;
    }
    echo->address.sun_family = AF_UNIX;
    echo->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (echo->fd < 0)
        r = -errno;
    else if (strlen(path) >= sizeof(echo->address.sun_path))
        r = -ENAMETOOLONG;
    else
        memcpy(echo->address.sun_path, path, strlen(path) + 1);
    if (r == 0 && (bind(echo->fd, (struct sockaddr *)&echo->address, sizeof(echo->address)) < 0 ||
                   listen(echo->fd, SOMAXCONN) < 0))
        r = -errno;
    if (r == 0)
        r = demo_echo_start(echo);
    if (r < 0) {
        demo_echo_free(echo);
        return error_set(error, r, "cannot serve the echo target on %s: %s", path, strerror(-r));
    }
    *ret_echo = echo;
    return 0;
}

void demo_echo_free(struct demo_echo *echo)
{
    if (!echo)
        return;
    pthread_mutex_lock(&echo->mutex);
    echo->stopping = true;
    if (echo->fd >= 0)
        shutdown(echo->fd, SHUT_RDWR); /* wakes every accept */
    for (size_t i = 0; i < DEMO_ECHO_THREADS; i++)
        if (echo->workers[i].fd >= 0)
            shutdown(echo->workers[i].fd, SHUT_RDWR);
    pthread_mutex_unlock(&echo->mutex);
    for (size_t i = 0; i < DEMO_ECHO_THREADS; i++)
        if (echo->workers[i].running)
            pthread_join(echo->workers[i].thread, NULL);
    if (echo->fd >= 0)
        close(echo->fd);
    if (echo->address.sun_path[0])
        unlink(echo->address.sun_path);
    pthread_mutex_destroy(&echo->mutex);
    free(echo);
}
