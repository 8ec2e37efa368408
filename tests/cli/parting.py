#!/usr/bin/env python3
"""One end of a tunnel says much and closes; the other one goes on sending, and takes what was said slowly.

usage: parting.py LISTENER TARGET WHO [UPGRADE]

Both ends are played here: the client connects to LISTENER, the target listens on TARGET (a path, or a port of 127.0.0.1).
WHO closes: client or target. With UPGRADE they speak HTTP first, to that protocol. Prints how many bytes the other end got
and how that ended: end, or reset."""

import fcntl
import os
import socket
import sys
import termios
import threading
import time

BYTES = 1 << 20
PIECE_S = 0.005


def make_socket(address):
    family = socket.AF_UNIX if address.startswith("/") else socket.AF_INET
    made = socket.socket(family, socket.SOCK_STREAM)
    # As little as the kernel allows: what is on its way waits in porthole's socket.
    made.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    return made


def where(address):
    return address if address.startswith("/") else ("127.0.0.1", int(address))


def read_head(end):
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        piece = end.recv(1)
        if not piece:
            raise EOFError(f"an end after {head!r}")
        head += piece
    return head


def unsent(end):
    return int.from_bytes(fcntl.ioctl(end, termios.TIOCOUTQ, bytes(4)), sys.byteorder)


def say_on(end):
    """Until that is of no use."""
    try:
        while True:
            end.sendall(b"and on " * 100)
            time.sleep(PIECE_S)
    except OSError:
        pass


def main():
    listener, target, who = sys.argv[1:4]
    upgrade = sys.argv[4] if len(sys.argv) > 4 else None
    server = make_socket(target)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    server.bind(where(target))
    server.listen()
    client = make_socket(listener)
    client.connect(where(listener))
    if upgrade:
        client.sendall(f"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n".encode())
    accepted, _ = server.accept()
    if upgrade:
        read_head(accepted)
        accepted.sendall(f"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: {upgrade}\r\n\r\n".encode())
        read_head(client)
    closer, other = (client, accepted) if who == "client" else (accepted, client)
    threading.Thread(target=say_on, args=(other,), daemon=True).start()
    got = bytearray()

    def say_and_leave():
        closer.sendall(bytes(BYTES))
        # What is in its own kernel yet would go with a connection of TCP.
        while closer.family == socket.AF_INET and unsent(closer):
            time.sleep(PIECE_S)
        closer.close()

    threading.Thread(target=say_and_leave, daemon=True).start()
    time.sleep(0.3)
    try:
        while piece := other.recv(16384):
            got += piece
            time.sleep(PIECE_S)
        how = "end"
    except ConnectionError:
        how = "reset"
    print(len(got), how, flush=True)
    os._exit(0)


main()
