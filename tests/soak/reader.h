/* Reading a message of the soak from a socket that blocks: heads, and bodies that are held against what was agreed on.
 */
#ifndef PORTHOLE_SOAK_READER_H
#define PORTHOLE_SOAK_READER_H

#include "tests/soak/said.h"

/* What a socket has given and nobody has taken. For one thread. */
struct reader {
    int fd; /* borrowed */
    size_t begin, end;
    uint64_t n_read;      /* bytes since the exchange began */
    uint64_t leave_after; /* 0: never; so many bytes are all that are read in this exchange */
    bool stalled;
    char head[SAID_HEAD_MAX]; /* the last one, NUL-terminated */
    char data[SAID_BUFFER];
};

enum reader_end { READER_OK = 0, READER_CUT = -1, READER_WRONG = -2, READER_LEFT = -3 };

static inline int reader_fill(struct reader *reader)
{
    size_t room = sizeof(reader->data);
    if (reader->leave_after && reader->n_read >= reader->leave_after)
        return READER_LEFT;
    if (reader->leave_after && room > reader->leave_after - reader->n_read)
        room = (size_t)(reader->leave_after - reader->n_read);
    ssize_t n;
    while ((n = recv(reader->fd, reader->data, room, 0)) < 0 && errno == EINTR)
        ;
    if (n <= 0) {
        reader->stalled = n < 0 && errno == EAGAIN;
        return READER_CUT;
    }
    reader->begin = 0;
    reader->end = (size_t)n;
    reader->n_read += (uint64_t)n;
    return READER_OK;
}

/* A line, without its end, NUL-terminated. */
static inline int reader_line(struct reader *reader, char *line, size_t size)
{
    size_t length = 0;
    for (;;) {
        int r = reader->begin < reader->end ? READER_OK : reader_fill(reader);
        if (r)
            return r;
        char c = reader->data[reader->begin++];
        if (length + 1 == size)
            return READER_WRONG;
        line[length++] = c;
        if (c == '\n' && length >= 2 && line[length - 2] == '\r')
            break;
    }
    line[length - 2] = '\0';
    return READER_OK;
}

/* A head, whose lines go to `head` with their ends. */
static inline int reader_head(struct reader *reader)
{
    size_t length = 0;
    for (;;) {
        int r = reader_line(reader, reader->head + length, sizeof(reader->head) - length - 2);
        if (r)
            return r;
        size_t line = strlen(reader->head + length);
        if (line == 0)
            return length == 0 ? READER_WRONG : READER_OK;
        length += line;
        memcpy(reader->head + length, "\r\n", 3);
        length += 2;
    }
}

/* The value of a field, or NULL. */
static inline const char *reader_field(const struct reader *reader, const char *name)
{
    size_t length = strlen(name);
    for (const char *line = strstr(reader->head, "\r\n"); line; line = strstr(line + 2, "\r\n"))
        if (strncasecmp(line + 2, name, length) == 0 && line[2 + length] == ':')
            return line + 2 + length + 1 + strspn(line + 2 + length + 1, " ");
    return NULL;
}

static inline bool reader_says(const struct reader *reader, const char *name, const char *value)
{
    const char *found = reader_field(reader, name);
    return found && strncasecmp(found, value, strlen(value)) == 0;
}

/* A body that is being read. */
struct body {
    char framing;
    uint64_t seed; /* its bytes; see said_bytes */
    uint64_t got;
    uint64_t left; /* of it, or of its chunk */
    bool in_chunk, over;
};

/* The framing that the reader's last head tells; without one it is of no length, or until the end. */
static inline struct body body_of(const struct reader *reader, uint64_t seed, bool until_end)
{
    const char *length = reader_field(reader, "Content-Length");
    if (reader_says(reader, "Transfer-Encoding", "chunked"))
        return (struct body){.framing = SAID_CHUNKED, .seed = seed};
    if (length || !until_end)
        return (struct body){.framing = SAID_SIZED, .seed = seed, .left = length ? strtoull(length, NULL, 10) : 0};
    return (struct body){.framing = SAID_UNTIL_END, .seed = seed, .left = UINT64_MAX};
}

/* Between two chunks: the size of the next, or the end. */
static inline int body_chunk(struct body *body, struct reader *reader)
{
    char line[256], *end;
    int r;
    if (body->in_chunk && (r = reader_line(reader, line, sizeof(line))))
        return r;
    if (body->in_chunk && line[0])
        return READER_WRONG;
    if ((r = reader_line(reader, line, sizeof(line))))
        return r;
    body->left = strtoull(line, &end, 16);
    if (end == line)
        return READER_WRONG;
    body->in_chunk = body->left > 0;
    while (body->left == 0 && !body->over) { /* trailers */
        if ((r = reader_line(reader, line, sizeof(line))))
            return r;
        body->over = line[0] == '\0';
    }
    return READER_OK;
}

/* Reads until `most` bytes of it have come, or it is over. */
static inline int body_read(struct body *body, struct reader *reader, uint64_t most)
{
    while (!body->over && body->got < most) {
        int r = READER_OK;
        if (body->left == 0 && body->framing == SAID_CHUNKED) {
            if ((r = body_chunk(body, reader)))
                return r;
            continue;
        }
        if (body->left == 0) {
            body->over = true;
            break;
        }
        if (reader->begin == reader->end && (r = reader_fill(reader))) {
            body->over = body->framing == SAID_UNTIL_END && r == READER_CUT && !reader->stalled;
            return body->over ? READER_OK : r;
        }
        uint64_t n = reader->end - reader->begin;
        if (n > body->left)
            n = body->left;
        if (n > most - body->got)
            n = most - body->got;
        if (!said_is(body->seed, body->got, reader->data + reader->begin, (size_t)n))
            return READER_WRONG;
        reader->begin += (size_t)n;
        body->got += n;
        body->left -= n;
    }
    return READER_OK;
}

#endif
