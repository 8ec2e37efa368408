#include "proxy/serve/farewell.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

#define FAREWELL_MS 2000
#define PIECE_BYTES 65536 /* taken at a time; then others have their turn */

struct farewell {
    struct list link;
    struct source source;
    struct timer timer;
    struct admission_pass pass;
    int fd; /* owned */
};

static void farewell_free(struct farewell *farewell)
{
    timer_disarm(&farewell->timer);
    loop_remove(&farewell->source);
    list_remove(&farewell->link);
    close(farewell->fd);
    admission_leave(&farewell->pass);
    free(farewell);
}

static void farewell_on_timer(struct timer *timer)
{
    farewell_free(CONTAINER_OF(timer, struct farewell, timer));
}

static void farewell_on_ready(struct source *source, uint32_t events)
{
    struct farewell *farewell = CONTAINER_OF(source, struct farewell, source);
    char data[PIECE_BYTES];
    ssize_t n = recv(farewell->fd, data, sizeof(data), MSG_DONTWAIT);

    (void)events;
    if (n == 0 || (n < 0 && errno != EAGAIN && errno != EINTR))
        farewell_free(farewell);
}

void farewell_begin(struct list *farewells, struct loop *loop, int fd, struct admission_pass *pass)
{
    struct farewell *farewell = calloc(1, sizeof(*farewell));

    if (!farewell)
        return;
    farewell->source = (struct source)SOURCE_INIT;
    farewell->fd = fcntl(fd, F_DUPFD_CLOEXEC, 0);
    if (farewell->fd < 0 || loop_add(loop, &farewell->source, farewell->fd, EPOLLIN, farewell_on_ready) < 0) {
        if (farewell->fd >= 0)
            close(farewell->fd);
        free(farewell);
        return;
    }
    shutdown(farewell->fd, SHUT_WR);
    farewell->pass = admission_steal(pass);
    timer_init(&farewell->timer, farewell_on_timer);
    timer_arm(loop, &farewell->timer, FAREWELL_MS);
    list_init(&farewell->link);
    list_append(farewells, &farewell->link);
}

void farewells_end(struct list *farewells)
{
    while (!list_empty(farewells))
        farewell_free(CONTAINER_OF(farewells->next, struct farewell, link));
}
