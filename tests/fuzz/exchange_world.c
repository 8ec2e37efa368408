#include "tests/fuzz/exchange_world.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "config/load.h"
#include "proxy/exchange/hand_over.h"
#include "proxy/exchange/request.h"
#include "proxy/listen/peer.h"
#include "proxy/reach/connect.h"
#include "proxy/serve/frontend.h"

#define CLOCK_BEGINS_NS UINT64_C(1000000000000)
#define BEAT_MS 1000
#define TURNS_MOST 20000
#define SMALL_BUFFER_BYTES 2304
#define BACKLOG 2
#define PEER_UID 7
#define DESCRIPTORS 256
#define PRINT_BYTES 1000
/* The longest a silent client may hold anything: each of a few requests that were sent ahead runs into a deadline of
 * the target, then the connection idles. */
#define PATIENCE_BEATS 120
/* A client that has gone is noticed at once, or when its silence is looked into. */
#define LEAVE_BEATS 8

/* What can be different about a listener, one of each. ' stands for ", $L, $T and $R for what all listeners, all
 * targets and some routes have. */
static const char configuration[] =
    "{'listeners':["
    "{'name':'plain','bind':'unix:/0',$L,'routes':[{'target':'app'}]},"
    "{'name':'small','bind':'unix:/1',$L,'limits':{'header':'1KiB','body':'64B'},'routes':[{'target':'app'}]},"
    "{'name':'paths','bind':'unix:/2',$L,'routes':["
    "{'match':{'path_prefix':'/a','methods':['GET','POST']},'target':'app'},"
    "{'match':{'path':'/b','host':'*.h'},'target':'single'},"
    "{'match':{'path':'/u'},'upgrade':['tcp','h2c'],'target':'app'},"
    "{'match':{'path':'/r'},'respond':{'status':204}},"
    "{'path_ambiguity':'allow','respond':{'status':403,'body':'not here\\n'}}]},"
    "{'name':'single','bind':'unix:/3',$L,'routes':[{'target':'single'}]},"
    "{'name':'fresh','bind':'unix:/4',$L,'routes':[{'target':'fresh'}]},"
    "{'name':'silent','bind':'unix:/5',$L,'routes':["
    "{'match':{'host':'h'},'respond':{'status':200,'body':'here\\n'}}]},"
    "{'name':'stream','bind':'unix:/6','stream':{'target':'app'}},"
    "{'name':'single-stream','bind':'unix:/7','stream':{'target':'single'}},"
    /* Whoever lets something through says so in X-Route, and the judge (exchange_rules.c) knows what each does. */
    "{'name':'rules','bind':'unix:/8',$L,'routes':["
    "{'match':{'path':'/c','headers':{'X-Key':'k'},'query':{'q':{'regex':'[0-9]'}}},$R'cond'}},'target':'single'},"
    "{'match':{'path_prefix':'/w'},'rewrite':{'strip_prefix':'/w','add_prefix':'/n'},$R'strip'}},'target':'app'},"
    "{'match':{'path_prefix':'/u'},'rewrite':{'regex':'/u/([^/]+)(/.*)?','to':'/to$2/$1'},$R'regex'}},'target':'app'},"
    "{'match':{'path_regex':'/e|/edit/.*'},$R'edit','X-Id':'${request.id}','X-File':'f=${file:/proc/self/"
    "comm}','X-Path':'${request.path}'},"
    "'add':{'X-Sent-Host':'h=${request.host}'},'remove':['Cookie','Forwarded']},"
    "'response_headers':{'set':{'X-Answer':'${request.query}'},'remove':['Server']},'target':'app'},"
    "{'match':{'path_prefix':'/r'},'redirect':{'location':'/x${request.path}?${request.query}'}},"
    "{'match':{'path':'/d'},'deny':{'status':451,'body':'denied\\n'}},"
    "{'match':{'path':'/"
    "s'},'respond':{'status':200,'body':'said\\n'},'response_headers':{'set':{'X-Answer':'${request.id}'}}},"
    "{'match':{'path':'/b','methods':['POST']},$R'body'}},'target':'app','limits':{'body':'1KiB'},'body':{'max':'256B',"
    "'json':[{'at':'','keys':['a','b']},{'at':'/"
    "a','in':[null,'ok'],'optional':true}],'deny':{'status':422,'body':'unfit\\n'}}},"
    "{'deny':{}}]}"
    "],'targets':{"
    "'app':{$T},"
    "'single':{$T,'connections':{'max':1,'idle':1,'idle_timeout':'2s'}},"
    "'fresh':{$T,'connections':{'max':3,'idle':0}}}}";
static const char of_routes[] = "'request_headers':{'set':{'X-Route':";
static const char of_listeners[] = "'timeouts':{'head':'3s','body':'3s','idle':'4s'}";
static const char of_targets[] =
    "'endpoints':['unix:@%s'],'timeouts':{'connect':'1s','response':'3s','idle':'3s','tunnel':'4s'}";

struct world world;

static struct {
    struct snapshot *snapshot;
    struct access_log *access_log;
    char address[64]; /* abstract */
    int listen_fd;
    bool was_open[DESCRIPTORS]; /* when the script began */
    struct loop *loop;
    struct connector *connector;
    struct commons commons;
    struct endpoints endpoints;
    struct generation *generation; /* a reference */
    struct exchange_env env;
    struct frontend *frontend;
    uint64_t now_ns, next_beat_ns;
    struct admission_house house;
    struct admission admission;
    size_t n_left; /* clients, as the proxy has told */
} inside = {.listen_fd = -1};

/* A stream as a C string, cut where it gets long. */
static void print_stream(const char *who, size_t i, const char *what, const struct world_stream *stream)
{
    fprintf(stderr, "%s %zu %s %zu bytes: \"", who, i, what, stream->length);
    for (size_t k = 0; k < stream->length && k < PRINT_BYTES; k++) {
        char c = stream->data[k];

        if (c == '\r')
            fputs("\\r", stderr);
        else if (c == '\n')
            fputs("\\n", stderr);
        else if (c >= ' ' && c <= '~')
            fputc(c, stderr);
        else
            fprintf(stderr, "\\x%02x", (unsigned char)c);
    }
    fputs(stream->length > PRINT_BYTES ? "\"...\n" : "\"\n", stderr);
}

static void print_ends(const char *who, const struct world_end *ends, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        print_stream(who, i, "said", &ends[i].said);
        print_stream(who, i, "heard", &ends[i].heard);
    }
}

void world_fail(const char *format, ...)
{
    va_list arguments;

    va_start(arguments, format);
    fputs("fuzz_exchange: ", stderr);
    vfprintf(stderr, format, arguments);
    fputc('\n', stderr);
    va_end(arguments);
    print_ends("client", world.clients, world.n_clients);
    print_ends("target", world.targets, world.n_targets);
    abort();
}

/* ---- standing in for the system ---- */

/* The proxy, libmicrohttpd and libcurl all see this clock instead of the C library's. */
int clock_gettime(clockid_t id, struct timespec *ret_time)
{
    if (id == CLOCK_REALTIME || id == CLOCK_PROCESS_CPUTIME_ID || id == CLOCK_THREAD_CPUTIME_ID || inside.now_ns == 0)
        return (int)syscall(SYS_clock_gettime, id, ret_time);
    *ret_time = (struct timespec){.tv_sec = (time_t)(inside.now_ns / 1000000000u),
                                  .tv_nsec = (long)(inside.now_ns % 1000000000u)};
    return 0;
}

static void make_small(int fd)
{
    int bytes = SMALL_BUFFER_BYTES;

    if (setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)) < 0)
        world_fail("SO_SNDBUF: %s", strerror(errno));
}

/* The proxy's connections to the target, too, can be made to take little at a time. */
int socket(int family, int type, int protocol)
{
    int fd = (int)syscall(SYS_socket, family, type, protocol);

    if (fd >= 0 && world.small_buffers)
        make_small(fd);
    return fd;
}

/* ---- making ---- */

/* The configuration spelled out. */
static size_t write_configuration(char *text, size_t size)
{
    FILE *to = fmemopen(text, size, "w");

    for (const char *c = configuration; *c; c++) {
        if (*c != '$' || !strchr("LTR", c[1]))
            fputc(*c, to);
        else if (*++c == 'T')
            fprintf(to, of_targets, inside.address);
        else
            fputs(*c == 'L' ? of_listeners : of_routes, to);
    }
    fclose(to);
    for (char *c = strchr(text, '\''); c; c = strchr(c, '\''))
        *c = '"';
    return strlen(text);
}

static void inside_configure(void)
{
    struct problems problems = PROBLEMS_INIT;
    char text[8192] = "";

    snprintf(inside.address, sizeof(inside.address), "porthole-fuzz-%d", (int)getpid());
    if (config_parse(text, write_configuration(text, sizeof(text)), "fuzz", &inside.snapshot, &problems) != 0) {
        problems_print(&problems, "fuzz", "", stderr);
        world_fail("the configuration is not accepted");
    }
}

static void inside_prepare(void)
{
    struct error error = ERROR_INIT;

    if (inside.snapshot)
        return;
    signal(SIGPIPE, SIG_IGN); /* as porthole has it (proxy/signals.c); splice(2) cannot be told */
    log_configure(LOG_LEVEL_ERROR, LOG_FORMAT_PLAIN);
    inside_configure();
    if (connect_global_init(true) < 0)
        world_fail("libcurl");
    inside.access_log = access_log_new("/dev/null", LOG_FORMAT_JSON, NULL, &error);
    if (!inside.access_log)
        world_fail("%s", error.message);
}

void world_listen(bool listening)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    size_t n = strlen(inside.address);

    if (!listening && inside.listen_fd >= 0) {
        close(inside.listen_fd);
        inside.listen_fd = -1;
    }
    if (!listening || inside.listen_fd >= 0)
        return;
    memcpy(address.sun_path + 1, inside.address, n);
    inside.listen_fd = (int)syscall(SYS_socket, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (bind(inside.listen_fd, (struct sockaddr *)&address,
             (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + n)) < 0 ||
        listen(inside.listen_fd, BACKLOG) < 0)
        world_fail("cannot listen: %s", strerror(errno));
}

/* Which of the lowest descriptors are open. */
static void look_at_descriptors(bool open[DESCRIPTORS])
{
    struct pollfd looks[DESCRIPTORS];

    for (int i = 0; i < DESCRIPTORS; i++)
        looks[i] = (struct pollfd){.fd = i};
    poll(looks, DESCRIPTORS, 0);
    for (int i = 0; i < DESCRIPTORS; i++)
        open[i] = !(looks[i].revents & POLLNVAL);
}

/* The same after a script as before it. */
static void check_descriptors(void)
{
    bool open[DESCRIPTORS];

    look_at_descriptors(open);
    for (int i = 0; i < DESCRIPTORS; i++)
        if (open[i] && !inside.was_open[i] && i != inside.listen_fd)
            world_fail("descriptor %d is left open", i);
}

static void inside_on_left(struct admission_desk *desk)
{
    inside.n_left++;
    admission_wait(desk, ADMISSION_FULL);
}

static void inside_make_admission(void)
{
    admission_house_init(&inside.house);
    if (admission_init(&inside.admission, &inside.house, &inside.snapshot->listeners[0], 1) < 0)
        world_fail("cannot make an admission");
    inside.admission.desks[0].told = inside_on_left;
    admission_wait(&inside.admission.desks[0], ADMISSION_FULL);
}

void world_open(bool small_buffers, bool tcp_peers)
{
    struct error error = ERROR_INIT;

    inside_prepare();
    world.snapshot = inside.snapshot;
    world.metrics = (struct metrics){0};
    world.n_clients = world.n_targets = inside.n_left = 0;
    world.tcp_peers = tcp_peers;
    inside.now_ns = CLOCK_BEGINS_NS;
    inside.next_beat_ns = inside.now_ns + BEAT_MS * UINT64_C(1000000);
    world_listen(true);
    look_at_descriptors(inside.was_open);
    inside.loop = loop_new();
    inside.connector = connector_new(inside.loop);
    if (commons_init(&inside.commons, 1) < 0)
        world_fail("out of memory");
    endpoints_init(&inside.endpoints, inside.loop, inside.connector, &inside.commons, 0);
    inside.generation = generation_new(inside.snapshot, &inside.endpoints);
    inside.env = (struct exchange_env){.loop = inside.loop,
                                       .recorder = {.metrics = &world.metrics, .access_log = inside.access_log}};
    inside_make_admission();
    if (!inside.generation || exchange_env_init(&inside.env, inside.generation) < 0)
        world_fail("cannot make a worker");
    memset(inside.env.id, '0', ID_BYTES);
    inside.frontend = frontend_new(&inside.env, &error);
    if (!inside.frontend)
        world_fail("%s", error.message);
    world.small_buffers = small_buffers;
}

/* ---- turning ---- */

bool world_turn(void)
{
    bool busy =
        frontend_is_busy(inside.frontend) || tunnels_are_ready(&inside.env.tunnels) || exchanges_are_ready(&inside.env);
    int n;

    if (!busy)
        access_log_flush(inside.access_log);
    n = loop_run_once(inside.loop, 0);
    if (n < 0)
        world_fail("the loop: %s", strerror(-n));
    frontend_turn(inside.frontend, n);
    tunnels_turn(&inside.env.tunnels);
    exchanges_turn(&inside.env);
    return busy || n > 0;
}

void world_settle(void)
{
    for (int i = 0; world_turn(); i++)
        if (i == TURNS_MOST)
            world_fail("the loop spins");
}

void world_pass_ms(uint64_t ms)
{
    inside.now_ns += ms * 1000000u;
    if (inside.now_ns >= inside.next_beat_ns) {
        frontend_beat(inside.frontend);
        inside.next_beat_ns = inside.now_ns + BEAT_MS * UINT64_C(1000000);
    }
    world_settle();
}

/* As a worker does it. */
void world_stop(bool now)
{
    struct clients *clients = frontend_clients(inside.frontend);

    if (!inside.env.stopping) {
        inside.env.stopping = true;
        clients_stop(clients);
    }
    if (now) {
        clients_cut_all(clients);
        tunnels_cut_all(&inside.env.tunnels);
    }
}

/* ---- the ends ---- */

static struct world_end *end_begin(struct world_end *end, int fd)
{
    end->fd = fd;
    end->ended = end->reset = end->finished = false;
    end->listener = NULL;
    end->n_read = end->n_marks = end->said.length = end->heard.length = 0;
    return end;
}

/* Hands a client to the proxy, as a worker does that has accepted it. */
static void serve(int fd, const struct listener_config *listener)
{
    struct peer peer = {.is_unix = !world.tcp_peers, .uid = world.tcp_peers ? (uid_t)-1 : PEER_UID, .gid = 8};
    struct tunnel_client client = {.fd = fd, .generation = inside.generation, .listener = listener};
    char text[80];
    int r;

    if (admission_enter(&inside.admission.desks[0], peer.uid, true, &client.pass) != ADMISSION_IN)
        world_fail("a client was not let in");
    if (world.tcp_peers)
        snprintf(peer.address, sizeof(peer.address), "192.0.2.1");
    if (listener->stream)
        r = exchange_stream(&inside.env, &client, (struct text){text, peer_format(&peer, text, sizeof(text))});
    else
        r = frontend_add(inside.frontend, fd, inside.env.generation, listener, &peer, client.pass);
    if (r < 0)
        world_fail("a client was not taken: %s", strerror(-r));
}

struct world_end *world_connect(size_t listener)
{
    struct world_end *client;
    int ends[2];

    if (world.n_clients == WORLD_CLIENTS || inside.env.stopping)
        return NULL;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends) < 0)
        world_fail("socketpair: %s", strerror(errno));
    if (world.small_buffers) {
        make_small(ends[0]);
        make_small(ends[1]);
    }
    client = end_begin(&world.clients[world.n_clients++], ends[1]);
    client->listener = &inside.snapshot->listeners[listener % inside.snapshot->n_listeners];
    serve(ends[0], client->listener);
    return client;
}

struct world_end *world_accept(void)
{
    int fd;

    if (world.n_targets == WORLD_TARGETS || inside.listen_fd < 0)
        return NULL;
    fd = accept4(inside.listen_fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd < 0)
        return NULL;
    if (world.small_buffers)
        make_small(fd);
    return end_begin(&world.targets[world.n_targets++], fd);
}

static void end_mark(struct world_end *end)
{
    int waiting = 0;

    if (ioctl(end->fd, FIONREAD, &waiting) < 0)
        world_fail("FIONREAD: %s", strerror(errno));
    end->marks[end->n_marks++] = (struct world_mark){end->said.length, end->heard.length + (size_t)waiting};
}

void world_say(struct world_end *end, const char *data, size_t length)
{
    ssize_t n;

    if (end->fd < 0 || end->n_marks == WORLD_MARKS)
        return;
    if (length > WORLD_STREAM_BYTES - end->said.length)
        length = WORLD_STREAM_BYTES - end->said.length;
    end_mark(end);
    n = send(end->fd, data, length, MSG_NOSIGNAL);
    if (n <= 0)
        return;
    memcpy(end->said.data + end->said.length, data, (size_t)n);
    end->said.length += (size_t)n;
}

void world_hear(struct world_end *end, size_t most)
{
    while (end->fd >= 0 && !end->ended && most > 0) {
        size_t room = WORLD_STREAM_BYTES - end->heard.length;
        ssize_t n = recv(end->fd, end->heard.data + end->heard.length, most < room ? most : room, 0);

        if (n > 0) {
            end->heard.length += (size_t)n;
            most -= (size_t)n;
        } else if (n == 0 && room > 0) {
            end->ended = true;
        } else if (n < 0 && errno == ECONNRESET && !end->reset) {
            end->reset = true; /* told once; what was sent before can still be read */
        } else {
            return;
        }
    }
}

void world_finish(struct world_end *end)
{
    if (end->fd >= 0)
        shutdown(end->fd, SHUT_WR);
    end->finished = true;
}

/* What has arrived, left unread: its sender can tell. */
static void end_glimpse(struct world_end *end)
{
    int from = 0;
    ssize_t n;

    end->n_read = end->heard.length;
    if (setsockopt(end->fd, SOL_SOCKET, SO_PEEK_OFF, &from, sizeof(from)) < 0)
        world_fail("SO_PEEK_OFF: %s", strerror(errno));
    do {
        n = recv(end->fd, end->heard.data + end->heard.length, WORLD_STREAM_BYTES - end->heard.length, MSG_PEEK);
        end->heard.length += n > 0 ? (size_t)n : 0;
    } while (n > 0);
}

void world_leave(struct world_end *end)
{
    if (end->fd < 0)
        return;
    end_glimpse(end);
    close(end->fd);
    end->fd = -1;
}

/* ---- the end ---- */

static void check_targets(void)
{
    for (size_t i = 0; i < inside.snapshot->n_targets; i++)
        if (places_n_held(&inside.generation->targets[i].commons->places) != 0)
            world_fail("a connection to %s is neither idle nor closed", inside.generation->targets[i].config->name);
}

static void wait_for_all_to_leave(bool patient)
{
    struct clients *clients = frontend_clients(inside.frontend);

    for (size_t i = 0; i < world.n_clients && !patient; i++)
        world_leave(&world.clients[i]);
    world_settle();
    /* A connection that ends in stages keeps its place until the client has gone, or for a moment. */
    for (int i = 0; clients->n_clients > 0 || inside.env.tunnels.n_tunnels > 0 || inside.n_left != world.n_clients;
         i++) {
        if (i == (patient ? PATIENCE_BEATS : LEAVE_BEATS))
            world_fail("%zu clients came, %zu have left, and %zu clients and %zu tunnels are still there after %d s",
                       world.n_clients, inside.n_left, clients->n_clients, inside.env.tunnels.n_tunnels, i);
        world_pass_ms(BEAT_MS + 1);
    }
    check_targets();
}

static void inside_unmake(void)
{
    frontend_free(inside.frontend);
    exchange_env_deinit(&inside.env);
    admission_deinit(&inside.admission);
    admission_house_deinit(&inside.house);
    if (inside.generation->n_holders != 1)
        world_fail("somebody has kept the generation");
    inside.generation = generation_unref(inside.generation);
    endpoints_deinit(&inside.endpoints);
    commons_deinit(&inside.commons);
    connector_free(inside.connector);
    access_log_flush(inside.access_log);
    loop_free(inside.loop);
    if (atomic_load(&inside.snapshot->references) != 1)
        world_fail("an exchange has kept its snapshot");
}

static void end_all(struct world_end *ends, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        world_hear(&ends[i], WORLD_STREAM_BYTES);
        world_leave(&ends[i]);
    }
}

void world_close(bool patient)
{
    wait_for_all_to_leave(patient);
    inside_unmake();
    while (world_accept())
        ;
    end_all(world.clients, world.n_clients);
    end_all(world.targets, world.n_targets);
    /* What is left in the backlog goes with the socket. */
    if (world.n_targets == WORLD_TARGETS)
        world_listen(false);
    world.small_buffers = false;
    check_descriptors();
    inside.now_ns = 0;
}
