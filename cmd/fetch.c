#include "cmd/fetch.h"

#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "cmd/cmd.h"
#include "cmd/permission.h"
#include "config/address.h"
#include "proxy/base/line.h"
#include "proxy/reach/connect_reason.h"

#define FETCH_WHY_BYTES 512

/* One server to ask. Owned by its verb, one thread. */
struct fetch {
    CURL *curl;       /* owned */
    char *socket;     /* owned; path of a Unix socket, NULL for others */
    FILE *to;         /* borrowed during fetch_get; NULL: drop the body */
    fetch_sink *sink; /* during fetch_stream, like the next */
    void *closure;
    const volatile sig_atomic_t *stop;
    bool is_enough;               /* the sink wants no more */
    char complaint[512];          /* terminated: the beginning of an answer that is no stream */
    char reason[CURL_ERROR_SIZE]; /* written by libcurl */
};

int fetch_use_libcurl(const char *verb)
{
    if (curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK && atexit(curl_global_cleanup) == 0)
        return CMD_OK;
    fprintf(stderr, "porthole %s: cannot initialise libcurl\n", verb);
    return CMD_FAILED;
}

/* Of a stream, or of the answer that says why there is none. */
static size_t fetch_on_piece(struct fetch *client, const char *data, size_t length)
{
    size_t used = strlen(client->complaint), room = sizeof(client->complaint) - 1 - used;
    long status = 0;

    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
    if (status != 200) {
        strncat(client->complaint, data, length < room ? length : room);
        return length;
    }
    client->is_enough = !client->sink(client->closure, data, length);
    return client->is_enough ? 0 : length;
}

static int fetch_on_progress(void *opaque, curl_off_t total, curl_off_t now, curl_off_t up_total, curl_off_t up)
{
    const struct fetch *client = opaque;

    (void)total;
    (void)now;
    (void)up_total;
    (void)up;
    return client->stop && *client->stop;
}

static size_t fetch_on_data(char *data, size_t size, size_t n, void *opaque)
{
    struct fetch *client = opaque;

    if (client->sink)
        return fetch_on_piece(client, data, size * n);
    /* The head has been judged by now: a body nobody wants may be endless. */
    if (!client->to)
        return 0;
    return fwrite(data, size, n, client->to);
}

static size_t fetch_on_head(char *data, size_t size, size_t n, void *opaque)
{
    struct fetch *client = opaque;

    long status = 0;

    if (client->to)
        fwrite(data, size, n, client->to);
    if (client->sink && size * n == 2 && memcmp(data, "\r\n", 2) == 0) {
        curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, &status);
        client->is_enough = status == 200 && !client->sink(client->closure, "", 0);
    }
    return client->is_enough ? 0 : size * n;
}

static bool fetch_begins(const char *text, const char *prefix)
{
    return strncmp(text, prefix, strlen(prefix)) == 0;
}

static CURLcode fetch_set_url(struct fetch *client, const char *base, const char *path)
{
    size_t length = strlen(base);
    char *url = NULL;
    CURLcode code = CURLE_OUT_OF_MEMORY;

    if (path) /* in place of the path that the base has */
        length = (size_t)(strstr(base, "://") - base) + 3 + strcspn(strstr(base, "://") + 3, "/?#");
    if (asprintf(&url, "%.*s%s", (int)length, base, path ? path : "") >= 0)
        code = curl_easy_setopt(client->curl, CURLOPT_URL, url);
    free(url);
    return code;
}

static CURLcode fetch_set_tcp(struct fetch *client, const struct address *address, const char *path)
{
    bool ipv6 = strchr(address->name, ':');
    CURLcode code = CURLE_OUT_OF_MEMORY;
    char *base = NULL;

    if (asprintf(&base, "http://%s%s%s:%u", ipv6 ? "[" : "", address->name, ipv6 ? "]" : "", address->port) >= 0)
        code = fetch_set_url(client, base, path ? path : "/");
    free(base);
    return code;
}

static CURLcode fetch_set_parsed(struct fetch *client, const struct address *address, const char *path)
{
    CURLcode code = CURLE_OK;

    if (!address_is_unix(address->kind))
        return fetch_set_tcp(client, address, path);
    if (address->kind == ADDRESS_ABSTRACT)
        code = curl_easy_setopt(client->curl, CURLOPT_ABSTRACT_UNIX_SOCKET, address->name);
    else if (!(client->socket = strdup(address->name)))
        code = CURLE_OUT_OF_MEMORY;
    return code == CURLE_OK ? fetch_set_url(client, "http://localhost", path ? path : "/") : code;
}

/* An address as targets have it, or a URL, which may have a path of its own. */
static int fetch_set_address(struct fetch *client, const char *text, const char *path, struct error *error)
{
    struct address address;
    CURLcode code;
    int r;

    if (fetch_begins(text, "http://") || fetch_begins(text, "https://")) {
        code = fetch_set_url(client, text, path);
    } else {
        r = address_parse(text, ADDRESS_TO_REACH, &address, error);
        if (r > 0)
            return error_prefix(error, "'%s' is no address", text);
        if (r < 0)
            return error_set(error, r, "out of memory");
        code = fetch_set_parsed(client, &address, path);
        address_deinit(&address);
    }
    return code == CURLE_OK ? 0 : error_set(error, -ENOMEM, "%s", curl_easy_strerror(code));
}

/* Nothing from the environment or from curl's habits: a probe asks exactly what it was told to. */
static CURLcode fetch_set_options(struct fetch *client)
{
    CURL *curl = client->curl;
    CURLcode codes[] = {
        curl_easy_setopt(curl, CURLOPT_PROXY, ""),
        curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L),
        curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https"),
        curl_easy_setopt(curl, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1),
        curl_easy_setopt(curl, CURLOPT_SSL_ENABLE_ALPN, 0L),
        curl_easy_setopt(curl, CURLOPT_PATH_AS_IS, 1L),
        curl_easy_setopt(curl, CURLOPT_FORBID_REUSE, 1L),
        curl_easy_setopt(curl, CURLOPT_USERAGENT, "porthole/" PORTHOLE_VERSION),
        curl_easy_setopt(curl, CURLOPT_ERRORBUFFER, client->reason),
        curl_easy_setopt(curl, CURLOPT_HEADERFUNCTION, fetch_on_head),
        curl_easy_setopt(curl, CURLOPT_HEADERDATA, client),
        curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, fetch_on_data),
        curl_easy_setopt(curl, CURLOPT_WRITEDATA, client),
        curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, fetch_on_progress),
        curl_easy_setopt(curl, CURLOPT_XFERINFODATA, client),
        curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L), /* so that it is called */
    };

    for (size_t i = 0; i < ARRAY_LENGTH(codes); i++)
        if (codes[i] != CURLE_OK)
            return codes[i];
    return CURLE_OK;
}

int fetch_new(const char *address, const char *path, struct fetch **ret_client, struct error *error)
{
    struct fetch *client = calloc(1, sizeof(*client));
    CURLcode code = CURLE_OUT_OF_MEMORY;
    int r;

    if (!client)
        return error_set(error, -ENOMEM, "out of memory");
    client->curl = curl_easy_init();
    if (client->curl)
        code = fetch_set_options(client);
    if (code != CURLE_OK)
        r = error_set(error, -ENOMEM, "%s", curl_easy_strerror(code));
    else
        r = fetch_set_address(client, address, path, error);
    if (r < 0) {
        fetch_free(client);
        return r;
    }
    *ret_client = client;
    return 0;
}

void fetch_free(struct fetch *client)
{
    if (!client)
        return;
    curl_easy_cleanup(client->curl);
    free(client->socket);
    free(client);
}

/* A path that does not fit into sockaddr_un is reached through a descriptor, which the caller closes after the
 * transfer: *ret_fd, or -1 when none was needed. */
static int fetch_set_socket(struct fetch *client, int *ret_fd)
{
    const char *path = client->socket;
    char proc[40];
    int fd = -1;

    if (strlen(path) >= sizeof(((struct sockaddr_un *)0)->sun_path)) {
        fd = open(path, O_PATH | O_CLOEXEC);
        if (fd < 0)
            return -errno;
        snprintf(proc, sizeof(proc), "/proc/self/fd/%d", fd);
        path = proc;
    }
    if (curl_easy_setopt(client->curl, CURLOPT_UNIX_SOCKET_PATH, path) != CURLE_OK) {
        if (fd >= 0)
            close(fd);
        return -ENOMEM;
    }
    *ret_fd = fd;
    return 0;
}

/* What went wrong, as the system says it where it was the system. */
static int fetch_fail(struct fetch *client, CURLcode code, struct error *error)
{
    char reason[CURL_ERROR_SIZE];
    long os_errno = 0;

    curl_easy_getinfo(client->curl, CURLINFO_OS_ERRNO, &os_errno);
    if (code != CURLE_COULDNT_CONNECT)
        os_errno = 0;
    connect_reason(reason, sizeof(reason), (int)code, (int)os_errno, "", client->reason);
    return error_set(error, os_errno ? -(int)os_errno : -EIO, "%s", reason);
}

/* One transfer of what has been set. 0 with libcurl's verdict and the status (0: there was none), or a negative errno
 * with a sentence when there was no transfer. */
static int fetch_perform(struct fetch *client, CURLcode *ret_code, long *ret_status, struct error *error)
{
    int fd = -1;
    int r = client->socket ? fetch_set_socket(client, &fd) : 0;

    if (r < 0)
        return error_set(error, r, "cannot connect: %s", strerror(-r));
    client->reason[0] = client->complaint[0] = '\0';
    *ret_status = 0;
    *ret_code = curl_easy_perform(client->curl);
    if (fd >= 0)
        close(fd);
    curl_easy_getinfo(client->curl, CURLINFO_RESPONSE_CODE, ret_status);
    return 0;
}

int fetch_get(struct fetch *client, uint64_t timeout_ms, FILE *to, long *ret_status, struct error *error)
{
    CURLcode code = CURLE_OK;
    long status = 0;
    int r;

    if (curl_easy_setopt(client->curl, CURLOPT_TIMEOUT_MS, (long)timeout_ms) != CURLE_OK)
        return error_set(error, -EINVAL, "no time-out for libcurl");
    client->to = to;
    r = fetch_perform(client, &code, &status, error);
    client->to = NULL;
    if (r < 0)
        return r;
    if (code != CURLE_OK && !(code == CURLE_WRITE_ERROR && !to && status >= 200))
        return fetch_fail(client, code, error);
    *ret_status = status;
    return 0;
}

/* The detail of a problem (RFC 9457), its quotes and backslashes as they are, or else the first line. In place. */
static struct text fetch_find_detail(char *complaint)
{
    static const char key[] = "\"detail\":\"";
    char *detail = complaint[0] == '{' ? strstr(complaint, key) : NULL;
    size_t n = 0;

    if (!detail)
        return (struct text){complaint, strcspn(complaint, "\r\n")};
    detail += sizeof(key) - 1;
    for (const char *from = detail; *from && *from != '"'; from++) {
        if (from[0] == '\\' && (from[1] == '"' || from[1] == '\\'))
            from++;
        detail[n++] = *from;
    }
    return (struct text){detail, n};
}

/* The answer is no stream: its status, and what it says about it, without anything that a terminal would obey. */
static int fetch_refused(struct fetch *client, long status, struct error *error)
{
    char said[4 * sizeof(client->complaint)];
    struct text detail = fetch_find_detail(client->complaint);
    size_t n = detail.length;

    line_escape(said, sizeof(said), detail.data, n);
    return error_set(error, -EPROTO, "the status is %ld%s%s", status, n > 0 ? ": " : "", said);
}

int fetch_stream(struct fetch *client, fetch_sink *sink, void *closure, const volatile sig_atomic_t *stop,
                 struct error *error)
{
    CURLcode code = CURLE_OK;
    long status = 0;
    int r;

    client->sink = sink;
    client->closure = closure;
    client->stop = stop;
    client->is_enough = false;
    r = fetch_perform(client, &code, &status, error);
    client->sink = NULL;
    client->stop = NULL;
    if (client->is_enough || *stop)
        return 0;
    if (r < 0)
        return r;
    if (code == CURLE_PARTIAL_FILE && status == 200)
        return error_set(error, -EPIPE, "whoever answered has gone, and has not said the end");
    if (code != CURLE_OK)
        return fetch_fail(client, code, error);
    return status == 200 ? 0 : fetch_refused(client, status, error);
}

void fetch_complain(const char *verb, const char *address, int code, const struct error *error)
{
    char why[FETCH_WHY_BYTES] = "";

    if ((code == -EACCES || code == -ENOENT) && fetch_begins(address, "unix:/"))
        permission_explain(address + strlen("unix:"), why, sizeof(why));
    else if (code == -ECONNREFUSED && fetch_begins(address, "unix:@"))
        snprintf(why, sizeof(why), "nobody has this name in our network namespace");
    else if (code == -ECONNREFUSED && fetch_begins(address, "unix:"))
        snprintf(why, sizeof(why), "nobody listens there any more, its server has ended");
    if (code == -ENOENT && strcmp(address, CMD_DEFAULT_ADMIN) == 0)
        strncat(why, "; an admin listener is where \"admin\" of the configuration says, or nowhere",
                sizeof(why) - 1 - strlen(why));
    fprintf(stderr, "porthole %s: %s: %s%s%s\n", verb, address, error->message, why[0] ? ": " : "", why);
}
