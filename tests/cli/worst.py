"""The worst that clients and a target can do to porthole's memory: as many clients as may come in, each with a head as
large as it may be and an answer with one; then a body each way of which neither side takes anything.

usage: worst.py SOCKET BACKEND PID N   prints the most that porthole had resident, in KiB; before the first of them, and some
                                       seconds after the last

Serves BACKEND itself."""

import os
import socket
import sys
import threading
import time

HEAD = 15 * 1024
BODY = 4 << 20
MORE = 2048  # KiB, that a process needs once it has served something
PATH, BACKEND, PID, N = sys.argv[1], sys.argv[2], sys.argv[3], int(sys.argv[4])


def answer(connection):
    """A head as large as it may be, and a body without a reader; what the client sends stays where it is."""
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(65536)
        if not piece:
            return
        data += piece
    if data.startswith(b"POST"):
        time.sleep(60)
        return
    fields = b"".join(b"X-%d: %s\r\n" % (i, b"y" * 1000) for i in range(14))
    try:
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n%s\r\n" % (BODY, fields) + bytes(BODY))
    except OSError:
        pass


def serve(listener):
    while True:
        connection, _ = listener.accept()
        threading.Thread(target=answer, args=(connection,), daemon=True).start()


def ask(number):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(1)
    client.connect(PATH)
    fields = b"".join(b"X-%d: %s\r\n" % (i, b"x" * 140) for i in range(100))[:HEAD - 200]
    fields = fields[:fields.rindex(b"\r\n") + 2]
    uploads = number % 2 == 0
    try:
        client.sendall(b"%s / HTTP/1.1\r\nHost: h\r\n%s%s\r\n" % (
            b"POST" if uploads else b"GET", fields, b"Content-Length: %d\r\n" % BODY if uploads else b""))
        if uploads:
            client.sendall(bytes(BODY))
    except OSError:
        pass  # it takes no more
    return client


def resident(key):
    with open(f"/proc/{PID}/status", encoding="ascii") as status:
        return next(int(line.split()[1]) for line in status if line.startswith(key))


def shown(least):
    """What is resident when it is no more than so much, or after some seconds."""
    for _ in range(150):
        if resident("VmRSS") <= least:
            break
        time.sleep(0.1)
    return resident("VmRSS")


def main():
    before = resident("VmRSS")
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(BACKEND)
    listener.listen(1024)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    clients = [None] * N
    threads = [threading.Thread(target=lambda i=i: clients.__setitem__(i, ask(i))) for i in range(N)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(1)
    most = resident("VmHWM")
    for client in clients:
        client.close()
    print(most, before, shown(before + MORE), flush=True)
    os._exit(0)


main()
