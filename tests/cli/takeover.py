"""Whoever meets a takeover.

  load ADDRESS...      asks at each address on new connections and on kept ones, until SIGTERM; prints how many were answered
                       and, a line each, what failed
  squat ADDRESS        has the name of the private socket of a listener, and says nothing of use
  crowd ADDRESS        connects to it a thousand times, and says nothing or rubbish
  late ADDRESS PID     takes the listener from process PID, which is stopped when it is told that it may leave, and accepts a
                       client for it meanwhile; then prints "done", and keeps it until SIGTERM
"""

import os
import select
import signal
import socket
import sys
import threading
import time

REQUEST = b"GET /load HTTP/1.1\r\nHost: localhost\r\n%s\r\n"
stop = threading.Event()
answered, failures = [], []


def connect(address):
    if address.startswith("tcp:"):
        host, port = address[4:].rsplit(":", 1)
        return socket.create_connection((host, int(port)), timeout=20)
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    path = address[5:]
    s.connect("\0" + path[1:] if path.startswith("@") else path)
    return s


def ask_once(address):
    with connect(address) as s:
        s.sendall(REQUEST % b"Connection: close\r\n")
        answer = b""
        while piece := s.recv(65536):
            answer += piece
    if not answer.startswith(b"HTTP/1.1 200 ") or not answer.endswith(b"GET /load\n"):
        raise ValueError(repr(answer))


def ask_kept(address, kept):
    """On the connection that is kept, unless it has been closed since. Returns the one to keep."""
    if kept and select.select([kept], [], [], 0)[0]:
        if kept.recv(1):
            raise ValueError("more than was asked for")
        kept.close()
        kept = None
    used = kept is not None
    kept = kept or connect(address)
    answer = b""
    try:
        kept.sendall(REQUEST % b"")
        while not answer.endswith(b"GET /load\n"):
            piece = kept.recv(65536)
            if not piece:
                raise ConnectionResetError("closed without an answer")
            answer += piece
    except (ConnectionResetError, BrokenPipeError):
        # Closed while we asked (RFC 9112 9.3.1): a GET may be sent again.
        if not used or answer:
            raise
        kept.close()
        return ask_kept(address, None)
    if not answer.startswith(b"HTTP/1.1 200 "):
        raise ValueError(repr(answer))
    if b"\r\nconnection: close\r\n" in answer.lower():
        kept.close()
        return None
    return kept


def work(address, keep):
    kept = None
    while not stop.is_set():
        try:
            if keep:
                kept = ask_kept(address, kept)
            else:
                ask_once(address)
            if not answered:
                print("answered", file=sys.stderr, flush=True)
            answered.append(1)
        except (OSError, ValueError) as error:
            failures.append(f"{address} {'kept' if keep else 'new'}: {type(error).__name__}: {error}")
            kept = None


def load(*addresses):
    threads = [threading.Thread(target=work, args=(a, keep)) for a in addresses for keep in (False, False, True)]
    for thread in threads:
        thread.start()
    while not stop.wait(0.1):
        pass
    for thread in threads:
        thread.join()
    print("answered", len(answered))
    print("failed", len(failures))
    print("\n".join(failures[:10]))


def private(address):
    return "\0porthole-takeover " + address


def squat(address):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.bind(private(address))
    s.listen()
    print("there", flush=True)
    while True:
        with s.accept()[0] as asking:
            asking.recv(1000)
            asking.send(b"GET / HTTP/1.1\r\n\r\n")


def crowd(address):
    silent = []
    for i in range(1000):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.setblocking(False)
        try:
            s.connect(private(address))
            if i % 3:
                s.send(b"porthole-takeover/1 " * (i % 5) + b"rubbish")
        except OSError:
            time.sleep(0.001)
        silent.append(s)
    print("there", flush=True)
    signal.pause()


def until(condition):
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "has not come true"
        time.sleep(0.02)


def is_stopped(pid):
    """Each of its threads."""
    threads = os.listdir(f"/proc/{pid}/task")
    return all(open(f"/proc/{pid}/task/{thread}/stat", encoding="utf-8").read().rsplit(")", 1)[1].split()[0] == "T" for thread in threads)


def is_ours(address, listener):
    """Whether who connects comes to us."""
    with connect(address):
        if not select.select([listener], [], [], 0.2)[0]:
            return False
        try:
            listener.accept()[0].close()
        except BlockingIOError:  # the other process was faster
            return False
        return True


def late(address, pid):
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as s:
        s.connect(private(address))
        s.send(b"porthole-takeover/1 take " + address.encode())
        message, fds, _, _ = socket.recv_fds(s, 1000, 2)
        assert message == b"porthole-takeover/1 here" and len(fds) == 2, (message, fds)
        listener = socket.socket(fileno=fds[0])
        os.kill(int(pid), signal.SIGSTOP)
        until(lambda: is_stopped(pid))
        s.send(b"porthole-takeover/1 serving")
        with connect(address) as client:
            assert select.select([listener], [], [], 10)[0]
            with listener.accept()[0] as accepted:
                accepted.sendall(b"here")
                assert client.recv(10) == b"here"
        os.kill(int(pid), signal.SIGCONT)
        assert s.recv(1000) == b"porthole-takeover/1 left"
        until(lambda: is_ours(address, listener))  # when its workers have heard of it, too
        print("done", flush=True)
        signal.pause()


signal.signal(signal.SIGTERM, lambda *_: stop.set() if sys.argv[1] == "load" else sys.exit(0))
{"load": load, "squat": squat, "crowd": crowd, "late": late}[sys.argv[1]](*sys.argv[2:])
