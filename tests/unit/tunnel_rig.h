/* Tunnels on the rig: their client's end is rig->client_fd, their target's rig->target_fd. */
#ifndef PORTHOLE_TESTS_TUNNEL_RIG_H
#define PORTHOLE_TESTS_TUNNEL_RIG_H

#include "proxy/tunnel/tunnel_half.h"
#include "tests/unit/exchange_rig.h"

/* What a stream's tunnel is opened with. */
extern const struct record tunnel_record;

/* Begins a tunnel for a new client; what the target makes of that is not looked at. */
void tunnel_begin(struct rig *rig);
/* The same, and the target accepts it. */
void tunnel_begin_open(struct rig *rig);
/* There must be exactly one. */
struct tunnel *tunnel_only(struct rig *rig);

/* One of the ends sends, and the tunnel moves. */
void end_say(struct rig *rig, int fd, const char *data);
/* Exactly this has arrived at it, and no end yet. */
void end_expect(int fd, const char *data);
/* Its end of file is there. */
void end_expect_end(int fd);
/* It says that it is at its end. */
void end_finish(struct rig *rig, int fd);

/* Gives one of our descriptors the least buffer for sending. */
void end_make_tiny(int fd);
/* Receives all there is, at most `size`. */
size_t end_receive(int fd, char *data, size_t size);
/* So many bytes, no two pieces of them alike; to be freed. */
char *end_pattern(size_t n);

/* The tunnel is over, was counted as this and nothing else, and its client counted out. */
void tunnel_expect_over(struct rig *rig, enum outcome outcome);
/* It is not over. */
void tunnel_expect_open(struct rig *rig);
/* One was opened, and so many bytes went from and to the client. */
void tunnel_expect_moved(struct rig *rig, uint64_t received, uint64_t sent);

#endif
