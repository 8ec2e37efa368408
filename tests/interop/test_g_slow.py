"""Readers that take a little at a time are slow, not stalled: what counts is that they take something."""

import os
import socket
import threading
import time

import ends
import wire
from ends import house
from tap import Skip, test

PIECE, PAUSE = 100, 0.1  # so much at a time


def need_diag():
    """The kernel tells what a Unix socket's peer has not read only where it has unix_diag."""
    ours, theirs = socket.socketpair()
    ours.send(b"x" * 100)
    with socket.socket(socket.AF_NETLINK, socket.SOCK_RAW, 4) as diag:
        inode = os.fstat(ours.fileno()).st_ino
        body = bytes([socket.AF_UNIX, 0, 0, 0]) + b"\xff" * 4 + inode.to_bytes(4, "little") + (4).to_bytes(4, "little") + b"\xff" * 8
        diag.send((16 + len(body)).to_bytes(4, "little") + b"\x14\0\1\0" + bytes(8) + body)
        if int.from_bytes(diag.recv(1024)[4:6], "little") != 20:
            raise Skip("the kernel has no unix_diag")
    theirs.close()


def trickle(end, seconds, piece=PIECE, pause=PAUSE):
    """Takes a little at a time from a socket, for so long."""
    stop = time.monotonic() + seconds
    while time.monotonic() < stop:
        data = end.sock.recv(piece)
        if not data:
            raise EOFError("cut while something was taken all the time")
        end.ahead += data
        time.sleep(pause)


@test("a client that takes 100 bytes every 0.1 s is not stalled, with timeouts.body 3s")
def slow_client(context):
    need_diag()
    porthole, board = house(context, listener={"timeouts": {"body": "3s"}})
    body = os.urandom(600_000)
    with wire.client(porthole.address, 30) as client:
        client.send(wire.head("GET", "/slow"))
        target = board.take_request()
        sender = threading.Thread(target=lambda: target.send(wire.answer(body)), daemon=True)
        sender.start()
        trickle(client, 7)
        assert wire.Response(client).body == body
    target.close()
    porthole.check_outcomes("/slow", 1, "forwarded")


@test("a target that takes 100 bytes of a body every 0.1 s is not stalled, with timeouts.idle 3s")
def slow_target(context):
    need_diag()
    porthole, board = house(context, timeouts={"idle": "3s"})
    body = os.urandom(1_500_000)
    with wire.client(porthole.address, 30) as client:
        sender = threading.Thread(target=lambda: client.send(wire.head("POST", "/slow", f"Content-Length: {len(body)}") + body), daemon=True)
        sender.start()
        target = board.take()
        trickle(target, 7)
        assert wire.Request(target).body == body
        target.send(wire.answer(b"taken"))
        assert wire.Response(client).body == b"taken"
    target.close()
    porthole.check_outcomes("/slow", 1, "forwarded")


@test("a target that takes nothing of a body is given up soon after timeouts.idle")
def stalled_target(context):
    porthole, board = house(context, timeouts={"idle": "3s"})
    begin = time.monotonic()
    with wire.client(porthole.address, 30) as client:
        def send():
            try:
                client.send(wire.head("POST", "/stalled", "Content-Length: 3000000") + bytes(3_000_000))
            except OSError:
                pass

        threading.Thread(target=send, daemon=True).start()
        target = board.take()
        porthole.await_entries("/stalled", 1, 15)
    passed = time.monotonic() - begin
    assert 0.8 <= passed, passed
    porthole.check_outcomes("/stalled", 1, "response_timeout")
    target.close()


@test("a tunnel whose client has gone: a target that takes 20 bytes every 0.5 s is given all of it", 40)
def slow_tunnel(context):
    need_diag()
    porthole, board = house(context)
    tunnel = ends.open_tunnel(porthole.address, board)
    said = os.urandom(30_000)
    tunnel.client.send(said)
    tunnel.client.close()
    trickle(tunnel.target, 12, 20, 0.5)
    assert tunnel.target.exactly(len(said)) == said
    tunnel.target.close()
