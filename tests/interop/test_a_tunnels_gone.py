"""Tunnels and streams whose client has gone while the target does not read: their places are free soon, and not after
timeouts.tunnel; what a target that does read is still to get, it gets."""

import time

import ends
import peers
import test_4_bodies as bodies
from ends import await_end
from tap import test
from test_b_streams import STREAMED, bridge, join

LINGERS_S = 5  # between two looks at what the target takes


def stand(context, how, kind):
    """porthole, and a function that opens a tunnel."""
    if how == "stream":
        porthole, board = bridge(context, kind, kind)
        return porthole, board, STREAMED, lambda: join(porthole, board)
    porthole, board = ends.house(context, kind=kind)
    return porthole, board, "/tunnel", lambda: ends.open_tunnel(porthole.address, board)


def fill(end):
    """Says something until nobody takes any more of it. Returns what."""
    n, since = 0, time.monotonic()
    end.sock.setblocking(False)
    while time.monotonic() - since < 0.5:
        try:
            n += end.sock.send(bodies.pattern_at(n, 1 << 16))
            since = time.monotonic()
        except BlockingIOError:
            time.sleep(0.02)
        assert n < 1 << 28, "this is read by somebody"
    end.sock.settimeout(20)
    return bodies.pattern_at(0, n)


def gone_while_the_target_does_not_read(context, how, kind):
    porthole, _, request, open_one = stand(context, how, kind)
    tunnel = open_one()
    fill(tunnel.client)
    watch = peers.Watch()
    if kind == "tcp":
        peers.reset(tunnel.client)
    else:
        tunnel.client.close()
    porthole.check_outcomes(request, 1, "client_gone", 60)
    watch.check(0, LINGERS_S - 1 if kind == "tcp" else 3 * LINGERS_S, "the end")
    tunnel.target.close()
    porthole.check_fds(10)


for HOW in ("tunnel", "stream"):
    for KIND, END in (("unix", "closes"), ("tcp", "resets")):
        test(f"{HOW} ({KIND}): a client {END} while the target does not read: over soon, client_gone", 120)(
            lambda context, how=HOW, kind=KIND: gone_while_the_target_does_not_read(context, how, kind))


@test("stream (unix): a client that closed both ways has said all; a slow target gets every byte of it, and the end", 120)
def slow_target(context):
    porthole, board = bridge(context)
    tunnel = join(porthole, board)
    said, got = fill(tunnel.client), b""
    tunnel.client.close()
    begin = time.monotonic()
    while len(got) < len(said):
        got += tunnel.target.exactly(min(60_000, len(said) - len(got)))
        time.sleep(1.5)
    assert got == said
    assert time.monotonic() - begin > LINGERS_S + 2, "too fast to be slow"
    await_end(tunnel.target, 20, reset=False)
    tunnel.target.close()
    porthole.check_outcomes(STREAMED, 1, {"tunneled", "client_gone"}, 20)


@test("stream (unix): a target that closed both ways has said all; a client that reads late gets every byte of it", 120)
def late_client(context):
    porthole, board = bridge(context)
    tunnel = join(porthole, board)
    said = fill(tunnel.target)
    tunnel.target.close()
    time.sleep(LINGERS_S + 3)
    assert tunnel.client.exactly(len(said)) == said
    await_end(tunnel.client, 20, reset=False)
    tunnel.client.close()
    porthole.check_outcomes(STREAMED, 1, {"tunneled", "target_reset"}, 20)
