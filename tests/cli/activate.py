"""A service manager in small: opens sockets, starts a program with them, starts it again when it has ended, and hears what it tells.

usage: activate.py [-n TIMES] [-w WATCHDOG_USEC] [NAME=KIND:ADDRESS ...] -- COMMAND...
KIND: unix, abstract, tcp, dgram, connected (a socket that is no listener), bound (does not listen), file. NAME may be empty.
SIGTERM goes to the program. What it tells is printed, a message a line, and "started N" and "ended N STATUS"."""

import ctypes
import os
import selectors
import signal
import socket
import sys

arguments = sys.argv[1:]
times, watchdog = 1, None
while arguments[0].startswith("-") and arguments[0] != "--":
    if arguments[0] == "-n":
        times = int(arguments[1])
    else:
        watchdog = arguments[1]
    arguments = arguments[2:]
cut = arguments.index("--")
specs, command = arguments[:cut], arguments[cut + 1:]


def open_socket(kind, address):
    if kind == "file":
        return os.open(address, os.O_RDONLY)
    if kind == "tcp":
        host, port = address.rsplit(":", 1)
        s = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
        s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        s.bind((host, int(port)))
        s.listen(64)
        return s
    if kind == "connected":
        ends = socket.socketpair()
        keep.append(ends[1])
        return ends[0]
    s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM if kind == "dgram" else socket.SOCK_STREAM)
    s.bind("\0" + address if kind == "abstract" else address)
    if kind in ("unix", "abstract"):
        s.listen(64)
    return s


keep, passed, names = [], [], []
for spec in specs:
    name, rest = spec.split("=", 1)
    names.append(name)
    s = open_socket(*rest.split(":", 1))
    keep.append(s)
    passed.append(s if isinstance(s, int) else s.fileno())
# Out of the way of the numbers that they will have.
passed = [os.dup2(fd, 200 + i, inheritable=False) for i, fd in enumerate(passed)]
heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
heard.bind("\0porthole-activate-%d" % os.getpid())
child = 0
ends = False


def start():
    pid = os.fork()
    if pid:
        return pid
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: whoever ends us ends it, too
    for i, fd in enumerate(passed):
        os.dup2(fd, 3 + i, inheritable=True)
    os.environ["NOTIFY_SOCKET"] = "@porthole-activate-%d" % os.getppid()
    if watchdog:
        os.environ.update(WATCHDOG_USEC=watchdog, WATCHDOG_PID=str(os.getpid()))
    if passed:
        os.environ.update(LISTEN_PID=str(os.getpid()), LISTEN_FDS=str(len(passed)), LISTEN_FDNAMES=":".join(names))
    os.execvp(command[0], command)


def on_term(*_):
    global ends
    ends = True
    os.kill(child, signal.SIGTERM)


def hear():
    while selectors_ready(0):
        print(heard.recv(4096).decode().replace("\n", " "), flush=True)


selector = selectors.DefaultSelector()
selector.register(heard, selectors.EVENT_READ)


def selectors_ready(timeout):
    return selector.select(timeout)


for n in range(times):
    child = start()
    signal.signal(signal.SIGTERM, on_term)
    print("started", child, flush=True)
    status = None
    while status is None:
        selectors_ready(0.02)
        hear()
        done, code = os.waitpid(child, os.WNOHANG)
        if done:
            status = os.waitstatus_to_exitcode(code)
    hear()
    print("ended", child, status, flush=True)
    if ends:
        break
sys.exit(status if status >= 0 else 1)
