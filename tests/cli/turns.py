"""A client with one connection on a Unix socket: a request at once, and another for each line on its standard input. Says each
answer's body, with " (close)" behind it when the connection is to be closed, and "gone" when it has been."""

import http.client
import socket
import sys

connection = http.client.HTTPConnection("localhost")
connection.sock = socket.socket(socket.AF_UNIX)
connection.sock.connect(sys.argv[1])
connection.auto_open = False


def ask():
    try:
        connection.request("GET", "/")
        answer = connection.getresponse()
        body = answer.read().decode().strip()
        print(body + (" (close)" if answer.getheader("Connection") == "close" else ""), flush=True)
    except (http.client.HTTPException, OSError):
        print("gone", flush=True)
        sys.exit(0)


ask()
for _ in sys.stdin:
    ask()
