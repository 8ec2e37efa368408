"""Connects again and again, and asks, across the stop of a server: what became of every connection.

usage: stop.py KIND ADDRESS CLIENTS SECONDS [once|keep|pause|echo]
KIND: unix, abstract, tcp. Prints a line of counts when nobody could connect for a while, or the time is over:

    served     answered whole
    refused    could not connect: ECONNREFUSED, ENOENT
    let_go     a kept connection ended before another request was sent, or could not take it
    lost       a request was sent and taken, and no answer came
    hanging    neither an answer nor an end within ten seconds
    closing    answers with Connection: close (of those that were served)
    late       answers without it that came after SIGUSR1 was sent to this program, to requests that were sent after
"""

import collections
import random
import signal
import socket
import sys
import threading
import time

kind, address, n_clients, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), float(sys.argv[4])
way = sys.argv[5] if len(sys.argv) > 5 else "once"
counts = collections.Counter()
lock = threading.Lock()
until = time.monotonic() + seconds
told = threading.Event()
served = threading.Event()
MAKES_ROOM_S = 0.05 # who has connected and said nothing for so long makes room for others
REQUEST = b"GET /stop HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect():
    if kind == "tcp":
        host, port = address.rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=10)
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(10)
    client.connect(address if kind == "unix" else "\0" + address)
    return client


def count(what):
    with lock:
        counts[what] += 1
    if what == "served":
        served.set()


def receive(client):
    """One answer, of a length that it tells; b"" at an end before it."""
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = client.recv(65536)
        if not piece:
            return b""
        answer += piece
    head, body = answer.split(b"\r\n\r\n", 1)
    length = next(int(l.split(b":")[1]) for l in head.split(b"\r\n") if l.lower().startswith(b"content-length"))
    while len(body) < length:
        piece = client.recv(65536)
        if not piece:
            return b""
        body += piece
    return head


def ask(client, first, begun):
    """One request. Whether another may follow."""
    after = told.is_set()
    try:
        client.sendall(b"echo\n" if way == "echo" else REQUEST)
    except OSError:
        count("lost" if first else "let_go")
        return False
    is_late = time.monotonic() - begun > MAKES_ROOM_S
    try:
        answer = client.recv(65536) if way == "echo" else receive(client)
    except TimeoutError:
        count("hanging")
        return False
    except ConnectionError as error:
        answer = b""
    if not answer:
        # A server may let a kept connection go at any time. On TCP a request may cross that; what a Unix socket has
        # taken is read.
        count("lost" if kind != "tcp" or (first and not is_late) else "let_go")
        return False
    count("served")
    if way == "echo":
        return False
    closing = b"\r\nconnection: close" in answer.lower()
    if closing:
        count("closing")
    elif after:
        count("late")
    if way == "pause":
        time.sleep(random.uniform(0, 1.3)) # around the second that a stop gives them
    return way in ("keep", "pause") and not closing


def work():
    n_refused = 0
    while time.monotonic() < until and n_refused < 20:
        begun = time.monotonic()
        try:
            client = connect()
        except (ConnectionRefusedError, FileNotFoundError):
            count("refused")
            n_refused += 1
            time.sleep(0.01)
            continue
        except TimeoutError:
            count("hanging")
            continue
        except ConnectionResetError: # in the middle of connecting: nothing was sent
            count("refused")
            continue
        n_refused = 0
        with client:
            first = True
            while ask(client, first, begun) and time.monotonic() < until:
                first = False


signal.signal(signal.SIGUSR1, lambda *_: told.set())
threads = [threading.Thread(target=work) for _ in range(n_clients)]
for thread in threads:
    thread.start()
served.wait(20)
print("begun", flush=True)
for thread in threads:
    while thread.is_alive():
        thread.join(0.2)
names = ["served", "refused", "let_go", "lost", "hanging", "closing", "late"]
print(" ".join(f"{name}={counts[name]}" for name in names))
