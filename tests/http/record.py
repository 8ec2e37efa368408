#!/usr/bin/python3
"""A target that writes one request's head to a file and answers 204.

usage: record.py SOCKET FILE
"""

import os
import socket
import sys

listener = socket.socket(socket.AF_UNIX)
listener.settimeout(30)
listener.bind(sys.argv[1] + ".new")
listener.listen()
os.rename(sys.argv[1] + ".new", sys.argv[1])  # whoever sees the path can connect
connection = listener.accept()[0]
connection.settimeout(30)
head = b""
while not head.endswith(b"\r\n\r\n"):
    head += connection.recv(65536)
with open(sys.argv[2], "wb") as file:
    file.write(head)
connection.sendall(b"HTTP/1.1 204 No Content\r\n\r\n")
