"""Asks on new connections, one after the other in several threads, until SIGTERM; then prints how many were answered and,
a line each, what failed."""

import signal
import socket
import sys
import threading

path, n_threads = sys.argv[1], 4
stop, begun = threading.Event(), threading.Event()
answered = [0] * n_threads
failures = []


def ask():
    with socket.socket(socket.AF_UNIX) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(b"GET /load HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"GET /load\n"):
        raise ValueError(repr(answer))


def work(i):
    while not stop.is_set():
        try:
            ask()
            answered[i] += 1
            begun.set()
        except (OSError, ValueError) as error:
            failures.append(f"{type(error).__name__}: {error}")


signal.signal(signal.SIGTERM, lambda *_: stop.set())
threads = [threading.Thread(target=work, args=(i,)) for i in range(n_threads)]
for thread in threads:
    thread.start()
begun.wait(20)
print("answering", file=sys.stderr, flush=True)
while not stop.wait(0.1):
    pass
for thread in threads:
    thread.join()
print("answered", sum(answered))
print("failed", len(failures))
print("\n".join(failures[:5]))
