"""One client on one connection: descriptors.py SOCKET PID PATH..., each asked for with no descriptor left in the process PID.

Prints the status of each. The first is asked for before descriptors run out."""

import http.client
import os
import resource
import socket
import sys


class Connection(http.client.HTTPConnection):
    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(sys.argv[1])


def leave_none(pid):
    used = {int(name) for name in os.listdir(f"/proc/{pid}/fd")}
    free = next(number for number in range(len(used) + 1) if number not in used)
    hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)[1]
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (free, hard))


connection = Connection("localhost", timeout=20)
for i, path in enumerate(sys.argv[3:]):
    if i > 0:
        leave_none(int(sys.argv[2]))
    connection.request("GET", path)
    response = connection.getresponse()
    response.read()
    print(response.status, flush=True)
