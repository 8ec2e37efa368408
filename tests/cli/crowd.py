"""Clients that stay at the beginning of a request, more than there are descriptors for, and one that comes then and asks for
the metrics.

usage: crowd.py SOCKET N PORT     prints what GET /metrics of 127.0.0.1:PORT says"""
import contextlib
import http.client
import socket
import sys
import time

BEGUN = b"GET /crowd HTTP/1.1\r\n"


def ask(port, expected):
    """The metrics, as soon as they add up to so many connections, and somebody was accepted: before, all are in the backlog.
    Each time on a new connection: one that is idle makes room."""
    for _ in range(300):
        answer = scrape(port)
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


def scrape(port):
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=20)) as scraper:
        scraper.request("GET", "/metrics")
        return scraper.getresponse().read().decode()


clients = []
for _ in range(int(sys.argv[2])):
    client = socket.socket(socket.AF_UNIX)
    client.settimeout(20)
    client.connect(sys.argv[1])
    client.sendall(BEGUN)
    clients.append(client)
print(ask(int(sys.argv[3]), len(clients)))
