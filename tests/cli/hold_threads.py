"""Stops the threads of a process but its first and its last one, until SIGTERM or for half a minute: of a porthole with admin listeners these are
the workers that serve. Says "held" when they stand; exit status 77: this may not be done here.
usage: hold_threads.py PID"""

import ctypes
import os
import signal
import sys
import time

PTRACE_SEIZE, PTRACE_INTERRUPT = 0x4206, 0x4207

pid = int(sys.argv[1])
libc = ctypes.CDLL(None, use_errno=True)
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))


def trace(request, thread):
    if libc.ptrace(request, thread, None, None) != 0:
        print(os.strerror(ctypes.get_errno()), file=sys.stderr)
        sys.exit(77)


def is_stopped(thread):
    with open(f"/proc/{pid}/task/{thread}/stat", encoding="ascii", errors="replace") as file:
        return file.read().rpartition(")")[2].split()[0] == "t"


threads = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))[1:-1]
for one in threads:
    trace(PTRACE_SEIZE, one)
    trace(PTRACE_INTERRUPT, one)
while not all(is_stopped(one) for one in threads):
    time.sleep(0.01)
print("held", flush=True)
# They run on when this process ends: in any case, for nobody could stop theirs otherwise.
time.sleep(30)
