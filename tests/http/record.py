#!/usr/bin/python3
"""A target that writes what it gets of one request to a file and, if it is whole, answers 204.

usage: record.py SOCKET FILE
"""

import os
import socket
import sys


def is_whole(received):
    head, end, body = received.partition(b"\r\n\r\n")
    if b"\r\ntransfer-encoding: chunked" in head.lower():
        return body.endswith(b"0\r\n\r\n")
    return bool(end)


listener = socket.socket(socket.AF_UNIX)
listener.settimeout(30)
listener.bind(sys.argv[1] + ".new")
listener.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1])  # whoever sees the path can connect
connection = listener.accept()[0]
connection.settimeout(30)
received = b""
while not is_whole(received):
    data = connection.recv(65536)
    if not data:
        break
    received += data
with open(sys.argv[2], "wb") as file:
    file.write(received)
if is_whole(received):
    connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
