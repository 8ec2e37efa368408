"""Clients that stay at the beginning of a request, more than there are descriptors for, and one that comes then and asks for
the metrics.

usage: crowd.py SOCKET N PORT     prints what GET /metrics of 127.0.0.1:PORT says"""
import socket
import sys
import time

BEGUN = b"GET /crowd HTTP/1.1\r\n"


def ask(port, expected):
    """The metrics, as soon as they add up to so many connections, and somebody was accepted: before, all are in the backlog.
    Each time on a new connection: one that is idle makes room."""
    for _ in range(300):
        with socket.create_connection(("127.0.0.1", port), 20) as scraper:
            scraper.sendall(b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
            answer = read(scraper)
        total = waiting = 0
        for line in answer.split("\n"):
            if 'listener="app"' in line and line.split("{")[0] in (
                    "porthole_listener_connections", "porthole_listener_waiting_connections", "porthole_listener_backlog"):
                total += int(line.split()[-1])
                waiting += int(line.split()[-1]) if "_waiting_" in line else 0
        if total == expected and waiting > 0:
            return answer
        time.sleep(0.1)
    raise SystemExit(f"{total} connections instead of {expected}:\n{answer}")


def read(scraper):
    data = receive(scraper)
    while b"\r\n\r\n" not in data:
        data += receive(scraper)
    head, body = data.split(b"\r\n\r\n", 1)
    length = next(int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    while len(body) < length:
        body += receive(scraper)
    return body.decode()


def receive(scraper):
    piece = scraper.recv(65536)
    if not piece:
        raise EOFError("the metrics end early")
    return piece


clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(sys.argv[1])
    client.sendall(BEGUN)
    clients.append(client)
print(ask(int(sys.argv[3]), len(clients)))
