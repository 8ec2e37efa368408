"""Many clients that do nothing, then one of them and a new one that ask. Prints what each was answered.

usage: idle.py SOCKET N"""
import socket
import sys
import time

REQUEST = b"GET /idle HTTP/1.1\r\nHost: localhost\r\n\r\n"


def connect():
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(sys.argv[1])
    return client


def ask(client):
    client.sendall(REQUEST)
    return client.recv(65536).split(b"\r\n")[0].decode()


clients = [connect() for _ in range(int(sys.argv[2]))]
time.sleep(1)
print("old", ask(clients[-1]))
print("new", ask(connect()))
